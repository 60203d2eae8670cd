"""The teller: whoever asks is answered once, a settle is never given up, and no clock that moves holds anybody up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from bursar.call.books import Ended, Expire, Granted, Operation, Outcome, Renew, Reserve, Settle, Void
from bursar.edges import teller as teller_module
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller
from bursar.edges.tickets import Ticket
from bursar.errors import ConfigError, QueueFullError, StoreUnavailableError
from bursar.rules.allowances import Denial
from tests.contract.store.material import HOUR_MS, Clock, budget, fact, reserve

FULL = StoreUnavailableError("disk full")


class Books(MemoryStore):
    """Books in memory that a test can hold up, and make to fail; `batches` are the operations of each transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.error: Exception | None = None
        self.failing: type[Operation] | None = None
        self.forgets = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        self.entered.set()
        assert self.gate.wait(10)
        self.batches.append([type(operation).__name__ for operation in operations])
        kind = self.failing
        if self.error is not None and (kind is None or any(isinstance(each, kind) for each in operations)):
            raise self.error
        outcomes = super().transact(operations, clock)
        if self.forgets:
            raise StoreUnavailableError("the connection was lost before the answer came")
        return outcomes

    def stands(self) -> tuple[int, int]:
        """(spent, held) of the day."""
        (balance,) = self.balances(Clock()())
        return balance.spent, balance.held


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(clock: Clock) -> Iterator[Books]:
    store = Books()
    store.define([budget()], "test", clock)
    yield store
    store.close()


@pytest.fixture
def teller(books: Books, clock: Clock) -> Iterator[Teller]:
    made = Teller(books, clock)
    yield made
    books.gate.set()
    books.error = None
    made.close()


