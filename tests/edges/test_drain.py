"""The drain: reads on for those who left, as many as it may and as long as it may, and cuts the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from bursar.edges.blocking import BlockingRelay
from bursar.edges.drain import AsyncDrain, BlockingDrain
from bursar.edges.drive import AsyncRelay
from bursar.errors import BursarError


class Relay:
    """A stream that is read until it is let go."""

    def __init__(self) -> None:
        self.cuts = 0
        self.reading = threading.Event()
        self.let_go = threading.Event()
        self.woken = asyncio.Event()

    async def read_on(self) -> None:
        self.reading.set()
        await self.woken.wait()

    def cut(self) -> None:
        self.cuts += 1

    def leave(self) -> None:
        self.cuts += 100


class BlockingFake(Relay):
    def read_on(self, seconds: float) -> None:  # type: ignore[override]
        self.seconds = seconds
        self.reading.set()
        assert self.let_go.wait(10)

    def abort(self) -> None:
        self.let_go.set()


def as_async(relay: Relay) -> AsyncRelay:
    return cast(AsyncRelay, relay)


def as_blocking(relay: Relay) -> BlockingRelay:
    return cast(BlockingRelay, relay)


async def test_a_stream_is_read_on_and_let_go_of() -> None:
    drain, relay = AsyncDrain(), Relay()
    drain.adopt_stream(as_async(relay))
    assert len(drain) == 1
    relay.woken.set()
    await drain.close()
    assert len(drain) == 0


async def test_a_drain_that_is_cancelled_before_its_first_step_still_cuts() -> None:
    drain, relay = AsyncDrain(), Relay()
    drain.adopt_stream(as_async(relay))
    for task in drain._tasks:
        task.cancel()
    await drain.close()
    assert not relay.reading.is_set(), "nothing of it ever ran"
    assert relay.cuts == 1


async def test_a_full_or_closing_drain_cuts_at_once() -> None:
    drain = AsyncDrain(drains_max=1)
    first, second, third = Relay(), Relay(), Relay()
    drain.adopt_stream(as_async(first))
    drain.adopt_stream(as_async(second))
    assert (first.cuts, second.cuts, len(drain)) == (0, 1, 1)
    await drain.close(0.01)
    drain.adopt_stream(as_async(third))
    assert third.cuts == 1
    assert len(drain) == 0


async def test_a_drain_that_takes_too_long_is_cut() -> None:
    drain, relay = AsyncDrain(drain_seconds=0.01), Relay()
    drain.adopt_stream(as_async(relay))
    (task,) = drain._tasks
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
    await asyncio.sleep(0)
    assert relay.cuts == 1


@pytest.mark.parametrize(("worth_it", "cancelled"), [(True, False), (False, True)])
async def test_a_call_is_read_on_only_where_its_request_was_sent(worth_it: bool, cancelled: bool) -> None:
    drain = AsyncDrain()
    sent = asyncio.Event()
    task = asyncio.create_task(sent.wait())
    await asyncio.sleep(0)
    drain.adopt(task, worth_it=worth_it)
    sent.set()
    await drain.close()
    assert task.cancelled() is cancelled


async def test_a_call_that_had_ended_already_is_looked_at_once() -> None:
    drain, relay = AsyncDrain(), Relay()

    async def ended() -> Relay:
        return relay

    async def failed() -> None:
        raise BursarError("its fact is in the books")

    for call in (ended(), failed()):
        task = asyncio.create_task(cast(Coroutine[Any, Any, Any], call))
        await asyncio.wait([task])
        drain.adopt(task, worth_it=True)
    assert relay.cuts == 100, "a stream that opened for nobody is left"
    assert len(drain) == 0


async def test_a_fault_of_ours_is_told_to_the_loop() -> None:
    drain, told = AsyncDrain(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))

    async def broken() -> None:
        raise ZeroDivisionError

    drain.adopt(asyncio.create_task(broken()), worth_it=True)
    await drain.close()
    assert told == ["bursar: a call failed after its caller had gone"]


def test_blocking_streams_are_read_on_in_threads() -> None:
    drain, relay = BlockingDrain(drain_seconds=7), BlockingFake()
    drain.adopt_stream(as_blocking(relay))
    assert relay.reading.wait(10)
    assert (len(drain), relay.seconds) == (1, 7)
    relay.let_go.set()
    drain.close()
    assert len(drain) == 0
    assert relay.cuts == 0


def test_blocking_streams_that_stall_are_aborted_when_it_closes() -> None:
    drain, relay = BlockingDrain(), BlockingFake()
    drain.adopt_stream(as_blocking(relay))
    drain.close(0.01)
    assert relay.let_go.is_set()
    assert len(drain) == 0


def test_a_full_or_closed_blocking_drain_cuts_at_once() -> None:
    drain = BlockingDrain(drains_max=1)
    first, second, third = BlockingFake(), BlockingFake(), BlockingFake()
    drain.adopt_stream(as_blocking(first))
    drain.adopt_stream(as_blocking(second))
    assert second.cuts == 1
    first.let_go.set()
    drain.close()
    drain.adopt_stream(as_blocking(third))
    assert third.cuts == 1


def test_where_no_thread_can_start_the_stream_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    drain, relay = BlockingDrain(), BlockingFake()
    drain.adopt_stream(as_blocking(relay))
    assert relay.cuts == 1
    assert len(drain) == 0
    drain.close()
