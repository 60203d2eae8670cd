"""The body of a streamed reply as it arrives from httpcore2: the twin of `async_body`, for one thread at a time.

Never re-chunks, never decodes a meaning, never raises but for an interruption (KeyboardInterrupt).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bursar.call.exchange import Failed, FailedKind
from bursar.edges.http.endings import ending_of_httpcore

if TYPE_CHECKING:
    import httpcore2

    from bursar.edges.http.course import Course, Current
    from bursar.edges.http.decoding import Identity, Inflation
    from bursar.edges.http.pool import Seat


def read_until(response: httpcore2.Response, decoder: Identity | Inflation, limit_bytes: int) -> bytes:
    """The whole body, or its beginning as soon as that is longer than `limit_bytes`."""
    pieces: list[bytes] = []
    size_bytes = 0
    for packed in response.iter_stream():
        pieces.append(decoder.decode(packed, limit_bytes - size_bytes))
        size_bytes += len(pieces[-1])
        if size_bytes > limit_bytes:
            break
    else:
        decoder.finish()
    return b"".join(pieces)


class BlockingBody:
    """The bytes that follow an Opened. Holds a seat and a connection until its end or `close`."""

    def __init__(
        self,
        response: httpcore2.Response,
        headers: Mapping[str, str],
        decoder: Identity | Inflation,
        seat: Seat,
        *,
        course: Course,
        current: Current,
        budget_bytes: int,
        under_way: set[Course],
        fail: Callable[[Failed], Failed],
    ) -> None:
        self._done = False
        self._response = response
        self._headers = headers
        self._decoder = decoder
        self._seat = seat
        self._course = course
        self._current = current
        self._budget_bytes = budget_bytes
        self._under_way = under_way  # what the transport aborts when it closes
        self._fail = fail  # what the transport makes of a failure
        self._pieces = response.iter_stream()
        self._aborted = False
        self._failed: Failed | None = None

    def read(self) -> bytes | Failed:
        """What has arrived, at least one byte; b"" at the clean end, and ever after; or how it broke."""
        data = b""
        try:
            while not data:
                if self._done:
                    return self._failed or b""
                self._current.course = self._course
                packed = next(self._pieces, None)
                if packed is None:
                    self._decoder.finish()
                    self._finish()
                    return b""
                data = self._decoder.decode(packed, self._budget_bytes)
        except Exception as error:  # whatever httpcore2 raises, the stream is over
            kind, _, detail = ending_of_httpcore(error, True)
            return self._stop(kind, detail)
        self._budget_bytes -= len(data)
        if self._budget_bytes < 0:
            return self._stop("too_large", "the reply is larger than what is read of one")
        return data

    def began(self) -> None:
        """The first output has come: from now on it is the pauses that count."""
        self._course.began()

    def close(self) -> None:
        """Let go. A body that has not ended takes its connection with it; reads then say `cancelled`.

        For the thread that reads; `abort` is for others.
        """
        if not self._done:
            self._failed = Failed("cancelled", True, "the body was let go", self._response.status, self._headers)
            self._finish()

    def abort(self) -> None:
        """Wake a read that waits in another thread; it says `cancelled`, as later ones do. `close` is still due."""
        self._aborted = True
        self._course.abort()

    def _stop(self, kind: FailedKind, detail: str) -> Failed:
        failed = Failed(kind, True, detail, self._response.status, self._headers)
        if self._aborted:
            self._failed = Failed("cancelled", True, "the body was let go", self._response.status, self._headers)
        else:
            self._failed = self._fail(failed)
        self._finish()
        return self._failed

    def _finish(self) -> None:
        self._done = True
        self._under_way.discard(self._course)
        self._course.alight()
        self._current.course = self._course  # closing may write
        with contextlib.suppress(Exception):
            self._response.close()
        self._seat.release()

    def __del__(self) -> None:
        if not getattr(self, "_done", True):
            self._finish()
            warnings.warn("a streamed reply was neither read to its end nor closed", ResourceWarning, 2, source=self)
