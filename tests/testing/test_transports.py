"""Scripted transports: alone, and under the drivers, with real books and a real teller."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bursar.call.events import CallEnded, Event
from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.call.flow import Result
from bursar.call.route import Single
from bursar.edges.blocking import BlockingDriver
from bursar.edges.drain import AsyncDrain, BlockingDrain
from bursar.edges.drive import AsyncDriver, AsyncRelay
from bursar.edges.http import PoolLimits
from bursar.edges.teller import Teller
from bursar.errors import ProviderUnavailableError, StreamInterruptedError
from bursar.rules.allowances import Allowance
from bursar.testing import (
    STALL,
    ManualClock,
    MemoryStore,
    ScriptedBlockingTransport,
    ScriptedTransport,
    StreamedAnswer,
    chat_answer,
    chat_stream,
)
from tests.call.scripted import plan_of

WAIT_SECONDS = 5
ONE_SEAT = {"p": PoolLimits(max_connections=1)}
STREAM = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"stream":true}'
OK = Answer(200, {}, b"{}")


def exchange(*, stream: bool = False, deadline_ms: int | None = None) -> Exchange:
    return Exchange("p", "http://p/v1", {}, b"{}", stream, deadline_ms)


def open_blocking(transport: ScriptedBlockingTransport, asked: Exchange) -> tuple[Any, Any]:
    return transport.open(asked, Progress())


async def test_an_answer_is_given_and_its_seat_given_back() -> None:
    transport, progress = ScriptedTransport([OK], limits=ONE_SEAT), Progress()
    seat = transport.seat("p")
    assert seat is not None
    assert transport.seat("p") is None
    assert await transport.open(exchange(), progress, seat) == (OK, None)
    assert progress.sent
    assert transport.statistics()["p"].seats_in_use == 0
    assert transport.exchanges == [exchange()]
    await transport.close()


def test_an_answer_is_given_and_its_seat_given_back_blocking() -> None:
    transport, progress = ScriptedBlockingTransport([OK], limits=ONE_SEAT), Progress()
    seat = transport.seat("p")
    assert seat is not None
    assert transport.open(exchange(), progress, seat) == (OK, None)
    assert progress.sent
    assert transport.statistics()["p"].seats_in_use == 0
    transport.close()


async def test_a_failure_says_whether_it_was_sent_and_is_counted() -> None:
    unsent, sent = Failed("connect", False, "refused"), Failed("broken", True, "cut")
    transport, progress = ScriptedTransport([unsent, sent]), Progress()
    assert await transport.open(exchange(), progress) == (unsent, None)
    assert not progress.sent
    assert await transport.open(exchange(), progress) == (sent, None)
    assert progress.sent
    figures = transport.statistics()["p"]
    assert (figures.failures, figures.failures_in_row, figures.last_failure) == (2, 2, "broken")
    assert figures.seats_in_use == 0


async def test_a_stream_comes_in_pieces_and_holds_its_seat_until_its_end() -> None:
    transport = ScriptedTransport([StreamedAnswer([b"a", b"", b"b"])], limits=ONE_SEAT)
    opened, body = await transport.open(exchange(stream=True), Progress())
    assert isinstance(opened, Opened)
    assert body is not None
    assert transport.seat("p") is None
    assert [await body.read() for _ in range(4)] == [b"a", b"b", b"", b""]
    assert transport.statistics()["p"].seats_in_use == 0
    body.close()
    assert await body.read() == b""


def test_a_stream_comes_in_pieces_and_holds_its_seat_until_its_end_blocking() -> None:
    transport = ScriptedBlockingTransport([StreamedAnswer([b"a", b"b"])], limits=ONE_SEAT)
    opened, body = open_blocking(transport, exchange(stream=True))
    assert isinstance(opened, Opened)
    assert transport.seat("p") is None
    assert [body.read() for _ in range(4)] == [b"a", b"b", b"", b""]
    assert transport.statistics()["p"].seats_in_use == 0


async def test_a_stream_breaks_where_the_script_says() -> None:
    transport = ScriptedTransport([StreamedAnswer([b"a", Failed("broken", False, "cut")], 200, {"h": "v"})])
    _, body = await transport.open(exchange(stream=True), Progress())
    assert body is not None
    broken = Failed("broken", True, "cut", 200, {"h": "v"})
    assert [await body.read() for _ in range(3)] == [b"a", broken, broken]
    assert transport.statistics()["p"].last_failure == "broken"


async def test_what_stalls_waits_for_its_caller_and_loses_nothing() -> None:
    transport = ScriptedTransport([StreamedAnswer([STALL, b"a"])], limits=ONE_SEAT)
    _, body = await transport.open(exchange(stream=True), Progress())
    assert body is not None
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(body.read(), 0.01)
    reading = asyncio.create_task(body.read())
    await asyncio.sleep(0)
    body.abort()
    ended = await asyncio.wait_for(reading, WAIT_SECONDS)
    assert isinstance(ended, Failed)
    assert ended.kind == "cancelled"
    assert transport.statistics()["p"].seats_in_use == 0


def test_a_read_that_stalls_is_woken_from_another_thread() -> None:
    transport = ScriptedBlockingTransport([StreamedAnswer([STALL])], limits=ONE_SEAT)
    _, body = open_blocking(transport, exchange(stream=True))
    threading.Timer(0.01, body.abort).start()
    ended = body.read()
    assert isinstance(ended, Failed)
    assert ended.kind == "cancelled"
    assert transport.statistics()["p"].seats_in_use == 0


async def test_nothing_waits_for_a_deadline() -> None:
    clock = ManualClock()
    steps = [STALL, StreamedAnswer([STALL])]
    transport = ScriptedTransport(steps, now_ms=clock)
    ahead = exchange(stream=True, deadline_ms=clock() + 60_000)
    stalled, _ = await transport.open(ahead, Progress())
    assert isinstance(stalled, Failed)
    assert (stalled.kind, stalled.sent) == ("timeout", True)
    _, body = await transport.open(ahead, Progress())
    assert body is not None
    ended = await asyncio.wait_for(body.read(), WAIT_SECONDS)
    assert isinstance(ended, Failed)
    assert ended.kind == "timeout"
    clock.advance(60)
    late, _ = await transport.open(ahead, Progress())
    assert late == Failed("timeout", False, "the deadline had passed before the request")
    assert len(transport.exchanges) == 2


def test_nothing_waits_for_a_deadline_blocking() -> None:
    clock = ManualClock()
    transport = ScriptedBlockingTransport([STALL], now_ms=clock)
    stalled, _ = open_blocking(transport, exchange(deadline_ms=clock() + 1))
    assert isinstance(stalled, Failed)
    assert (stalled.kind, stalled.sent) == ("timeout", True)
    clock.advance(1)
    late, _ = open_blocking(transport, exchange(deadline_ms=clock()))
    assert isinstance(late, Failed)
    assert not late.sent


async def test_closing_ends_what_is_under_way() -> None:
    transport = ScriptedTransport([STALL, StreamedAnswer([STALL])])
    opening = asyncio.create_task(transport.open(exchange(), Progress()))
    await asyncio.sleep(0)
    _, body = await transport.open(exchange(stream=True), Progress())
    assert body is not None
    await transport.close()
    outcome, _ = await asyncio.wait_for(opening, WAIT_SECONDS)
    read = await body.read()
    asked_later, _ = await transport.open(exchange(), Progress())
    for ended in (outcome, read, asked_later):
        assert isinstance(ended, Failed)
        assert ended.kind == "closed"
    assert transport.statistics()["p"].seats_in_use == 0


def test_closing_ends_what_is_under_way_in_other_threads() -> None:
    asked = threading.Event()
    transport, outcomes = ScriptedBlockingTransport([lambda _: asked.set() or STALL]), []
    thread = threading.Thread(target=lambda: outcomes.append(open_blocking(transport, exchange())[0]))
    thread.start()
    assert asked.wait(WAIT_SECONDS)
    transport.close()
    thread.join(WAIT_SECONDS)
    outcomes.append(open_blocking(transport, exchange())[0])
    assert [outcome.kind for outcome in outcomes] == ["closed", "closed"]
    assert [outcome.sent for outcome in outcomes] == [True, False]


async def test_a_seat_is_waited_for_in_turn() -> None:
    transport = ScriptedTransport([OK], otherwise=OK, limits=ONE_SEAT)
    seat = transport.seat("p")
    assert seat is not None
    waiting = asyncio.create_task(transport.open(exchange(), Progress()))
    await asyncio.sleep(0)
    assert transport.statistics()["p"].waiting == 1
    assert isinstance(await transport.wait_seat("p", 0.001), Failed)
    seat.release()
    assert await asyncio.wait_for(waiting, WAIT_SECONDS) == (OK, None)


async def test_a_body_that_is_forgotten_is_warned_of() -> None:
    transport = ScriptedTransport([StreamedAnswer([b"a"])])
    _, body = await transport.open(exchange(stream=True), Progress())
    with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
        del body
    assert transport.statistics()["p"].seats_in_use == 0


@pytest.fixture
def books() -> Iterator[tuple[Teller, MemoryStore, ManualClock]]:
    store, clock = MemoryStore(), ManualClock()
    store.define([Allowance("day", "nano_usd", 10**9, "calendar", "day")], "test", clock)
    teller = Teller(store, clock)
    yield teller, store, clock
    teller.close()
    store.close()


def stands(store: MemoryStore, clock: ManualClock) -> tuple[int, int]:
    """(spent, held) of the day's budget."""
    (balance,) = store.balances(clock())
    return balance.spent, balance.held


