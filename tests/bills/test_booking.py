"""The books on the lines of a bill."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

from bursar.bills.booking import Entry, booked, day_in, entries_of, matched, placed
from bursar.call.books import UsageRow
from bursar.rules.usage import Usage
from tests.bills.material import DAY, HOUR_MS, MODEL, NEXT, NOON_MS, bill, call, line


def row(*group: str, calls: int = 2, charged: int = 10) -> UsageRow:
    return UsageRow(group, calls, calls, 0, 7, 3, charged, charged, 0, 0)


def test_sums_go_by_the_bills_names_and_only_what_was_served_is_a_call() -> None:
    rows = [
        row("2026-11-20", MODEL, "ok"),
        row("2026-11-20", "gpt-4o-mini", "expired"),
        row("2026-11-20", "gpt-4o", "error"),
        row("2026-11-20", MODEL, "not_sent"),
    ]
    assert booked(bill(line("1")), rows) == [
        Entry(DAY, MODEL, 10, 2, 7, 3),
        Entry(DAY, MODEL, 10, 2, 7, 3),
        Entry(DAY, "gpt-4o", 10, 0, 7, 3),
    ]


def test_where_the_bill_tells_no_models_apart_neither_do_the_books() -> None:
    assert [entry.model for entry in booked(bill(line("1", model="")), [row("2026-11-20", MODEL, "ok")])] == [""]
    assert list(placed(bill(line("1", model="")), [call("a", 1)], UTC)) == [(DAY, "")]


def test_attempts_stand_on_their_own_day_unless_the_bill_lists_them() -> None:
    late = call("a", 5, at_ms=NOON_MS + 12 * HOUR_MS - 1, request_id="gen-1")
    listed = line("1", day=NEXT, model="another", call_id="gen-1")
    assert list(placed(bill(listed), [late], UTC)) == [(DAY, MODEL)]
    assert list(placed(bill(listed), [late], ZoneInfo("Asia/Kolkata"))) == [(NEXT, MODEL)]
    assert placed(bill(listed), [late], UTC, {"gen-1": listed}) == {(NEXT, "another"): [late]}


def test_what_was_never_sent_is_nowhere() -> None:
    assert placed(bill(line("1")), [call("a", 0, ending="not_sent")], UTC) == {}


def test_the_name_that_was_asked_stands_in_for_that_which_served() -> None:
    facts = [
        call("a", 5, served_model="", ending="expired"),
        call("b", 6, usage=Usage.of(4, 2)),
        call("c", 0, ending="error"),
    ]
    found = placed(bill(line("1")), facts, UTC)
    assert entries_of(found) == [Entry(DAY, MODEL, 11, 2, 4, 2)]


def test_calls_side_by_side() -> None:
    a, b, twice = call("a", 1, request_id="gen-1"), call("b", 2), call("c", 3, request_id="gen-1")
    one, other = line("1", call_id="gen-1"), line("2", call_id="gen-2")
    found = matched([one, other], [a, b, twice])
    assert (found.pairs, found.books_only, found.bill_only) == (((a, one),), (b, twice), (other,))


def test_days_of_instants() -> None:
    assert day_in(ZoneInfo("America/New_York"), NOON_MS - 8 * HOUR_MS).isoformat() == "2026-11-19"
