"""How both drivers count: out of the way where it takes long, and without a trace where the caller leaves meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from bursar.call.plan import BRIEF_BYTES_MAX, Tightening
from bursar.catalog.vocabularies import encoding
from bursar.errors import BudgetExceededError
from bursar.rules.allowances import Demand
from bursar.testing import chat_answer
from tests.call.scripted import BODY, ELASTIC, plan_of
from tests.edges import test_blocking, test_drive

# By bytes the call does not fit its budget of 1 USD, by tokens it does.
LOOSE = plan_of().demand._replace(base_pico_usd=2 * 10**12)
TIGHT = plan_of().demand
O200K = ("o200k_base",)


class Counting:
    """Counts for as long as it is told to, and remembers in which thread."""

    def __init__(self) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()
        self.thread = ""

    def tighten(self, body_bytes: int) -> Tightening:
        return Tightening(self._count, O200K, body_bytes)

    def _count(self) -> Demand:
        self.thread = threading.current_thread().name
        self.begun.set()
        assert self.goes_on.wait(10)
        return TIGHT


def test_little_text_is_counted_at_once_where_its_vocabulary_is_at_hand() -> None:
    encoding(O200K[0])
    counting = Counting()
    assert counting.tighten(BRIEF_BYTES_MAX).brief
    assert not counting.tighten(BRIEF_BYTES_MAX + 1).brief
    assert not replace_vocabularies(counting.tighten(1), ("o200k_base", "never_loaded")).brief


def replace_vocabularies(tightening: Tightening, vocabularies: tuple[str, ...]) -> Tightening:
    return Tightening(tightening.demand, vocabularies, tightening.body_bytes)


@pytest.mark.parametrize(("body_bytes", "inline"), [(len(BODY), True), (BRIEF_BYTES_MAX + 1, False)])
async def test_the_loop_is_not_held_up_by_much_text(body_bytes: int, inline: bool) -> None:
    encoding(O200K[0])
    counting = Counting()
    desk = test_drive.Desk(chat_answer("a"))
    await desk.call(demand=LOOSE, tightening=counting.tighten(body_bytes))
    assert (counting.thread == threading.current_thread().name) is inline
    assert desk.stands()[1] == 0
    await desk.close()


async def test_a_caller_who_leaves_while_it_is_counted_leaves_nothing_behind() -> None:
    counting = Counting()
    counting.goes_on.clear()
    desk = test_drive.Desk(chat_answer("a"))
    calling = asyncio.create_task(desk.call(demand=LOOSE, tightening=counting.tighten(BRIEF_BYTES_MAX + 1)))
    assert await asyncio.to_thread(counting.begun.wait, 10)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await desk.drain.close(0)
    counting.goes_on.set()
    await desk.close()
    assert desk.stands() == (0, 0)
    assert desk.seats == 0
    assert desk.transport.exchanges == []


async def test_what_was_granted_is_given_back_where_the_caller_leaves_before_it_is_bettered() -> None:
    elastic = plan_of(ELASTIC).demand
    # A quarter of the budget leaves half of the output that was wanted.
    squeezed = elastic._replace(base_pico_usd=10**12 // 4 - 50 * elastic.output_pico_usd)
    counting = Counting()
    counting.goes_on.clear()
    desk = test_drive.Desk(chat_answer("a"))
    tightening = counting.tighten(BRIEF_BYTES_MAX + 1)
    calling = asyncio.create_task(desk.call(ELASTIC, demand=squeezed, tightening=tightening))
    assert await asyncio.to_thread(counting.begun.wait, 10)
    assert desk.stands()[1] > 0
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await desk.drain.close(0)
    counting.goes_on.set()
    await desk.close()
    assert desk.stands() == (0, 0)
    assert desk.transport.exchanges == []


def test_the_blocking_driver_counts_in_the_callers_thread() -> None:
    desk = blocking_desk()
    counting = Counting()
    desk.call(demand=LOOSE, tightening=counting.tighten(BRIEF_BYTES_MAX + 1))
    assert counting.thread == threading.current_thread().name
    assert desk.stands()[1] == 0
    with pytest.raises(BudgetExceededError):
        desk.call(demand=LOOSE)
    close(desk)


def test_an_interrupt_while_it_is_counted_leaves_nothing_behind() -> None:
    def interrupted() -> Demand:
        raise KeyboardInterrupt

    desk = blocking_desk()
    with pytest.raises(KeyboardInterrupt):
        desk.call(demand=LOOSE, tightening=Tightening(interrupted, O200K, 1))
    assert desk.stands() == (0, 0)
    assert desk.seats == 0
    close(desk)


def blocking_desk() -> Any:
    desk = test_blocking.Desk()
    desk.plays(chat_answer("a"))
    return desk


def close(desk: Any) -> None:
    desk.drain.close(0.01)
    desk.transport.close()
    desk.teller.close()
    desk.store.close()
