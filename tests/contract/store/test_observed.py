"""Limits that follow what the provider says with its answers, in every store."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.books import Ended, Granted, Settle
from bursar.edges.stores.observing import DELAYS_MS
from bursar.rules.allowances import Allowance, Denial
from bursar.rules.usage import Usage
from bursar.wire.rate_headers import Observation
from tests.contract.store.material import MINUTE_MS, NOON_MS, SCOPES, Books, fact, reserve

OPENAI = (("provider", "openai"),)
RPM = Allowance("rpm", "requests", 100, "bucket", "minute", only=OPENAI)
TPM = Allowance("tpm", "tokens", 1_000, "bucket", "minute", only=OPENAI)


def limit(name: str, only: dict[str, str], *, each: str | None = None, period: Any = "minute") -> Allowance:
    return Allowance(name, "requests", 100, "bucket", period, only=tuple(sorted(only.items())), each=each)


def said(remaining: int, limit: int = 100, *, meter: Any = "requests", period: Any = "minute") -> Observation:
    return Observation(meter, period, limit, remaining)


def asked_to_wait(milliseconds: int, meter: Any = "requests") -> Observation:
    return Observation(meter, "", 0, 0, milliseconds, at_once=True)


def answer(books: Books, attempt_id: str, *observed: Observation, **options: Any) -> Ended:
    """Settle an attempt now, with what the provider said."""
    now_ms = books.clock.now_ms
    told = fact(attempt_id, 10, **{"reserved_ms": now_ms, "ended_ms": now_ms, **options})
    ended: Ended = books.do(Settle(told, observed))
    return ended


def left(books: Books, name: str, subject: str = "") -> int:
    (balance,) = books.store.balances(books.clock.now_ms, names=[name], subject=subject)
    free: int = balance.left
    return free


def test_a_level_follows_what_remains_and_never_goes_down(books: Books) -> None:
    books.define(RPM)
    books.reserve("a")
    answer(books, "a", said(40))
    assert left(books, "rpm") == 40
    books.reserve("b")
    answer(books, "b", said(95))
    assert left(books, "rpm") == 39


def test_a_settle_that_is_repeated_has_no_further_effect(books: Books) -> None:
    books.define(RPM)
    books.reserve("a")
    answer(books, "a", said(90))
    assert answer(books, "a", said(10)).changed is False
    assert left(books, "rpm") == 90


def test_calls_in_flight_are_not_counted_twice(books: Books) -> None:
    books.define(RPM)
    for name in "abcde":
        books.reserve(name)
    answer(books, "a", said(95))
    assert left(books, "rpm") == 95
    answer(books, "b", said(60))
    assert left(books, "rpm") == 60


def test_what_the_provider_gives_back_is_given_back_from_what_it_showed(books: Books) -> None:
    books.define(TPM)
    books.reserve("a", tokens=(60, 40))
    answer(books, "a", said(500, 1_000, meter="tokens"), usage=Usage.of(20, 10))
    assert left(books, "tpm") == 570, "the hundred were in it, and seventy were not used"
    books.reserve("b", tokens=(60, 40), refunds=False)
    answer(books, "b", said(400, 1_000, meter="tokens"), usage=Usage.of(20, 10))
    assert left(books, "tpm") == 400


def test_each_meter_and_period_follows_its_own(books: Books) -> None:
    books.define(RPM, TPM, limit("rpd", {"provider": "openai"}, period="day"))
    books.reserve("a", tokens=(10, 0))
    answer(books, "a", said(40, period="day"), said(7, 1_000, meter="output_tokens"), said(9, period="hour"))
    assert [left(books, name) for name in ("rpm", "rpd", "tpm")] == [99, 40, 1_000]


def test_what_was_shown_was_so_when_the_call_arrived_and_has_refilled_since(books: Books) -> None:
    books.define(RPM)
    books.reserve("a")
    books.clock.pass_ms(MINUTE_MS // 2)
    answer(books, "a", said(0), duration_ms=MINUTE_MS // 2, first_token_ms=MINUTE_MS // 3, stream=True)
    assert left(books, "rpm") == 49, "half a minute has passed, but for the moment by which calls are delayed"
    books.clock.pass_ms(DELAYS_MS)
    assert left(books, "rpm") == 50


def test_at_a_full_limit_answers_do_not_slow_the_calls_that_follow(books: Books) -> None:
    """Each is shown full when it arrives, and answered two seconds later: no call may count twice for it."""
    books.define(RPM)
    interval_ms, latency_ms, served = MINUTE_MS // 100, 2_000, 0
    for number in range(100):
        books.reserve(f"burst{number}")
    books.clock.pass_ms(DELAYS_MS)
    open_calls: list[tuple[int, str]] = []
    for step in range(50):
        books.clock.pass_ms(interval_ms)
        while open_calls and open_calls[0][0] <= books.clock.now_ms:
            _, name = open_calls.pop(0)
            answer(books, name, said(0), duration_ms=latency_ms)
        if isinstance(books.reserve(f"step{step}"), Granted):
            served += 1
            open_calls.append((books.clock.now_ms + latency_ms, f"step{step}"))
    assert served == 50


def test_a_settle_that_was_late_says_how_it_was_then(books: Books) -> None:
    books.define(RPM)
    books.reserve("a")
    books.clock.pass_ms(MINUTE_MS + DELAYS_MS)
    answer(books, "a", said(0), ended_ms=NOON_MS)
    assert left(books, "rpm") == 100


# Whose limit it is


def test_limits_of_users_and_of_all_follow_nobody(books: Books) -> None:
    own = {"provider": "openai", "user": "ann"}
    books.define(limit("all", {}), limit("ann", own), limit("teams", {"provider": "openai"}, each="team"))
    books.reserve("a")
    answer(books, "a", said(5))
    assert [left(books, "all"), left(books, "ann"), left(books, "teams", "search")] == [99, 99, 99]


def test_of_several_the_closest_follows(books: Books) -> None:
    books.define(RPM, limit("model", {"model": "openai/gpt-4o"}), limit("keys", {"provider": "openai"}, each="key"))
    books.reserve("a")
    answer(books, "a", said(5))
    assert [left(books, "rpm"), left(books, "model"), left(books, "keys", "k1")] == [99, 5, 5]


def test_what_one_key_has_used_up_is_not_the_others(books: Books) -> None:
    books.define(limit("keys", {"provider": "openai"}, each="key"))
    for key in ("k1", "k2"):
        books.do(reserve(key, scopes={**SCOPES, "key": key}))
    answer(books, "k1", said(0))
    assert [left(books, "keys", "k1"), left(books, "keys", "k2")] == [0, 99]


def test_windows_and_gauges_are_counted_here_alone(books: Books) -> None:
    books.define(
        Allowance("day", "requests", 100, "calendar", "day", only=OPENAI),
        Allowance("flight", "in_flight", 100, "gauge", only=OPENAI),
    )
    books.reserve("a")
    answer(books, "a", said(5, period="day"), said(5), asked_to_wait(5_000))
    assert [left(books, "day"), left(books, "flight")] == [99, 100]


# A limit that is larger than the provider's


def test_a_limit_beyond_the_providers_is_told(books: Books) -> None:
    books.define(RPM, TPM)
    books.reserve("a")
    ended = answer(books, "a", said(59, 60), said(5_000, 9_000, meter="tokens"))
    assert ended.beyond == (("rpm", 60),)
    assert left(books, "rpm") == 59
    books.reserve("b")
    assert answer(books, "b").beyond == ()
    books.reserve("c")
    assert answer(books, "c", said(80, 100)).beyond == ()


def test_a_limit_that_was_removed_meanwhile_is_nobodys(books: Books) -> None:
    books.define(RPM, TPM)
    books.reserve("a")
    books.define(TPM)
    assert answer(books, "a", said(5, 60)).beyond == ()
    assert left(books, "tpm") == 1_000


def test_a_call_that_claimed_nothing_of_it_still_rests_it(books: Books) -> None:
    books.define(TPM)
    books.reserve("a")
    answer(books, "a", asked_to_wait(5_000, "tokens"), status=429, ending="error")
    assert books.reserve("b", tokens=(1, 0)).wait_ms == 5_000


# Refusals


@pytest.mark.parametrize("status", [429, 402])
def test_when_the_provider_asks_to_wait_everybody_does(books: Books, status: int) -> None:
    books.define(RPM)
    books.reserve("a")
    answer(books, "a", asked_to_wait(2_500), status=status, ending="error")
    denial = books.reserve("b")
    assert isinstance(denial, Denial)
    assert (denial.allowance.name, denial.comeback, denial.wait_ms) == ("rpm", "later", 2_500)
    books.clock.pass_ms(2_500)
    assert isinstance(books.reserve("b"), Granted)
    assert isinstance(books.reserve("c"), Denial), "one is let through, not a hundred"


def test_what_the_refused_call_needs_is_free_when_the_wait_is_over(books: Books) -> None:
    books.define(RPM, TPM)
    books.reserve("a", tokens=(200, 100))
    answer(books, "a", asked_to_wait(2_500, "tokens"), status=429, ending="error")
    denial = books.reserve("a2", tokens=(200, 100))
    assert (denial.allowance.name, denial.wait_ms) == ("tpm", 2_500)
    books.clock.pass_ms(2_500)
    assert isinstance(books.reserve("a2", tokens=(200, 100)), Granted)


@pytest.mark.parametrize("refunds", [True, False])
def test_tokens_that_a_refusal_for_the_rate_never_counted_come_back(books: Books, refunds: bool) -> None:
    books.define(RPM, TPM)
    books.reserve("a", tokens=(200, 100), refunds=refunds)
    answer(books, "a", said(950, 1_000, meter="tokens"), status=429, ending="error")
    assert left(books, "tpm") == 950, "its claim was never in what remains"
    assert left(books, "rpm") == 99, "requests are counted even where they are refused"


@pytest.mark.parametrize(
    ("remaining", "resets_in_ms", "waits_ms"),
    [
        (100, 54_000, 12_000),  # room for 100 of 300: it is 300 x 60 ms until the rest has come back
        (100, 20_000, 25_000),  # a window, not a bucket: what it shows does not say when
        (100, None, 25_000),
        (900, 6_000, 25_000),  # there was room: something else was meant
    ],
)
def test_headers_that_explain_a_refusal_say_when_to_come_back(
    books: Books, remaining: int, resets_in_ms: int | None, waits_ms: int
) -> None:
    books.define(TPM)
    books.reserve("a", tokens=(200, 100))
    shown = Observation("tokens", "minute", 1_000, remaining, resets_in_ms)
    answer(books, "a", shown, asked_to_wait(25_000, "tokens"), status=429, ending="error")
    assert books.reserve("b", tokens=(200, 100)).wait_ms == waits_ms


def test_headers_about_another_meter_explain_nothing(books: Books) -> None:
    books.define(RPM, TPM)
    books.reserve("a", tokens=(200, 100))
    shown = Observation("requests", "minute", 100, 0, MINUTE_MS)
    answer(books, "a", shown, asked_to_wait(25_000, "tokens"), status=429, ending="error")
    denial = books.reserve("b", tokens=(200, 100))
    assert (denial.allowance.name, denial.wait_ms) == ("tpm", 25_000)


def test_without_a_limit_of_that_meter_another_of_the_providers_rests(books: Books) -> None:
    books.define(TPM, limit("all", {}))
    books.reserve("a", tokens=(10, 0))
    answer(books, "a", asked_to_wait(4_000), status=429, ending="error")
    denial = books.reserve("b", tokens=(10, 0))
    assert (denial.allowance.name, denial.wait_ms) == ("tpm", 4_000)


def test_the_shortest_period_rests_and_a_day_is_not_lost(books: Books) -> None:
    books.define(RPM, limit("rpd", {"provider": "openai"}, period="day"))
    books.reserve("a")
    answer(books, "a", asked_to_wait(4_000), status=429, ending="error")
    assert left(books, "rpd") == 99
    window = Observation("requests", "day", 50, 0, 3 * MINUTE_MS, at_once=True)
    books.clock.pass_ms(4_000)
    books.reserve("b")
    assert answer(books, "b", window, status=429, ending="error").beyond == (("rpd", 50),)
    denial = books.reserve("c")
    assert (denial.allowance.name, denial.wait_ms) == ("rpd", 3 * MINUTE_MS)


def test_a_wait_is_counted_from_the_refusal(books: Books) -> None:
    books.define(RPM)
    books.reserve("a")
    books.clock.pass_ms(1_000)
    answer(books, "a", asked_to_wait(2_500), status=429, ending="error", ended_ms=NOON_MS)
    assert books.reserve("b").wait_ms == 1_500


def test_where_nothing_is_the_providers_a_wait_moves_nothing(books: Books) -> None:
    books.define(limit("all", {}))
    books.reserve("a")
    answer(books, "a", asked_to_wait(4_000), status=429, ending="error")
    assert isinstance(books.reserve("b"), Granted)


def test_where_callers_have_keys_of_their_own_only_the_providers_key_has_the_providers_limits(books: Books) -> None:
    books.define(
        limit("callers", {"provider": "openai"}, each="key"),
        limit("providers", {"provider": "openai"}, each="provider_key"),
    )
    scopes = {**SCOPES, "key": "ci", "provider_key": "openai:0badcafe"}
    books.reserve("a", scopes=scopes)
    answer(books, "a", said(40), scopes=scopes)
    assert (left(books, "providers", "openai:0badcafe"), left(books, "callers", "ci")) == (40, 99)
    books.reserve("b", scopes=scopes)
    answer(books, "b", asked_to_wait(500), scopes=scopes)
    assert (left(books, "providers", "openai:0badcafe"), left(books, "callers", "ci")) == (0, 98)


def test_a_limit_of_the_provider_that_tells_no_keys_apart_follows_for_callers_too(books: Books) -> None:
    books.define(RPM, limit("callers", {"provider": "openai", "key": "ci"}))
    scopes = {**SCOPES, "key": "ci", "provider_key": "openai:0badcafe"}
    books.reserve("a", scopes=scopes)
    answer(books, "a", said(40), scopes=scopes)
    assert (left(books, "rpm"), left(books, "callers")) == (40, 99)
