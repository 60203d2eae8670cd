"""The blocking driver over a scripted provider: streams that are left, fail or are dropped, and interrupts."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bursar.call.books import Expire, Renew
from bursar.call.exchange import Failed
from bursar.call.flow import Result
from bursar.call.route import Failure, Single, Step
from bursar.catalog.providers import Provider
from bursar.edges.blocking import BlockingDriver, BlockingRelay
from bursar.edges.drain import BlockingDrain
from bursar.edges.http.pool import PoolLimits
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller
from bursar.errors import (
    InvalidRequestError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StreamInterruptedError,
)
from bursar.rules.allowances import Allowance
from bursar.testing import STALL, ManualClock, ScriptedBlockingTransport, StreamedAnswer, chat_answer, chat_stream
from tests.call.scripted import BODY, plan_of

STREAM = BODY[:-1] + b',"stream":true}'


class Desk:
    """A driver with its books, its teller and a scripted provider of one connection."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.store.define([Allowance("day", "nano_usd", 10**9, "calendar", "day")], "test", self.clock)
        self.teller = Teller(self.store, self.clock)
        self.drain = BlockingDrain()
        self.numbers = iter(range(1_000))

    def plays(self, *steps: Any) -> None:
        self.transport = ScriptedBlockingTransport(steps, limits={"p": PoolLimits(max_connections=1)})
        transport: Any = self.transport
        self.driver = BlockingDriver(transport, self.teller, self.drain, self.clock)

    def call(self, body: bytes = BODY, **changes: Any) -> Any:
        now_ms = self.clock()
        given = {"call_id": f"c{next(self.numbers)}", "start_ms": now_ms, "wait_until_ms": now_ms, **changes}
        return self.driver.call(Single(plan_of(body, **given)), lambda event: None)

    def stands(self) -> tuple[int, int]:
        """(spent, held)."""
        (balance,) = self.store.balances(self.clock())
        return balance.spent, balance.held

    @property
    def seats(self) -> int:
        return self.transport.statistics()["p"].seats_in_use


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.drain.close(0.01)
    made.transport.close()
    made.teller.close()
    made.store.close()


def test_an_orphaned_stream_can_be_asked_for_at_the_provider(desk: Desk) -> None:
    desk.plays(StreamedAnswer([STALL], headers={"x-generation-id": "gen-7"}))
    relay = desk.call(STREAM, provider=Provider("p", "http://p/v1", records="/generation"))
    desk.teller.ask_blocking(Renew(60_000))  # what had been queued is in the books
    desk.store.orphan()
    desk.teller.ask_blocking(Expire())
    (row,) = desk.store.attempts()
    assert (row.ending, row.request_id, row.certain) == ("expired", "gen-7", False)
    relay.leave()


def test_a_stream_that_was_left_is_pulled_no_more(desk: Desk) -> None:
    desk.plays(StreamedAnswer([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', STALL]))
    relay = desk.call(STREAM)
    assert relay.pull()
    relay.leave()
    relay.leave()
    with pytest.raises(InvalidRequestError, match="left"):
        relay.pull()
    desk.drain.close(0.01)
    assert desk.stands()[1] == 0
    assert desk.seats == 0


def test_a_stream_that_broke_says_so_each_time(desk: Desk) -> None:
    desk.plays(StreamedAnswer([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', Failed("broken", True, "cut")]))
    relay = desk.call(STREAM)
    assert relay.pull()
    for _ in range(2):
        with pytest.raises(StreamInterruptedError, match="cut"):
            relay.pull()
    relay.leave()
    assert len(desk.drain) == 0


def test_a_stream_at_its_end_has_no_more(desk: Desk) -> None:
    desk.plays(chat_stream(["a"], input_tokens=5, output_tokens=2))
    relay = desk.call(STREAM)
    while relay.pull():
        pass
    assert relay.pull() == []
    assert relay.result is not None
    relay.cut()
    relay.leave()
    assert desk.stands() == (13_000, 0)


def test_a_stream_that_drains_too_long_is_cut_between_two_pieces(desk: Desk) -> None:
    desk.plays(StreamedAnswer([b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'] * 50))
    relay = desk.call(STREAM)
    relay._left = True
    relay.read_on(-1)
    spent, held = desk.stands()
    assert held == 0
    assert spent > 0
    assert desk.seats == 0


def test_a_call_that_is_dropped_unfinished_ends_its_hold(desk: Desk) -> None:
    desk.plays(StreamedAnswer([STALL]))
    relay: BlockingRelay | None = desk.call(STREAM)
    assert relay is not None
    assert desk.stands()[1] > 0
    relay._body.close()
    del relay
    gc.collect()
    desk.teller.close()
    spent, held = desk.stands()
    assert held == 0
    assert spent > 0


def test_a_connection_is_waited_for_within_the_pool_timeout(desk: Desk) -> None:
    desk.plays(StreamedAnswer([STALL]), chat_answer("b"))
    relay = desk.call(STREAM)
    with pytest.raises(ProviderTimeoutError) as raised:
        desk.call(pool_timeout_seconds=0.01)
    assert not raised.value.sent
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(desk.call()))
    waiting.start()
    relay.cut()
    waiting.join(10)
    assert isinstance(results[0], Result)
    assert desk.seats == 0


def test_an_interrupt_of_the_provider_goes_on_when_the_call_is_settled(desk: Desk) -> None:
    def interrupted(exchange: object) -> Any:
        raise KeyboardInterrupt

    desk.plays(interrupted, chat_answer("b"))
    with pytest.raises(KeyboardInterrupt):
        desk.call()
    assert isinstance(desk.call(), Result)
    assert desk.stands()[1] == 0
    assert desk.seats == 0


def test_after_an_interrupt_nobody_is_asked_what_comes_next(desk: Desk) -> None:
    class Asked(Single):
        times = 0

        def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
            self.times += 1
            return None

    def interrupted(exchange: object) -> Any:
        raise KeyboardInterrupt

    desk.plays(interrupted, Failed("broken", True, "cut"))
    now_ms = desk.clock()
    for number, error in enumerate((KeyboardInterrupt, ProviderUnavailableError)):
        route = Asked(plan_of(call_id=f"i{number}", start_ms=now_ms, wait_until_ms=now_ms))
        with pytest.raises(error):
            desk.driver.call(route, lambda event: None)
        assert route.times == number
