"""Headers about rate limits: each provider's form, and whatever else may stand there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.sim import quirks
from bursar.sim.anthropic import rate_headers as anthropic_headers
from bursar.sim.limits import DAY_MS, MINUTE_MS, Meter, RateLimit, openai_headers
from bursar.wire.rate_headers import LIMIT_MAX, RESET_MS_MAX, Observation, go_duration_ms, read_rate_headers

FORMS = ("openai", "groq", "anthropic", "mistral", "cerebras", "openrouter")
DATE = "Sun, 22 Nov 2026 20:55:00 GMT"
DATE_MS = 1_795_380_900_000


def openai(kind: str, limit: object, remaining: object, reset: object) -> dict[str, str]:
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{part}-{kind}": str(value) for part, value in values.items() if value is not None}


# Durations


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("15.246s", 15_246), ("5ms", 5), ("6m0s", 360_000), ("1m30.951s", 90_951), ("2m59.56s", 179_560),
        ("7.66s", 7_660), ("24h0m0s", 86_400_000), ("0s", 0), ("1.5ms", 2), ("250µs", 1), ("250us", 1), ("7ns", 1),
        ("1h2m", 3_720_000), ("60", 60_000), ("0", 0), ("11.382867097855", 11_383), ("33011.382867", 33_011_383),
        ("88ms", 88), ("1m4.101s", 64_101), ("0.001s", 1), ("2.007s", 2_007), ("744h0m0s", RESET_MS_MAX),
    ],
)  # fmt: skip
def test_durations(text: str, milliseconds: int) -> None:
    assert go_duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    ["", "-1", "-5s", "soon", "s", "1.s", "1d", "1e3s", "nan", "inf", "5 ms", "5ms ", "9" * 400, "744h0m1s", "٣s"],
)
def test_what_is_no_duration(text: str) -> None:
    assert go_duration_ms(text) is None


@given(st.integers(0, RESET_MS_MAX))
def test_whole_milliseconds_stay_what_they_are(milliseconds: int) -> None:
    seconds, rest = divmod(milliseconds, 1_000)
    assert go_duration_ms(f"{seconds}.{rest:03d}s") == milliseconds
    assert go_duration_ms(f"{seconds // 60}m{seconds % 60}.{rest:03d}s") in (milliseconds, None)
    if milliseconds < 9_999_999:
        assert go_duration_ms(f"{seconds // 60}m{seconds % 60}.{rest:03d}s") == milliseconds


# OpenAI: the same names for the limit of the minute and that of the day


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "period"),
    [
        # As published and recorded: 500 a minute, 10,000 a day, 200,000 tokens a minute.
        (500, 499, "120ms", "minute"),
        (10_000, 9_998, "16.96s", "day"),
        (10_000, 9_992, "1m4.101s", "day"),
        (10_000, 9_993, "57.922s", "day"),
        (200_000, 199_957, "12ms", "minute"),
        (200_000, 199_706, "88ms", "minute"),
        (200_000, 199_207, "237ms", "minute"),
        # A rounded millisecond among many units does not make a day of a minute.
        (2_000_000, 1_999_940, "2ms", "minute"),
        (60, 0, "1m0s", "minute"),
        (200, 0, "24h0m0s", "day"),
        (100, 50, "30m0s", "hour"),
        (100, 0, "1s", "second"),
    ],
)
def test_the_period_of_openais_limits_follows_from_the_numbers(
    limit: int, remaining: int, reset: str, period: str
) -> None:
    (seen,) = read_rate_headers("openai", openai("requests", limit, remaining, reset))
    assert (seen.period, seen.limit, seen.remaining) == (period, limit, remaining)
    assert seen.resets_in_ms == go_duration_ms(reset)
    assert not seen.at_once


def test_of_a_limit_that_nobody_uses_no_period_is_guessed() -> None:
    assert read_rate_headers("openai", openai("requests", 500, 500, "0s")) == ()


def test_a_period_longer_than_a_day_is_none_of_ours() -> None:
    assert read_rate_headers("openai", openai("requests", 10, 0, "700h0m0s")) == ()


@given(
    st.sampled_from([("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)]),
    st.integers(60, 2_000_000),
    st.integers(0, 10**6),
)
def test_the_period_is_found_from_whatever_a_continuous_bucket_shows(
    period: tuple[str, int], limit: int, share: int
) -> None:
    """Above two thirds of a period's length apart from the next shorter one, which 60 units always are."""
    name, period_ms = period
    level = limit * period_ms * share // 10**6
    used, reset_ms = -(-level // period_ms), -(-level // limit)
    if used < 60 or reset_ms < 60:
        return
    (seen,) = read_rate_headers("openai", openai("tokens", limit, limit - used, f"{reset_ms / 1000:.3f}s"))
    assert seen.period == name


def test_azure_writes_whole_seconds_and_what_it_does_not_know_as_minus_one() -> None:
    found = read_rate_headers("openai", openai("requests", 200, 0, 86_400) | openai("tokens", -1, -1, 0))
    assert found == (Observation("requests", "minute", 200, 0, 86_400_000),)
    assert read_rate_headers("openai", openai("requests", 200, 200, 0)) == (
        Observation("requests", "minute", 200, 200, 0),
    )
    assert read_rate_headers("openai", openai("requests", 200, 150, None)) == (
        Observation("requests", "minute", 200, 150, None),
    )


# The other forms


def test_groq_limits_requests_by_the_day_and_tokens_by_the_minute() -> None:
    headers = openai("requests", 14_400, 14_370, "2m59.56s") | openai("tokens", 18_000, 17_997, "7.66s")
    assert read_rate_headers("groq", headers) == (
        Observation("requests", "day", 14_400, 14_370, 179_560),
        Observation("tokens", "minute", 18_000, 17_997, 7_660),
    )


def anthropic(kind: str, limit: object, remaining: object, reset: str) -> dict[str, str]:
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"anthropic-ratelimit-{kind}-{part}": str(value) for part, value in values.items()}


