"""The library's door: Client and AsyncClient. Arguments become a request, a driver runs the flow, a Reply comes back.

Both colours do the same through the same engine; they differ in who waits. What a call asks for is made into bytes in
`asking`, what comes back is in `replies` and `streams`.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bursar.call.books import Balance
from bursar.call.flow import Result
from bursar.client.asking import Messages, chat_body, dialect_of, embedding_body, native_body, split
from bursar.client.quoting import quote
from bursar.client.replies import Quote, Reply, Vectors
from bursar.client.sessions import AsyncSession, Session
from bursar.client.streams import AsyncStream, Stream
from bursar.config import load
from bursar.edges.drain import AsyncDrain, BlockingDrain
from bursar.engine import Asked, open_engine
from bursar.errors import InvalidRequestError
from bursar.wire.embeddings import Embeddings
from bursar.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    from bursar.edges.blocking import BlockingDriver
    from bursar.edges.drive import AsyncDriver
    from bursar.edges.http.pool import PoolStatistics
    from bursar.engine.routing import Itinerary

Config = str | Path | Mapping[str, Any] | None
Usd = str | int | float | Decimal

CHAT = OpenAIChat()
EMBEDDINGS = Embeddings()
OUR_THREADS = ("bursar-teller", "bursar-drain", "bursar-inquiry")


class Door:
    """What both clients have: the engine, its budgets and its figures. Opening a door opens the books."""

    def __init__(
        self,
        config: Config = None,
        *,
        budget_usd: Usd | None = None,
        per: str = "day",
        books: str | Path | None = None,
        api_keys: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Open the books and make ready; no connection is made before the first call.

        config: a bursar.yaml (path or mapping); else the file that BURSAR_CONFIG names, else ./bursar.yaml where there
        is one, else keys from the environment are enough. budget_usd: a hard budget for every window `per` (hour, day,
        week, month, total). books: a SQLite file (default ./bursar.db), or "memory:". api_keys: by provider.
        tags: what every call is counted under.

        Raises ConfigError for what cannot be used, and StoreUnavailableError when the books cannot be opened.
        """
        settings = load(
            config, budget_usd=budget_usd, per=per, books=books, api_keys=api_keys, tags=tags, environ=os.environ
        )
        self._engine = open_engine(settings)
        self._opened = ExitStack()
        self._opened.callback(self._engine.close)
        # A client that is forgotten, or a program that ends, still gets its entries into the books.
        self._closer = weakref.finalize(self, _close, self._opened, os.getpid())

    def budgets(self) -> list[Balance]:
        """Where every budget and limit stands: spent, held, left (nano-USD for money), and when it resets."""
        return self._engine.balances()

    def statistics(self) -> dict[str, Any]:
        """Calls, latency, tokens and cost by provider and by model, over a sliding window of an hour.

        Under "queues": by budget and limit, how many calls wait for it now and how long calls waited
        (`edges.waits.WaitStatistics.snapshot`).
        """
        return self._engine.statistics()

    def _route_chat(self, messages: Messages, asked: Asked, params: dict[str, Any], *, stream: bool) -> Itinerary:
        return self._engine.route(CHAT, chat_body(messages, params, stream=stream), asked)

    def _route_native(self, path: str, options: Mapping[str, Any], *, stream: bool) -> Itinerary:
        asked, fields = split(options)
        if "messages" in options:
            fields["messages"] = options["messages"]
        return self._engine.route(dialect_of(path), native_body(fields, stream=stream), asked)

    def _route_embed(self, inputs: str | Sequence[Any], asked: Asked, params: dict[str, Any]) -> Itinerary:
        return self._engine.route(EMBEDDINGS, embedding_body(inputs, params), asked)


