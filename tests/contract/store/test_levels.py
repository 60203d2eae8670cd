"""Which levels a call moves, in every store: scopes, shapes and windows."""

from __future__ import annotations

import pytest

from bursar.call.books import Granted, Reserve, Settle, Void
from bursar.rules.allowances import Allowance, Demand, Denial
from bursar.rules.usage import Usage
from tests.contract.store.material import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, SCOPES, Books, budget, fact, reserve

ANN, BOB, NOBODY = SCOPES, {**SCOPES, "user": "bob"}, {"provider": "openai"}


def test_each_value_of_a_scope_has_its_own_level(books: Books) -> None:
    books.define(budget("users", 150, each="user"))
    books.reserve("a", 100, scopes=ANN)
    assert isinstance(books.reserve("b", 100, scopes=BOB), Granted)
    denial = books.reserve("c", 100, scopes=ANN)
    assert (denial.allowance.name, denial.subject) == ("users", "ann")
    assert books.balance("users", "bob") == (0, 100)
    found = books.store.balances(books.clock.now_ms)
    assert [(each.subject, each.held) for each in found] == [("ann", 100), ("bob", 100)]


def test_calls_without_the_value_share_a_level(books: Books) -> None:
    books.define(budget("users", 150, each="user"))
    books.reserve("a", 100, scopes=NOBODY)
    assert books.reserve("b", 100, scopes=NOBODY).subject == ""
    assert isinstance(books.reserve("c", 100, scopes=ANN), Granted)


def test_calls_without_the_value_are_refused_where_asked_for(books: Books) -> None:
    books.define(budget("users", 150, each="user", missing="refuse"), budget("all"))
    denial = books.reserve("a", 100, scopes=NOBODY)
    assert (denial.allowance.name, denial.reason, denial.comeback) == ("users", "missing", "never")
    assert isinstance(books.reserve("b", 100, scopes={**NOBODY, "user": ""}), Denial)
    assert books.balance("all") == (0, 0)
    assert isinstance(books.reserve("c", 100, scopes=ANN), Granted)


def test_a_missing_value_is_counted_where_nothing_is_refused(books: Books) -> None:
    books.define(budget("users", 150, each="user", missing="refuse", mode="observe"))
    assert books.reserve("a", 100, scopes=NOBODY).would_refuse == ("users",)
    assert books.balance("users") == (0, 100)


def test_only_calls_that_carry_every_value_are_bound(books: Books) -> None:
    books.define(
        budget("anns", 150, only=(("provider", "openai"), ("user", "ann"))), budget("tags", 9, only=(("x", ""),))
    )
    books.reserve("a", 100, scopes=BOB)
    books.reserve("b", 100, scopes=NOBODY)
    assert books.balance("anns") == (0, 0)
    assert isinstance(books.reserve("c", 100, scopes=ANN), Granted)
    assert isinstance(books.reserve("d", 100, scopes=ANN), Denial)


def test_thousands_of_allowances_bind_only_their_own(books: Books) -> None:
    books.define(*[budget(f"key-{number:04}", 150, only=(("key", f"k{number}"),)) for number in range(2_000)])
    granted = books.reserve("a", 100, scopes={**SCOPES, "key": "k77"})
    assert [claim.allowance for claim in granted.claims] == ["key-0077"]


def test_what_is_observed_refuses_nothing_and_remembers(books: Books) -> None:
    books.define(budget("seen", 50, mode="observe"), budget("kept", 500))
    granted = books.reserve("a", 100)
    assert granted.would_refuse == ("seen",)
    assert books.reserve("a", 100) == granted
    books.settle("a", 80)
    assert books.balance("seen") == (80, 0)
    assert books.store.attempts()[0].would_refuse == ("seen",)
    assert books.reserve("b", None).reason == "price"


# Windows


