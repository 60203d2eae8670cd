"""Calls of several attempts, in both colours: who is asked again and when, what they cost, and what is told of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

import bursar
from bursar.call.events import AttemptFailed, Event
from bursar.errors import (
    CircuitBreakerError,
    ProviderRateLimitError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from tests.client.colours import Teller, opened, until
from tests.client.failing_server import FailingServer, failing_server
from tests.client.simulator import Sim

GROQ = "groq/llama-3.1-8b-instant"
AGAIN = {"max_retries": 2, "retry_base_seconds": 0.01}


@pytest.fixture(scope="module")
def failing() -> Iterator[FailingServer]:
    with failing_server() as server:
        yield server


async def ask(llm: Teller, shape: str, **options: Any) -> bursar.Reply:
    """A call that must not hang, whole or streamed."""
    options.setdefault("max_tokens", 50)
    if shape == "whole":
        return await asyncio.wait_for(llm.chat(**options), 20)
    seen = await asyncio.wait_for(llm.stream(**options), 20)
    assert isinstance(seen.reply, bursar.Reply)
    assert seen.text == seen.reply.text, "nobody saw the beginning of the one that failed"
    return seen.reply


def check(llm: Teller, *servers: Sim | FailingServer) -> None:
    """Nothing is held or in use, ids are unique, certain rows are the bill and others not below it."""
    facts = llm.facts()
    balance = llm.budgets()["client"]
    assert balance.held == 0
    assert balance.spent == sum(fact.charged_nano_usd for fact in facts)
    assert llm.seats() == 0
    assert len({fact.attempt_id for fact in facts}) == len(facts)
    for fact in facts:
        billed = sum(
            server.billed(fact.attempt_id) if isinstance(server, Sim) else server.billed[fact.attempt_id]
            for server in servers
        )
        assert fact.charged_nano_usd == (billed if fact.certain else fact.bound_nano_usd)
        assert fact.charged_nano_usd >= billed


PASSING = ("unavailable", "rate_limited_for_milliseconds", "reset_before_the_head", "reset_after_the_head",
           "reset_before_output", "error_body", "no_answer", "no_first_token")  # fmt: skip


@pytest.mark.parametrize("shape", ["whole", "streamed"])
@pytest.mark.parametrize("failure", PASSING)
async def test_the_same_candidate_answers_the_second_time(
    sim: Sim, failing: FailingServer, colour: str, failure: str, shape: str
) -> None:
    keys = {**AGAIN, "base_url": failing.base(failure, once=True), "read_timeout": 0.1}
    async with opened(colour, sim.config(openai=keys), budget_usd=5) as llm:
        reply = await ask(llm, shape)
        assert reply.text == "Rhine, Nile"
        second, first = llm.facts()
        assert (first.attempt_id, second.attempt_id) == (f"{reply.call_id}.0", f"{reply.call_id}.1")
        assert (first.ending == "ok", second.ending) == (False, "ok")
        assert reply.receipt.attempt_id == second.attempt_id
        (earlier,) = reply.receipt.earlier
        assert earlier == ("openai", "gpt-4o-mini", first.error_code, first.charged_nano_usd)
        assert llm.client.statistics()["went_on"] == {"openai/gpt-4o-mini": {"retries": 1, "fallbacks": 0}}
        check(llm, failing)


HOPELESS = ("status:400", "status:401", "status:402", "status:404,code=model_not_found", "malformed_json",
            "status:429,code=insufficient_quota", "status:400,code=content_filter")  # fmt: skip


@pytest.mark.parametrize("fault", HOPELESS)
async def test_what_would_fail_again_is_not_sent_again(sim: Sim, colour: str, fault: str) -> None:
    async with opened(colour, sim.config(openai=AGAIN), budget_usd=5) as llm:
        with sim.faults(fault), pytest.raises(bursar.ProviderError) as raised:
            await ask(llm, "whole")
        assert raised.value.attempts == len(llm.facts()) == len(sim.entries()) == 1
        check(llm, sim)


async def test_an_error_stands_for_all_attempts_of_its_call(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai=AGAIN), budget_usd=5) as llm:
        with sim.faults("status:502"), pytest.raises(ProviderUnavailableError) as raised:
            await ask(llm, "whole")
        error, facts = raised.value, llm.facts()
        assert error.attempts == len(facts) == 3
        assert [fact.attempt_id.rpartition(".")[2] for fact in facts] == ["2", "1", "0"]
        assert [(one.error_code, one.charged_nano_usd) for one in error.earlier] == [
            ("bad_gateway", fact.bound_nano_usd) for fact in facts[1:]
        ]
        assert error.cost is not None
        assert error.cost.nano_usd is None, "nobody knows what they cost together"
        check(llm, sim)


async def test_what_one_attempt_sent_and_may_cost_is_not_hidden_by_the_next(sim: Sim, colour: str) -> None:
    dead = {"base_url": "http://127.0.0.1:1/v1"}
    async with opened(colour, sim.config(groq=dead), budget_usd=5) as llm:
        with (
            sim.faults("status:502"),
            pytest.raises(ProviderUnavailableError, match="Nothing was sent to it") as raised,
        ):
            await ask(llm, "whole", fallbacks=[GROQ])
        assert (raised.value.provider, raised.value.attempts, raised.value.sent) == ("groq", 2, True)
        assert raised.value.cost is not None
        assert raised.value.cost.nano_usd is None
        check(llm, sim)


# Deadlines


async def test_advice_beyond_the_deadline_is_not_waited_for(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai=AGAIN), budget_usd=5) as llm:
        with sim.faults("status:429,retry_after=30,provider=openai"):
            with pytest.raises(ProviderRateLimitError) as raised:
                await ask(llm, "whole", timeout=10)
            assert (raised.value.attempts, raised.value.retry_after_seconds) == (1, 30)
            reply = await ask(llm, "whole", timeout=10, fallbacks=[GROQ])
        assert reply.provider == "groq"
        check(llm, sim)


@pytest.mark.parametrize("shape", ["whole", "streamed"])
@pytest.mark.parametrize("failure", ["no_answer", "no_first_token", "endless_line", "unavailable"])
async def test_one_deadline_bounds_all_attempts(
    sim: Sim, failing: FailingServer, colour: str, failure: str, shape: str
) -> None:
    keys = {"max_retries": 20, "retry_base_seconds": 0.1, "base_url": failing.base(failure)}
    async with opened(colour, sim.config(openai=keys, groq=keys), budget_usd=5) as llm:
        with pytest.raises(bursar.ProviderError) as raised:
            await ask(llm, shape, timeout=0.25, fallbacks=[GROQ])
        if failure.startswith("no_"):
            assert isinstance(raised.value, ProviderTimeoutError)
            assert raised.value.attempts == 1, "nothing was left of the time for another"
        check(llm, failing)


@pytest.mark.parametrize(
    ("keys", "failure", "answers"),
    [({"first_token_timeout": 0.2}, "no_first_token", "groq"), ({"stall_timeout": 0.2}, "no_more", "")],
)
async def test_a_stream_that_is_silent_for_longer_than_it_may_be_is_given_up(
    sim: Sim, failing: FailingServer, colour: str, keys: dict[str, float], failure: str, answers: str
) -> None:
    config = sim.config(openai={**keys, "base_url": failing.base(failure)})
    async with opened(colour, config, budget_usd=5) as llm:
        if answers:
            assert (await ask(llm, "streamed", fallbacks=[GROQ])).provider == answers
        else:
            with pytest.raises(bursar.StreamInterruptedError) as raised:
                await ask(llm, "streamed", fallbacks=[GROQ])
            assert raised.value.reply.text == "Rhine, "
        check(llm, sim, failing)


# Money


@pytest.mark.parametrize("affordable", [1, 2, 3])
async def test_a_cap_on_one_call_counts_what_earlier_attempts_may_have_cost(
    sim: Sim, colour: str, affordable: int
) -> None:
    keys = {"max_retries": 5, "retry_base_seconds": 0.001}
    async with opened(colour, sim.config(openai=keys), budget_usd=5) as llm:
        bound = (await ask(llm, "whole")).receipt.held_nano_usd
        most = bound * affordable + bound // 2
        with sim.faults("status:502"), pytest.raises(ProviderUnavailableError) as raised:
            await ask(llm, "whole", max_cost_usd=f"{most / 10**9:.9f}")
        assert raised.value.attempts == affordable
        charged = [fact.charged_nano_usd for fact in llm.facts(raised.value.call_id or "")]
        assert sum(charged) == bound * affordable <= most
        check(llm, sim)


async def test_an_attempt_that_cost_nothing_leaves_the_cap_whole(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai=AGAIN), budget_usd=5) as llm:
        with sim.faults("status:503,times=2"):
            reply = await ask(llm, "whole", max_cost_usd="0.00007")
        assert len(reply.receipt.earlier) == 2
        assert reply.receipt.held_nano_usd * 2 > 70_000, "it would not have fitted twice"
        check(llm, sim)


async def test_a_cap_that_leaves_less_gives_a_smaller_elastic_limit(sim: Sim, colour: str) -> None:
    config = sim.config(openai={**AGAIN, "max_cost_per_request": 0.015})
    async with opened(colour, config, budget_usd=5) as llm:
        with sim.faults("status:502,times=1"):
            reply = await asyncio.wait_for(llm.chat("hi"), 20)
        second, first = llm.facts()
        assert first.charged_nano_usd == first.bound_nano_usd > 8_000_000
        assert 4_000_000 < second.bound_nano_usd <= 15_000_000 - first.bound_nano_usd
        assert reply.receipt.capped_by == "openai.max_cost_per_request"
        check(llm, sim)


# What is told of it


async def test_each_failed_attempt_is_told_logged_and_counted(
    sim: Sim, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Event] = []
    async with opened(colour, sim.config(openai=AGAIN), budget_usd=5) as llm:
        llm.client._engine.watch(told.append)
        with sim.faults("status:500,provider=openai"), caplog.at_level(logging.WARNING, "bursar"):
            reply = await ask(llm, "whole", messages="my secret prompt", fallbacks=[GROQ])
        failed = [event for event in told if isinstance(event, AttemptFailed)]
        assert [(event.next_provider, event.wait_ms > 0) for event in failed] == [
            ("openai", True), ("openai", True), ("groq", False),
        ]  # fmt: skip
        lines = [record.getMessage() for record in caplog.records if "attempt_failed" in record.getMessage()]
        assert len(lines) == 3
        assert lines[2].endswith(f"next={GROQ} wait_ms=0")
        assert all(f"call={reply.call_id} provider=openai" in line for line in lines)
        assert not any("secret" in line or "sk-sim" in line for line in lines)
        assert llm.client.statistics()["went_on"] == {"openai/gpt-4o-mini": {"retries": 2, "fallbacks": 1}}


# Outages


async def test_a_provider_that_is_down_is_served_around_and_returned_to(sim: Sim, colour: str) -> None:
    keys = {"circuit_breaker_threshold": 2, "circuit_breaker_timeout": 0.2, "max_retries": 0}
    async with opened(colour, sim.config(openai=keys), budget_usd=5) as llm:
        guard = llm.client._engine.breakers.of("openai", "gpt-4o-mini")
        with sim.faults("status:503,provider=openai"):
            for _ in range(2):
                assert (await ask(llm, "whole", fallbacks=[GROQ])).provider == "groq"
            assert guard.state == "open"
            asked = sim.desk.opened
            around = [await ask(llm, "whole", fallbacks=[GROQ]) for _ in range(5)]
            assert {reply.provider for reply in around} == {"groq"}
            assert sim.desk.opened == asked + 5, "the dead one is left alone"
            assert [one.error_code for reply in around for one in reply.receipt.earlier] == ["circuit_open"] * 5
            with pytest.raises(CircuitBreakerError, match="openai/gpt-4o-mini is open") as raised:
                await ask(llm, "whole")
            assert (raised.value.retry_after_seconds or 0) > 0
            assert raised.value.call_id
            await until(guard.allows)
            assert (await ask(llm, "whole", fallbacks=[GROQ])).provider == "groq", "the probe failed"
            assert guard.state == "open"
        await until(guard.allows)
        back = await ask(llm, "whole", fallbacks=[GROQ])
        assert (back.provider, back.receipt.earlier, guard.state) == ("openai", (), "closed")
        check(llm, sim)


async def test_a_breaker_that_a_failure_opens_ends_the_retries(sim: Sim, colour: str) -> None:
    keys = {"circuit_breaker_threshold": 2, "max_retries": 9, "retry_base_seconds": 0.001}
    async with opened(colour, sim.config(openai=keys), budget_usd=5) as llm:
        with sim.faults("status:503"), pytest.raises(ProviderUnavailableError) as raised:
            await ask(llm, "whole")
        assert raised.value.attempts == 2
        check(llm, sim)


async def test_where_all_are_left_alone_the_first_to_come_back_is_named(sim: Sim, colour: str) -> None:
    def dead(seconds: float) -> dict[str, Any]:
        return {"circuit_breaker_threshold": 1, "circuit_breaker_timeout": seconds}

    async with opened(colour, sim.config(openai=dead(600), groq=dead(60)), budget_usd=5) as llm:
        with sim.faults("status:503"), pytest.raises(ProviderUnavailableError):
            await ask(llm, "whole", fallbacks=[GROQ])
        with pytest.raises(CircuitBreakerError, match="groq") as raised:
            await ask(llm, "whole", fallbacks=[GROQ])
        assert 0 < (raised.value.retry_after_seconds or 0) <= 60
        assert [one.provider for one in raised.value.earlier] == ["openai"]
