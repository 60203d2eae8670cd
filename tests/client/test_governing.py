"""Budgets and limits over real calls: who is refused, who waits and for what, and what only counts."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

import bursar
from bursar.call.events import CostWarned, Event
from bursar.errors import LimitExceededError, ProviderTimeoutError, QueueFullError
from tests.client.colours import Teller, opened, until
from tests.client.simulator import Sim

# Stalls until the simulator is released.
STALL = "[[tokens=5]][[fault=stall:60,after_chunks=1]]"
# What one call of 100 output tokens holds, and what one call of the prompt above may hold at the most.
ONE = {"max_tokens": 100}


def held(llm: Teller) -> int:
    return llm.budgets()["client"].held


async def holding(llm: Teller) -> asyncio.Task[Any]:
    """A call that holds its money until the simulator is released."""
    task = asyncio.create_task(llm.stream(STALL, **ONE))
    await until(lambda: sum(one.held for one in llm.client.budgets()))
    return task


async def test_held_money_is_waited_for(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.00012") as llm:
        first = await holding(llm)
        waiting = asyncio.create_task(llm.chat("hi", **ONE))
        await until(lambda: llm.client._engine.teller.waiting == 1)
        await asyncio.sleep(0.01)  # a wait is told in whole milliseconds
        sim.release()
        second = await waiting
        assert second.receipt.wait_ms > 0
        assert llm.facts(second.call_id)[0].wait_ms == second.receipt.wait_ms
        assert (await first).reply.cost.certain
        assert llm.budgets()["client"].spent == sim.billed()


async def test_spent_money_is_refused_at_once(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.0001", still=True) as llm:
        await llm.chat("[[tokens=80]]", max_tokens=90)
        began = time.monotonic()
        with pytest.raises(bursar.BudgetExceededError) as raised:
            await llm.chat("hi", **ONE)
        assert time.monotonic() - began < 5, "it did not wait its ten seconds"
        error = raised.value
        assert (error.budget, error.window, error.held, error.retryable) == ("client", "day", False, False)
        assert error.spent_nano_usd == sim.billed()
        assert error.left_nano_usd == 100_000 - sim.billed()
        assert error.limit_nano_usd == 100_000
        assert error.resets_at_ms == llm.budgets()["client"].resets_at_ms
        assert error.affordable_output_tokens is not None
        smaller = await llm.chat("hi", max_tokens=error.affordable_output_tokens)
        assert smaller.cost.certain
        assert len(sim.entries()) == 2


async def test_without_patience_held_money_is_refused_as_held(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.00012") as llm:
        first = await holding(llm)
        with pytest.raises(bursar.BudgetExceededError) as raised:
            await llm.chat("hi", max_wait_seconds=0, **ONE)
        assert (raised.value.held, raised.value.retryable) == (True, True)
        assert raised.value.retry_after_seconds == 1
        sim.release()
        await first


async def test_waiting_ends_with_its_patience_or_with_the_deadline(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.00012") as llm:
        first = await holding(llm)
        for limits in ({"max_wait_seconds": 0.05}, {"timeout": 0.3}):
            with pytest.raises(bursar.BudgetExceededError) as raised:
                await llm.chat("hi", **ONE, **limits)
            assert raised.value.held
        assert llm.seats() == 1, "the one that holds the money"
        sim.release()
        await first
    assert len(sim.entries()) == 1


async def test_a_full_queue_refuses(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.00012") as llm:
        llm.client._engine.teller._room._capacity = 1
        first = await holding(llm)
        patient = asyncio.create_task(llm.chat("hi", **ONE))
        await until(lambda: llm.client._engine.teller.waiting == 1)
        with pytest.raises(QueueFullError) as raised:
            await llm.chat("hi", **ONE)
        assert raised.value.retry_after_seconds == 1
        sim.release()
        assert (await patient).cost.certain
        await first


async def test_a_caller_who_waits_for_money_and_is_cancelled_leaves_nothing(sim: Sim) -> None:
    async with opened("async", sim.config(), budget_usd="0.00012") as llm:
        first = await holding(llm)
        waiting = asyncio.create_task(llm.chat("hi", **ONE))
        await until(lambda: llm.client._engine.teller.waiting == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        sim.release()
        await first
        await until(lambda: held(llm) == 0)
        assert llm.client._engine.teller.waiting == 0
        assert len(llm.facts()) == 1


async def test_waiting_for_a_connection_holds_no_money(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"max_connections": 1, "pool_timeout": 0.15}), budget_usd=5) as llm:
        first = await holding(llm)
        before = held(llm)
        second = asyncio.create_task(llm.chat("hi", **ONE))
        await until(lambda: llm.client.pools()["openai"].waits == 1)
        assert held(llm) == before
        with pytest.raises(ProviderTimeoutError) as raised:
            await second
        assert not raised.value.sent
        assert held(llm) == before
        sim.release()
        await first
        third = await llm.chat("hi", **ONE)
        assert third.cost.certain
        assert len(llm.facts()) == 2


async def test_one_connection_serves_everybody_in_turn(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"max_connections": 1}), budget_usd="0.0015") as llm:
        replies = await asyncio.gather(*(llm.chat(f"{i}", max_tokens=100) for i in range(20)))
        assert len({reply.call_id for reply in replies}) == 20
        assert llm.budgets()["client"].spent == sim.billed()
        assert llm.seats() == 0


# What binds


async def test_every_kind_of_budget_binds_the_calls_of_its_scope(sim: Sim, colour: str) -> None:
    config = {
        **sim.config(openai={"daily_cost_limit": 0.5}),
        "budgets": {
            "company": {"usd": 1, "per": "month"},
            "groq": {"usd": 1, "per": "hour", "only": {"provider": "groq"}},
            "mini": {"usd": 1, "per": "week", "only": {"model": "openai/gpt-4o-mini"}},
            "users": {"usd": 1, "per": "day", "each": "user"},
            "teams": {"usd": 1, "per": "total", "each": "team"},
            "rolling": {"usd": 1, "per": "hour", "rolling": True},
        },
    }
    async with opened(colour, config, tags={"team": "default"}, still=True) as llm:
        first = await llm.chat("hi", user="ann")
        second = await llm.chat("hi", user="bob", tags={"team": "search"})
        third = await llm.chat("hi", model="groq/llama-3.1-8b-instant")
        costs = [reply.cost.nano_usd or 0 for reply in (first, second, third)]
        standing = {name: (one.spent, one.held) for name, one in llm.budgets().items()}
        assert standing == {
            "company": (sum(costs), 0),
            "rolling": (sum(costs), 0),
            "groq": (costs[2], 0),
            "mini": (costs[0] + costs[1], 0),
            "openai.daily_cost_limit": (costs[0] + costs[1], 0),
            "users:ann": (costs[0], 0),
            "users:bob": (costs[1], 0),
            "users": (costs[2], 0),
            "teams:default": (costs[0] + costs[2], 0),
            "teams:search": (costs[1], 0),
        }
        assert {one.allowance for one in second.receipt.budgets} == {
            "company", "mini", "users", "teams", "rolling", "openai.daily_cost_limit"
        }  # fmt: skip


async def test_each_user_has_an_own_budget(sim: Sim, colour: str) -> None:
    config = {
        **sim.config(),
        "budgets": {"users": {"usd": 0.0001, "per": "total", "each": "user", "missing": "refuse"}},
    }
    async with opened(colour, config) as llm:
        await llm.chat("[[tokens=80]]", max_tokens=90, user="ann")
        with pytest.raises(bursar.BudgetExceededError, match="user=ann"):
            await llm.chat("hi", user="ann", **ONE)
        assert (await llm.chat("hi", user="bob", **ONE)).cost.certain
        with pytest.raises(bursar.BudgetExceededError, match="pass user="):
            await llm.chat("hi", **ONE)
        assert len(sim.entries()) == 2


async def test_daily_cost_limit_is_a_budget_of_its_provider_alone(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"daily_cost_limit": 0.00001})) as llm:
        with pytest.raises(bursar.BudgetExceededError, match="daily_cost_limit"):
            await llm.chat("hi", **ONE)
        assert (await llm.chat("hi", model="groq/llama-3.1-8b-instant", **ONE)).cost.certain


async def test_max_cost_per_request_refuses_and_narrows(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"max_cost_per_request": 0.0001})) as llm:
        with pytest.raises(bursar.BudgetExceededError, match=r"max_cost_per_request") as raised:
            await llm.chat("hi", max_tokens=5_000)
        assert raised.value.window == "call"
        assert llm.facts() == []
        tokens = raised.value.affordable_output_tokens
        assert tokens is not None
        assert (await llm.chat("hi", max_tokens=tokens)).receipt.held_nano_usd <= 100_000
    async with opened(colour, sim.config()) as llm:
        narrowed = await llm.chat("[[tokens=9000]]", max_cost_usd="0.001")
        assert narrowed.receipt.capped_by == "max_cost_usd"
        assert narrowed.usage.output_tokens == narrowed.receipt.output_tokens_max
        assert narrowed.receipt.held_nano_usd <= 1_000_000
        with pytest.raises(bursar.PriceUnknownError, match="max_cost_usd"):
            await llm.chat("hi", model="own/tiny-chat", max_cost_usd=1)


async def test_a_cost_at_the_warning_threshold_is_told(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"cost_warning_threshold": 0.00001})) as llm:
        told: list[Event] = []
        llm.client._engine.watch(told.append)
        await llm.chat("[[tokens=2]]")
        assert not [event for event in told if isinstance(event, CostWarned)]
        await llm.chat("[[tokens=60]]")
        (warned,) = [event for event in told if isinstance(event, CostWarned)]
        assert warned.threshold_nano_usd == 10_000


async def test_observing_counts_everything_and_refuses_nothing(sim: Sim, colour: str) -> None:
    config = {
        **sim.config(openai={"max_cost_per_request": 0.0000001}),
        "mode": "observe",
        "budgets": {"tiny": {"usd": 0.000001, "per": "total"}},
        "limits": {"few": {"requests": 1, "per": "minute"}},
    }
    async with opened(colour, config) as llm:
        for number in range(3):
            reply = await llm.chat("[[tokens=600]]")
            assert reply.usage.output_tokens == 600, "no limit is imposed"
            assert sim.entries(reply.call_id)[0].output_limit is None
            assert reply.receipt.would_refuse == (("tiny",) if number == 0 else ("few", "tiny"))
        assert llm.budgets()["tiny"].spent == sim.billed() > 1_000
        unknown = await llm.chat("hi", model="own/tiny-chat")
        assert unknown.cost.nano_usd is None
        assert "tiny" in unknown.receipt.would_refuse


async def test_a_budget_that_only_observes_imposes_no_limit(sim: Sim, colour: str) -> None:
    config = {**sim.config(), "budgets": {"tiny": {"usd": 0.000001, "per": "total", "mode": "observe"}}}
    async with opened(colour, config) as llm:
        reply = await llm.chat("hi")
        assert sim.entries(reply.call_id)[0].output_limit is None
        assert reply.receipt.would_refuse == ("tiny",)


async def test_without_cost_tracking_costs_are_unknown_and_budgets_refuse(sim: Sim, colour: str) -> None:
    config = sim.config(openai={"enable_cost_tracking": False})
    async with opened(colour, config) as llm:
        reply = await llm.chat("hi")
        assert (reply.cost.nano_usd, reply.cost.source) == (None, "unknown")
        assert reply.usage.total_tokens > 0
    with pytest.raises(bursar.ConfigError, match="cost tracking is off"):
        bursar.Client(config, budget_usd=5, books="memory:")


# Limits


async def test_requests_per_minute_are_kept_before_the_provider_refuses(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"requests_per_minute": 2})) as llm:
        await llm.chat("hi")
        await llm.chat("hi")
        with pytest.raises(LimitExceededError) as raised:
            await llm.chat("hi", max_wait_seconds=0)
        assert raised.value.limit == "openai.requests_per_minute"
        assert raised.value.retry_after_seconds is not None
        assert 0 < raised.value.retry_after_seconds <= 30
        assert (await llm.chat("hi", model="groq/llama-3.1-8b-instant")).text
        assert len(sim.entries()) == 3


async def test_a_limit_that_refills_soon_is_waited_for(sim: Sim, colour: str) -> None:
    config = {**sim.config(), "limits": {"quick": {"requests": 5, "per": "second"}}}
    async with opened(colour, config) as llm:
        await asyncio.gather(*(llm.chat(str(number)) for number in range(8)))
        let_in_ms = sorted(fact.reserved_ms for fact in llm.facts())
        assert let_in_ms[-1] - let_in_ms[0] >= 3 * 200 - 1, "five at once, and one each fifth of a second"
        assert len(sim.entries()) == 8


async def test_calls_in_flight_are_limited_and_let_in_as_others_end(sim: Sim, colour: str) -> None:
    config = {**sim.config(), "limits": {"flight": {"in_flight": 2, "each": "key"}}}
    async with opened(colour, config) as llm:
        first = asyncio.create_task(llm.stream(STALL))
        second = asyncio.create_task(llm.stream(STALL))
        await until(lambda: sum(one.held for one in llm.client.budgets()) == 2)
        with pytest.raises(LimitExceededError, match="in flight"):
            await llm.chat("hi", max_wait_seconds=0)
        waiting = asyncio.create_task(llm.chat("hi"))
        await until(lambda: llm.client._engine.teller.waiting == 1)
        await asyncio.sleep(0.01)  # a wait is told in whole milliseconds
        sim.release()
        assert (await waiting).receipt.wait_ms > 0
        await asyncio.gather(first, second)
        assert sum(one.held for one in llm.client.budgets()) == 0


async def test_tokens_per_minute_bind(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"tokens_per_minute": 1_000})) as llm:
        with pytest.raises(LimitExceededError, match="never fit"):
            await llm.chat("word " * 5_000, max_tokens=10)
        await llm.chat("[[tokens=380]]", max_tokens=390)
        await llm.chat("[[tokens=380]]", max_tokens=390)
        with pytest.raises(LimitExceededError) as raised:
            await llm.chat("[[tokens=380]]", max_tokens=390, max_wait_seconds=0)
        assert raised.value.retry_after_seconds is not None


async def test_a_free_model_stays_open_when_a_budget_is_spent(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(own={"price": "free"}), budget_usd="0.0001") as llm:
        await llm.chat("[[tokens=80]]", max_tokens=90)
        with pytest.raises(bursar.BudgetExceededError):
            await llm.chat("hi", **ONE)
        assert (await llm.chat("hi", model="own/tiny-chat")).cost.nano_usd == 0