class Client(Door):
    """Calls language models, and never pays more than its budgets allow. Blocking; safe to share between threads.

    >>> with Client(budget_usd=5, books="memory:", api_keys={"openai": "sk-example"}) as llm:
    ...     [str(balance.limit) for balance in llm.budgets()]
    ['5000000000']
    """

    _driver_made: BlockingDriver | None = None

    def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Usd | None = None,
        timeout: float | None = None,
        max_wait_seconds: float | None = None,
        tags: Mapping[str, str] | None = None,
        user: str | None = None,
        session: str | None = None,
        fallbacks: Sequence[str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Reply:
        """Ask a model and wait for its whole answer.

        messages: a string (one user message), or messages in OpenAI's form, passed on unchanged. model: provider/model,
        a route, or a bare name. max_tokens: the output limit; without one, a budget chooses a limit that it can afford.
        max_cost_usd: the most this call may cost. timeout: seconds for the whole call. max_wait_seconds: how long to
        wait for money that other calls hold, or for a limit. tags, user, session: what the call is counted under; they
        are not sent. fallbacks: models to ask, in order, when this one fails or is limited. extra_headers, extra_body
        and all other parameters go to the provider as they are.

        Raises RefusedError (nothing was sent), ProviderError, InvalidRequestError, ConfigError, StoreUnavailableError.
        """
        asked, fields = split(locals())
        result = self._driver.call(self._route_chat(messages, asked, fields, stream=False), self._engine.observe)
        assert isinstance(result, Result)
        return Reply.of(result)

    def stream(self, messages: Messages, **options: Any) -> Stream:
        """The same as `chat`, as a context manager that yields deltas as they arrive; `reply` is set at the end.

        Takes the arguments of `chat`. Leaving the context early lets the rest be read in the background, so that the
        cost is known.
        """
        asked, fields = split(options)

        def start() -> Any:
            return self._driver.call(self._route_chat(messages, asked, fields, stream=True), self._engine.observe)

        return Stream(start)

    def send(self, path: str, **fields: Any) -> Reply:
        """Ask in a dialect of your choice, named by its path: "/responses", "/messages" or "/chat/completions".

        fields: the body, each field as the provider's own documentation has it, beside the governing arguments of
        `chat` (model, max_cost_usd, timeout, max_wait_seconds, tags, user, session, extra_headers, extra_body).
        Raises what `chat` raises.
        """
        result = self._driver.call(self._route_native(path, fields, stream=False), self._engine.observe)
        assert isinstance(result, Result)
        return Reply.of(result)

    def send_stream(self, path: str, **fields: Any) -> Stream:
        """The same as `send`, streamed: every event is a delta; `raw` is the event, `text` what it adds."""

        def start() -> Any:
            return self._driver.call(self._route_native(path, fields, stream=True), self._engine.observe)

        return Stream(start, dialect_of(path).name)

    def embed(self, inputs: str | Sequence[Any], **options: Any) -> Vectors:
        """Embed one text or a list of them. Takes `model` and the governing arguments of `chat`."""
        asked, fields = split(options)
        result = self._driver.call(self._route_embed(inputs, asked, fields), self._engine.observe)
        assert isinstance(result, Result)
        return Vectors.of(result)

    def estimate(self, messages: Messages, **options: Any) -> Quote:
        """What a chat with these arguments would use and cost, and which budgets it fits. Nothing is sent or held."""
        asked, fields = split(options)
        plan = self._route_chat(messages, asked, fields, stream=False).first()
        return quote(self._engine, plan, messages, fields)

    def session(self, id: str, *, budget_usd: Usd | None = None, tags: Mapping[str, str] | None = None) -> Session:
        """A run of calls that are counted together, with a budget of its own; the same id continues it."""
        return Session(self, self._engine, id, budget_usd, tags)

    def pools(self) -> dict[str, PoolStatistics]:
        """The connection pool of every provider used so far: seats, waits, connections, failures."""
        return self._driver.transport.statistics()

    def close(self) -> None:
        """End what is under way (streams that were left get a moment), flush the books and close them. Idempotent."""
        self._closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def _driver(self) -> BlockingDriver:
        return self._driver_made or self._make_driver()

    def _make_driver(self) -> BlockingDriver:
        from bursar.edges.blocking import BlockingDriver
        from bursar.edges.http.blocking import BlockingTransport

        engine = self._engine
        with engine.making:
            if self._driver_made is None:
                transport, drain = BlockingTransport(engine.pool_limits(), now_ms=engine.clock), BlockingDrain()
                self._opened.callback(transport.close)
                self._opened.callback(drain.close)
                self._driver_made = BlockingDriver(transport, engine.teller, drain, engine.clock)
        return self._driver_made


class AsyncClient(Door):
    """The async twin of Client: the same arguments, awaited. It belongs to the event loop of its first call."""

    _driver_made: AsyncDriver | None = None
    _ready = False
    _loop: asyncio.AbstractEventLoop | None = None

    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Usd | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - bounds the provider's work, not only our waiting
        max_wait_seconds: float | None = None,
        tags: Mapping[str, str] | None = None,
        user: str | None = None,
        session: str | None = None,
        fallbacks: Sequence[str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Reply:
        """Ask a model and wait for its whole answer. Arguments and errors are those of `Client.chat`.

        A caller who is cancelled leaves at once; what was sent is read to its end in the background and paid for.
        """
        asked, fields = split(locals())
        driver = await self._driver()
        result = await driver.call(self._route_chat(messages, asked, fields, stream=False), self._engine.observe)
        assert isinstance(result, Result)
        return Reply.of(result)

    def stream(self, messages: Messages, **options: Any) -> AsyncStream:
        """The same as `chat`, as an async context manager that yields deltas; `reply` is set at the end."""
        asked, fields = split(options)

        async def start() -> Any:
            driver = await self._driver()
            return await driver.call(self._route_chat(messages, asked, fields, stream=True), self._engine.observe)

        return AsyncStream(start)

    async def send(self, path: str, **fields: Any) -> Reply:
        """Ask in a dialect of your choice; see `Client.send`."""
        driver = await self._driver()
        result = await driver.call(self._route_native(path, fields, stream=False), self._engine.observe)
        assert isinstance(result, Result)
        return Reply.of(result)

    def send_stream(self, path: str, **fields: Any) -> AsyncStream:
        """The same as `send`, streamed; see `Client.send_stream`."""

        async def start() -> Any:
            driver = await self._driver()
            return await driver.call(self._route_native(path, fields, stream=True), self._engine.observe)

        return AsyncStream(start, dialect_of(path).name)

    async def embed(self, inputs: str | Sequence[Any], **options: Any) -> Vectors:
        """Embed one text or a list of them. Takes `model` and the governing arguments of `chat`."""
        asked, fields = split(options)
        driver = await self._driver()
        result = await driver.call(self._route_embed(inputs, asked, fields), self._engine.observe)
        assert isinstance(result, Result)
        return Vectors.of(result)

    async def estimate(self, messages: Messages, **options: Any) -> Quote:
        """What a chat with these arguments would use and cost, and which budgets it fits. Nothing is sent or held."""
        asked, fields = split(options)
        await self._make_ready()
        plan = self._route_chat(messages, asked, fields, stream=False).first()
        # Counting tokens may take a while, and the first time it reads a vocabulary.
        return await asyncio.to_thread(quote, self._engine, plan, messages, fields)

    def session(self, id: str, *, budget_usd: Usd | None = None, tags: Mapping[str, str] | None = None) -> AsyncSession:
        """A run of calls that are counted together, with a budget of its own; the same id continues it."""
        return AsyncSession(self, self._engine, id, budget_usd, tags)

    def pools(self) -> dict[str, PoolStatistics]:
        """The connection pool of every provider used so far: seats, waits, connections, failures."""
        return self._driver_made.transport.statistics() if self._driver_made is not None else {}

    async def close(self) -> None:
        """End what is under way (calls that were left get a moment), flush the books and close them. Idempotent."""
        if self._driver_made is not None:
            await self._driver_made.drain.close()
            await self._driver_made.transport.close()
        await asyncio.to_thread(self._closer)

    async def __aenter__(self) -> Self:
        await self._make_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _make_ready(self) -> None:
        """Read the price list before the first call needs it, and not on the loop."""
        if not self._ready:
            await asyncio.to_thread(self._engine.warm)
            self._ready = True
        _of_this_loop(self._loop)

    async def _driver(self) -> AsyncDriver:
        if self._driver_made is not None and self._loop is asyncio.get_running_loop():
            return self._driver_made
        await self._make_ready()
        return self._driver_made or self._make_driver()

    def _make_driver(self) -> AsyncDriver:
        from bursar.edges.drive import AsyncDriver
        from bursar.edges.http.asynchronous import AsyncTransport

        engine = self._engine
        transport = AsyncTransport(engine.pool_limits(), now_ms=engine.clock)
        self._driver_made = AsyncDriver(transport, engine.teller, AsyncDrain(), engine.clock)
        self._loop = asyncio.get_running_loop()
        return self._driver_made


def _close(opened: ExitStack, pid: int) -> None:
    """Close what a client opened, last first. What a forked child inherited is its parent's."""
    if os.getpid() != pid:
        return
    if threading.current_thread().name in OUR_THREADS:
        # The client was collected in a thread that would wait here for itself.
        threading.Thread(target=opened.close, name="bursar-close").start()
    else:
        opened.close()


def _of_this_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    if loop is not None and loop is not asyncio.get_running_loop():
        raise InvalidRequestError("an AsyncClient belongs to the event loop of its first call; make one for each loop")
