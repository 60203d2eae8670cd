"""The shares of a budget at which alerts are due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.alerts import DEFAULT_AT, due_at, next_due, percent_of, reached

AMOUNTS = st.integers(0, 10**15)
LIMITS = st.integers(1, 10**15)
SHARES = st.lists(st.integers(1, 1_000), max_size=6).map(tuple)


@pytest.mark.parametrize(
    ("spent", "shares"),
    [(0, ()), (499, ()), (500, (50,)), (799, (50,)), (950, (50, 80, 95)), (999, (50, 80, 95)), (1_000, DEFAULT_AT)],
)
def test_a_share_is_reached_at_its_amount_and_not_before(spent: int, shares: tuple[int, ...]) -> None:
    assert reached(spent, 1_000, DEFAULT_AT) == shares


def test_a_budget_of_nothing_alerts_of_nothing() -> None:
    assert reached(10, 0, DEFAULT_AT) == ()
    assert next_due(0, 0, DEFAULT_AT) is None
    assert percent_of(10, 0) == 0


def test_shares_come_in_order_and_once() -> None:
    assert reached(100, 100, (100, 50, 50)) == (50, 100)


@given(AMOUNTS, LIMITS, SHARES)
def test_what_is_next_is_the_first_amount_that_reaches_more(spent: int, limit: int, shares: tuple[int, ...]) -> None:
    due = next_due(spent, limit, shares)
    now = reached(spent, limit, shares)
    if due is None:
        assert reached(limit * 10 + 1, limit, shares) == now
    else:
        assert reached(due - 1, limit, shares) == now
        assert len(reached(due, limit, shares)) > len(now)


@given(LIMITS, st.integers(1, 1_000))
def test_percent_agrees_with_what_is_reached(limit: int, share: int) -> None:
    assert percent_of(due_at(limit, share), limit) >= share
    assert percent_of(due_at(limit, share) - 1, limit) < share
