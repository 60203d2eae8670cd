"""The body of a streamed reply as it arrives from aiohttp: bounded in bytes and time, and ended exactly once.

Never re-chunks, never decodes a meaning, never raises. A read that is cancelled loses nothing and may be repeated, so
that a stream whose caller has gone can be read on by another.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bursar.call.exchange import Failed, FailedKind
from bursar.edges.http.endings import ending_of_aiohttp

if TYPE_CHECKING:
    import asyncio

    import aiohttp

    from bursar.edges.http.pool import Seat


class AsyncBody:
    """The bytes that follow an Opened. Holds a seat and a connection until its end or `close`."""

    __slots__ = (
        "_budget_bytes",
        "_done",
        "_fail",
        "_failed",
        "_headers",
        "_read",
        "_reading",
        "_response",
        "_seat",
        "_timer",
    )

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        headers: Mapping[str, str],
        seat: Seat,
        *,
        budget_bytes: int,
        reading: set[aiohttp.ClientResponse],
        fail: Callable[[Failed], Failed],
    ) -> None:
        self._response = response
        self._headers = headers
        self._seat = seat
        self._budget_bytes = budget_bytes
        self._reading = reading  # what the transport closes when it closes
        self._fail = fail  # what the transport makes of a failure
        self._read = response.content.readany
        self._timer: asyncio.TimerHandle | None = None
        self._done = False
        self._failed: Failed | None = None
        reading.add(response)

    def end_at(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Fail with `timeout` at `until` of the loop's clock, if it has not ended by then."""
        self._timer = loop.call_at(until, self._stop, "timeout", "the deadline passed before the reply was whole")

    async def read(self) -> bytes | Failed:
        """What has arrived, at least one byte; b"" at the clean end, and ever after; or how it broke."""
        if self._done:
            return self._failed or b""
        try:
            data = await self._read()
        except Exception as error:  # whatever aiohttp raises, the stream is over
            kind, _, detail = ending_of_aiohttp(error, True)
            return self._stop(kind, detail) or b""
        if data:
            self._budget_bytes -= len(data)
            if self._budget_bytes >= 0:
                return data
            return self._stop("too_large", "the reply is larger than what is read of one") or b""
        self._finish()
        return data

    def close(self) -> None:
        """Let go. A body that has not ended takes its connection with it; reads then say `cancelled`."""
        if not self._done:
            self._failed = Failed("cancelled", True, "the body was let go", self._response.status, self._headers)
            self._finish()

    abort = close  # the blocking body has two: one of them for other threads

    def _stop(self, kind: FailedKind, detail: str) -> Failed | None:
        if not self._done:
            self._failed = self._fail(Failed(kind, True, detail, self._response.status, self._headers))
            self._finish()
        return self._failed

    def _finish(self) -> None:
        if self._done:
            return
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reading.discard(self._response)
        if not self._response.closed:
            self._response.close()
        self._seat.release()

    def __del__(self) -> None:
        if not self._done:
            warnings.warn("a streamed reply was neither read to its end nor closed", ResourceWarning, 2, source=self)
            self._finish()
