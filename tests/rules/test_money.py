"""Money is exact: what goes in comes out, nothing is rounded but where it is said, and then up."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.money import (
    FREE,
    NANO_USD_MAX,
    UNKNOWN_COST,
    Cost,
    decimal_of,
    format_usd,
    nano_of,
    nano_of_pico,
    usd_of,
)
from bursar.rules.prices import PriceCard

AMOUNTS = st.integers(0, NANO_USD_MAX)


@given(AMOUNTS)
def test_dollars_and_nano_dollars_are_the_same_amount(nano_usd: int) -> None:
    assert nano_of(usd_of(nano_usd)) == nano_usd
    assert nano_of(format_usd(nano_usd)) == nano_usd


@given(st.integers(-NANO_USD_MAX, NANO_USD_MAX))
def test_people_are_shown_every_digit_and_no_exponent(nano_usd: int) -> None:
    shown = format_usd(nano_usd)
    assert "e" not in shown.lower()
    assert Decimal(shown.replace("$", "")) == usd_of(nano_usd)
    assert len(shown.partition(".")[2]) >= 2


@given(AMOUNTS)
def test_dollars_carry_no_needless_zeros_and_no_exponent_for_whole_amounts(nano_usd: int) -> None:
    assert usd_of(nano_usd) * 10**9 == nano_usd


@pytest.mark.parametrize(
    ("value", "nano_usd"),
    [
        ("0.10", 100_000_000),
        (0.1, 100_000_000),
        ("$5", 5_000_000_000),
        (" 1_000 ", 10**12),
        (Decimal("0.000000001"), 1),
        (1e-9, 1),
        (0, 0),
        ("-0", 0),
        (-0.0, 0),
        ("1e3", 10**12),
    ],
)
def test_amounts_are_read_as_they_are_written(value: Any, nano_usd: int) -> None:
    assert nano_of(value) == nano_usd


@pytest.mark.parametrize(
    "value", ["", "five", "nan", "inf", "-1", -0.01, "1e400", True, None, [], "0.0000000001", 9_223_372_037, b"1"]
)
def test_what_is_not_an_amount_of_money_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"money|number"):
        nano_of(value)


def test_an_amount_finer_than_a_nano_dollar_is_rounded_up_where_that_is_said() -> None:
    assert nano_of("0.0000000001", round_up=True) == 1
    assert nano_of("0.0000000020", round_up=True) == 2


@given(st.decimals(0, 1000, allow_nan=False, allow_infinity=False, places=15))
def test_rounding_up_is_never_more_than_a_nano_dollar(amount: Decimal) -> None:
    rounded = nano_of(amount, round_up=True)
    assert 0 <= rounded - amount.scaleb(9) < 1


def test_numbers_with_more_digits_than_a_context_holds_stay_exact() -> None:
    assert nano_of("0.1000000000000000000000000000000000000001", round_up=True) == 100_000_001


def test_the_precision_that_a_program_sets_for_its_own_decimals_changes_nothing() -> None:
    with localcontext(Context(prec=3)):
        assert nano_of("1.23456789") == 1_234_567_890
        assert str(usd_of(1_234_567_890)) == "1.23456789"
        assert PriceCard.of({"input": "1.23456789"}, version="test").pico_usd["input"] == 1_234_568
    assert str(usd_of(10 * 10**9)) == "10"


@pytest.mark.parametrize("value", ["1e999999", "9e20", "1e99999999999999999999"])
def test_an_absurdly_large_number_is_refused_like_any_other(value: str) -> None:
    with pytest.raises(ValueError, match=r"exceed|number"):
        nano_of(value)
    with pytest.raises(ValueError, match=r"absurd|number"):
        PriceCard.of({"input": value}, version="test")


@given(st.integers(0, 10**24))
def test_pico_dollars_round_up_once(pico_usd: int) -> None:
    nano_usd = nano_of_pico(pico_usd)
    assert 0 <= nano_usd * 1000 - pico_usd < 1000


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "sNaN", False, "0x10"])
def test_only_finite_decimal_numbers_are_numbers(value: Any) -> None:
    with pytest.raises(ValueError, match="number"):
        decimal_of(value)


def test_an_unknown_cost_is_never_shown_as_nothing() -> None:
    assert UNKNOWN_COST.usd is None
    assert str(UNKNOWN_COST) == format_usd(None) == "unknown"
    assert FREE.usd == 0
    assert str(FREE) == "$0.00"


def test_a_cost_that_may_yet_change_says_so() -> None:
    assert str(Cost(42_000, "computed", certain=False)) == "$0.000042 at most"
    assert str(Cost(42_000, "provider", certain=True)) == "$0.000042"
