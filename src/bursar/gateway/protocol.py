"""uvicorn's protocol, with what it lacks: whoever leaves is noticed at once, and nobody is waited for without end.

The handlers of a request are told through `scope["bursar.leavers"]`: callables that are called once when the
connection is lost; who is done takes its own out again. A request that does not come in within its time, a head
without end, and a caller who does not read what was asked for end the connection. Source: RFC 9110, RFC 6585.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# A request's head and body must have come in that time.
REQUEST_SECONDS = 60.0
# So long a caller may leave what was written unread.
UNREAD_SECONDS = 60.0
# Names and values of a request's headers, and its first line.
HEAD_BYTES_MAX = 65_536

_LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(HttpToolsProtocol):
    """One connection of a caller."""

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _head_complete = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is open: its first request is due."""
        super().connection_made(transport)
        self._leavers: list[Callable[[], Any]] = []
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._late is None and self._idle:
            self._expect()
        super().data_received(data)
        if not self._head_complete:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._end(_LONG)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head_bytes, self._head_complete = 0, False
        self.scope["bursar.leavers"] = self._leavers  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        self._head_complete = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller has read on."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and so is who asked."""
        for timer in (self._late, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        leaving, self._leavers[:] = self._leavers.copy(), []
        for leave in leaving:
            leave()

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        return cycle is None or cycle.response_complete

    def _expect(self) -> None:
        self._late = self.loop.call_later(REQUEST_SECONDS, self._end, _LATE)

    def _end(self, answer: bytes) -> None:
        """Say why, where nothing was said yet, and close."""
        cycle: RequestResponseCycle | None = self.cycle
        if self._head_complete and cycle is not None and cycle.response_started:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
