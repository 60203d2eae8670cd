"""A clock that stands still until it is told: every window, wait and lease of a test at the moment it chooses."""

from __future__ import annotations

# 2026-01-01T00:00Z, a Thursday: the first instant of an hour, a day, a month and a year.
START_MS = 1_767_225_600_000


class ManualClock:
    """A clock in epoch milliseconds. Call it to read it.

    >>> clock = ManualClock()
    >>> clock.advance(1.5)
    >>> clock() - START_MS
    1500
    """

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float = 0, *, ms: int = 0) -> None:
        """Go on by so much; back, where it is below 0."""
        self.now_ms += round(seconds * 1000) + ms
