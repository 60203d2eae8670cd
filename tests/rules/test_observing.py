"""Levels that follow what a provider says: upwards, exactly, and nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.allowances import LEVEL_MAX, Allowance, Demand, Denial, Grant, Level, decide, settle, take
from bursar.rules.observing import closeness, observe, rest
from bursar.rules.windows import PERIOD_MS

NOW = 1_800_000_000_000
PERIODS = st.sampled_from(["second", "minute", "hour", "day"])
LIMITS = st.integers(1, 5_000)


def bucket(capacity: int = 100, *, period: Any = "minute", used: int = 0) -> Level:
    allowance = Allowance("tpm", "tokens", capacity, "bucket", period)
    return Level(allowance, spent=used * PERIOD_MS[period], updated_ms=NOW)


def tokens(amount: int) -> Demand:
    return Demand(0, 0, 0, 0, rate_input_tokens=amount)


# Upwards only


@given(LIMITS, PERIODS, st.integers(0, 5_000), st.integers(0, 5_000))
def test_no_more_is_free_than_remains_and_never_more_than_before(
    capacity: int, period: Any, used: int, remaining: int
) -> None:
    level = bucket(capacity, period=period, used=min(used, capacity))
    before = level.free(NOW)
    changed = observe(level, capacity, min(remaining, capacity), NOW)
    assert level.free(NOW) == min(before, remaining)
    assert changed == (remaining < before)


@given(LIMITS, LIMITS, st.integers(0, 5_000), st.integers(0, 5_000))
def test_a_limit_of_another_size_is_the_same_about_what_remains(
    capacity: int, theirs: int, used: int, remaining: int
) -> None:
    """Ours is a share of theirs: what others use of theirs takes nothing from ours until it runs short there."""
    level = bucket(capacity, used=min(used, capacity))
    before, remaining = level.free(NOW), min(remaining, theirs)
    observe(level, theirs, remaining, NOW)
    assert level.free(NOW) == min(before, remaining)


def test_others_use_of_a_larger_limit_takes_nothing_from_our_share() -> None:
    level = bucket(1_000, used=100)
    assert not observe(level, 10_000, 5_000, NOW)
    assert level.free(NOW) == 900


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9_000)), max_size=8))
def test_an_observation_that_is_said_twice_counts_once(said: list[tuple[int, int]]) -> None:
    once, twice, now_ms = bucket(), bucket(), NOW
    for remaining, pause_ms in said:
        now_ms += pause_ms
        observe(once, 100, remaining, now_ms)
        observe(twice, 100, remaining, now_ms)
        observe(twice, 100, remaining, now_ms)
        assert (once.spent, once.updated_ms) == (twice.spent, twice.updated_ms)


def test_calls_in_flight_that_the_provider_has_counted_are_not_counted_again() -> None:
    level = bucket()
    for _ in range(4):
        take(level, 10, NOW)
    # Two of the four have arrived there, and 15 units are somebody else's.
    observe(level, 100, 100 - 20 - 15, NOW)
    assert level.free(NOW) == 60, "ours, which is more than what the provider has seen of it"
    observe(level, 100, 100 - 40 - 15, NOW)
    assert level.free(NOW) == 45
    for _ in range(4):
        settle(level, 10, 5, NOW)
    assert level.free(NOW) == 65, "what was not used comes back on top of it"


# What has come back since


@given(LIMITS, st.integers(0, 5_000), st.integers(0, 200_000))
def test_what_was_said_a_while_ago_has_refilled_since(capacity: int, remaining: int, age_ms: int) -> None:
    fresh, stale = bucket(capacity), bucket(capacity)
    remaining = min(remaining, capacity)
    observe(fresh, capacity, remaining, NOW - age_ms)
    observe(stale, capacity, remaining, NOW, age_ms=age_ms)
    fresh.updated_ms = NOW - age_ms
    assert stale.free(NOW) == min(capacity, (remaining * 60_000 + age_ms * capacity) // 60_000)
    assert stale.leaked(NOW) == fresh.leaked(NOW)


def test_what_was_said_in_the_future_is_said_now() -> None:
    level = bucket()
    observe(level, 100, 40, NOW, age_ms=-5_000)
    assert level.free(NOW) == 40


def test_a_smaller_limit_refills_at_its_own_rate() -> None:
    level = bucket(1_000)
    observe(level, 100, 0, NOW, age_ms=30_000)
    assert level.free(NOW) == 50


def test_a_clock_that_went_back_is_not_put_back() -> None:
    level = bucket()
    take(level, 10, NOW)
    assert observe(level, 100, 50, NOW - 60_000)
    assert level.updated_ms == NOW
    assert level.free(NOW) == 50


# Rests


@given(LIMITS, PERIODS, st.integers(0, 5_000), st.integers(1, 5_000), st.integers(0, 3_600_000))
def test_after_a_rest_the_amount_is_free_and_not_a_millisecond_before(
    capacity: int, period: Any, used: int, amount: int, wait_ms: int
) -> None:
    level = bucket(capacity, period=period, used=min(used, capacity))
    amount = min(amount, capacity)
    changed = rest(level, amount, wait_ms, NOW)
    assert isinstance(decide([level], tokens(amount), NOW + wait_ms), Grant) or not changed
    if wait_ms and changed:
        denial = decide([level], tokens(amount), NOW)
        assert isinstance(denial, Denial)
        assert (denial.comeback, denial.wait_ms) == ("later", wait_ms)
        assert isinstance(decide([level], tokens(amount), NOW + wait_ms - 1), Denial)


def test_a_rest_never_shortens_a_wait() -> None:
    level = bucket()
    rest(level, 1, 90_000, NOW)
    assert not rest(level, 1, 5_000, NOW)
    denial = decide([level], tokens(1), NOW)
    assert isinstance(denial, Denial)
    assert denial.wait_ms == 90_000


def test_an_amount_beyond_the_bucket_rests_it_until_it_is_empty() -> None:
    level = bucket()
    rest(level, 500, 7_000, NOW)
    assert level.free(NOW + 7_000) == 100
    assert level.free(NOW + 6_999) == 99


def test_a_rest_that_has_passed_has_refilled_since() -> None:
    late, prompt = bucket(), bucket()
    rest(late, 10, -6_000, NOW)
    rest(prompt, 10, 0, NOW - 6_000)
    assert late.free(NOW) == 20
    prompt.updated_ms = NOW - 6_000
    assert prompt.free(NOW) == 20


def test_levels_stay_within_what_can_be_counted() -> None:
    level = bucket(10**8, period="day")
    rest(level, 1, 10**15, NOW)
    assert level.spent == LEVEL_MAX


# Whose limit it is


@pytest.mark.parametrize(
    ("only", "each", "expected"),
    [
        ({"provider": "openai"}, None, 1),
        ({}, "provider", 1),
        ({"provider": "openai", "key": "k"}, None, 2),
        ({"provider": "openai"}, "key", 2),
        ({"provider": "openai"}, "model", 2),
        ({"model": "openai/gpt-4o"}, None, 2),
        ({}, "model", 2),
        ({"model": "openai/gpt-4o"}, "key", 3),
        ({"provider": "openai", "model": "openai/gpt-4o", "key": "k"}, None, 3),
        ({}, None, 0),
        ({"key": "k"}, None, 0),
        ({}, "key", 0),
        ({"provider": "openai"}, "user", 0),
        ({"provider": "openai", "team": "search"}, None, 0),
        ({"user": "ann"}, None, 0),
    ],
)
def test_the_providers_limits_are_told_from_those_of_its_users(
    only: dict[str, str], each: str | None, expected: int
) -> None:
    pairs = tuple(sorted(only.items()))
    assert closeness(Allowance("rpm", "requests", 10, "bucket", "minute", only=pairs, each=each)) == expected
    assert closeness(Allowance("rpm", "requests", 10, "calendar", "day", only=pairs, each=each)) == 0
    assert closeness(Allowance("flight", "in_flight", 10, "gauge", only=pairs, each=each)) == 0


def test_where_callers_have_keys_theirs_are_no_closer_to_the_provider() -> None:
    def alike(each: str) -> Allowance:
        return Allowance("rpm", "requests", 10, "bucket", "minute", only=(("provider", "openai"),), each=each)

    assert [closeness(alike(each)) for each in ("key", "provider_key", "model")] == [2, 0, 2]
    assert [closeness(alike(each), "provider_key") for each in ("key", "provider_key", "model")] == [0, 2, 2]