async def until(told: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not told():  # noqa: ASYNC110 - another thread makes it so
            await asyncio.sleep(0.001)


async def test_both_colours_are_answered(teller: Teller, books: Books) -> None:
    assert isinstance(await teller.ask(reserve("a")), Granted)
    assert isinstance(await asyncio.to_thread(teller.ask_blocking, reserve("b")), Granted)
    assert books.stands() == (0, 200)
    assert isinstance(await teller.ask(Settle(fact("a", 60))), Ended)
    assert isinstance(teller.ask_blocking(Void("b")), Ended)
    assert books.stands() == (60, 0)


async def test_what_queues_while_the_books_are_busy_is_one_transaction_settles_first(
    teller: Teller, books: Books
) -> None:
    await teller.ask(reserve("a"))
    books.gate.clear()
    books.entered.clear()
    busy = asyncio.create_task(teller.ask(reserve("b")))
    await until(books.entered.is_set)
    books.batches.clear()
    asked: list[Operation] = [reserve("c"), Settle(fact("a")), reserve("d"), Void("b")]
    tasks = [asyncio.create_task(teller.ask(operation)) for operation in asked]
    await asyncio.sleep(0)
    books.gate.set()
    await asyncio.gather(busy, *tasks)
    assert books.batches == [["Reserve"], ["Settle", "Void", "Reserve", "Reserve"]]


async def test_a_denial_is_an_outcome_and_an_error_is_raised(teller: Teller, books: Books) -> None:
    assert isinstance(await teller.ask(reserve("a", 2_000)), Denial)
    books.error = FULL
    with pytest.raises(StoreUnavailableError, match="disk full"):
        await teller.ask(reserve("b"))
    with pytest.raises(StoreUnavailableError, match="disk full"):
        await asyncio.to_thread(teller.ask_blocking, reserve("c"))


async def test_a_settle_is_told_unsettled_after_its_patience_and_tried_until_it_is_taken(
    teller: Teller, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller_module, "SETTLE_PATIENCE_MS", 30)
    monkeypatch.setattr(teller_module, "RETRY_MS", 5)
    await teller.ask(reserve("a"))
    books.error = FULL
    with pytest.raises(StoreUnavailableError):
        await teller.ask(Settle(fact("a", 60)))
    await until(lambda: len(books.batches) > 8)
    assert teller.unsettled <= 1
    assert books.stands() == (0, 100)
    books.error = None
    await until(lambda: books.stands() == (60, 0))


async def test_a_failing_settle_does_not_hold_up_reserves(
    teller: Teller, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller_module, "SETTLE_PATIENCE_MS", 20)
    await teller.ask(reserve("a"))
    books.error, books.failing = FULL, Settle
    with pytest.raises(StoreUnavailableError):
        await teller.ask(Settle(fact("a", 60)))
    assert isinstance(await teller.ask(reserve("b")), Granted)
    books.error = None
    await until(lambda: books.stands() == (60, 100))


async def test_a_grant_whose_answer_was_lost_is_given_back(teller: Teller, books: Books) -> None:
    books.forgets = True
    with pytest.raises(StoreUnavailableError):
        await teller.ask(reserve("a", 40))
    assert books.stands() == (0, 40)
    books.forgets = False
    await until(lambda: books.stands() == (0, 0))


async def test_closing_tries_once_more_and_gives_up_on_books_that_fail(teller: Teller, books: Books) -> None:
    await teller.ask(reserve("a"))
    books.error = FULL
    settling = asyncio.create_task(teller.ask(Settle(fact("a", 60))))
    await until(lambda: teller.unsettled)
    await asyncio.to_thread(teller.close)
    with pytest.raises(StoreUnavailableError):
        await settling
    assert books.stands() == (0, 100), "the hold is left to be found"


async def test_one_operation_that_breaks_the_books_takes_no_neighbour_with_it(teller: Teller, books: Books) -> None:
    whole = books.transact

    def breaking(operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        if any(isinstance(each, Reserve) and each.attempt_id == "bad" for each in operations):
            raise ZeroDivisionError("a bug")
        return whole(operations, clock)

    books.transact = breaking  # type: ignore[method-assign]
    books.gate.clear()
    first = asyncio.create_task(teller.ask(reserve("a")))
    await until(books.entered.is_set)
    others = [asyncio.create_task(teller.ask(reserve(name))) for name in ("b", "bad", "c")]
    await asyncio.sleep(0)
    books.gate.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Granted, Granted, StoreUnavailableError, Granted]
    assert isinstance(outcomes[2], StoreUnavailableError)
    assert isinstance(outcomes[2].__cause__, ZeroDivisionError)
    assert books.stands() == (0, 300)


async def test_an_error_of_the_configuration_stays_one(teller: Teller, books: Books) -> None:
    books.error = ConfigError("two files disagree")
    with pytest.raises(ConfigError, match="disagree"):
        await teller.ask(reserve("a"))


# Callers who go


async def test_a_caller_who_goes_before_the_books_looked_leaves_nothing(teller: Teller, books: Books) -> None:
    books.gate.clear()
    busy = asyncio.create_task(teller.ask(reserve("a")))
    await until(books.entered.is_set)
    gone = asyncio.create_task(teller.ask(reserve("b")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    books.gate.set()
    await busy
    await teller.ask(Expire())
    assert books.stands() == (0, 100)


async def test_a_caller_who_goes_while_it_is_granted_gives_the_grant_back(teller: Teller, books: Books) -> None:
    books.gate.clear()
    gone = asyncio.create_task(teller.ask(reserve("a")))
    await until(books.entered.is_set)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    books.gate.set()
    await until(lambda: ["Void"] in books.batches)
    assert books.stands() == (0, 0)


async def test_a_caller_who_goes_with_the_grant_already_in_its_loop_gives_it_back(teller: Teller, books: Books) -> None:
    gone = asyncio.create_task(teller.ask(reserve("a")))
    await asyncio.sleep(0)
    # The loop stands still until the answer waits in it: the cancel comes first, the grant was delivered before it.
    for _ in range(2_000):
        if books.batches and books.stands() == (0, 100):
            break
        threading.Event().wait(0.001)
    threading.Event().wait(0.02)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await until(lambda: books.stands() == (0, 0))


async def test_a_settle_whose_caller_goes_takes_effect_all_the_same(teller: Teller, books: Books) -> None:
    await teller.ask(reserve("a"))
    books.gate.clear()
    gone = asyncio.create_task(teller.ask(Settle(fact("a", 60))))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    books.gate.set()
    await until(lambda: books.stands() == (60, 0))


def test_a_loop_that_is_closed_under_its_callers_gets_no_grant(teller: Teller, books: Books) -> None:
    books.gate.clear()

    async def ask() -> None:
        asyncio.get_running_loop().create_task(teller.ask(reserve("a")))
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    loop.run_until_complete(ask())
    loop.close()
    books.gate.set()
    teller.ask_blocking(Expire())
    teller.ask_blocking(Expire())
    assert books.stands() == (0, 0)


# The end


async def test_a_teller_that_is_closed_refuses_and_flushes_what_had_queued(teller: Teller, books: Books) -> None:
    await teller.ask(reserve("a"))
    books.gate.clear()
    books.entered.clear()
    busy = asyncio.create_task(teller.ask(reserve("b")))
    await until(books.entered.is_set)
    settling = asyncio.create_task(teller.ask(Settle(fact("a", 60))))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(teller.close))
    await until(lambda: teller._closing)
    with pytest.raises(StoreUnavailableError, match="closed"):
        await teller.ask(reserve("c"))
    books.gate.set()
    await closing
    assert isinstance(await busy, Granted)
    assert isinstance(await settling, Ended)
    assert books.stands() == (60, 100)
    teller.close()


async def test_whoever_is_parked_when_it_closes_is_answered(teller: Teller, books: Books) -> None:
    await teller.ask(reserve("a", 1_000))
    parked = asyncio.create_task(teller.ask(reserve("b"), Clock()() + HOUR_MS))
    await until(lambda: teller.waiting)
    await asyncio.to_thread(teller.close)
    assert isinstance(await parked, Denial)


def test_a_teller_nobody_asked_closes_at_once(books: Books, clock: Clock) -> None:
    teller = Teller(books, clock)
    teller.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        teller.tell(Expire())


def test_who_queues_in_the_moment_of_the_end_is_answered(teller: Teller) -> None:
    """Between the look whether it is closed and the queue, the thread may have ended."""
    teller.ask_blocking(Expire())
    teller.close()
    late = Ticket(Expire(), 0)
    late.lock = threading.Lock()
    late.lock.acquire()
    teller._enqueue(late)
    assert late.lock.acquire(timeout=5)
    assert isinstance(late.outcome, StoreUnavailableError)


# Bounds and clocks


async def test_too_many_operations_refuse_reserves_and_never_settles(
    teller: Teller, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller_module, "QUEUE_MAX", 2)
    await teller.ask(reserve("a"))
    books.gate.clear()
    books.entered.clear()
    tasks = [asyncio.create_task(teller.ask(Expire()))]
    await until(books.entered.is_set)
    tasks += [asyncio.create_task(teller.ask(reserve(name))) for name in ("b", "c")]
    await asyncio.sleep(0)
    with pytest.raises(QueueFullError):
        await teller.ask(reserve("d"))
    tasks.append(asyncio.create_task(teller.ask(Settle(fact("a", 60)))))
    await asyncio.sleep(0)
    books.gate.set()
    await asyncio.gather(*tasks)
    assert books.stands() == (60, 200)


async def test_nobody_waits_longer_because_the_clock_went_back(teller: Teller, books: Books, clock: Clock) -> None:
    await teller.ask(reserve("a", 1_000))
    waiting = asyncio.create_task(teller.ask(reserve("b"), clock() + 60))
    await until(lambda: teller.waiting)
    clock.pass_ms(-2 * HOUR_MS)
    assert isinstance(await asyncio.wait_for(waiting, 5), Denial)


async def test_callers_stand_by_when_they_began_whatever_becomes_of_the_clock(teller: Teller, clock: Clock) -> None:
    """A clock that is set back makes nobody older than those who wait already."""
    await teller.ask(reserve("holder", 1_000))
    waiting = []
    for name, age_ms in (("second", 60_000), ("third", 0), ("first", 120_000)):
        asked = replace(reserve(name), begun_ms=clock() - age_ms)
        waiting.append(asyncio.create_task(teller.ask(asked, clock() + HOUR_MS)))
        await until(lambda: teller.waiting == len(waiting))
        clock.pass_ms(-2 * HOUR_MS)
    (queue,) = teller._room._queues.values()
    assert [waiter.ticket.reserve.attempt_id for waiter in queue.line.first(9)] == ["first", "second", "third"]
    await teller.ask(Settle(fact("holder", 0, bound_nano_usd=1_000)))
    assert [type(outcome) for outcome in await asyncio.gather(*waiting)] == [Granted] * 3


async def test_a_clock_that_goes_back_keeps_what_is_held_and_spent(teller: Teller, books: Books, clock: Clock) -> None:
    await teller.ask(reserve("a", 600))
    clock.pass_ms(-2 * HOUR_MS)
    assert isinstance(await teller.ask(reserve("b", 600)), Denial)
    await teller.ask(Settle(fact("a", 500)))
    assert books.stands() == (500, 0)


async def test_a_lease_is_renewed_and_orphans_are_looked_for(books: Books, clock: Clock) -> None:
    teller = Teller(books, clock, lease_ms=30)
    try:
        await teller.ask(Expire())
        await until(lambda: sum("Renew" in batch and "Expire" in batch for batch in books.batches) > 2)
    finally:
        await asyncio.to_thread(teller.close)


async def test_a_failing_renewal_is_simply_tried_again(books: Books, clock: Clock) -> None:
    teller = Teller(books, clock, lease_ms=30)
    try:
        await teller.ask(Expire())
        books.error, books.failing = FULL, Renew
        await until(lambda: sum("Renew" in batch for batch in books.batches) > 2)
        assert teller.unsettled == 0
        books.error = None
        assert isinstance(await teller.ask(reserve("a")), Granted)
    finally:
        await asyncio.to_thread(teller.close)


# Waiting


async def test_a_release_lets_the_first_of_the_queue_in(teller: Teller, books: Books, clock: Clock) -> None:
    await teller.ask(reserve("a", 600))
    order: list[str] = []

    async def wait(name: str) -> Any:
        outcome = await teller.ask(reserve(name, 600), clock() + HOUR_MS)
        order.append(name)
        await teller.ask(Settle(fact(name, 1)))
        return outcome

    waiting = []
    for name in ("b", "c", "d"):
        waiting.append(asyncio.create_task(wait(name)))
        await until(lambda: teller.waiting == len(waiting))
    await teller.ask(Settle(fact("a", 100)))
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting), 10)
    assert [type(outcome) for outcome in outcomes] == [Granted] * 3
    assert order == ["b", "c", "d"]


async def test_a_release_by_another_process_is_seen_without_being_told(
    teller: Teller, books: Books, clock: Clock
) -> None:
    await teller.ask(reserve("a", 600))
    waiting = asyncio.create_task(teller.ask(reserve("b", 600), clock() + HOUR_MS))
    await until(lambda: teller.waiting)
    MemoryStore.transact(books, [Void("a")], clock)  # as another process would
    assert isinstance(await asyncio.wait_for(waiting, 10), Granted)


async def test_what_can_never_come_back_is_not_waited_for(teller: Teller, books: Books, clock: Clock) -> None:
    await teller.ask(reserve("a", 600))
    await teller.ask(Settle(fact("a", 600)))
    outcome = await asyncio.wait_for(teller.ask(reserve("b", 600), clock() + HOUR_MS), 10)
    assert isinstance(outcome, Denial)
    assert outcome.comeback == "never"
