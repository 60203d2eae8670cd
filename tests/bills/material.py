"""What the tests of bills share: facts of the books, lines of a bill."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from bursar.bills.lines import Bill, BillLine
from bursar.call.books import Fact
from tests.contract.store.material import fact as fact_of

# 2026-11-20 12:00 UTC
NOON_MS = 1_795_176_000_000
HOUR_MS = 3_600_000
DAY = date(2026, 11, 20)
NEXT = date(2026, 11, 21)
MODEL = "gpt-4o-mini-2024-07-18"


def call(attempt_id: str, charged: int, *, at_ms: int = NOON_MS, **options: Any) -> Fact:
    """An attempt that was served, certain unless told otherwise."""
    values: dict[str, Any] = {"model": "gpt-4o-mini", "served_model": MODEL, "reserved_ms": at_ms, "ended_ms": at_ms}
    return fact_of(attempt_id, charged, **{**values, **options})


def line(usd: str | None, *, day: date = DAY, model: str = MODEL, **options: Any) -> BillLine:
    """A line of a bill."""
    return BillLine(day, model, None if usd is None else Decimal(usd), **options)


def bill(*lines: BillLine, days: frozenset[date] | None = None) -> Bill:
    """A bill of these lines."""
    return Bill("csv", lines, days or frozenset(each.day for each in lines))
