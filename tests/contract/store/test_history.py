"""The history of every store: calls found again by what they carry, refused ones among them, a page at a time."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.books import Reserve, Settle
from bursar.call.history import CallQuery, History, Refusal
from bursar.edges.stores.history import KEPT_MS, MemoryHistory, SqliteHistory
from bursar.edges.stores.memory import MemoryStore
from tests.contract.store.material import MINUTE_MS, NOON_MS, SCOPES, Books, fact, reserve


def history_of(books: Books) -> History:
    history: History = books.store.history
    return history


def attempt(books: Books, call_id: str, number: int = 0, **fields: Any) -> None:
    """Reserve and settle one attempt of a call."""
    attempt_id = f"{call_id}.{number}"
    scopes = fields.get("scopes", SCOPES)
    held = reserve(attempt_id, scopes=scopes)
    books.do(Reserve(attempt_id, call_id, scopes, held.demand))
    books.do(Settle(fact(attempt_id, **{"call_id": call_id, "reserved_ms": books.clock.now_ms, **fields})))


def refusal(call_id: str, place: int = 0, **fields: Any) -> Refusal:
    values: dict[str, Any] = {
        "at_ms": NOON_MS, "provider": "openai", "model": "gpt-4o", "scopes": SCOPES, "code": "budget_exhausted",
        "message": "Budget 'day': needs up to $1; $0.50 left.", "binding": "day", "wait_ms": 40,
    }  # fmt: skip
    return Refusal(call_id, place, **{**values, **fields})


def found(books: Books, **query: Any) -> list[str]:
    return [record.call_id for record in history_of(books).calls(CallQuery(**query))]


def test_nothing_is_known_at_first(books: Books) -> None:
    assert history_of(books).calls(CallQuery()) == []
    assert history_of(books).call("a") is None


def test_a_call_has_its_attempts_and_refusals_in_their_order(books: Books) -> None:
    attempt(books, "a1", 0, ending="error", error_code="unavailable", charged=0)
    books.clock.pass_ms(5)
    attempt(books, "a1", 1)
    attempt(books, "a2")
    refused = [refusal("a1", 1, final=False), refusal("a1", 2, code="limit_exceeded")]
    history_of(books).record(refused[::-1], NOON_MS)
    record = history_of(books).call("a1")
    assert record is not None
    assert [one.attempt_id for one in record.attempts] == ["a1.0", "a1.1"]
    assert list(record.refusals) == refused


def test_a_refusal_is_remembered_once(books: Books) -> None:
    history_of(books).record([refusal("r"), refusal("r", message="again")], NOON_MS)
    history_of(books).record([refusal("r", message="again")], NOON_MS)
    record = history_of(books).call("r")
    assert record is not None
    assert record.refusals == (refusal("r"),)
    assert record.attempts == ()


def test_an_id_that_another_begins_with_is_another_call(books: Books) -> None:
    attempt(books, "ab")
    assert history_of(books).call("a") is None


def fill(books: Books) -> None:
    attempt(books, "c1")
    attempt(books, "c2", scopes=SCOPES | {"team": "ads", "user": "bob"})
    history_of(books).record([refusal("c3"), refusal("c5", scopes=SCOPES | {"key": "k2"}, at_ms=NOON_MS + 2)], NOON_MS)
    books.clock.pass_ms(MINUTE_MS)
    attempt(books, "c4", 0, ending="error", status=500, error_code="unavailable", charged=0)
    attempt(books, "c4", 1, scopes=SCOPES | {"provider": "groq", "model": "groq/llama"}, status=200)


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ({}, ["c5", "c4", "c3", "c2", "c1"]),
        ({"only": {"key": "k1"}}, ["c4", "c3", "c2", "c1"]),
        ({"only": {"team": "ads"}}, ["c2"]),
        ({"only": {"team": "ads", "user": "ann"}}, []),
        ({"only": {"provider": "groq"}}, ["c4"]),
        ({"only": {"model": "openai/gpt-4o"}, "ending": "error"}, ["c4"]),
        ({"only": {"nothing": "x"}}, []),
        ({"ending": "refused"}, ["c5", "c3"]),
        ({"ending": "ok"}, ["c4", "c2", "c1"]),
        ({"code": "budget_exhausted"}, ["c5", "c3"]),
        ({"code": "unavailable"}, ["c4"]),
        ({"status": 200}, ["c4"]),
        ({"since_ms": NOON_MS + 1}, ["c5", "c4"]),
        ({"until_ms": NOON_MS + 1}, ["c3", "c2", "c1"]),
        ({"before": "c4"}, ["c3", "c2", "c1"]),
        ({"limit": 2}, ["c5", "c4"]),
        ({"before": "c4", "limit": 1}, ["c3"]),
        ({"only": {"user": "' OR 1=1 --"}}, []),
        ({"only": {"' OR 1=1 --": "x"}}, []),
    ],
)
def test_calls_are_found_by_what_they_carry(books: Books, query: dict[str, Any], calls: list[str]) -> None:
    fill(books)
    assert found(books, **query) == calls


def test_a_long_span_is_read_as_a_short_one_is(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(books)
    spans: list[dict[str, Any]] = [{"since_ms": NOON_MS}, {"since_ms": NOON_MS + 1}, {"since_ms": 1, "limit": 2}]
    short = [found(books, **span) for span in spans]
    monkeypatch.setattr("bursar.edges.stores.history.SORTED_MAX", 0)
    assert [found(books, **span) for span in spans] == short
    assert [len(calls) for calls in short] == [5, 2, 2]


def test_what_was_refused_on_the_way_is_no_refused_call(books: Books) -> None:
    attempt(books, "a")
    history_of(books).record([refusal("a", final=False)], NOON_MS)
    assert found(books, ending="refused") == []
    assert found(books, code="budget_exhausted") == ["a"]


def test_old_refusals_are_forgotten(books: Books) -> None:
    history_of(books).record([refusal("old")], NOON_MS)
    history_of(books).record([refusal("new", at_ms=NOON_MS + KEPT_MS + 1)], NOON_MS + KEPT_MS + 1)
    assert found(books) == ["new"]


def test_only_so_many_refusals_are_kept(books: Books) -> None:
    store = books.store
    history: History
    if isinstance(store, MemoryStore):
        history = MemoryHistory(store._ledger, rows_max=3)
    else:
        history = SqliteHistory(store._connections, rows_max=3)
    for number in range(5):
        history.record([refusal(f"r{number}", 0, final=False), refusal(f"r{number}", 1)], NOON_MS)
    assert [record.call_id for record in history.calls(CallQuery())] == ["r4"]
    history.record([refusal("r5")], NOON_MS)
    assert [record.call_id for record in history.calls(CallQuery())] == ["r5", "r4"]
