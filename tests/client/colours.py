"""Both clients behind one face, so that each thing is said once and tried in both colours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from bursar import AsyncClient, Client, Quote, Reply, Vectors
from bursar.call.books import Balance, Fact

COLOURS = ("async", "blocking")


class Teller:
    """A client of one colour, always awaited."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client

    async def _do(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if isinstance(self.client, AsyncClient):
            return await method(*arguments, **options)
        return await asyncio.to_thread(method, *arguments, **options)

    async def chat(self, messages: Any = "hello", **options: Any) -> Reply:
        options.setdefault("model", "openai/gpt-4o-mini")
        reply: Reply = await self._do(self.client.chat, messages, **options)
        return reply

    async def send(self, path: str, **fields: Any) -> Reply:
        reply: Reply = await self._do(self.client.send, path, **fields)
        return reply

    async def send_stream(self, path: str, **fields: Any) -> Streamed:
        """Read a stream of any dialect to its end."""
        seen = Streamed()
        if isinstance(self.client, AsyncClient):
            async with self.client.send_stream(path, **fields) as stream:
                async for delta in stream:
                    seen.take(delta.text, None)
            seen.reply = stream.reply
            return seen

        def read(client: Client) -> Streamed:
            with client.send_stream(path, **fields) as stream:
                for delta in stream:
                    seen.take(delta.text, None)
            seen.reply = stream.reply
            return seen

        return await asyncio.to_thread(read, self.client)

    async def embed(self, inputs: Any, **options: Any) -> Vectors:
        options.setdefault("model", "openai/text-embedding-3-small")
        vectors: Vectors = await self._do(self.client.embed, inputs, **options)
        return vectors

    async def estimate(self, messages: Any = "hello", **options: Any) -> Quote:
        options.setdefault("model", "openai/gpt-4o-mini")
        quote: Quote = await self._do(self.client.estimate, messages, **options)
        return quote

    async def stream(self, messages: Any = "hello", *, leave_after: int | None = None, **options: Any) -> Streamed:
        """Read a stream to its end, or leave it after so many deltas."""
        options.setdefault("model", "openai/gpt-4o-mini")
        seen = Streamed()
        if isinstance(self.client, AsyncClient):
            async with self.client.stream(messages, **options) as stream:
                async for delta in stream:
                    if seen.take(delta.text, leave_after):
                        break
            seen.reply = stream.reply
            return seen
        return await asyncio.to_thread(_read, self.client, messages, options, seen, leave_after)

    async def close(self) -> None:
        await self._do(self.client.close)

    def budgets(self) -> dict[str, Balance]:
        """The balances by name (and subject, where there is one)."""
        found = self.client.budgets()
        return {f"{one.allowance}:{one.subject}" if one.subject else one.allowance: one for one in found}

    def facts(self, call_id: str = "") -> list[Fact]:
        """Rows of the ledger."""
        return self.client._engine.store.attempts(call_id=call_id)

    @property
    def drain(self) -> Any:
        """Who reads on the streams that were left."""
        made: Any = self.client._driver_made
        assert made is not None
        return made.drain

    async def drained(self, *, seconds: float = 10) -> None:
        """Wait for all that was left; cut what takes longer."""
        await self._do(self.drain.close, seconds)

    def seats(self) -> int:
        """Connections in use."""
        return sum(pool.seats_in_use for pool in self.client.pools().values())


class Streamed:
    """What was seen of a stream."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reply: Reply | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def take(self, text: str, leave_after: int | None) -> bool:
        self.texts.append(text)
        return leave_after is not None and len(self.texts) >= leave_after


def _read(client: Client, messages: Any, options: Any, seen: Streamed, leave_after: int | None) -> Streamed:
    with client.stream(messages, **options) as stream:
        for delta in stream:
            if seen.take(delta.text, leave_after):
                break
    seen.reply = stream.reply
    return seen


@contextlib.contextmanager
def standing_still(engine: Any) -> Iterator[None]:
    """The clock of the books stands: nothing refills and no day ends, however busy the machine is."""
    clock, now_ms = engine.clock, engine.clock()
    engine.clock = engine.teller._clock = lambda: now_ms
    try:
        yield
    finally:
        engine.clock = engine.teller._clock = clock


@contextlib.asynccontextmanager
async def opened(colour: str, config: Any = None, *, still: bool = False, **options: Any) -> AsyncIterator[Teller]:
    """A client of a colour, closed at the end. Its budget is one for all time, unless the clock of its books stands."""
    options.setdefault("books", "memory:")
    if "budget_usd" in options and not still:
        options.setdefault("per", "total")
    teller = Teller((AsyncClient if colour == "async" else Client)(config, **options))
    try:
        with standing_still(teller.client._engine) if still else contextlib.nullcontext():
            yield teller
    finally:
        await teller.close()


async def until(told: Callable[[], object]) -> None:
    """Wait until something is so that another thread makes so."""
    async with asyncio.timeout(20):
        while not told():  # noqa: ASYNC110 - the other thread knows nothing of this loop
            await asyncio.sleep(0.001)


def whole(reply: Any) -> Reply:
    """The reply of a stream that came to its end."""
    assert isinstance(reply, Reply)
    return reply