def planned(clock: ManualClock, **changes: Any) -> Any:
    return plan_of(start_ms=clock(), wait_until_ms=clock(), **changes)


async def test_the_async_driver_plays_calls_from_a_script(books: tuple[Teller, MemoryStore, ManualClock]) -> None:
    teller, store, clock = books
    steps = [
        chat_answer("ho", input_tokens=5, output_tokens=2),
        Failed("connect", False, "refused"),
        chat_stream(["Rhine"], input_tokens=5, output_tokens=2),
        StreamedAnswer([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', Failed("broken", True, "cut")]),
    ]
    transport, events = ScriptedTransport(steps), list[Event]()
    driver = AsyncDriver(transport, teller, AsyncDrain(), clock)
    result = await driver.call(Single(planned(clock)), events.append)
    assert isinstance(result, Result)
    assert result.cost.nano_usd == 13_000
    with pytest.raises(ProviderUnavailableError):
        await driver.call(Single(planned(clock, call_id="b")), events.append)
    assert stands(store, clock) == (13_000, 0)
    relay = await driver.call(Single(planned(clock, call_id="c", body=STREAM)), events.append)
    assert isinstance(relay, AsyncRelay)
    assert b"Rhine" in b"".join([payload async for payload in payloads(relay)])
    assert stands(store, clock) == (26_000, 0)
    relay = await driver.call(Single(planned(clock, call_id="d", body=STREAM)), events.append)
    with pytest.raises(StreamInterruptedError):
        assert [payload async for payload in payloads(relay)]
    assert stands(store, clock)[0] > 26_000
    assert [event.fact.ending for event in events if isinstance(event, CallEnded)] == [
        "ok",
        "not_sent",
        "ok",
        "interrupted",
    ]
    await driver.drain.close()
    await transport.close()


async def payloads(relay: Any) -> Any:
    while pulled := await relay.pull():
        for payload in pulled:
            yield payload


async def test_a_caller_who_is_cancelled_leaves_a_stalled_call_to_the_drain(
    books: tuple[Teller, MemoryStore, ManualClock],
) -> None:
    teller, store, clock = books
    sent = asyncio.Event()
    transport = ScriptedTransport([lambda asked: sent.set() or STALL])
    driver = AsyncDriver(transport, teller, AsyncDrain(), clock)
    call = asyncio.create_task(driver.call(Single(planned(clock)), lambda event: None))
    await asyncio.wait_for(sent.wait(), WAIT_SECONDS)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    await driver.drain.close(0.01)
    teller.close()
    spent, held = stands(store, clock)
    assert spent > 0  # it was sent, and nobody knows what it cost
    assert held == 0
    await transport.close()


def test_the_blocking_driver_plays_calls_from_a_script(books: tuple[Teller, MemoryStore, ManualClock]) -> None:
    teller, store, clock = books
    transport = ScriptedBlockingTransport([chat_answer("ho", input_tokens=5, output_tokens=2), chat_stream(["Nile"])])
    driver = BlockingDriver(transport, teller, BlockingDrain(), clock)
    result = driver.call(Single(planned(clock)), lambda event: None)
    assert isinstance(result, Result)
    relay: Any = driver.call(Single(planned(clock, call_id="b", body=STREAM)), lambda event: None)
    pulled: list[bytes] = []
    while more := relay.pull():
        pulled += more
    assert b"Nile" in b"".join(pulled)
    assert stands(store, clock) == (13_000 + 30_000, 0)
    transport.close()
