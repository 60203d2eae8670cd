"""Callers of both colours at one queue, in real threads: whoever goes, at any moment, leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from random import Random

from bursar.call.books import Granted, Settle
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller
from bursar.errors import QueueFullError
from bursar.rules.allowances import Allowance, Denial
from tests.contract.store.material import HOUR_MS, SCOPES, Clock, fact, reserve

FLIGHT = Allowance("flight", "in_flight", 3, "gauge")
PLACES = 3


async def test_callers_who_come_and_go_at_any_moment_leave_nothing() -> None:
    clock = Clock()
    store = MemoryStore()
    store.define([FLIGHT], "test", clock)
    teller = Teller(store, clock)
    chance = Random(5)
    counts = {"granted": 0, "gone": 0}

    async def call(number: int) -> None:
        granted = await teller.ask(reserve(f"a{number}", 0), clock() + HOUR_MS)
        assert isinstance(granted, Granted)
        try:
            await asyncio.sleep(chance.random() / 2_000)
        finally:
            teller.tell(Settle(fact(granted.attempt_id, 0, scopes=SCOPES)))
        counts["granted"] += 1

    def call_blocking(number: int) -> None:
        granted = teller.ask_blocking(reserve(f"b{number}", 0), clock() + HOUR_MS)
        assert isinstance(granted, Granted)
        teller.ask_blocking(Settle(fact(granted.attempt_id, 0, scopes=SCOPES)))
        counts["granted"] += 1

    try:
        threads = [threading.Thread(target=call_blocking, args=(number,)) for number in range(40)]
        tasks = [asyncio.create_task(call(number)) for number in range(400)]
        for thread in threads:
            thread.start()
        for task in chance.sample(tasks, 200):
            await asyncio.sleep(chance.choice([0, 0, 0, chance.random() / 1_000]))
            counts["gone"] += task.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(*tasks, return_exceptions=True)
            for thread in threads:
                await asyncio.to_thread(thread.join)
            while teller.waiting or any(balance.held for balance in store.balances(clock())):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert counts["granted"] >= 240
        assert not teller._room._queues
        assert teller.queues()["flight"]["waiting"] == 0
    finally:
        await asyncio.to_thread(teller.close)
        store.close()


async def test_a_full_queue_refuses_both_colours_and_a_closing_teller_answers_both() -> None:
    clock = Clock()
    store = MemoryStore()
    store.define([FLIGHT], "test", clock)
    teller = Teller(store, clock, waiting_max=2)
    try:
        for number in range(PLACES):
            await teller.ask(reserve(f"{number}", 0))
        waiting = [
            asyncio.create_task(teller.ask(reserve("async", 0), clock() + HOUR_MS)),
            asyncio.create_task(asyncio.to_thread(teller.ask_blocking, reserve("blocking", 0), clock() + HOUR_MS)),
        ]
        async with asyncio.timeout(10):
            while teller.waiting < 2:  # noqa: ASYNC110 - parked by another thread
                await asyncio.sleep(0.001)
        late = [
            teller.ask(reserve("late", 0), clock() + HOUR_MS),
            asyncio.to_thread(teller.ask_blocking, reserve("late, too", 0), clock() + HOUR_MS),
        ]
        refused = await asyncio.gather(*late, return_exceptions=True)
        assert [type(error) for error in refused] == [QueueFullError] * 2
        assert not any(task.done() for task in waiting)
        await asyncio.to_thread(teller.close)
        assert [type(outcome) for outcome in await asyncio.gather(*waiting)] == [Denial] * 2
        assert teller.waiting == 0
    finally:
        await asyncio.to_thread(teller.close)
        store.close()
