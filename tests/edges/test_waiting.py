"""The waiting room: whoever gets what it waited for, or never will, makes way for the next."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bursar.call.books import Granted, Settle
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller, Ticket
from bursar.edges.waiting import DEADLINES_SPARE, LOOK_MS, WaitingRoom
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
    # A timer that stands still: nobody is tried again because time has passed.
    teller = Teller(store, lambda: NOON_MS, timer=lambda: NOON_MS)
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


def test_a_full_room_takes_nobody_until_those_who_went_are_forgotten() -> None:
    room = WaitingRoom(2)
    first, _ = parked(room, "first", "second")
    late = Ticket(reserve("late"), UNTIL_MS)
    assert not room.park(late, held_back(), NOON_MS)
    first.abandoned = True
    assert room.park(late, held_back(), NOON_MS)
    assert len(room) == 2


def test_those_who_went_are_not_tried() -> None:
    room = WaitingRoom(10)
    first, second = parked(room, "first", "second")
    first.abandoned = True
    assert room.due(NOON_MS, releases=2) == [second]
    assert len(room) == 0


def test_whoever_has_waited_long_enough_leaves() -> None:
    room = WaitingRoom(10)
    soon = Ticket(reserve("soon"), NOON_MS + 5)
    assert room.park(soon, held_back(), NOON_MS)
    (later,) = parked(room, "later")
    assert room.leave(NOON_MS + 4) == []
    assert room.next_ms() == NOON_MS + 5
    assert room.leave(NOON_MS + 5) == [soon]
    assert room.empty() == [later]
    assert len(room) == 0


def test_a_head_looks_again_by_itself_and_a_rate_when_it_says_so() -> None:
    room = WaitingRoom(10)
    (ticket,) = parked(room, "held")
    assert room.due(NOON_MS + LOOK_MS - 1, releases=0) == []
    assert room.due(NOON_MS + LOOK_MS, releases=0) == [ticket]
    later = replace(held_back(), comeback="later", wait_ms=700)
    assert room.park(ticket, later, NOON_MS)
    assert room.next_ms() == NOON_MS + 700
    assert room.due(NOON_MS + 699, releases=0) == []
    assert room.due(NOON_MS + 700, releases=0) == [ticket]


def test_who_comes_back_keeps_its_place() -> None:
    room = WaitingRoom(10)
    first, second = parked(room, "first", "second")
    assert room.due(NOON_MS, releases=1) == [first]
    assert room.park(first, held_back(), NOON_MS)
    assert room.due(NOON_MS, releases=2) == [first, second]


def test_limits_do_not_hold_up_one_another() -> None:
    room = WaitingRoom(10)
    parked(room, "money")
    other = Ticket(reserve("rate"), UNTIL_MS)
    assert room.park(other, replace(held_back(), allowance=budget("other")), NOON_MS)
    assert len(room.due(NOON_MS, releases=1)) == 2, "the head of each queue"


def test_deadlines_of_those_who_were_served_do_not_pile_up() -> None:
    room = WaitingRoom(10)
    for number in range(5_000):
        (ticket,) = parked(room, f"{number}")
        assert room.due(NOON_MS, releases=1) == [ticket]
        ticket.delivered = True
    assert len(room._deadlines) <= 2 * DEADLINES_SPARE
