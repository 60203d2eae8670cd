"""Ours, theirs, and the drift between them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.bills.booking import Entry
from bursar.bills.comparing import compare, total_of
from bursar.rules.money import NANO_PER_USD, nano_of
from tests.bills.material import DAY, MODEL, NEXT, bill, line


def entry(nano_usd: int, calls: int = 1, *, model: str = MODEL, tokens: tuple[int, int] = (0, 0)) -> Entry:
    return Entry(DAY, model, nano_usd, calls, *tokens)


def test_the_lines_of_both_by_day_and_model() -> None:
    lines = compare(
        bill(line("0.000003"), line("0.000001", day=NEXT), line("0.000002")), [entry(5_000), entry(7, model="x")]
    )
    assert [(one.day, one.model, one.drift_nano_usd, one.agrees) for one in lines] == [
        (DAY, MODEL, 0, True),
        (DAY, "x", 7, False),
        (NEXT, MODEL, -1_000, False),
    ]
    assert (lines[0].ours.calls, lines[0].theirs.calls) == (1, None)
    assert (lines[2].ours.calls, lines[2].ours.nano_usd) == (None, 0)


@pytest.mark.parametrize(
    ("ours", "calls", "usd", "agrees"),
    [
        (1_000, 3, "0.000001", True),
        (1_003, 3, "0.000001", True),
        (1_004, 3, "0.000001", False),
        (999, 3, "0.000001", False),
        (1_000, 3, "0.0000009995", True),
        (1, 0, "0", False),
        (0, 0, "0", True),
    ],
)
def test_rounding_up_each_call_is_no_difference_and_anything_else_is(
    ours: int, calls: int, usd: str, agrees: bool
) -> None:
    (found,) = compare(bill(line(usd)), [entry(ours, calls)])
    assert found.agrees is agrees


@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=30))
def test_costs_that_were_rounded_up_call_by_call_always_agree(atto_usd: list[int]) -> None:
    """What is exactly the bill's, but finer than a nano-dollar, never differs."""
    costs = [Decimal(amount).scaleb(-18) for amount in atto_usd]
    ours = sum(nano_of(cost, round_up=True) for cost in costs)
    (found,) = compare(bill(line(str(sum(costs)))), [entry(ours, len(costs))])
    assert found.agrees
    (found,) = compare(bill(line(str(sum(costs)))), [entry(ours + len(costs) + 1, len(costs))])
    assert not found.agrees


def test_a_tolerance_is_for_both_directions() -> None:
    for nano_usd in (990, 1_010):
        (found,) = compare(bill(line("0.000001")), [entry(nano_usd, 0)], tolerance_nano_usd=10)
        assert found.agrees
        (found,) = compare(bill(line("0.000001")), [entry(nano_usd, 0)], tolerance_nano_usd=9)
        assert not found.agrees


def test_credits_are_taken_off() -> None:
    (found,) = compare(bill(line("3"), line("-1")), [entry(2 * NANO_PER_USD)])
    assert (found.agrees, found.theirs.nano_usd) == (True, 2 * NANO_PER_USD)


def test_without_money_the_tokens_decide() -> None:
    counted = bill(line(None, requests=2, input_tokens=10, output_tokens=4))
    (same,) = compare(counted, [entry(77, 3, tokens=(10, 4))])
    assert (same.agrees, same.drift_nano_usd, same.drift_tokens) == (True, None, 0)
    (other,) = compare(counted, [entry(77, 2, tokens=(4, 10))])
    assert not other.agrees
    (missing,) = compare(counted, [])
    assert (missing.agrees, missing.drift_tokens) == (False, -14)


def test_the_total_agrees_where_every_line_does() -> None:
    lines = compare(bill(line("0.000001"), line("0.000002", day=NEXT)), [entry(1_001)])
    total = total_of(lines)
    assert total is not None
    assert (total.ours.nano_usd, total.theirs.nano_usd, total.drift_nano_usd, total.agrees) == (
        1_001,
        3_000,
        -1_999,
        False,
    )
    assert total_of([]) is None


def test_sums_keep_every_digit() -> None:
    (found,) = compare(bill(line("99999999.000000001"), line("0.000000000000000001")), [])
    assert found.theirs.nano_usd == 99_999_999_000_000_001
