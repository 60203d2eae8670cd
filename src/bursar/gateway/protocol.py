"""uvicorn's protocol, with what it lacks: whoever leaves is noticed at once, and nobody is waited for without end.

The handlers of a request are told through `scope["bursar.leavers"]`: callables that are called once when the
connection is lost while their request is not answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# A request's head and body must have come in that time.
REQUEST_SECONDS = 60.0


class Connection(HttpToolsProtocol):
    """One connection of a caller."""

    _late: asyncio.TimerHandle | None = None
    _leavers: list[Callable[[], Any]] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is open: its first request is due."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request
        if self._late is None and (cycle is None or cycle.response_complete):
            self._expect()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._leavers = []
        self.scope["bursar.leavers"] = self._leavers  # type: ignore[typeddict-unknown-key]

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and so is who asked."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)
        leavers = self._leavers
        if leavers:
            leaving = leavers.copy()
            leavers.clear()
            for leave in leaving:
                leave()

    def _expect(self) -> None:
        self._late = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)
