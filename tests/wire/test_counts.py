"""Counts in every disguise: read where they can be, doubted where they should be, and never raising."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import TOKENS_MAX
from bursar.wire.counts import Counts


@pytest.mark.parametrize(
    ("said", "count", "odd"),
    [
        (0, 0, False),
        (7, 7, False),
        (TOKENS_MAX, TOKENS_MAX, False),
        (None, None, False),
        (7.0, 7, False),
        (Decimal("7.0"), 7, False),
        (Decimal("1E+3"), 1000, False),
        (7.2, None, True),
        (0.5, None, True),
        (Decimal("0.5"), None, True),
        ("7", 7, True),
        ("007", 7, True),
        ("", None, True),
        ("seven", None, True),
        ("٧", None, True),
        ("9" * 5000, None, True),
        (TOKENS_MAX + 1, None, True),
        (10**400, None, True),
        (-1, None, True),
        (-0.5, None, True),
        (True, None, True),
        (Decimal("NaN"), None, True),
        (Decimal("Infinity"), None, True),
        (Decimal("1E+999999"), None, True),
        (float("inf"), None, True),
        ([], None, True),
        ({"tokens": 7}, None, True),
    ],
)
def test_a_count_or_none(said: Any, count: int | None, odd: bool) -> None:
    counts = Counts()
    assert counts.of(said) == count
    assert counts.odd is odd


@pytest.mark.parametrize(
    ("said", "count", "odd"),
    [(7, 7, False), (7.0, 7, False), (7.2, 8, True), (Decimal("0.5"), 1, True), (-0.5, None, True), (True, None, True),
     (None, None, False), ("7", 7, True), (float("nan"), None, True), (Decimal("NaN"), None, True),
     (Decimal("1E+999999"), None, True), (TOKENS_MAX + 0.5, None, True)],
)  # fmt: skip
def test_what_has_begun_counts_as_one(said: Any, count: int | None, odd: bool) -> None:
    counts = Counts()
    assert counts.begun(said) == count
    assert counts.odd is odd


def test_a_doubt_stays() -> None:
    counts = Counts()
    counts.of(-1)
    assert counts.of(3) == 3
    assert counts.odd


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(), st.binary()))
def test_nothing_raises_or_passes_the_bounds(said: Any) -> None:
    for count in (Counts().of(said), Counts().begun(said)):
        assert count is None or 0 <= count <= TOKENS_MAX
