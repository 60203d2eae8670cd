"""Amounts, rates, pairs and spans as they are typed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import click
import pytest

from bursar.cli.options import Day, DayOrMinute, Days, Pair, Rate, Usd, UsdPer


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Usd(), "5", Decimal(5)),
        (Usd(), "$0.10", Decimal("0.1")),
        (UsdPer(), "5", Rate(Decimal(5), "day")),
        (UsdPer(), "20/month", Rate(Decimal(20), "month")),
        (Pair(), "team=a=b", ("team", "a=b")),
        (Days(), "90d", 90 * 86_400_000),
        (Days(), "12h", 12 * 3_600_000),
        (Day(), "2026-11-01", date(2026, 11, 1)),
        (DayOrMinute(), "2026-11-01", date(2026, 11, 1)),
        (DayOrMinute(), "2026-11-01T00:00", datetime(2026, 11, 1, tzinfo=UTC)),
        (DayOrMinute(), "2026-11-01 14:30", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
        (DayOrMinute(), "2026-11-01T14:30Z", datetime(2026, 11, 1, 14, 30, tzinfo=UTC)),
    ],
)
def test_read(kind: Any, text: str, value: object) -> None:
    assert kind.convert(text, None, None) == value
    assert kind.convert(value, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Usd(), "-1"),
        (Usd(), "nan"),
        (Usd(), "0.0000000001"),
        (Usd(), "five"),
        (UsdPer(), "5/yer"),
        (UsdPer(), "5/"),
        (UsdPer(), "/day"),
        (Pair(), "team"),
        (Pair(), "=a"),
        (Pair(), "team="),
        (Days(), "7"),
        (Days(), "0d"),
        (Days(), "-7d"),
        (Days(), "7y"),
        (Day(), "2026-13-01"),
        (Day(), "2026-11-01T14:30"),
        (DayOrMinute(), "2026-11-01T25:00"),
        (DayOrMinute(), "tomorrow"),
    ],
)
def test_refused(kind: Any, text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)
