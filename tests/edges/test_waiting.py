"""The waiting room: whoever gets what it waited for, or never will, makes way for the next."""

from __future__ import annotations

import asyncio

from bursar.call.books import Granted, Settle
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller, Ticket
from bursar.edges.waiting import WaitingRoom
from bursar.rules.allowances import Denial
from tests.contract.store.material import NOON_MS, budget, fact, reserve

UNTIL_MS = NOON_MS + 60_000


def held_back() -> Denial:
    return Denial(budget(), "", "over", "on_release", needed=900, left=500, spent=0, held=500, limit=1000)


def parked(room: WaitingRoom, *names: str) -> list[Ticket]:
    tickets = [Ticket(reserve(name), UNTIL_MS) for name in names]
    assert all(room.park(ticket, held_back(), NOON_MS) for ticket in tickets)
    return tickets


def test_one_release_lets_one_try() -> None:
    room = WaitingRoom(10)
    first, second = parked(room, "first", "second")
    assert room.due(NOON_MS, releases=1) == [first]
    assert room.due(NOON_MS, releases=0) == []
    assert room.due(NOON_MS, releases=1) == [second]


def test_who_has_tried_makes_way_at_once() -> None:
    room = WaitingRoom(10)
    first, second = parked(room, "first", "second")
    assert room.due(NOON_MS, releases=1) == [first]
    room.made_way(first, NOON_MS)
    assert room.due(NOON_MS, releases=0) == [second]


async def test_a_queue_that_can_never_be_served_is_refused_without_waiting() -> None:
    store = MemoryStore()
    store.define([budget()], "test", lambda: NOON_MS)
    # A clock that stands still: nobody is tried again because time has passed.
    teller = Teller(store, lambda: NOON_MS)
    try:
        assert isinstance(await teller.ask(reserve("holder", 500)), Granted)
        waiting = [asyncio.create_task(teller.ask(reserve(f"w{number}", 900), UNTIL_MS)) for number in range(5)]
        while teller.waiting < len(waiting):  # noqa: ASYNC110 - parked by another thread
            await asyncio.sleep(0.001)
        await teller.ask(Settle(fact("holder", 500)))
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting), 5)
        assert [outcome.comeback for outcome in outcomes] == ["never"] * 5
    finally:
        await asyncio.to_thread(teller.close)
        store.close()
