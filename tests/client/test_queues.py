"""Queues over real calls: shares as configured, nobody passed, figures of the waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bursar.errors import BudgetExceededError, QueueFullError
from tests.client.colours import opened, until
from tests.client.simulator import Sim

# Stalls until the simulator is released.
HOLD = "[[tokens=5]][[fault=stall:60,after_chunks=1]]"
ONE_AT_A_TIME = {"concurrent_requests": 1}
PATIENT = {"max_wait_seconds": 20}


async def test_tenants_share_by_their_weights(sim: Sim, colour: str) -> None:
    config = {**sim.config(openai=ONE_AT_A_TIME), "queue": {"fair_by": "team", "weights": {"search": 3}}}
    async with opened(colour, config) as llm:
        teller = llm.client._engine.teller
        calls: list[asyncio.Task[Any]] = [asyncio.create_task(llm.stream(HOLD))]
        await until(lambda: any(one.held for one in llm.client.budgets()))
        for team in ("ads", "ads", "search", "search", "search"):
            calls.append(asyncio.create_task(llm.chat("hi", tags={"team": team}, **PATIENT)))
            await until(lambda: teller.waiting == len(calls) - 1)
        sim.release()
        await asyncio.wait_for(asyncio.gather(*calls), 20)
        served = llm.facts()[::-1]
        figures = llm.client.statistics()["queues"]["openai.concurrent_requests"]
    assert [fact.scopes.get("team") for fact in served][1:] == ["ads", "search", "search", "search", "ads"]
    assert (figures["waiting"], figures["granted"], figures["timed_out"]) == (0, 5, 0)
    assert 0 < figures["avg_wait_seconds"] <= figures["longest_wait_seconds"] < 20


async def test_who_will_not_wait_passes_nobody_and_is_told_so(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.00013") as llm:
        calls: list[asyncio.Task[Any]] = [asyncio.create_task(llm.stream(HOLD, max_tokens=100))]
        await until(lambda: any(one.held for one in llm.client.budgets()))
        calls.append(asyncio.create_task(llm.chat("hi", max_tokens=100, **PATIENT)))
        await until(lambda: llm.client._engine.teller.waiting == 1)
        with pytest.raises(BudgetExceededError, match="this one would pass them") as raised:
            await llm.chat("hi", max_tokens=5, max_wait_seconds=0)
        assert (raised.value.held, raised.value.retry_after_seconds) == (True, 1)
        sim.release()
        await asyncio.gather(*calls)
        assert (await llm.chat("hi", max_tokens=5, max_wait_seconds=0)).cost.certain


async def test_as_many_wait_as_are_let(sim: Sim, colour: str) -> None:
    async with opened(colour, {**sim.config(openai=ONE_AT_A_TIME), "queue": {"length": 1}}) as llm:
        holder = asyncio.create_task(llm.stream(HOLD))
        await until(lambda: any(one.held for one in llm.client.budgets()))
        patient = asyncio.create_task(llm.chat("hi", **PATIENT))
        await until(lambda: llm.client._engine.teller.waiting == 1)
        with pytest.raises(QueueFullError):
            await llm.chat("hi", **PATIENT)
        sim.release()
        await asyncio.gather(holder, patient)
        assert llm.client.statistics()["queues"]["openai.concurrent_requests"]["full"] == 1
