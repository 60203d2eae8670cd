"""A receipt says in one line what was held, what was charged, and what is left of every budget."""

from __future__ import annotations

from decimal import Decimal

from bursar.call.books import Balance
from bursar.call.receipt import Receipt, describe, instant

DAY = Balance("day", "", "nano_usd", "day", 250_000_000, 0, 5 * 10**9, 1_800_057_600_000)
TOTAL = Balance("runs", "r1", "nano_usd", "total", 0, 40_000, 10**9, None)


def receipt(**changes: object) -> Receipt:
    fields: dict[str, object] = {
        "call_id": "c",
        "attempt_id": "c.0",
        "provider": "p",
        "model": "m",
        "held_nano_usd": 42_000,
        "charged_nano_usd": 7_500,
        "certain": True,
    }
    return Receipt(**{**fields, **changes})  # type: ignore[arg-type]


def test_what_was_held_and_charged_is_told_in_dollars() -> None:
    one = receipt(budgets=(DAY, TOTAL))
    assert str(one) == (
        "held $0.000042, charged $0.0000075; budget day: $4.75 left of $5.00 a day, resets 2027-01-16T00:00Z; "
        "budget runs (r1): $0.99996 left of $1.00 in total, $0.00004 held"
    )
    assert (one.held_usd, one.charged_usd) == (Decimal("0.000042"), Decimal("0.0000075"))


def test_what_is_not_certain_is_told_as_the_most_it_can_be() -> None:
    assert "not certain; charged at most $0.0000075" in str(receipt(certain=False))


def test_what_capped_the_output_is_told() -> None:
    assert str(receipt(output_tokens_max=77, capped_by="day")).endswith("output limited to 77 tokens by day")
    assert "limited" not in str(receipt(output_tokens_max=77))


def test_what_is_not_yet_in_the_books_is_told() -> None:
    assert "not yet in the books" in str(receipt(settled=False))


def test_an_overdrawn_budget_shows_what_is_missing() -> None:
    assert describe(DAY._replace(spent=6 * 10**9)).startswith("budget day: -$1.00 left of $5.00 a day")


def test_instants_are_utc_to_the_minute_or_the_second() -> None:
    assert instant(1_800_057_600_000) == "2027-01-16T00:00Z"
    assert instant(1_800_057_601_999) == "2027-01-16T00:00:01Z"
