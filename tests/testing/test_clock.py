"""The clock that is told the time."""

from __future__ import annotations

from datetime import UTC, datetime

from bursar.testing import ManualClock
from bursar.testing.clock import START_MS


def test_it_starts_with_a_year_and_goes_where_it_is_told() -> None:
    clock = ManualClock()
    assert datetime.fromtimestamp(clock() / 1000, UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    clock.advance(0.25)
    clock.advance(ms=5)
    assert clock() == START_MS + 255
    clock.advance(-1)
    assert clock() == START_MS - 745
    clock.now_ms = 7
    assert clock() == 7
