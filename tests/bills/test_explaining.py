"""What can explain a drift."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from bursar.bills.booking import entries_of, matched, placed
from bursar.bills.comparing import compare
from bursar.bills.explaining import Reason, reasons
from bursar.bills.lines import BillLine
from bursar.call.books import Fact
from tests.bills.material import DAY, HOUR_MS, MODEL, NEXT, NOON_MS, bill, call, line


def why(lines: list[BillLine], *facts: Fact, today: Any = NEXT, by_call: bool = False) -> dict[str, Reason]:
    """The reasons of the first line that differs, by code."""
    whole = bill(*lines)
    own = placed(whole, facts, UTC, {each.call_id: each for each in lines} if by_call else None)
    found = next(one for one in compare(whole, entries_of(own)) if not one.agrees)
    on_it = [each for each in lines if (each.day, each.model) == (found.day, found.model)]
    some = own.get((found.day, found.model), [])
    matching = matched(on_it, some) if by_call else None
    return {one.code: one for one in reasons(found, some, UTC, today, matching)}


def test_what_is_uncertain() -> None:
    found = why([line("0.00000003")], call("a", 100, certain=False), call("b", 0, certain=False), call("c", 10))
    assert found["uncertain"] == Reason(
        "uncertain", "1 call charged at the most they can have cost, $0.0000001", 1, 100, ("a",)
    )


def test_what_has_no_price() -> None:
    found = why([line("0.00000003")], call("a", 0, cost_nano_usd=None, cost_source="unknown", certain=False))
    assert found["unknown_cost"] == Reason("unknown_cost", "1 call whose cost the books do not know", 1, 0, ("a",))
    assert "uncertain" not in found


def test_what_went_on_past_midnight() -> None:
    late = call("a", 50, at_ms=NOON_MS + 11 * HOUR_MS, ended_ms=NOON_MS + 12 * HOUR_MS)
    found = why([line("0.00000005", day=NEXT)], late)
    assert found["ended_later"].text == "1 call ended on a later day, $0.00000005"
    assert found["books_only"].nano_usd == 50


def test_what_was_asked_under_another_name() -> None:
    found = why(
        [line("0.01")], call("a", 1), call("b", 1, model="fast"), call("c", 1, model="fast"), call("d", 1, model=MODEL)
    )
    assert found["other_name"].text == "1 call asked as gpt-4o-mini"
    assert found["other_name"].ids == ("a",)


def test_with_whose_prices_it_was_reckoned() -> None:
    facts = [call("a", 30, price_version="genai-prices 0.2.3"), call("b", 5, cost_source="provider", price_version="x")]
    found = why([line("0.01")], *facts)
    assert found["price"].text == "$0.00000003 reckoned with the prices of genai-prices 0.2.3"


def test_what_one_side_does_not_have_at_all() -> None:
    assert set(why([line("0.01", model="web search tool calls")])) == {"bill_only"}
    assert "books_only" in why([line("0", model="x")], call("a", 30))


def test_a_day_that_is_not_over_explains_only_what_the_bill_lacks() -> None:
    assert "unfinished" in why([line("0")], call("a", 30), today=DAY)
    assert "unfinished" not in why([line("0")], call("a", 30), today=NEXT)
    assert "unfinished" not in why([line("1")], call("a", 30), today=DAY)


def test_call_by_call() -> None:
    lines = [
        line("0.00000003", call_id="gen-1"),
        line("0.00000004", call_id="gen-2"),
        line("0.000000009", call_id="gen-3"),
    ]
    facts = [
        call("a", 31, request_id="gen-1"),
        call("b", 90, request_id="gen-2", certain=False),
        call("c", 7, request_id="gen-9"),
    ]
    found = why(lines, *facts, by_call=True)
    assert found["calls_bill_only"] == Reason(
        "calls_bill_only", "1 call of the bill not in the books", 1, 0, ("gen-3",)
    )
    assert found["calls_books_only"] == Reason(
        "calls_books_only", "1 call of the books not on the bill, $0.000000007", 1, 7, ("c",)
    )
    assert found["calls_differ"] == Reason(
        "calls_differ", "1 call that cost something else on the bill, $0.00000005 in all", 1, 50, ("b",)
    )
    assert found["uncertain"].ids == ("b",)
    assert "ended_later" not in found
