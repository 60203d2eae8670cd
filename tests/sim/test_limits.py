"""The simulator's rate limits: exact buckets, both meters or neither, and what the headers say."""

from __future__ import annotations

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.limits import MINUTE_MS, Bucket, Meter, RateLimit, go_duration, openai_headers, parse_limit
from tests.sim.client import Caller, calling


def test_a_bucket_says_exactly_when_it_fits() -> None:
    bucket = Bucket(3, MINUTE_MS)
    bucket.drain(1_000)
    for _ in range(3):
        assert bucket.wait_ms(1) == 0
        bucket.take(1)
    assert (bucket.remaining, bucket.used, bucket.reset_ms) == (0, 3, 60_000)
    assert bucket.wait_ms(1) == 20_000
    assert bucket.wait_ms(4) is None
    bucket.drain(1_000 + 19_999)
    assert bucket.wait_ms(1) == 1
    bucket.drain(1_000 + 20_000)
    assert bucket.wait_ms(1) == 0
    bucket.drain(0)
    assert bucket.wait_ms(1) == 0


def test_a_denied_request_takes_nothing() -> None:
    now = 0
    meter = Meter(RateLimit(requests=10, tokens=100), MINUTE_MS, lambda: now)
    assert meter.take(90) is None
    denial = meter.take(20)
    assert denial is not None
    assert (denial.meter, denial.wait_ms) == ("tokens", 6_000)
    assert dict(openai_headers(meter, 0))["x-ratelimit-remaining-requests"] == "9"
    meter.give_back(50)
    assert meter.take(60) is None


def test_limits_can_refill_faster_than_real_ones() -> None:
    now = 0
    meter = Meter(RateLimit(requests=10, tokens=100), MINUTE_MS, lambda: now, speed=60)
    assert meter.take(100) is None
    denial = meter.take(50)
    assert denial is not None
    assert (denial.meter, denial.wait_ms) == ("tokens", 500)
    shown = dict(openai_headers(meter, 0))
    assert (shown["x-ratelimit-limit-requests"], shown["x-ratelimit-reset-requests"]) == ("10", "100ms")
    with pytest.raises(ValueError, match="limit speed 0"):
        SimConfig(limit_speed=0)


def test_go_durations_and_written_limits() -> None:
    assert go_duration(7_660) == "7.66s"
    assert go_duration(179_560) == "2m59.56s"
    assert go_duration(3_600_000) == "1h0m0s"
    assert parse_limit("groq:requests=5,tokens=10") == ("groq", RateLimit(5, 10))
    for wrong in ("groq", "groq:", "groq:requests", "groq:requests=x", "groq:rpm=5", "groq:requests=0"):
        with pytest.raises(ValueError, match="limit"):
            parse_limit(wrong)


@pytest.mark.parametrize("provider", ["openai", "openrouter", "groq", "generic"])
async def test_the_limit_is_enforced_in_the_providers_own_form(provider: str) -> None:
    async with calling(SimConfig(limits={provider: RateLimit(requests=2)})) as caller:
        assert [(await caller.chat(provider)).status for _ in range(2)] == [200, 200]
        refused = await caller.chat(provider)
        assert refused.status == 429
        most = 43_200 if provider == "groq" else 30
        assert 1 <= int(refused.headers["retry-after"]) <= most
        check = {"openai": check_openai, "groq": check_groq, "openrouter": check_openrouter, "generic": check_generic}
        check[provider](refused.json["error"], refused.headers)
        assert (await caller.record())[-1]["billed_nano_usd"] == 0


def check_openai(error: dict[str, object], headers: dict[str, str]) -> None:
    assert (error["type"], error["code"], error["param"]) == ("requests", "rate_limit_exceeded", None)
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert 0 < int(headers["retry-after-ms"]) <= 30_000


def check_groq(error: dict[str, object], headers: dict[str, str]) -> None:
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert "param" not in error
    assert headers["x-ratelimit-reset-requests"].startswith(("23h", "24h"))


def check_openrouter(error: dict[str, object], headers: dict[str, str]) -> None:
    assert error["code"] == 429
    assert headers["x-ratelimit-limit"] == "2"
    assert int(headers["x-ratelimit-reset"]) > 1_700_000_000_000


def check_generic(error: dict[str, object], headers: dict[str, str]) -> None:
    assert error["code"] == 429
    assert not any(name.startswith("x-ratelimit") for name in headers)


async def test_a_request_that_is_to_fail_takes_nothing() -> None:
    async with calling(SimConfig(limits={"openai": RateLimit(requests=1)})) as caller:
        assert (await caller.chat("openai", "[[fault=status:503]]")).status == 503
        assert [(await caller.chat("openai")).status for _ in range(2)] == [200, 429]


async def test_openai_keeps_what_was_reserved_and_groq_gives_it_back() -> None:
    limits = {"openai": RateLimit(tokens=10_000), "groq": RateLimit(tokens=10_000)}
    async with calling(SimConfig(limits=limits)) as caller:
        left = {name: await remaining_after(caller, name) for name in limits}
    assert left["openai"] < 5_100
    assert left["groq"] > 9_900


async def remaining_after(caller: Caller, provider: str) -> int:
    await caller.chat(provider, "[[tokens=5]]", max_tokens=5_000)
    answer = await caller.chat(provider, "[[tokens=1]]", max_tokens=1)
    return int(answer.headers["x-ratelimit-remaining-tokens"])


async def test_a_request_larger_than_the_limit_is_told_no_time() -> None:
    async with calling(SimConfig(limits={"openai": RateLimit(tokens=100)})) as caller:
        refused = await caller.chat("openai", max_tokens=1_000)
        assert refused.status == 429
        assert "retry-after" not in refused.headers


async def test_without_limits_the_headers_show_limits_too_large_to_matter() -> None:
    async with calling() as caller:
        for _ in range(3):
            answer = await caller.chat("openai")
        assert int(answer.headers["x-ratelimit-remaining-requests"]) > 10**8
        assert not any("ratelimit" in name for name in (await caller.chat("openrouter")).headers)
