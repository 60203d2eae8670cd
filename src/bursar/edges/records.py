"""Asking a provider for its records of requests: politely, again where it had no time, and never for ever.

Decides how often and how fast it is asked. What a record is worth is decided elsewhere. Blocking; for commands.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from bursar.call.exchange import Answer, Failed
from bursar.wire.faults import read_error

__all__ = ["Absent", "Found", "Records", "Unanswered"]

# A look-up is no call: it may take its time, and shares the provider's limits with what is.
PER_SECOND = 10.0
ATTEMPTS = 4
BACKOFF_SECONDS = 0.5
# Whoever asks for a longer pause is asked another day.
PAUSE_SECONDS_MAX = 60.0


class Asks(Protocol):
    """What makes one GET; `edges.http.lookup.Lookup` does."""

    def get(self, url: str) -> Answer | Failed: ...


@dataclass(frozen=True, slots=True)
class Found:
    """The provider has a record; `body` is what it answered."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Absent:
    """The provider has no record of this id: not yet, or it never ran."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The provider could not be asked, or refuses to say; `detail` says why, for people."""

    detail: str


class Records:
    """The records of one provider, at `url`, by the id of a request."""

    def __init__(
        self,
        asks: Asks,
        url: str,
        *,
        per_second: float = PER_SECOND,
        timer: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._asks = asks
        self._url = url
        self._interval_seconds = 1 / per_second
        self._timer = timer
        self._pause = pause
        self._next = timer()

    def find(self, request_id: str) -> Found | Absent | Unanswered:
        """Ask for one record: up to four times while the provider is busy or cannot be reached."""
        url = f"{self._url}?id={quote(request_id, safe='')}"
        for attempt in range(ATTEMPTS):
            answer = self._get(url)
            if isinstance(answer, Answer):
                if answer.status == 200:
                    return Found(answer.body)
                if answer.status == 404:
                    return Absent()
                said = read_error(answer.status, answer.headers, answer.body)
                unanswered, again = Unanswered(f"{said.message} ({answer.status})"), _passes(answer.status)
                advice = said.retry_after_seconds
            else:
                unanswered, again, advice = Unanswered(answer.detail), answer.kind != "closed", None
            seconds = BACKOFF_SECONDS * 2**attempt if advice is None else advice
            if not again or attempt == ATTEMPTS - 1 or seconds > PAUSE_SECONDS_MAX:
                break
            self._pause(seconds)
        return unanswered

    def _get(self, url: str) -> Answer | Failed:
        wait_seconds = self._next - self._timer()
        if wait_seconds > 0:
            self._pause(wait_seconds)
        self._next = self._timer() + self._interval_seconds
        return self._asks.get(url)


def _passes(status: int) -> bool:
    """Whether a status may be another one a little later."""
    return status in (408, 425, 429) or status >= 500
