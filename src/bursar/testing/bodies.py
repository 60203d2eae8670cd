"""The bodies of scripted streams, in both colours: the interface and the endings of those in `edges.http`."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bursar.call.exchange import Exchange, Failed
from bursar.testing.script import Stall, StreamedAnswer

if TYPE_CHECKING:
    from bursar.edges.http.pool import Seat

# A stall that nobody ends is a mistake of the test; it must not hang.
STALL_SECONDS_MAX = 30.0

CLOSED = Failed("closed", True, "the transport is closed")
LET_GO = Failed("cancelled", True, "the body was let go")


def stalled(exchange: Exchange) -> Failed:
    """How a stall ends that neither its caller nor the transport ended."""
    if exchange.deadline_ms is not None:
        return Failed("timeout", True, "the deadline passed before the reply was whole")
    return Failed("timeout", True, f"nothing came for {STALL_SECONDS_MAX:g} s")


class Body:
    """What both colours have: the pieces still to come, a seat, and one end."""

    def __init__(self, exchange: Exchange, answer: StreamedAnswer, seat: Seat, now_ms: Callable[[], int]) -> None:
        self._done = False
        self._failed: Failed | None = None
        self._exchange = exchange
        self._answer = answer
        self._pieces = deque(piece for piece in answer.pieces if piece != b"")
        self._seat = seat
        self._now_ms = now_ms

    def close(self) -> None:
        """Let go. Reads then say `cancelled`, unless it had ended."""
        self.end(LET_GO)

    def began(self) -> None:
        """Nothing: a script has its own time."""

    def end(self, failed: Failed | None) -> bytes | Failed:
        """End it, once: cleanly, or with a failure. Returns how it ended."""
        if not self._done:
            self._done = True
            if failed is not None:
                self._failed = replace(failed, sent=True, status=self._answer.status, headers=self._answer.headers)
                if failed.kind != "cancelled":
                    self._seat.pool.failed(failed.kind, self._now_ms())
            self._seat.release()
        return self._failed or b""

    def come(self) -> bytes | Failed | None:
        """What a read says; None while it would wait."""
        if self._done or not self._pieces:
            return self.end(None)
        piece = self._pieces[0]
        if isinstance(piece, Stall):
            return None if self._exchange.deadline_ms is None else self.end(stalled(self._exchange))
        self._pieces.popleft()
        return self.end(piece) if isinstance(piece, Failed) else piece

    def __del__(self) -> None:
        if not self._done:
            warnings.warn("a streamed reply was neither read to its end nor closed", ResourceWarning, 2, source=self)
            self.close()


class ScriptedBody(Body):
    """The body of a streamed reply for one event loop."""

    def __init__(self, exchange: Exchange, answer: StreamedAnswer, seat: Seat, now_ms: Callable[[], int]) -> None:
        super().__init__(exchange, answer, seat, now_ms)
        self._woken = asyncio.Event()

    async def read(self) -> bytes | Failed:
        """A piece; b"" at the clean end, and ever after; or how it broke. A read that is cancelled loses nothing."""
        piece = self.come()
        if piece is not None:
            return piece
        try:
            async with asyncio.timeout(STALL_SECONDS_MAX):
                await self._woken.wait()
        except TimeoutError:
            pass
        return self.end(stalled(self._exchange))

    def end(self, failed: Failed | None) -> bytes | Failed:
        """End it, and wake a read that stalls."""
        ended = super().end(failed)
        self._woken.set()
        return ended

    abort = Body.close


class ScriptedBlockingBody(Body):
    """The body of a streamed reply for one thread at a time."""

    def __init__(self, exchange: Exchange, answer: StreamedAnswer, seat: Seat, now_ms: Callable[[], int]) -> None:
        super().__init__(exchange, answer, seat, now_ms)
        self._woken = threading.Event()

    def read(self) -> bytes | Failed:
        """A piece; b"" at the clean end, and ever after; or how it broke."""
        piece = self.come()
        if piece is not None:
            return piece
        woken = self._woken.wait(STALL_SECONDS_MAX)
        return self.end(LET_GO if woken else stalled(self._exchange))

    def end(self, failed: Failed | None) -> bytes | Failed:
        """End it, and wake a read that stalls in another thread."""
        ended = super().end(failed)
        self._woken.set()
        return ended

    def abort(self) -> None:
        """Wake a read that stalls in another thread; it says `cancelled`. `close` is still due."""
        self._woken.set()
