"""Adding up the ledger, in every store."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bursar.call.books import Settle, UsageQuery, Void
from bursar.errors import InvalidRequestError
from bursar.rules.usage import Usage
from tests.contract.store.material import HOUR_MS, NOON_MS, SCOPES, Books, budget, fact

MINI = {**SCOPES, "model": "openai/gpt-4o-mini", "team": "ads"}


@pytest.fixture
def used(books: Books) -> Books:
    """Four attempts: two models, two teams, one uncertain, one of unknown cost, one not sent."""
    books.define(budget("seen", 60, mode="observe"))
    books.reserve("a", 50)
    books.settle("a", 40, usage=Usage.of(100, 20))
    books.reserve("b", 50, scopes=MINI)
    books.settle("b", 50, certain=False)
    books.reserve("c", 50, scopes=MINI)
    books.settle("c", 0, usage=Usage.of(10, 5), cost_nano_usd=None, cost_source="unknown")
    books.clock.pass_ms(13 * HOUR_MS)
    books.reserve("d", 10)
    books.do(Void("d", fact("d", 0, ending="not_sent")))
    return books


def test_by_model(used: Books) -> None:
    large, mini = used.store.usage(UsageQuery())
    assert (large.group, large.calls, large.ok, large.errors) == (("openai/gpt-4o",), 2, 1, 0)
    assert (large.input_tokens, large.output_tokens, large.charged_nano_usd) == (100, 20, 40)
    assert (mini.group, mini.calls, mini.ok, mini.errors) == (("openai/gpt-4o-mini",), 2, 1, 1)
    assert (mini.charged_nano_usd, mini.certain_nano_usd) == (50, 0)
    assert (mini.uncertain_calls, mini.unknown_cost_calls) == (1, 2)


def test_by_tag_and_ending(used: Books) -> None:
    rows = used.store.usage(UsageQuery(("team", "ending")))
    assert [(row.group, row.calls) for row in rows] == [
        (("ads", "interrupted"), 1),
        (("ads", "ok"), 1),
        (("search", "not_sent"), 1),
        (("search", "ok"), 1),
    ]


def test_a_dimension_that_nobody_has_is_empty(used: Books) -> None:
    assert [row.group for row in used.store.usage(UsageQuery(("session", 'it\'s "quoted"')))] == [("", "")]


def test_in_all_and_of_nothing(used: Books) -> None:
    (row,) = used.store.usage(UsageQuery(()))
    assert (row.group, row.calls, row.charged_nano_usd) == ((), 4, 90)
    assert used.store.usage(UsageQuery((), only={"team": "nobody"})) == []


def test_only_and_since(used: Books) -> None:
    (row,) = used.store.usage(UsageQuery((), only={"team": "ads", "provider": "openai"}))
    assert row.calls == 2
    (row,) = used.store.usage(UsageQuery((), since_ms=used.clock.now_ms))
    assert row.calls == 1
    (row,) = used.store.usage(UsageQuery((), until_ms=used.clock.now_ms))
    assert row.calls == 3


def test_days_and_hours_are_those_of_a_time_zone(used: Books) -> None:
    noon = datetime.fromtimestamp((used.clock.now_ms - 13 * HOUR_MS) / 1000, ZoneInfo("Asia/Kolkata"))
    days = used.store.usage(UsageQuery(("day", "team"), time_zone="Asia/Kolkata"))
    day, following = noon.date().isoformat(), noon.date().replace(day=noon.day + 1).isoformat()
    assert [row.group for row in days] == [(day, "ads"), (day, "search"), (following, "search")]
    hours = used.store.usage(UsageQuery(("hour",), time_zone="Asia/Kolkata"))
    assert [row.group for row in hours] == [(f"{day}T17:00+05:30",), (f"{following}T06:00+05:30",)]
    (utc,) = used.store.usage(UsageQuery(("day",), until_ms=used.clock.now_ms))
    assert utc.group == (day,)


def test_what_would_have_been_refused(used: Books) -> None:
    (row,) = used.store.usage(UsageQuery((), would_refuse=True))
    assert row.would_refuse == {"seen": 2}
    assert used.store.usage(UsageQuery(()))[0].would_refuse == {}


def test_a_bad_query_is_the_callers_fault(books: Books) -> None:
    with pytest.raises(InvalidRequestError, match="up to 3"):
        books.store.usage(UsageQuery(("model", "key", "user", "day")))
    with pytest.raises(InvalidRequestError, match="no time zone"):
        books.store.usage(UsageQuery(("day",), time_zone="Mars/Olympus"))


def test_attempts_are_found_newest_first(used: Books) -> None:
    assert [row.attempt_id for row in used.store.attempts()] == ["d", "c", "b", "a"]
    assert [row.attempt_id for row in used.store.attempts(limit=2)] == ["d", "c"]
    assert [row.attempt_id for row in used.store.attempts(call_id="b")] == ["b"]
    assert [row.attempt_id for row in used.store.attempts(uncertain=True)] == ["b"]


def test_attempts_of_a_provider_in_a_span(used: Books) -> None:
    def found(**options: Any) -> list[str]:
        return [row.attempt_id for row in used.store.attempts(**options)]

    used.do(Settle(fact("e", 1, provider="groq", reserved_ms=NOON_MS + HOUR_MS)))
    used.do(Settle(fact("f", 1, provider="groq", reserved_ms=NOON_MS + 2 * HOUR_MS, certain=False)))
    assert found(provider="groq") == ["f", "e"]
    assert found(provider="groq", uncertain=True) == ["f"]
    assert found(since_ms=NOON_MS + HOUR_MS, until_ms=NOON_MS + 2 * HOUR_MS) == ["e"]
    assert found(provider="openai", until_ms=NOON_MS + 1) == ["c", "b", "a"]
    assert found(provider="openai", since_ms=NOON_MS + 1, call_id="a") == []


def test_by_the_model_that_served(used: Books) -> None:
    used.settle("e", 5, served_model="gpt-4o-2024-11-20")
    rows = used.store.usage(UsageQuery(("served_model", "ending"), only={"provider": "openai"}))
    assert [(row.group, row.calls) for row in rows] == [
        (("gpt-4o", "interrupted"), 1),
        (("gpt-4o", "not_sent"), 1),
        (("gpt-4o", "ok"), 2),
        (("gpt-4o-2024-11-20", "ok"), 1),
    ]
    assert [row.calls for row in used.store.usage(UsageQuery((), only={"served_model": "gpt-4o-2024-11-20"}))] == [1]
