"""Claims of alerts in every store: told once by all, until the window ends or more is at stake."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.alerts import AlertClaim, AlertClaims
from tests.contract.store.material import DAY_MS, NOON_MS, Books

HALF = AlertClaim("budget", "teams", "search", 50, NOON_MS + DAY_MS, 1_000)


def claim(books: Books, **changes: Any) -> bool:
    claims: AlertClaims = books.store.alerts
    return claims.claim(HALF._replace(**changes), books.clock)


def test_the_first_who_claims_tells_it_and_nobody_after(books: Books) -> None:
    assert [claim(books) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("other", [{"kind": "breaker"}, {"name": "users"}, {"subject": "ads"}, {"step": 80}])
def test_what_differs_in_anything_is_told_by_itself(books: Books, other: dict[str, Any]) -> None:
    assert claim(books)
    assert claim(books, **other)
    assert not claim(books, **other)
    assert not claim(books)


def test_a_claim_ends_with_its_window(books: Books) -> None:
    claim(books)
    books.clock.pass_ms(DAY_MS - 1)
    assert not claim(books)
    books.clock.pass_ms(1)
    assert claim(books, until_ms=NOON_MS + 2 * DAY_MS)
    assert not claim(books)


def test_more_than_was_told_is_told_again_and_less_is_not(books: Books) -> None:
    claim(books)
    assert not claim(books, amount=999)
    assert claim(books, amount=1_001)
    assert not claim(books, amount=1_001)


def test_what_has_ended_is_forgotten(books: Books) -> None:
    for number in range(5):
        claim(books, subject=f"user {number}")
    books.clock.pass_ms(DAY_MS)
    claim(books, subject="last", until_ms=NOON_MS + 2 * DAY_MS)
    assert [claim(books, subject=f"user {number}", until_ms=NOON_MS + 2 * DAY_MS) for number in range(5)] == [True] * 5
