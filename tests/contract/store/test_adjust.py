"""Evidence from the provider, in every store: what an Adjust corrects, once, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bursar.call.books import Adjust, Ended, Expired, Mark, Void
from bursar.rules.allowances import Allowance
from bursar.rules.usage import Usage
from tests.contract.store.material import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, Books, budget, fact

RECORD = "openrouter:/generation:gen-1"
FLIGHT = Allowance("flight", "in_flight", 2, "gauge")
TOKENS = Allowance("tokens", "tokens", 10_000, "calendar", "day")


@pytest.fixture
def doubtful(books: Books) -> Books:
    """A stream that was cut: charged at its bound of 100, under a budget of 110, with the provider's id."""
    books.define(budget(capacity=110), FLIGHT, TOKENS)
    books.reserve("a", 100, tokens=(30, 20))
    books.do(Mark("a", "gen-1"))
    books.settle("a", 100, certain=False, status=200, dialect="openai_chat", stream=True, capped_by="day")
    books.clock.pass_ms(MINUTE_MS)
    return books


def record(charged: int, **options: Any) -> Adjust:
    """What the provider's record says the attempt cost."""
    return Adjust(fact("a", charged, cost_source="provider", **options), RECORD)


def test_a_record_below_the_bound_gives_money_back(doubtful: Books) -> None:
    ended = doubtful.do(record(30, usage=Usage.of(12, 3)))
    assert [(each.allowance, each.spent, each.held) for each in ended.balances] == [("day", 30, 0)]
    assert (ended.changed, ended.overdrawn) == (True, ())
    assert doubtful.balance("day") == (30, 0)
    assert doubtful.balance("tokens") == (15, 0)
    assert doubtful.balance("flight") == (0, 0)


def test_a_record_above_the_bound_is_carried_and_says_what_it_overdraws(doubtful: Books) -> None:
    ended = doubtful.do(record(130))
    assert ended.overdrawn == ("day",)
    assert doubtful.balance("day") == (130, 0)
    assert doubtful.reserve("b", 1).left == -20


def test_a_record_of_what_was_charged_makes_it_certain_and_moves_nothing(doubtful: Books) -> None:
    ended = doubtful.do(record(100))
    assert (ended.changed, ended.overdrawn) == (True, ())
    assert doubtful.balance("day") == (100, 0)
    assert doubtful.store.attempts(uncertain=True) == []


def test_the_row_keeps_its_ids_and_its_window(doubtful: Books) -> None:
    (before,) = doubtful.store.attempts()
    assert (before.request_id, before.certain) == ("gen-1", False)
    told = replace(before, charged_nano_usd=30, cost_nano_usd=30, cost_source="provider", certain=True)
    doubtful.do(Adjust(told, RECORD))
    assert doubtful.store.attempts() == [told]


@pytest.mark.parametrize("again", [30, 55, 0])
def test_the_same_evidence_counts_once(doubtful: Books, again: int) -> None:
    doubtful.do(record(30))
    assert doubtful.do(record(again)) == Ended("a", changed=False)
    assert doubtful.balance("day") == (30, 0)
    assert doubtful.store.attempts()[0].charged_nano_usd == 30


def test_the_same_evidence_counts_once_in_one_transaction_and_while_doubt_remains(doubtful: Books) -> None:
    first, second = doubtful.do_all([record(80, certain=False), record(10, certain=False)])
    assert isinstance(first, Ended)
    assert isinstance(second, Ended)
    assert (first.changed, second.changed) == (True, False)
    assert doubtful.balance("day") == (80, 0)
    assert doubtful.do(Adjust(fact("a", 60), "the bill")).changed
    assert doubtful.balance("day") == (60, 0)


def test_evidence_must_have_a_name(doubtful: Books) -> None:
    with pytest.raises(ValueError, match="without a name could count twice"):
        doubtful.do(Adjust(fact("a", 30), ""))
    assert doubtful.balance("day") == (100, 0)


def test_a_later_window_is_left_alone(doubtful: Books) -> None:
    doubtful.clock.pass_ms(DAY_MS)
    doubtful.reserve("b", 10)
    ended = doubtful.do(record(30))
    assert [(each.spent, each.held) for each in ended.balances] == [(30, 0)]
    assert doubtful.balance("day") == (0, 10)


def test_what_crashed_is_found_by_its_id_and_settled_by_its_record(books: Books) -> None:
    books.define(budget(), FLIGHT)
    books.reserve("a", 100)
    books.do(Mark("a", "gen-1"))
    assert books.crash() == Expired((("a", 100),))
    assert books.balance("day") == (100, 0)
    (row,) = books.store.attempts(uncertain=True)
    assert (row.ending, row.request_id, row.charged_nano_usd) == ("expired", "gen-1", 100)
    assert books.do(record(30)).changed
    assert books.balance("day") == (30, 0)
    assert books.settle("a", 70) == Ended("a", changed=False), "the process was not dead after all, and comes too late"
    assert books.do(Void("a")) == Ended("a", changed=False)
    assert books.balance("day") == (30, 0)


def test_a_pending_attempt_ends_with_its_record(books: Books) -> None:
    books.define(budget(), FLIGHT)
    books.reserve("a", 100)
    ended = books.do(record(30))
    assert [(each.spent, each.held) for each in ended.balances] == [(30, 0)]
    assert books.balance("flight") == (0, 0)
    assert books.do(record(40)) == Ended("a", changed=False)
    assert books.settle("a", 100, certain=False) == Ended("a", changed=False)
    assert books.balance("day") == (30, 0)


def test_evidence_that_ended_a_pending_attempt_counts_no_second_time(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.do(record(80, certain=False))
    assert books.do(record(10, certain=False)) == Ended("a", changed=False)
    assert books.balance("day") == (80, 0)


def test_an_attempt_that_nobody_knows_is_believed_once(books: Books) -> None:
    books.define(budget(), FLIGHT)
    assert books.do(record(30)).changed
    assert books.do(record(30)) == Ended("a", changed=False)
    assert books.balance("day") == (30, 0)
    assert books.balance("flight") == (0, 0)
    assert books.store.attempts()[0].reserved_ms == NOON_MS


def certain(books: Books) -> None:
    books.settle("a", 70)


def not_sent(books: Books) -> None:
    books.do(Void("a", fact("a", 0, ending="not_sent")))


@pytest.mark.parametrize(("end", "spent"), [(certain, 70), (not_sent, 0)])
def test_what_is_certain_is_not_corrected(books: Books, end: Callable[[Books], None], spent: int) -> None:
    books.define(budget(), FLIGHT)
    books.reserve("a", 100)
    end(books)
    assert books.do(record(10)) == Ended("a", changed=False)
    assert books.balance("day") == (spent, 0)


def test_a_row_without_a_price_gets_one(books: Books) -> None:
    books.define(FLIGHT)
    books.reserve("a", None)
    books.settle("a", 0, certain=False, cost_nano_usd=None, bound_nano_usd=0)
    books.define(budget(capacity=20), FLIGHT)
    assert books.do(record(30)).overdrawn == ("day",)
    (row,) = books.store.attempts()
    assert (row.cost_nano_usd, row.cost_source, row.certain) == (30, "provider", True)


def test_a_rolling_budget_carries_what_lies_in_a_part_of_it_that_is_over(books: Books) -> None:
    books.define(budget("rolling", shape="rolling"))
    told = fact("a", 30, reserved_ms=books.clock.now_ms - HOUR_MS)
    assert [each.spent for each in books.do(Adjust(told, RECORD)).balances] == [30]
    assert books.balance("rolling") == (30, 0)
