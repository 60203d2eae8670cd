"""What an answer says about its provider's limits, and whether anything of ours follows it."""

from __future__ import annotations

import pytest

from bursar.call.observing import limits_observed, observed
from bursar.catalog.providers import provider_row
from bursar.rules.allowances import Allowance
from bursar.wire.rate_headers import Observation

OPENAI = provider_row("openai")
HEADERS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "1000",
    "x-ratelimit-reset-tokens": "59.7s",
    "retry-after": "7",
}
SAID = (
    Observation("requests", "minute", 500, 499, 120),
    Observation("tokens", "minute", 200_000, 1_000, 59_700),
)


def limit(only: dict[str, str], *, each: str | None = None) -> Allowance:
    return Allowance("rpm", "requests", 10, "bucket", "minute", only=tuple(sorted(only.items())), each=each)


def test_headers_are_read_in_the_form_of_the_row() -> None:
    assert observed(OPENAI, HEADERS) == SAID, "retry-after of a success means nothing"
    assert observed(provider_row("mistral"), HEADERS) == ()
    assert observed(provider_row("own"), HEADERS) == ()
    assert observed(OPENAI, {}) == observed(OPENAI, None) == ()


def test_a_refusal_rests_the_meter_of_which_least_remains() -> None:
    assert observed(OPENAI, HEADERS, wait_seconds=1.2504) == (
        *SAID,
        Observation("tokens", "", 0, 0, 1_251, at_once=True),
    )
    requests = {**HEADERS, "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
    assert observed(OPENAI, requests, wait_seconds=2)[-1].meter == "requests"


@pytest.mark.parametrize("headers", [{}, None, {"x-ratelimit-limit-requests": "none"}])
def test_a_refusal_without_headers_rests_requests(headers: dict[str, str] | None) -> None:
    for row in (OPENAI, provider_row("own")):
        assert observed(row, headers, wait_seconds=3) == (Observation("requests", "", 0, 0, 3_000, at_once=True),)


@pytest.mark.parametrize("wait_seconds", [None, 0, 0.0, -1.0])
def test_without_a_wait_nothing_rests(wait_seconds: float | None) -> None:
    assert observed(OPENAI, HEADERS, wait_seconds=wait_seconds) == SAID


def test_nobody_rests_longer_than_a_day() -> None:
    assert observed(OPENAI, {}, wait_seconds=float("inf"))[0].resets_in_ms == 86_400_000


@pytest.mark.parametrize(
    ("allowance", "follows"),
    [
        (limit({"provider": "openai"}), True),
        (limit({"provider": "openai"}, each="model"), True),
        (limit({}, each="provider"), True),
        (limit({}, each="model"), True),
        (limit({"model": "openai/gpt-4o"}), True),
        (limit({"model": "openai-eu/gpt-4o"}), False),
        (limit({"provider": "groq"}), False),
        (limit({"provider": "openai", "team": "search"}), False),
        (limit({}), False),
        (limit({}, each="user"), False),
    ],
)
def test_only_limits_of_the_provider_follow_it(allowance: Allowance, follows: bool) -> None:
    budget = Allowance("day", "nano_usd", 5, "calendar", "day", only=(("provider", "openai"),))
    assert limits_observed([budget, allowance], "openai") is follows
    assert not limits_observed([budget], "openai")


def test_of_several_keys_only_limits_that_tell_them_apart_follow() -> None:
    assert not limits_observed([limit({"provider": "openai"})], "openai", keys=2)
    assert limits_observed([limit({"provider": "openai"}, each="key")], "openai", keys=2)
    assert limits_observed([limit({"provider": "openai", "key": "k1"})], "openai", keys=2)


def test_where_callers_have_keys_limits_of_theirs_follow_nothing() -> None:
    callers, providers = limit({"provider": "openai"}, each="key"), limit({"provider": "openai"}, each="provider_key")
    assert not limits_observed([callers], "openai", key="provider_key")
    assert limits_observed([providers], "openai", keys=2, key="provider_key")
    assert not limits_observed([callers, limit({"provider": "openai"})], "openai", keys=2, key="provider_key")
    assert not limits_observed([providers], "openai", keys=2)
