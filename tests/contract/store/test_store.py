"""The life of a hold, in every store: granted or denied, ended once, repeated without effect, corrected by evidence."""

from __future__ import annotations

import pytest

from bursar.call.books import Adjust, Ended, Expire, Expired, Granted, Mark, Renew, Settle, Void
from bursar.rules.allowances import Allowance, Demand, Denial
from bursar.rules.usage import Usage
from tests.contract.store.material import DAY_MS, NOON_MS, SCOPES, Books, budget, fact, reserve

FLIGHT = Allowance("flight", "in_flight", 2, "gauge")


def test_a_grant_holds_what_was_claimed(books: Books) -> None:
    books.define(budget(), FLIGHT)
    granted = books.reserve("a", 100)
    assert isinstance(granted, Granted)
    assert (granted.attempt_id, granted.at_ms, granted.nano_usd, granted.output_tokens) == ("a", NOON_MS, 100, 1000)
    assert [(claim.allowance, claim.meter, claim.amount) for claim in granted.claims] == [
        ("day", "nano_usd", 100),
        ("flight", "in_flight", 1),
    ]
    assert books.balance("day") == (0, 100)
    assert books.balance("flight") == (0, 1)


def test_without_allowances_everything_is_granted(books: Books) -> None:
    assert books.reserve("a").claims == ()
    assert books.settle("a", 70).balances == ()
    assert [found.attempt_id for found in books.store.attempts()] == ["a"]


def test_a_settle_turns_what_was_held_into_what_was_spent(books: Books) -> None:
    books.define(budget(), FLIGHT)
    books.reserve("a", 100)
    ended = books.settle("a", 70)
    assert isinstance(ended, Ended)
    assert ended.changed
    assert [(each.allowance, each.spent, each.held, each.left) for each in ended.balances] == [("day", 70, 0, 930)]
    assert books.balance("flight") == (0, 0)


def test_a_void_gives_back_and_leaves_no_row(books: Books) -> None:
    books.define(budget(), FLIGHT)
    books.reserve("a", 100)
    assert books.do(Void("a")).changed
    assert books.balance("day") == (0, 0)
    assert books.balance("flight") == (0, 0)
    assert books.store.attempts() == []


def test_a_void_with_a_fact_leaves_a_row_that_carries_nothing(books: Books) -> None:
    books.define(budget(), Allowance("calls", "requests", 9, "calendar", "day"))
    books.reserve("a", 100)
    books.do(Void("a", fact("a", 0, ending="not_sent", error_code="connect_failed")))
    (row,) = books.store.attempts()
    assert (row.ending, row.charged_nano_usd, row.cost_nano_usd, row.certain) == ("not_sent", 0, 0, True)
    assert row.error_code == "connect_failed"
    assert books.balance("calls") == (0, 0)


def test_a_denial_changes_nothing_and_says_why(books: Books) -> None:
    books.define(budget(capacity=150), FLIGHT)
    books.reserve("a", 100)
    before = books.store.balances(books.clock.now_ms)
    denial = books.reserve("b", 100)
    assert isinstance(denial, Denial)
    assert (denial.allowance.name, denial.reason, denial.comeback) == ("day", "over", "on_release")
    assert (denial.needed, denial.left, denial.held, denial.limit) == (100, 50, 100, 150)
    assert books.store.balances(books.clock.now_ms) == before
    assert books.do(Void("b")) == Ended("b", changed=False)


