"""The simulator's calendar: the time it stamps, bills and exports by. It moves as real time does, and can be set.

Waiting, and the rate limits, go by real time however this is set.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


def real_ms() -> int:
    return time.time_ns() // 1_000_000


class WallClock:
    """Milliseconds since 1970, UTC."""

    def __init__(self, starts_at_ms: int | None = None) -> None:
        self._starts_at_ms = starts_at_ms
        self._ahead_ms = 0
        self.reset()

    def now_ms(self) -> int:
        return real_ms() + self._ahead_ms

    def set(self, now_ms: int) -> None:
        self._ahead_ms = now_ms - real_ms()

    def advance(self, by_ms: int) -> None:
        """Skip time; a negative number goes back."""
        self._ahead_ms += by_ms

    def reset(self) -> None:
        """Back to where it started, or to the real time."""
        self._ahead_ms = 0 if self._starts_at_ms is None else self._starts_at_ms - real_ms()


def parse_moment(text: str) -> int:
    """Milliseconds of a date or time in ISO 8601; UTC where it names no zone. Raises ValueError with one clear line.

    >>> parse_moment("2026-12-01T16:30:00Z") == parse_moment("2026-12-01T16:30") == 1_796_142_600_000
    True
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"time {text!r}: expected ISO 8601, as in 2026-12-01T16:30:00Z") from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def iso(at_ms: int) -> str:
    """A time as providers write it.

    >>> iso(1_796_142_600_250)
    '2026-12-01T16:30:00.250Z'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
