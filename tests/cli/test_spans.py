"""Spans of time, in the time zone of the configuration."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click
import pytest

from bursar.cli.spans import Span, span_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = 1_795_176_000_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(autouse=True)
def context() -> object:
    with click.Context(click.Command("usage")) as made:
        yield made


def test_without_any_all_of_it() -> None:
    assert span_of(None, None, None, UTC, NOW_MS) == Span(0, None)


def test_the_last_week() -> None:
    assert span_of(None, None, 7 * 86_400_000, UTC, NOW_MS) == Span(NOW_MS - 7 * 86_400_000, None)


def test_days_are_whole_and_of_the_zone() -> None:
    # The day on which Berlin's clocks go back has 25 hours.
    span = span_of("2026-10-25", "2026-10-25", None, BERLIN, NOW_MS)
    assert span == Span(ms("2026-10-25T00:00+02:00"), ms("2026-10-26T00:00+01:00"))


def test_moments_are_exact() -> None:
    assert span_of("2026-11-01T14:30", None, None, BERLIN, NOW_MS).since_ms == ms("2026-11-01T14:30+01:00")
    assert span_of("2026-11-01T14:30Z", None, None, BERLIN, NOW_MS).since_ms == ms("2026-11-01T14:30+00:00")


@pytest.mark.parametrize(
    ("since", "until", "last_ms"),
    [
        ("yesterday", None, None),
        ("2026-13-01", None, None),
        ("2026-11-02", "2026-11-01", None),
        ("2026-11-01", None, 1000),
    ],
)
def test_refused(since: str | None, until: str | None, last_ms: int | None) -> None:
    with pytest.raises(click.UsageError):
        span_of(since, until, last_ms, UTC, NOW_MS)