def test_a_settle_posts_to_the_window_of_its_reservation(books: Books) -> None:
    books.define(budget(), budget("all", 1000, period="total"))
    books.clock.pass_ms(DAY_MS // 2 - 1)
    books.reserve("a", 100)
    books.clock.pass_ms(2)
    assert books.balance("day") == (0, 0)
    ended = books.settle("a", 70)
    assert [(each.allowance, each.spent, each.held) for each in ended.balances] == [("all", 70, 0), ("day", 70, 0)]
    assert books.balance("day") == (0, 0)
    assert books.balance("all") == (70, 0)
    books.clock.pass_ms(-2)
    assert books.balance("day") == (70, 0)


def test_a_clock_that_goes_back_finds_the_window_it_left(books: Books) -> None:
    books.define(budget(capacity=150), Allowance("rate", "requests", 1, "bucket", "minute"))
    books.reserve("a", 100)
    books.clock.pass_ms(-HOUR_MS)
    assert books.reserve("b", 100).allowance.name == "day"
    books.clock.pass_ms(-DAY_MS)
    denial = books.reserve("c", 100)
    assert (denial.allowance.name, denial.wait_ms) == ("rate", MINUTE_MS)


def test_a_day_of_its_own_time_zone(books: Books) -> None:
    books.define(budget("tokyo", 150, time_zone="Asia/Tokyo"), budget("utc", 1000))
    books.reserve("a", 100)
    books.clock.pass_ms(3 * HOUR_MS)
    assert books.balance("tokyo") == (0, 0)
    assert books.balance("utc") == (0, 100)


def test_a_rolling_window_counts_its_last_span(books: Books) -> None:
    books.define(budget("hour", 150, shape="rolling", period="hour"))
    books.reserve("a", 100)
    books.settle("a", 90)
    books.clock.pass_ms(30 * MINUTE_MS)
    assert books.reserve("b", 61).resets_at_ms == NOON_MS + 61 * MINUTE_MS
    assert isinstance(books.reserve("c", 60), Granted)
    assert books.balance("hour") == (90, 60)
    books.clock.pass_ms(31 * MINUTE_MS)
    assert books.balance("hour") == (0, 60)
    assert isinstance(books.reserve("d", 90), Granted)


def test_a_rolling_window_sees_what_its_own_transaction_moved(books: Books) -> None:
    books.define(budget("hour", 150, shape="rolling", period="hour"))
    books.reserve("a", 100)
    books.clock.pass_ms(10 * MINUTE_MS)
    books.reserve("b", 50)
    outcomes = books.do_all([Settle(fact("a", 20)), reserve("c", 80), reserve("d", 1), Void("b"), reserve("e", 50)])
    assert [isinstance(outcome, Denial) for outcome in outcomes] == [False, False, True, False, False]
    assert books.balance("hour") == (20, 130)


def test_a_rolling_window_sees_an_earlier_part_move_between_two_claims(books: Books) -> None:
    books.define(budget("hour", 150, shape="rolling", period="hour"))
    books.reserve("a", 100)
    books.clock.pass_ms(10 * MINUTE_MS)
    outcomes = books.do_all([reserve("b", 60), reserve("c", 50), Settle(fact("a", 20)), reserve("d", 60)])
    assert [isinstance(outcome, Denial) for outcome in outcomes] == [True, False, False, False]
    assert books.balance("hour") == (20, 110)


def test_a_limit_refills_continuously(books: Books) -> None:
    books.define(Allowance("rate", "requests", 2, "bucket", "minute"))
    books.reserve("a")
    books.reserve("b")
    denial = books.reserve("c")
    assert (denial.comeback, denial.wait_ms) == ("later", MINUTE_MS // 2)
    books.clock.pass_ms(denial.wait_ms)
    assert isinstance(books.reserve("c"), Granted)
    (balance,) = books.store.balances(books.clock.now_ms)
    assert (balance.spent, balance.left, balance.resets_at_ms) == (2, 0, books.clock.now_ms + MINUTE_MS)


@pytest.mark.parametrize(("refunds", "spent"), [(True, 30), (False, 100)])
def test_what_a_provider_refunds_comes_back(books: Books, refunds: bool, spent: int) -> None:
    books.define(Allowance("tpm", "tokens", 1000, "bucket", "minute"))
    books.reserve("a", tokens=(60, 40), refunds=refunds)
    books.do(Settle(fact("a", usage=Usage.of(20, 10))))
    assert books.balance("tpm") == (spent, 0)


def test_an_elastic_output_is_claimed_as_it_was_granted(books: Books) -> None:
    tpm = Allowance("tpm", "tokens", 4_000, "bucket", "minute")
    books.define(budget(capacity=10**9), tpm)
    demand = Demand(0, 1_000, 100, 2_000, rate_input_tokens=50, rate_output_tokens=70, reserves=1)
    granted = books.do(Reserve("a", "a", SCOPES, demand, False))
    assert granted.output_tokens == 950
    assert books.balance("tpm") == (1_000, 0)
    books.define(budget(capacity=10**9), tpm, Allowance("out", "output_tokens", 4_000, "calendar", "day"))
    assert books.balance("out") == (0, 950), "what is defined later learns of it"


def test_a_void_returns_rates_and_an_unsent_request_counts_nowhere(books: Books) -> None:
    books.define(
        Allowance("tpm", "tokens", 1000, "bucket", "minute"), Allowance("rpm", "requests", 9, "bucket", "minute")
    )
    books.reserve("a", tokens=(60, 40))
    books.do(Void("a"))
    assert books.balance("tpm") == (0, 0)
    assert books.balance("rpm") == (0, 0)


def test_tokens_are_counted_by_side(books: Books) -> None:
    books.define(
        Allowance("both", "tokens", 1000, "calendar", "day"),
        Allowance("in", "input_tokens", 1000, "calendar", "day"),
        Allowance("out", "output_tokens", 1000, "calendar", "day"),
    )
    books.reserve("a", tokens=(60, 40))
    assert [books.balance(name) for name in ("both", "in", "out")] == [(0, 100), (0, 60), (0, 40)]
    books.do(Settle(fact("a", usage=Usage.of(20, 10, {"cached_input": 5}))))
    assert [books.balance(name) for name in ("both", "in", "out")] == [(30, 0), (20, 0), (10, 0)]


def test_unknown_usage_counts_as_claimed_until_it_is_known(books: Books) -> None:
    books.define(Allowance("both", "tokens", 1000, "calendar", "day"))
    books.reserve("a", tokens=(60, 40))
    books.do(Settle(fact("a", 100, certain=False)))
    assert books.balance("both") == (100, 0)


def test_balances_are_there_before_the_first_call(books: Books) -> None:
    books.define(budget("all", 10, period="total"), budget("users", 10, each="user"), budget("day", 10))
    found = books.store.balances(books.clock.now_ms)
    assert [(each.allowance, each.left, each.resets_at_ms) for each in found] == [
        ("all", 10, None),
        ("day", 10, NOON_MS + DAY_MS // 2),
    ]
    assert books.store.balances(books.clock.now_ms, names=["users"], subject="ann") == []
