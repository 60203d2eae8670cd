"""Limits over real calls: every key of the seed's and of `limits` acts, in both stores, before the provider refuses."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.call.events import Event, LimitBeyondProvider
from bursar.errors import LimitExceededError, ProviderRateLimitError
from bursar.sim.config import SimConfig
from bursar.sim.limits import RateLimit
from tests.client.colours import Teller, opened, standing_still
from tests.client.simulator import KEY, Sim, simulating

# Input of about 30 tokens, output of exactly 40; at OpenAI the whole output limit of 50 counts.
PROMPT = "[[tokens=40]]" + " river" * 20
STALLING = f"{PROMPT} [[fault=stall:60]]"
ASK = {"max_tokens": 50, "max_wait_seconds": 0}
FINGERPRINT = f"openai:{hashlib.sha256(KEY.encode()).hexdigest()[:8]}"


@pytest.fixture(params=["memory", "sqlite"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/bursar.db"


async def two(llm: Teller, sim: Sim, prompt: str = PROMPT, **options: Any) -> LimitExceededError:
    """Make two calls at once, of which one is refused, and nothing is sent for it. Ends what stalls."""
    with standing_still(llm.client._engine):
        calls = [asyncio.create_task(llm.chat(prompt, **{**ASK, **options})) for _ in range(2)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
        sim.release()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, LimitExceededError)]
    assert len(refused) == 1, outcomes
    return refused[0]


# The seed's keys


@pytest.mark.parametrize(
    ("key", "capacity", "meter", "period_seconds"),
    [
        ("requests_per_minute", 1, "requests", 60),
        ("requests_per_day", 1, "requests", 86_400),
        ("tokens_per_minute", 120, "tokens", 60),
        ("tokens_per_day", 120, "tokens", 86_400),
        ("concurrent_requests", 1, "in_flight", None),
    ],
)
async def test_the_seeds_limits_act(
    sim: Sim, colour: str, books: str, key: str, capacity: int, meter: str, period_seconds: int | None
) -> None:
    async with opened(colour, sim.config(openai={key: capacity}), books=books) as llm:
        error = await two(llm, sim, PROMPT if period_seconds else STALLING)
        assert (error.limit, error.meter, error.capacity) == (f"openai.{key}", meter, capacity)
        assert f"'openai.{key}'" in str(error)
        assert error.retry_after_seconds is not None
        if period_seconds is None:
            assert (await llm.chat(PROMPT, **ASK)).text, "the place is free again"
        else:
            needed = 1 if meter == "requests" else error.needed
            most = period_seconds * needed / capacity
            assert most * 0.5 < error.retry_after_seconds <= most
        assert (await llm.chat(PROMPT, model="groq/llama-3.1-8b-instant", **ASK)).text, "others are not held up"
        assert len(sim.entries()) == (3 if period_seconds is None else 2)


# Every dimension


@pytest.mark.parametrize("period", ["second", "minute", "hour", "day"])
@pytest.mark.parametrize(
    ("meter", "capacity"), [("requests", 1), ("tokens", 150), ("input_tokens", 80), ("output_tokens", 70)]
)
async def test_every_meter_and_period(sim: Sim, books: str, meter: str, capacity: int, period: str) -> None:
    config = {**sim.config(), "limits": {"mine": {meter: capacity, "per": period}}}
    async with opened("async", config, books=books) as llm:
        error = await two(llm, sim)
        assert (error.limit, error.meter, error.capacity) == ("mine", meter, capacity)
        assert 0 < (error.retry_after_seconds or 0) <= {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}[period]
        assert len(sim.entries()) == 1


OTHER = {"model": "groq/llama-3.1-8b-instant"}
SCOPES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("of a provider", {"only": {"provider": "openai"}}, {}, OTHER),
    ("each provider", {"each": "provider"}, {}, OTHER),
    ("of a model", {"only": {"model": "openai/gpt-4o-mini"}}, {}, {"model": "openai/gpt-4o"}),
    ("each model", {"each": "model"}, {}, {"model": "openai/gpt-4o"}),
    ("of a key", {"only": {"key": FINGERPRINT}}, {}, OTHER),
    ("each key", {"each": "key"}, {}, OTHER),
    ("of a user", {"only": {"user": "ann"}}, {"user": "ann"}, {"user": "bob"}),
    ("each user", {"each": "user"}, {"user": "ann"}, {"user": "bob"}),
    ("of a session", {"only": {"session": "s1"}}, {"session": "s1"}, {"session": "s2"}),
    ("each session", {"each": "session"}, {"session": "s1"}, {}),
    ("of a tag", {"only": {"team": "search"}}, {"tags": {"team": "search"}}, {"tags": {"team": "ads"}}),
    ("each value of a tag", {"each": "team"}, {"tags": {"team": "search"}}, {"tags": {"team": "ads"}}),
    (
        "of a user at a provider",
        {"only": {"provider": "openai"}, "each": "user"},
        {"user": "a"},
        {"user": "a", **OTHER},
    ),
]


@pytest.mark.parametrize(("scope", "bound", "free"), [one[1:] for one in SCOPES], ids=[one[0] for one in SCOPES])
@pytest.mark.parametrize("counted", [{"requests": 1, "per": "day"}, {"in_flight": 1}], ids=["rate", "in flight"])
async def test_every_scope(sim: Sim, books: str, counted: Any, scope: Any, bound: Any, free: Any) -> None:
    config = {**sim.config(), "limits": {"mine": {**counted, **scope}}}
    async with opened("async", config, books=books) as llm:
        error = await two(llm, sim, STALLING, **bound)
        assert error.limit == "mine"
        calls = [llm.chat(PROMPT, **{**ASK, **options}) for options in (free, bound)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert not isinstance(outcomes[0], BaseException)
        assert isinstance(outcomes[1], LimitExceededError) == ("requests" in counted)


async def test_a_call_without_the_value_is_refused_where_asked_for(sim: Sim, books: str) -> None:
    limit = {"requests": 5, "per": "day", "each": "user", "missing": "refuse"}
    async with opened("async", {**sim.config(), "limits": {"mine": limit}}, books=books) as llm:
        with pytest.raises(LimitExceededError, match="pass user=") as raised:
            await llm.chat(PROMPT, **ASK)
        assert not raised.value.retryable
        assert (await llm.chat(PROMPT, user="ann", **ASK)).text


async def test_of_several_limits_the_most_restrictive_is_told(sim: Sim, books: str) -> None:
    limits = {
        "brief": {"requests": 1, "per": "minute"},
        "long": {"tokens": 120, "per": "hour"},
        "wide": {"requests": 100, "per": "day"},
    }
    async with opened("async", {**sim.config(), "limits": limits}, books=books) as llm:
        assert (await two(llm, sim)).limit == "long"
        standing = {name: balance.spent for name, balance in llm.budgets().items()}
        assert (standing["brief"], standing["wide"]) == (1, 1), "the refused one has taken nothing"


# The way back


async def test_retried_after_the_wait_it_is_served(sim: Sim, colour: str, books: str) -> None:
    config = {**sim.config(), "limits": {"mine": {"requests": 2, "per": "second"}}}
    async with opened(colour, config, books=books) as llm:
        with standing_still(llm.client._engine):
            calls = [llm.chat(PROMPT, **ASK) for _ in range(3)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        (error,) = [one for one in outcomes if isinstance(one, LimitExceededError)]
        assert error.retry_after_seconds is not None
        await asyncio.sleep(error.retry_after_seconds)
        assert (await llm.chat(PROMPT, **ASK)).text


async def test_a_call_larger_than_the_limit_is_told_that_it_never_fits(sim: Sim, books: str) -> None:
    async with opened("async", sim.config(openai={"tokens_per_minute": 70}), books=books) as llm:
        with pytest.raises(LimitExceededError, match="never fit") as raised:
            await llm.chat(PROMPT, max_tokens=50, max_wait_seconds=30)
        assert (raised.value.retryable, raised.value.retry_after_seconds) == (False, None)
        assert sim.entries() == []


# What comes back when a call has ended


@pytest.mark.parametrize(("settles", "counts"), [("actual", 40), ("reserved", 50)])
async def test_what_was_not_used_comes_back_where_the_provider_counts_the_use(
    sim: Sim, colour: str, books: str, settles: str, counts: int
) -> None:
    keys = {"settles": settles}
    limits = {"out": {"output_tokens": 1_000, "per": "day"}, "all": {"tokens": 1_000, "per": "day"}}
    async with opened(colour, {**sim.config(openai=keys), "limits": limits}, books=books) as llm:
        reply = await llm.chat(PROMPT, max_tokens=50)
        assert reply.usage.output_tokens == 40
        standing = {name: balance.spent for name, balance in llm.budgets().items()}
        assert standing["out"] == counts
        if settles == "actual":
            assert standing["all"] == reply.usage.total_tokens
        else:
            assert standing["all"] >= reply.usage.input_tokens + 50


# Against a provider that keeps limits of its own


@pytest.fixture
def shared() -> Iterator[Sim]:
    """A simulator at which OpenAI allows 50 requests a minute to everyone who has the key."""
    with simulating(SimConfig(limits={"openai": RateLimit(requests=50)})) as sim:
        yield sim


async def test_what_others_use_of_a_providers_limit_is_seen(shared: Sim, colour: str, books: str) -> None:
    async with opened("async", shared.config()) as other:
        await asyncio.gather(*(other.chat("hi") for _ in range(40)))
    async with opened(colour, shared.config(openai={"requests_per_minute": 50}), books=books) as llm:
        await llm.chat("hi")
        # 9, and one more for each 1.2 seconds that the calls took.
        assert 8 <= llm.budgets()["openai.requests_per_minute"].left < 40


async def test_a_limit_beyond_the_providers_is_told(shared: Sim, colour: str, books: str) -> None:
    async with opened(colour, shared.config(openai={"requests_per_minute": 5_000}), books=books) as llm:
        told: list[Event] = []
        llm.client._engine.watch(told.append)
        with standing_still(llm.client._engine):
            reply = await llm.chat("hi")
            assert llm.budgets()["openai.requests_per_minute"].left <= 53
        (beyond,) = [event for event in told if isinstance(event, LimitBeyondProvider)]
        assert beyond == LimitBeyondProvider(reply.call_id, "openai", "openai.requests_per_minute", 50)


async def test_limits_of_users_follow_no_provider(shared: Sim, colour: str) -> None:
    config = {**shared.config(), "limits": {"users": {"requests": 5_000, "per": "minute", "each": "user"}}}
    async with opened(colour, config) as llm:
        await llm.chat("hi", user="ann")
        assert llm.budgets()["users:ann"].left >= 4_999


async def test_when_the_provider_asks_to_wait_all_calls_do(sim: Sim, colour: str, books: str) -> None:
    async with opened(colour, sim.config(openai={"requests_per_minute": 6_000}), books=books) as llm:
        with sim.faults("status:429,retry_after=0.4,times=1"):
            with pytest.raises(ProviderRateLimitError) as told:
                await llm.chat("hi")
            asked, elsewhere = await asyncio.gather(
                llm.chat("hi"), llm.chat("hi", model="groq/llama-3.1-8b-instant", max_wait_seconds=0)
            )
        refused, waited = (llm.facts(call_id)[0] for call_id in (told.value.call_id, asked.call_id))
        assert waited.reserved_ms - refused.ended_ms >= 390
        assert elsewhere.text, "others are not held up"


@pytest.fixture(scope="module")
def strict() -> Iterator[Sim]:
    """A simulator that allows OpenAI 30 requests and Groq 9,000 tokens a second, and no more at once."""
    limits = {"openai": RateLimit(requests=30), "groq": RateLimit(tokens=9_000)}
    with simulating(SimConfig(limits=limits, limit_speed=60)) as sim:
        yield sim


def refusals(sim: Sim) -> int:
    return sum(entry.status == 429 for entry in sim.entries())


@pytest.mark.parametrize(
    ("provider", "limit", "model"),
    [
        ("openai", {"requests": 30, "per": "second"}, "openai/gpt-4o-mini"),
        ("groq", {"tokens": 9_000, "per": "second"}, "groq/llama-3.1-8b-instant"),
    ],
)
async def test_a_burst_is_spread_so_that_the_provider_hardly_refuses(
    strict: Sim, colour: str, provider: str, limit: dict[str, Any], model: str
) -> None:
    strict.reset()
    config = {
        **strict.config(**{provider: {"max_retries": 10}}),
        "limits": {"mine": {**limit, "only": {"provider": provider}}},
    }
    async with opened(colour, config) as llm:
        ask = {"model": model, "max_tokens": 100, "max_wait_seconds": 20}
        await asyncio.gather(*(llm.chat("[[tokens=100]]" + " river" * 80, **ask) for _ in range(60)))
        # At full speed hardly any are (bench.limits); here a second stands for a minute, and a busy machine is late.
        assert refusals(strict) < 30
        assert len(strict.entries()) == 60 + refusals(strict)


async def test_a_maximum_that_money_imposes_does_not_use_up_the_tokens_of_a_minute(colour: str) -> None:
    """Without an output limit of the caller's, OpenAI would reserve the 16,384 that a budget can afford."""
    with simulating(SimConfig(limits={"openai": RateLimit(tokens=50_000)}, limit_speed=60)) as sim:
        limits = {"mine": {"tokens": 50_000, "per": "second", "only": {"provider": "openai"}}}
        config = {**sim.config(openai={"max_retries": 10}), "limits": limits}
        async with opened(colour, config, budget_usd=1_000) as llm:
            replies = await asyncio.gather(*(llm.chat("[[tokens=100]]", max_wait_seconds=20) for _ in range(40)))
            assert refusals(sim) < 20
            limited = [reply.receipt.output_tokens_max or 0 for reply in replies]
            assert 1_024 <= min(limited) < max(limited) <= 12_500
            assert {reply.receipt.capped_by for reply in replies} == {"mine"}
