"""Amounts, counts and days as bills write them."""

from __future__ import annotations

from datetime import UTC, date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bills.values import amount_of, count_of, day_of, decimal_comma, decimal_in, usd_in

KOLKATA = ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.000027750", "0.000027750"),
        ("$1,234.50", "1234.50"),
        ("1 234.50", "1234.50"),
        ("1'234.50", "1234.50"),
        ("US$ 3", "3"),
        ("0.5 USD", "0.5"),
        ("-$2.5", "-2.5"),
        ("($2.50)", "-2.50"),
        ("2.50-", "-2.50"),
        ("7.5e-08", "0.000000075"),
        ("34090000000000000e-17", "0.34090000000000000"),
        (".5", "0.5"),
    ],
)
def test_amounts(text: str, amount: str) -> None:
    assert usd_in(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text", ["", "free", "€3", "3 EUR", "1.2.3", "nan", "inf", "1e999", "--1", "0x10", "9" * 20, "1,2,3.4.5", "$"]
)
def test_what_is_no_amount_of_dollars(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        usd_in(text)


def test_decimal_commas() -> None:
    assert amount_of("1.234,50", comma=True) == Decimal("1234.50")
    assert usd_in("0,000027", comma=True) == Decimal("0.000027")
    with pytest.raises(ValueError, match="expected a number"):
        amount_of("1,2,3", comma=True)
    # What one column took for a fraction is no thousands in another: 0.25 is not 25.
    for text, comma, what in (("0.25", True, "comma"), ("0,25", False, "point"), ("1.5,3", False, "point")):
        with pytest.raises(ValueError, match=f"expected a number with a decimal {what}"):
            amount_of(text, comma=comma)


@pytest.mark.parametrize(
    ("column", "delimiter", "comma"),
    [
        (["1,234.50"], ";", False),
        (["1.234,50"], ",", True),
        (["0,5"], ",", True),
        (["12,34", "1,234"], ",", True),
        (["1,234"], ",", False),
        (["1,234"], ";", True),
        (["$1,234,567"], ",", False),
        (["3", ""], ";", False),
        (["1,234", "0.25"], ";", False),
        (["1.234", "1,234"], ";", True),
        ([], ";", False),
    ],
)
def test_a_comma_is_decided_on_for_a_whole_column(column: list[str], delimiter: str, comma: bool) -> None:
    assert decimal_comma(column, delimiter) is comma


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=9))
def test_every_amount_comes_back(amount: Decimal) -> None:
    written = f"{amount:,.9f}"
    assert amount_of(written) == amount
    swapped = written.translate(str.maketrans(",.", ".,"))
    assert decimal_comma([swapped]) or abs(amount) < 1
    assert amount_of(swapped, comma=True) == amount


def test_numbers_of_json() -> None:
    assert decimal_in(Decimal("0.06")) == decimal_in("0.06") == Decimal("0.06")
    assert decimal_in(3) == 3
    for wrong in (True, None, (), "3 USD", Decimal("NaN"), "", 0.5):
        with pytest.raises(ValueError, match="expected a number"):
            decimal_in(wrong)


def test_counts() -> None:
    assert [count_of(value) for value in ("1,234", "59200.0", 7, Decimal("8.0"), "0")] == [1234, 59200, 7, 8, 0]
    for wrong in ("1.5", -1, "many", Decimal("0.1"), None):
        with pytest.raises(ValueError, match="expected"):
            count_of(wrong)


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2026-11-20", date(2026, 11, 20)),
        ("2026/11/20", date(2026, 11, 20)),
        ("20.11.2026", date(2026, 11, 20)),
        ("Nov 20, 2026", date(2026, 11, 20)),
        ("20 November 2026", date(2026, 11, 20)),
        ("2026-11-20 00:00:00", date(2026, 11, 20)),
        ("2026-11-20T22:30:00", date(2026, 11, 20)),
        ("2026-11-20T22:30:00Z", date(2026, 11, 21)),
        ("2026-11-20 22:30:00 UTC", date(2026, 11, 21)),
        ("2026-11-20T22:30:00.713+05:30", date(2026, 11, 20)),
        (1_795_176_000, date(2026, 11, 20)),
        ("1795176000", date(2026, 11, 20)),
        ("1795176000.0", date(2026, 11, 20)),
        (1_795_204_800_000, date(2026, 11, 21)),
    ],
)
def test_days_in_kolkata(value: object, day: date) -> None:
    assert day_of(value, KOLKATA) == day


def test_an_instant_without_a_zone_is_in_the_one_that_is_said() -> None:
    assert day_of("2026-11-20 22:30:00.713", KOLKATA, naive=UTC) == date(2026, 11, 21)


@pytest.mark.parametrize("value", ["", "20/11/2026", "2026-11", "yesterday", None, True, 2026, "2026-13-01", []])
def test_what_is_no_day(value: object) -> None:
    with pytest.raises(ValueError, match="expected a date such as 2026-11-01"):
        day_of(value, UTC)
