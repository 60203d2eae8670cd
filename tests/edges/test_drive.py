"""The async driver over a scripted provider: what is left of a call that is cancelled at each of its effects."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from bursar.call.books import Expire, Operation, Outcome, Renew, Settle
from bursar.call.exchange import Answer, Failed
from bursar.call.flow import Result
from bursar.call.plan import Plan
from bursar.call.route import Failure, Single, Step
from bursar.catalog.providers import Provider
from bursar.edges import drive
from bursar.edges.drain import AsyncDrain
from bursar.edges.drive import AsyncDriver, AsyncRelay, run_at_once
from bursar.edges.http.pool import PoolLimits
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller
from bursar.errors import InvalidRequestError, ProviderUnavailableError, StreamInterruptedError
from bursar.rules.allowances import Allowance
from bursar.testing import STALL, ManualClock, ScriptedTransport, StreamedAnswer, chat_answer, chat_stream
from tests.call.scripted import BODY, plan_of

RECORDING = Provider("p", "http://p/v1", records="/generation")
STREAM = BODY[:-1] + b',"stream":true}'


class Desk:
    """A driver with its books, its teller and a scripted provider of one connection."""

    def __init__(self, *steps: Any) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.store.define([Allowance("day", "nano_usd", 10**9, "calendar", "day")], "test", self.clock)
        self.teller = Teller(self.store, self.clock)
        self.transport = ScriptedTransport(steps, limits={"p": PoolLimits(max_connections=1)})
        self.drain = AsyncDrain()
        transport: Any = self.transport
        self.driver = AsyncDriver(transport, self.teller, self.drain, self.clock)
        self.calls = 0

    async def call(self, body: bytes = BODY, **changes: Any) -> Any:
        return await self.driver.call(Single(self.plan(body, **changes)), lambda event: None)

    def plan(self, body: bytes = BODY, **changes: Any) -> Plan:
        self.calls += 1
        now_ms = self.clock()
        return plan_of(body, call_id=f"c{self.calls}", start_ms=now_ms, wait_until_ms=now_ms, **changes)

    def stands(self) -> tuple[int, int]:
        """(spent, held)."""
        (balance,) = self.store.balances(self.clock())
        return balance.spent, balance.held

    @property
    def seats(self) -> int:
        return self.transport.statistics()["p"].seats_in_use

    async def close(self) -> None:
        await self.drain.close(0.01)
        await self.transport.close()
        await asyncio.to_thread(self.teller.close)


@pytest.fixture
async def desks() -> AsyncIterator[list[Desk]]:
    made: list[Desk] = []
    yield made
    for desk in made:
        await desk.close()
        desk.store.close()


def desk_of(desks: list[Desk], *steps: Any) -> Desk:
    desk = Desk(*steps)
    desks.append(desk)
    return desk


async def test_an_orphaned_stream_can_be_asked_for_at_the_provider(desks: list[Desk]) -> None:
    desk = desk_of(desks, StreamedAnswer([STALL], headers={"x-generation-id": "gen-7"}))
    relay = await desk.call(STREAM, provider=RECORDING)
    await desk.teller.ask(Renew(60_000))  # what had been queued is in the books
    desk.store.orphan()
    await desk.teller.ask(Expire())
    (row,) = desk.store.attempts()
    assert (row.ending, row.request_id, row.certain) == ("expired", "gen-7", False)
    relay.leave()


async def test_a_mark_that_the_books_cannot_take_fails_no_call(desks: list[Desk]) -> None:
    def closing(exchange: object) -> Any:
        desk.teller.close()
        return StreamedAnswer([STALL], headers={"x-generation-id": "gen-7"})

    desk = desk_of(desks, closing)
    relay = await desk.call(STREAM, provider=RECORDING)
    assert isinstance(relay, AsyncRelay)
    relay.cut()


async def test_who_waits_for_a_connection_and_goes_gives_its_place_back(desks: list[Desk]) -> None:
    desk = desk_of(desks, chat_stream(["a"]), chat_answer("b"))
    relay = await desk.call(STREAM)
    waiting = asyncio.create_task(desk.call())
    while not desk.transport.statistics()["p"].waiting:  # noqa: ASYNC110 - it takes a step or two
        await asyncio.sleep(0)
    held = desk.stands()[1]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await desk.drain.close()
    assert desk.transport.statistics()["p"].waiting == 0
    assert desk.stands()[1] == held
    while await relay.pull():
        pass
    desk.drain._closing = False
    assert isinstance(await desk.call(), Result)
    assert desk.seats == 0


async def test_a_stream_that_was_left_is_pulled_no_more(desks: list[Desk]) -> None:
    desk = desk_of(desks, StreamedAnswer([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', STALL]))
    relay = await desk.call(STREAM)
    assert await relay.pull()
    relay.leave()
    relay.leave()
    with pytest.raises(InvalidRequestError, match="left"):
        await relay.pull()
    await desk.drain.close(0.01)
    await asyncio.to_thread(desk.teller.close)
    assert desk.stands()[1] == 0
    assert desk.seats == 0


async def test_a_stream_that_broke_says_so_each_time(desks: list[Desk]) -> None:
    said = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    desk = desk_of(desks, StreamedAnswer([said, Failed("broken", True, "cut")]))
    relay = await desk.call(STREAM)
    assert await relay.pull()
    for _ in range(2):
        with pytest.raises(StreamInterruptedError, match="cut"):
            await relay.pull()
    relay.leave()
    assert len(desk.drain) == 0, "there is nothing to read on"


async def test_a_pull_that_is_cancelled_loses_nothing(desks: list[Desk]) -> None:
    desk = desk_of(desks, StreamedAnswer([STALL]))
    relay = await desk.call(STREAM)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(relay.pull(), 0.01)
    assert len(desk.drain) == 0
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(relay.pull(), 0.01)
    relay.leave()


async def test_a_server_that_keeps_a_finished_stream_open_is_not_waited_for(
    desks: list[Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "TAIL_SECONDS", 0.01)
    whole = b"".join(piece for piece in chat_stream(["a"]).pieces if isinstance(piece, bytes))
    desk = desk_of(desks, StreamedAnswer([whole, STALL]))
    relay = await desk.call(STREAM)
    while await relay.pull():
        pass
    assert relay.result is not None
    assert relay.result.cost.certain
    assert desk.seats == 0


async def test_a_stream_that_is_cut_while_it_is_settled_is_settled_once(desks: list[Desk]) -> None:
    pieces = chat_stream(["a"], input_tokens=5, output_tokens=2).pieces
    desk = desk_of(desks, StreamedAnswer([b"".join(piece for piece in pieces if isinstance(piece, bytes))]))
    relay = await desk.call(STREAM)
    assert await relay.pull()
    ending = asyncio.create_task(relay.pull())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    relay.leave()
    relay.cut()
    await asyncio.to_thread(desk.teller.close)
    assert desk.stands() == (13_000, 0)


async def test_a_call_that_is_dropped_unfinished_ends_its_hold(desks: list[Desk]) -> None:
    desk = desk_of(desks, StreamedAnswer([STALL]))
    relay: AsyncRelay | None = await desk.call(STREAM)
    assert desk.stands()[1] > 0
    assert relay is not None
    relay._body.close()
    del relay
    await asyncio.sleep(0)  # the step that handed it over is over
    gc.collect()
    await asyncio.to_thread(desk.teller.close)
    spent, held = desk.stands()
    assert held == 0
    assert spent > 0, "it was sent: its bound is charged"


async def test_a_coroutine_that_is_closed_settles_what_it_held(desks: list[Desk]) -> None:
    """As when a loop is thrown away with its tasks: GeneratorExit instead of a cancellation."""
    desk = desk_of(desks, STALL)
    now_ms = desk.clock()
    run = drive.AsyncRun(desk.driver, Single(plan_of(start_ms=now_ms, wait_until_ms=now_ms)), lambda event: None)
    coroutine = run.advance(None)
    coroutine.send(None)  # to the reserve
    coroutine.close()
    await asyncio.to_thread(desk.teller.close)
    assert desk.stands() == (0, 0)
    assert desk.seats == 0


def test_a_loop_that_ends_closes_what_nobody_closed() -> None:
    desks: list[Desk] = []

    async def main() -> None:
        desk = Desk(StreamedAnswer([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', STALL]))
        desks.append(desk)
        relay = await desk.call(STREAM)
        relay.leave()

    asyncio.run(main())
    (desk,) = desks
    desk.teller.close()
    assert desk.stands()[1] == 0
    assert desk.seats == 0
    assert len(desk.drain) == 0


async def test_what_waits_after_its_cut_is_a_fault_of_ours() -> None:
    async def waits() -> None:
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="waited"):
        run_at_once(waits())


async def test_a_reply_that_is_an_error_gives_its_seat_back(desks: list[Desk]) -> None:
    desk = desk_of(desks, Answer(500, {}, b"{}"), Failed("connect", False, "refused"), Failed("timeout", True, "slow"))
    for _ in range(3):
        with pytest.raises(Exception, match="p/m"):
            await desk.call()
        assert desk.seats == 0
        assert desk.stands()[1] == 0


class Asked(Single):
    """A route that counts how often it was asked what comes next."""

    times = 0

    def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
        self.times += 1
        return None


class HeldBooks(MemoryStore):
    """Books whose settles wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.settling, self.let_go = threading.Event(), threading.Event()

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        if any(isinstance(operation, Settle) for operation in operations):
            self.settling.set()
            assert self.let_go.wait(20)
        return super().transact(operations, clock)


@pytest.mark.parametrize("how", ["stays", "leaves", "is cut"])
async def test_what_comes_after_a_broken_stream_is_asked_on_behalf_of_who_is_there(desks: list[Desk], how: str) -> None:
    desk = desk_of(desks, StreamedAnswer([Failed("broken", True, "cut")]))
    books = HeldBooks()
    desk.teller = desk.driver.teller = Teller(books, desk.clock)
    route = Asked(desk.plan(STREAM))
    relay = await desk.driver.call(route, lambda event: None)
    assert isinstance(relay, AsyncRelay)
    pulling = asyncio.create_task(relay.pull())
    await asyncio.to_thread(books.settling.wait, 20)
    assert relay._ending is not None
    if how == "leaves":
        pulling.cancel()
        relay.leave()
    elif how == "is cut":
        relay._ending.cancel()
    books.let_go.set()
    outcome = (await asyncio.gather(pulling, return_exceptions=True))[0]
    assert isinstance(outcome, ProviderUnavailableError if how == "stays" else asyncio.CancelledError)
    await desk.drain.close(5)
    await asyncio.to_thread(desk.teller.close)
    assert route.times == (how == "stays")
    assert [fact.charged_nano_usd == fact.bound_nano_usd for fact in books.attempts()] == [True]
