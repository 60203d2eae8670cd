"""Streams as context managers: entering sends the request, iterating yields deltas, leaving settles."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from bursar.client.replies import Reply
from bursar.errors import InvalidRequestError, StreamInterruptedError
from bursar.wire.readings import Chunk, reading_of

if TYPE_CHECKING:
    from bursar.edges.announced import Announced
    from bursar.edges.blocking import BlockingRelay
    from bursar.edges.drive import AsyncRelay

# What a stream is read as where nothing else is said.
CHAT = "openai_chat"
_NOT_OPEN = "a stream is used as a context manager: `with llm.stream(...) as stream`, async with `async with`"


class Gathered:
    """What both colours keep: the payloads seen so far, of which the whole reply is put together when it is read.

    restarts: how often a reply that had broken off began anew, as `after_first_token` of a route allows: what was seen
    of it before is void, and the first delta of the new one says so (`restarted`). continued: how often another attempt
    went on where one had broken off.
    """

    restarts = 0
    continued = 0

    def __init__(self, dialect: str) -> None:
        self._chunk = reading_of(dialect).chunk
        self._seen: list[bytes] = []
        self._pending: deque[bytes] = deque()
        self._reply: Reply | None = None
        self._entered = False

    @property
    def reply(self) -> Reply | None:
        """The whole reply with cost and receipt, once the stream has ended; None before."""
        return self._reply

    def _entering(self) -> None:
        if self._entered:
            raise InvalidRequestError("a stream is entered once: each is a request of its own")
        self._entered = True

    def _first_of(self, payloads: list[bytes], relay: Announced) -> Chunk:
        """The first delta of what has just arrived; the others wait for their turn."""
        restarted = self._replaced(relay)
        self._seen += payloads
        if len(payloads) > 1:
            self._pending.extend(payloads[1:])
        chunk = self._chunk(payloads[0])
        if restarted:
            chunk.restarted = True
        return chunk

    def _replaced(self, relay: Announced) -> bool:
        """Whether what was seen before is void now."""
        self.continued = relay.continued
        if self.restarts == relay.restarts:
            return False
        self.restarts = relay.restarts
        self._seen = []
        return True

    def _finish(self, relay: Announced, result: Any) -> None:
        if self._reply is None:
            self._replaced(relay)
            self._reply = Reply.of_stream(result, self._seen)

    def _interrupted(self, error: StreamInterruptedError) -> None:
        """Give the error the partial reply, decoded."""
        if self._reply is None and error.reply is not None:
            self._reply = error.reply = Reply.of_stream(error.reply, self._seen)


class Stream(Gathered):
    """A streamed answer: `with llm.stream(...) as stream: for delta in stream: ...`, then `stream.reply`."""

    def __init__(self, start: Callable[[], Any], dialect: str = CHAT) -> None:
        super().__init__(dialect)
        self._start = start
        self._relay: BlockingRelay | None = None

    def __enter__(self) -> Self:
        self._entering()
        try:
            self._relay = self._start()
            return self
        except BaseException:
            self.__exit__()  # an interrupt in the last moment
            raise

    def __exit__(self, *exit: object) -> None:
        if self._relay is not None:
            self._relay.leave()

    def __iter__(self) -> Self:
        if self._relay is None:
            raise InvalidRequestError(_NOT_OPEN)
        return self

    def __next__(self) -> Chunk:
        if self._pending:
            return self._chunk(self._pending.popleft())
        relay = self._relay
        if relay is None:
            raise InvalidRequestError(_NOT_OPEN)
        try:
            payloads = relay.pull()
        except StreamInterruptedError as error:
            self._interrupted(error)
            raise
        if not payloads:
            self._finish(relay, relay.result)
            raise StopIteration
        return self._first_of(payloads, relay)


class AsyncStream(Gathered):
    """A streamed answer: `async with llm.stream(...) as stream`, `async for delta in stream`, then `stream.reply`."""

    def __init__(self, start: Callable[[], Awaitable[Any]], dialect: str = CHAT) -> None:
        super().__init__(dialect)
        self._start = start
        self._relay: AsyncRelay | None = None

    def after(self, prepare: Callable[[], Awaitable[None]]) -> Self:
        """Do something before the request is sent."""
        start = self._start

        async def prepared() -> Any:
            await prepare()
            return await start()

        self._start = prepared
        return self

    async def __aenter__(self) -> Self:
        self._entering()
        self._relay = await self._start()
        return self

    async def __aexit__(self, *exit: object) -> None:
        if self._relay is not None:
            self._relay.leave()

    def __aiter__(self) -> Self:
        if self._relay is None:
            raise InvalidRequestError(_NOT_OPEN)
        return self

    async def __anext__(self) -> Chunk:
        if self._pending:
            return self._chunk(self._pending.popleft())
        relay = self._relay
        if relay is None:
            raise InvalidRequestError(_NOT_OPEN)
        try:
            payloads = await relay.pull()
        except StreamInterruptedError as error:
            self._interrupted(error)
            raise
        if not payloads:
            self._finish(relay, relay.result)
            raise StopAsyncIteration
        return self._first_of(payloads, relay)
