"""The body of a streamed reply as it arrives from aiohttp: bounded in bytes and time, and ended exactly once.

Never re-chunks, never decodes a meaning, never raises. A read that is cancelled loses nothing and may be repeated, so
that a stream whose caller has gone can be read on by another.
"""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bursar.call.exchange import Failed, FailedKind
from bursar.edges.http.endings import ending_of_aiohttp
from bursar.edges.http.surroundings import DEADLINE_PASSED, FIRST_TOKEN_LATE

if TYPE_CHECKING:
    import aiohttp

    from bursar.edges.http.connector import KeepingConnector
    from bursar.edges.http.pool import Seat


class AsyncBody:
    """The bytes that follow an Opened. Holds a seat and a connection until its end or `close`."""

    __slots__ = (
        "_budget_bytes",
        "_done",
        "_fail",
        "_failed",
        "_headers",
        "_now",
        "_read",
        "_connector",
        "_watched",
        "_response",
        "_seat",
        "_stall_seconds",
        "_timers",
        "_waiting_since",
        "__weakref__",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        headers: Mapping[str, str],
        seat: Seat,
        *,
        budget_bytes: int,
        connector: KeepingConnector,
        fail: Callable[[Failed], Failed],
    ) -> None:
        self._response = response
        self._headers = headers
        self._seat = seat
        self._budget_bytes = budget_bytes
        self._connector = connector
        self._watched = connector.watch(response)
        self._fail = fail  # what the transport makes of a failure
        self._read = response.content.readany
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._now: Callable[[], float] = asyncio.get_running_loop().time
        self._stall_seconds: float | None = None
        self._waiting_since: float | None = None  # when the read that waits now began to
        self._done = False
        self._failed: Failed | None = None

    def bound(
        self,
        read_timeout_seconds: float,
        until: float | None,
        first_until: float | None = None,
        stall_seconds: float | None = None,
    ) -> None:
        """Fail with `timeout` when a read waits longer than that, and at `until` of the loop's clock.

        first_until: fail at that instant unless `began` was called before. stall_seconds: what a read may wait then.

        aiohttp's own read timeout makes a timer for every piece, which is a fifth of the cost of one; here one timer
        looks, once in each read timeout, how long the read of the moment has waited.
        """
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = None
        loop, this = asyncio.get_running_loop(), weakref.ref(self)
        self._timers["stall"] = loop.call_later(read_timeout_seconds, _look, this, loop, read_timeout_seconds)
        if until is not None:
            self._timers["deadline"] = loop.call_at(until, _expire, this, DEADLINE_PASSED)
        self._stall_seconds = stall_seconds
        if first_until is not None:
            self._timers["first"] = loop.call_at(first_until, _expire, this, FIRST_TOKEN_LATE)

    def began(self) -> None:
        """The first output has come: from now on it is the pauses that count."""
        timer = self._timers.pop("first", None)
        if timer is not None:
            timer.cancel()
        if self._stall_seconds is not None and not self._done:
            loop, this = asyncio.get_running_loop(), weakref.ref(self)
            self._timers["stall"].cancel()
            self._timers["stall"] = loop.call_later(self._stall_seconds, _look, this, loop, self._stall_seconds)

    async def read(self) -> bytes | Failed:
        """What has arrived, at least one byte; b"" at the clean end, and ever after; or how it broke."""
        if self._done:
            return self._failed or b""
        self._waiting_since = self._now()
        try:
            data = await self._read()
        except Exception as error:  # whatever aiohttp raises, the stream is over
            kind, _, detail = ending_of_aiohttp(error, True)
            return self.stop(kind, detail) or b""
        finally:
            self._waiting_since = None
        if data:
            self._budget_bytes -= len(data)
            if self._budget_bytes >= 0:
                return data
            return self.stop("too_large", "the reply is larger than what is read of one") or b""
        self._finish()
        return data

    def close(self) -> None:
        """Let go. A body that has not ended takes its connection with it; reads then say `cancelled`."""
        if not self._done:
            self._failed = Failed("cancelled", True, "the body was let go", self._response.status, self._headers)
            self._finish()

    abort = close  # the blocking body has two: one of them for other threads

    def look(self, loop: asyncio.AbstractEventLoop, this: weakref.ref[AsyncBody], read_timeout_seconds: float) -> None:
        """Fail if the read of the moment has waited too long, else look again when it will have."""
        since = loop.time() if self._waiting_since is None else self._waiting_since
        if loop.time() - since >= read_timeout_seconds:
            self.stop("timeout", f"nothing came for {read_timeout_seconds:g} s")
        else:
            again = since + read_timeout_seconds
            self._timers["stall"] = loop.call_at(again, _look, this, loop, read_timeout_seconds)

    def stop(self, kind: FailedKind, detail: str) -> Failed | None:
        """End it, once, with a failure; returns how it ended."""
        if not self._done:
            self._failed = self._fail(Failed(kind, True, detail, self._response.status, self._headers))
            self._finish()
        return self._failed

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._connector.unwatch(self._watched, self._response)
        if not self._response.closed:
            self._response.close()
        self._seat.release()

    def __del__(self) -> None:
        if not self._done:
            self._finish()
            warnings.warn("a streamed reply was neither read to its end nor closed", ResourceWarning, 2, source=self)


def _expire(this: weakref.ref[AsyncBody], detail: str) -> None:  # timers hold no body that all else has forgotten
    body = this()
    if body is not None:
        body.stop("timeout", detail)


def _look(this: weakref.ref[AsyncBody], loop: asyncio.AbstractEventLoop, read_timeout_seconds: float) -> None:
    body = this()
    if body is not None:
        body.look(loop, this, read_timeout_seconds)