def test_anthropic_limits_four_kinds_until_an_instant() -> None:
    headers = {"date": DATE, "retry-after": "17"}
    for kind, limit in (("requests", 4_000), ("tokens", 480_000), ("input-tokens", 400_000), ("output-tokens", 80_000)):
        headers |= anthropic(kind, limit, limit // 2, "2026-11-22T20:55:30Z")
    assert read_rate_headers("anthropic", headers) == (
        Observation("requests", "minute", 4_000, 2_000, 30_000),
        Observation("tokens", "minute", 480_000, 240_000, 30_000),
        Observation("input_tokens", "minute", 400_000, 200_000, 30_000),
        Observation("output_tokens", "minute", 80_000, 40_000, 30_000),
    )


@pytest.mark.parametrize(
    ("reset", "date"),
    [
        ("2026-11-22T20:55:30Z", None),
        ("2026-11-22T20:55:30Z", "yesterday"),
        ("2026-11-22T20:55:30Z", "Sun, 99 Nov 2026 20:55:00 GMT"),
        ("2026-11-22T20:55:30", DATE),
        ("2026-11-22T20:54:59Z", DATE),
        ("2036-11-22T20:55:30Z", DATE),
        ("soon", DATE),
        ("", DATE),
    ],
)
def test_a_reset_that_is_no_instant_to_come_is_not_known(reset: str, date: str | None) -> None:
    headers = anthropic("requests", 50, 49, reset) | ({} if date is None else {"date": date})
    assert read_rate_headers("anthropic", headers) == (Observation("requests", "minute", 50, 49, None),)


def test_mistral_says_no_resets() -> None:
    headers = {
        "x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "12",
        "x-ratelimit-limit-tokens-minute": "500000", "x-ratelimit-remaining-tokens-minute": "0",
        "x-ratelimit-tokens-query-cost": "32010",
    }  # fmt: skip
    assert read_rate_headers("mistral", headers) == (
        Observation("requests", "minute", 60, 12),
        Observation("tokens", "minute", 500_000, 0),
    )


def test_cerebras_counts_seconds_with_a_fraction() -> None:
    headers = openai("requests-day", 14_400, 14_399, "33011.382867097855")
    headers |= openai("tokens-minute", 60_000, 59_988, "11.382867097855")
    assert read_rate_headers("cerebras", headers) == (
        Observation("requests", "day", 14_400, 14_399, 33_011_383),
        Observation("tokens", "minute", 60_000, 59_988, 11_383),
    )


@pytest.mark.parametrize(("until_ms", "period"), [(20_000, "minute"), (60_000, "minute"), (11_100_000, "day")])
def test_openrouter_shows_a_window_that_ends_at_once(until_ms: int, period: Any) -> None:
    headers = {"date": DATE, "x-ratelimit-limit": "50", "x-ratelimit-remaining": "0"}
    headers["x-ratelimit-reset"] = str(DATE_MS + until_ms)
    seen = Observation("requests", period, 50, 0, until_ms, at_once=True)
    assert read_rate_headers("openrouter", headers) == (seen,)


@pytest.mark.parametrize("reset", ["", "-1", "0", "12", "9" * 30, "9" * 5_000, "tomorrow"])
def test_a_window_of_openrouters_without_an_end_says_nothing(reset: str) -> None:
    headers = {"date": DATE, "x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
    assert read_rate_headers("openrouter", headers) == ()


# What makes no sense


@pytest.mark.parametrize(
    ("limit", "remaining"),
    [
        (0, 0), (-1, -1), (10, -1), (10, 11), (10, ""), (10, None), ("", 0), ("ten", 1), (10, "9.5"), ("1e3", 1),
        ("²", 1), (LIMIT_MAX + 1, 5), ("9" * 5_000, 5), (10, "9" * 5_000), (" ", " "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["openai", "groq"])
def test_numbers_that_are_no_limit_are_passed_over(form: str, limit: object, remaining: object) -> None:
    assert read_rate_headers(form, openai("requests", limit, remaining, "1s")) == ()
    others = openai("requests", limit, remaining, "1s") | openai("tokens", 100, 40, "36s")
    assert read_rate_headers(form, others) == (Observation("tokens", "minute", 100, 40, 36_000),)


TEXTS = st.one_of(
    st.text(max_size=30), st.integers(-5, 10**14).map(str), st.floats().map(str), st.sampled_from([DATE, "5ms", "1m0s"])
)
NAMES = st.sampled_from(
    [f"x-ratelimit-{part}{kind}" for part in ("limit", "remaining", "reset")
     for kind in ("", "-requests", "-tokens", "-requests-day", "-tokens-minute", "-req-minute")]
    + [f"anthropic-ratelimit-{kind}-{part}" for part in ("limit", "remaining", "reset")
       for kind in ("requests", "tokens", "input-tokens", "output-tokens")]
    + ["date"]
)  # fmt: skip


@given(st.sampled_from(FORMS), st.dictionaries(NAMES, TEXTS, max_size=20))
def test_nothing_raises_and_what_is_seen_can_be_believed(form: str, headers: dict[str, str]) -> None:
    for seen in read_rate_headers(form, headers):
        assert 0 <= seen.remaining <= seen.limit <= LIMIT_MAX
        assert seen.limit > 0
        assert seen.period in ("second", "minute", "hour", "day")
        assert seen.resets_in_ms is None or 0 <= seen.resets_in_ms <= RESET_MS_MAX


@pytest.mark.parametrize("form", ["", "unheard-of"])
def test_an_unknown_form_says_nothing(form: str) -> None:
    assert read_rate_headers(form, openai("requests", 10, 5, "1s")) == ()


# What the simulator writes, by its own code


SIMULATED: list[tuple[str, Callable[[Meter, int], Any], int]] = [
    ("openai", openai_headers, MINUTE_MS),
    ("openai", quirks.azure_headers, MINUTE_MS),
    ("groq", openai_headers, DAY_MS),
    ("mistral", quirks.mistral_headers, MINUTE_MS),
    ("cerebras", quirks.cerebras_headers, DAY_MS),
    ("anthropic", anthropic_headers, MINUTE_MS),
]


@pytest.mark.parametrize(("form", "write", "requests_ms"), SIMULATED)
def test_what_a_simulated_provider_shows_is_what_it_has(form: str, write: Any, requests_ms: int) -> None:
    meter = Meter(RateLimit(requests=100, tokens=50_000), requests_ms, lambda: DATE_MS)
    for _ in range(7):
        assert meter.take(3_000) is None
    headers = {"date": DATE, **{name.lower(): value for name, value in write(meter, DATE_MS)}}
    found = {str(seen.meter): seen for seen in read_rate_headers(form, headers)}
    tokens = "input_tokens" if form == "anthropic" else "tokens"
    assert (found["requests"].limit, found["requests"].remaining) == (100, 93)
    assert (found[tokens].limit, found[tokens].remaining) == (50_000, 29_000)
    assert found["requests"].period == ("day" if requests_ms == DAY_MS else "minute")
    assert found[tokens].period == "minute"
    if form != "mistral":
        assert found["requests"].resets_in_ms == pytest.approx(requests_ms * 0.07, abs=1_000)


# Real ones


def recorded() -> Iterator[dict[str, str]]:
    folder = os.environ.get("BURSAR_RECORDINGS")
    if not folder:
        pytest.skip("BURSAR_RECORDINGS names no folder: rate headers of real replies were NOT read")
    for path in sorted(Path(folder).glob("*/*.json")):
        headers = json.loads(path.read_text("utf-8")).get("response", {}).get("headers") or {}
        if any("ratelimit" in name.lower() for name in headers):
            yield {name.lower(): str(value) for name, value in headers.items()}


def test_recorded_headers_are_read() -> None:
    kinds = [
        (seen.meter, seen.limit, seen.period) for headers in recorded() for seen in read_rate_headers("openai", headers)
    ]
    assert set(kinds) == {("requests", 10_000, "day"), ("requests", 500, "minute"), ("tokens", 200_000, "minute")}
    assert len(kinds) >= 14