def test_spent_money_comes_back_with_the_next_window(books: Books) -> None:
    books.define(budget(capacity=150))
    books.reserve("a", 100)
    books.settle("a", 100)
    denial = books.reserve("b", 100)
    assert (denial.comeback, denial.resets_at_ms) == ("never", NOON_MS + DAY_MS // 2)
    books.clock.pass_ms(DAY_MS // 2)
    assert isinstance(books.reserve("b", 100), Granted)


def test_what_is_larger_than_the_capacity_never_fits(books: Books) -> None:
    books.define(budget(capacity=150))
    denial = books.reserve("a", 151)
    assert (denial.comeback, denial.resets_at_ms) == ("never", None)


def test_an_unknown_price_is_refused_under_a_budget(books: Books) -> None:
    books.define(budget())
    assert books.reserve("a", None).reason == "price"
    assert books.balance("day") == (0, 0)


def test_an_unknown_price_is_counted_where_no_budget_is(books: Books) -> None:
    books.define(FLIGHT)
    assert isinstance(books.reserve("a", None), Granted)


def test_a_full_gauge_waits_for_a_release(books: Books) -> None:
    books.define(FLIGHT)
    books.reserve("a")
    books.reserve("b")
    assert books.reserve("c").comeback == "on_release"
    books.settle("a", 1)
    assert isinstance(books.reserve("c"), Granted)


def test_all_claims_are_granted_or_none(books: Books) -> None:
    books.define(budget("a-large", 1000), budget("b-small", 50), budget("c-large", 1000))
    assert books.reserve("a", 100).allowance.name == "b-small"
    assert [books.balance(name) for name in ("a-large", "b-small", "c-large")] == [(0, 0)] * 3


def test_operations_of_one_transaction_see_one_another(books: Books) -> None:
    books.define(budget(capacity=150))
    outcomes = books.do_all(
        [reserve("a", 100), reserve("b", 100), Settle(fact("a", 40)), reserve("c", 100), Void("c"), reserve("c", 110)]
    )
    assert [type(outcome) for outcome in outcomes] == [Granted, Denial, Ended, Granted, Ended, Granted]
    assert books.balance("day") == (40, 110)
    assert books.do(Void("c")).changed


def test_an_operation_that_breaks_takes_its_transaction_with_it(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    with pytest.raises(ValueError, match="cannot be negative"):
        books.do_all([reserve("b", 100), Settle(fact("a", -1))])
    assert books.balance("day") == (0, 100)
    assert books.do(Void("b")) == Ended("b", changed=False)


def test_an_elastic_output_takes_a_share_of_the_headroom(books: Books) -> None:
    books.define(budget("day", 4_000))
    demand = Demand(0, 1_000, 10, 100_000)
    granted = books.do(reserve("a").__class__("a", "a", SCOPES, demand))
    assert (granted.output_tokens, granted.nano_usd, granted.capped_by) == (1000, 1000, "day")
    books.settle("a", 400)
    (row,) = books.store.attempts()
    assert (row.output_tokens_max, row.capped_by) == (1000, "day")


# Repetition


def test_a_repeated_reserve_returns_its_first_outcome(books: Books) -> None:
    books.define(budget(), FLIGHT)
    first = books.reserve("a", 100)
    books.clock.pass_ms(5)
    assert books.reserve("a", 999) == first
    assert books.balance("day") == (0, 100)
    books.settle("a", 70, certain=False)
    books.clock.pass_ms(DAY_MS)
    assert books.reserve("a", 100) == first
    assert books.balance("day") == (0, 0)


def test_a_second_settle_changes_nothing(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 70)
    assert books.settle("a", 90) == Ended("a", changed=False)
    assert books.balance("day") == (70, 0)
    assert books.store.attempts()[0].charged_nano_usd == 70


def test_a_second_void_changes_nothing(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.do(Void("a"))
    assert books.do(Void("a")) == Ended("a", changed=False)
    assert books.balance("day") == (0, 0)


def test_a_void_after_a_settle_changes_nothing(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 70)
    assert books.do(Void("a")) == Ended("a", changed=False)
    assert books.balance("day") == (70, 0)


# Evidence


def test_an_uncertain_charge_is_corrected_once(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 100, certain=False)
    assert [row.attempt_id for row in books.store.attempts(uncertain=True)] == ["a"]
    books.clock.pass_ms(3)
    ended = books.do(Adjust(fact("a", 30, request_id="req_1"), "provider"))
    assert [(each.spent, each.held) for each in ended.balances] == [(30, 0)]
    assert books.do(Adjust(fact("a", 30), "provider")) == Ended("a", changed=False)
    assert books.balance("day") == (30, 0)
    (row,) = books.store.attempts()
    assert (row.charged_nano_usd, row.certain, row.request_id, row.reserved_ms) == (30, True, "req_1", NOON_MS)
    assert books.store.attempts(uncertain=True) == []


def test_evidence_counts_once_even_when_it_leaves_doubt(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 100, certain=False)
    assert books.do(Adjust(fact("a", 60, certain=False), "drain")).changed
    assert books.do(Adjust(fact("a", 10, certain=False), "drain")) == Ended("a", changed=False)
    assert books.do(Adjust(fact("a", 50), "provider")).changed
    assert books.balance("day") == (50, 0)


def test_a_certain_charge_is_not_corrected(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 70)
    assert books.do(Adjust(fact("a", 10), "provider")) == Ended("a", changed=False)
    assert books.balance("day") == (70, 0)


def test_evidence_before_the_settle_ends_the_hold(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    assert books.do(Adjust(fact("a", 30), "provider")).changed
    assert books.settle("a", 100, certain=False) == Ended("a", changed=False)
    assert books.balance("day") == (30, 0)


def test_a_correction_posts_to_the_window_of_the_reservation(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 100, certain=False)
    books.clock.pass_ms(DAY_MS)
    books.reserve("b", 10)
    ended = books.do(Adjust(fact("a", 30), "provider"))
    assert [(each.spent, each.held) for each in ended.balances] == [(30, 0)]
    assert books.balance("day") == (0, 10)
    books.clock.pass_ms(-DAY_MS)
    assert books.balance("day") == (30, 0)


def test_a_bill_above_the_bound_is_carried_and_raises_an_alarm(books: Books) -> None:
    books.define(budget(capacity=100), budget("seen", 100, mode="observe"))
    books.reserve("a", 100)
    assert books.settle("a", 130).overdrawn == ("day",)
    assert books.balance("day") == (130, 0)
    assert books.reserve("b", 1).left == -30


def test_a_settle_that_nobody_reserved_is_believed_and_charged(books: Books) -> None:
    books.define(budget(), FLIGHT, Allowance("calls", "requests", 9, "calendar", "day"))
    assert books.settle("a", 70).changed
    assert books.settle("a", 70) == Ended("a", changed=False)
    assert books.balance("day") == (70, 0)
    assert books.balance("calls") == (1, 0)
    assert books.balance("flight") == (0, 0)


def test_the_request_id_of_a_call_in_flight_is_kept(books: Books) -> None:
    books.define(budget())
    granted = books.reserve("a")
    assert books.do(Mark("a", "req_7")) is None
    assert books.reserve("a") == granted
    books.settle("a", 5)
    assert books.store.attempts()[0].request_id == "req_7"
    assert books.do(Mark("a", "req_8")) is None
    assert books.do(Mark("nobody", "req_9")) is None
    assert books.store.attempts()[0].request_id == "req_7"


def test_nothing_is_orphaned_while_its_process_lives(books: Books) -> None:
    books.define(budget())
    books.reserve("a")
    assert books.do(Renew(60_000)) is None
    assert books.do(Expire()) == Expired()
    assert books.balance("day") == (0, 100)


def test_a_fact_comes_back_as_it_was_told(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    told = fact(
        "a",
        70,
        served_model="gpt-4o-2024-08-06",
        dialect="openai_chat",
        price_version="2026-11-01",
        usage=Usage.of(100, 20, {"cached_input": 40}, contradictory=True),
        status=200,
        request_id="req_1",
        wait_ms=3,
        first_token_ms=120,
        duration_ms=900,
        stream=True,
        output_tokens_max=500,
        capped_by="day",
    )
    books.do(Settle(told))
    assert books.store.attempts() == [told]
