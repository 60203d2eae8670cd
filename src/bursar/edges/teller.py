"""The teller: one thread a process that takes whatever operations have queued and commits them as one transaction.

That is a group commit without a timer: a lone caller waits for nobody, sixty-four share one fsync. Settles go before
reserves, calls that waited go before newcomers. A reserve that is denied but may come back (held money, a rate) is
parked until its deadline (see `waiting`); a release here, the time that the denial named, or a look every 50 ms
(another process may have released) lets the first in line try again, and newcomers stand behind. Callers of both
colours are answered: a blocking one through a lock, async ones through their loop, once a batch.

A settle is never given up while the teller lives: when the books fail, its caller is told after `SETTLE_PATIENCE_MS`
that it is unsettled, and the operation is tried again until it succeeds. The hold stays meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from bursar.call.books import Adjust, Ended, Expire, Expired, Granted, Operation, Renew, Reserve, Settle, Store, Void
from bursar.edges.tickets import Ticket
from bursar.edges.waiting import WaitingRoom
from bursar.edges.waits import WaitStatistics
from bursar.errors import BursarError, QueueFullError, StoreUnavailableError
from bursar.rules.fairness import Tenants

# How long the caller of a settle waits for failing books before it is told "unsettled".
SETTLE_PATIENCE_MS = 2_000
# Pauses between tries while the books fail.
RETRY_MS = 100
# A lease outlives a few missed renewals, so that a busy machine orphans nobody.
LEASE_MS = 60_000
# As many operations as one transaction takes; more would only make the last caller wait for the first.
BATCH_MAX = 512
# Operations that may queue, unsettled ones included; beyond it callers are refused rather than memory exhausted.
QUEUE_MAX = 100_000
# Refused reserves that are voided once the books work again, in case they had been granted; an outage makes many more
# that never were.
UNSURE_MAX = 2 * BATCH_MAX
# Calls that may be parked for money or a limit.
WAITING_MAX = 10_000


# Outcomes that end a newcomer's wait, whatever else goes on.
_PLAIN = frozenset({Granted, Ended})


def steady_ms() -> int:
    """Milliseconds that only go forward."""
    return time.monotonic_ns() // 1_000_000


class Teller:
    """Serialises every operation on one store. Thread-safe; `close` flushes what has queued."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        *,
        waiting_max: int = WAITING_MAX,
        tenants: Tenants | None = None,
        shared: bool = True,
        lease_ms: int = LEASE_MS,
        timer: Callable[[], int] = steady_ms,
        notice: Callable[[Expired], None] | None = None,
    ) -> None:
        """waiting_max: calls that may be parked, fair between `tenants`. shared: other processes use these books."""
        self._notice = notice
        self._store = store
        self._clock = clock
        self._timer = timer
        self._lease_ms = lease_ms
        self._queue: deque[Ticket] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._idle = False
        self._waits = WaitStatistics(timer)
        self._room = WaitingRoom(waiting_max, self._waits, tenants=tenants, shared=shared)
        self._gone: deque[Ticket] = deque()
        self._failing: list[Ticket] = []
        self._failing_until_ms = 0
        self._renew_at_ms = 0
        self._closing = False
        self._ended = False
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._fate = threading.Lock()

    async def ask(self, operation: Operation, until_ms: int = 0) -> Any:
        """Queue an operation and wait for its outcome. `until_ms`: how long a denied reserve may be parked.

        Raises StoreUnavailableError, ConfigError or QueueFullError; a denial is an outcome. A caller who is cancelled
        leaves nothing behind: a reserve is dropped or its grant voided; settles take effect all the same.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        ticket = self._ticket(operation, until_ms)
        ticket.loop, ticket.future = loop, future
        self._put(ticket)
        try:
            outcome = await future
        except (asyncio.CancelledError, GeneratorExit):
            self._abandon(ticket)
            raise
        if isinstance(outcome, BursarError):
            raise outcome
        return outcome

    def ask_blocking(self, operation: Operation, until_ms: int = 0) -> Any:
        """The blocking twin of `ask`; an interrupt (KeyboardInterrupt) counts as a cancellation."""
        lock = threading.Lock()
        lock.acquire()
        ticket = self._ticket(operation, until_ms)
        ticket.lock = lock
        try:
            self._put(ticket)
            lock.acquire()
        except BursarError:
            raise
        except BaseException:
            self._abandon(ticket)
            raise
        if isinstance(ticket.outcome, BursarError):
            raise ticket.outcome
        return ticket.outcome

    def tell(self, operation: Operation) -> None:
        """Queue an operation whose outcome nobody waits for."""
        self._put(Ticket(operation))

    @property
    def waiting(self) -> int:
        """How many calls are parked for money or a limit."""
        return self._room.count

    def queues(self) -> dict[str, dict[str, Any]]:
        """How long calls wait, by the allowance that they wait for; see `WaitStatistics.snapshot`."""
        return self._waits.snapshot()

    @property
    def queued(self) -> int:
        """How many operations wait to be committed."""
        return len(self._queue)

    @property
    def unsettled(self) -> int:
        """How many settles the books have not taken yet."""
        return len(self._failing)

    def close(self) -> None:
        """Flush what has queued, refuse what is parked, and end the thread. Idempotent."""
        with self._starting:
            self._closing = True
            thread = self._thread
        if thread is not None and thread.is_alive():
            self._wake.put(None)
            thread.join()

    def _ticket(self, operation: Operation, until_ms: int) -> Ticket:
        """A ticket with its instants on the timer, which no change of clocks moves: nobody waits an hour longer."""
        if not until_ms or not isinstance(operation, Reserve):
            return Ticket(operation)
        timer_ms, clock_ms = self._timer(), self._clock()
        age_ms = max(clock_ms - operation.begun_ms, 0) if operation.begun_ms else 0
        return Ticket(operation, timer_ms + max(until_ms - clock_ms, 0), timer_ms - age_ms)

    def _put(self, ticket: Ticket) -> None:
        if self._closing:
            raise StoreUnavailableError("this client is closed")
        if self._pid != os.getpid():
            self._start()
        if len(self._queue) + len(self._failing) >= QUEUE_MAX and isinstance(ticket.operation, Reserve):
            raise QueueFullError(f"{QUEUE_MAX} operations wait for the books already")
        self._enqueue(ticket)

    def _enqueue(self, ticket: Ticket) -> None:
        self._queue.append(ticket)
        if self._idle:
            self._idle = False
            self._wake.put(None)
        if self._ended:
            # The thread ended between the check and the append; it looked once more after saying so, and so do we.
            self._sweep()

    def _sweep(self) -> None:
        """Tell whoever queued too late."""
        late = []
        while self._queue:
            with contextlib.suppress(IndexError):
                late.append(self._queue.popleft())
        self._deliver([(ticket, StoreUnavailableError("this client is closed")) for ticket in late])

    def _start(self) -> None:
        with self._starting:
            if self._closing:
                raise StoreUnavailableError("this client is closed")
            if self._thread is not None and self._pid != os.getpid():
                raise StoreUnavailableError(
                    "this client was opened before a fork and its books are the parent's; make a Client in the child"
                )
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bursar-teller", daemon=True)
                self._pid = os.getpid()
                self._thread.start()

    def _abandon(self, ticket: Ticket) -> None:
        with self._fate:
            ticket.abandoned = True
            delivered = ticket.delivered
        if delivered and isinstance(ticket.outcome, Granted):
            self._enqueue(Ticket(Void(ticket.outcome.attempt_id)))
        elif not delivered:
            self._gone.append(ticket)
            self._wake.put(None)

    # Everything below runs in the teller's thread.

    def _run(self) -> None:
        self._renew_at_ms = self._timer() + self._lease_ms // 3
        try:
            while True:
                batch = self._collect()
                if batch:
                    self._commit(batch)
                elif self._closing and not self._queue:
                    break
            self._deliver(self._room.empty(self._timer()))
        finally:
            self._closing = self._ended = True
            self._sweep()

    def _collect(self) -> list[Ticket]:
        """What to commit next: waits until there is something, or until a timer is due."""
        queue = self._queue
        if not queue and not self._closing:
            self._idle = True
            # A ticket that came between the look and the flag would sleep without this second look.
            if not queue:
                with contextlib.suppress(Empty):
                    self._wake.get(timeout=self._pause_seconds())
            self._idle = False
        now_ms = self._timer()
        tickets = [queue.popleft() for _ in range(min(len(queue), BATCH_MAX))]
        enders = [ticket for ticket in tickets if not isinstance(ticket.operation, Reserve)]
        newcomers = [ticket for ticket in tickets if isinstance(ticket.operation, Reserve) and not ticket.abandoned]
        enders += self._take_failing(now_ms)
        while self._gone:
            self._room.forget(self._gone.popleft(), now_ms)
        returning = self._returning(enders, newcomers, now_ms) if self._room.count else []
        return enders + self._housekeeping(now_ms) + returning + newcomers

    def _returning(self, enders: list[Ticket], newcomers: list[Ticket], now_ms: int) -> list[Ticket]:
        """Those who waited and may try now; who need not wait any more are answered, and newcomers stand behind."""
        room = self._room
        self._deliver(room.leave(now_ms))
        for ticket in enders:
            operation = ticket.operation
            if isinstance(operation, (Settle, Adjust)):
                room.released(operation.fact.scopes, now_ms)
            elif isinstance(operation, Void):
                room.released(None if operation.fact is None else operation.fact.scopes, now_ms)
        returning = room.turns(now_ms)
        for ticket in newcomers:
            room.line_up(ticket, now_ms)
        return returning

    def _pause_seconds(self) -> float:
        due_ms = min(self._renew_at_ms, self._room.next_ms())
        if self._failing:
            due_ms = min(due_ms, self._failing_until_ms)
        return max(due_ms - self._timer(), 0) / 1000

    def _housekeeping(self, now_ms: int) -> list[Ticket]:
        if now_ms < self._renew_at_ms:
            return []
        self._renew_at_ms = now_ms + self._lease_ms // 3
        return [Ticket(Renew(self._lease_ms)), Ticket(Expire())]

    def _take_failing(self, now_ms: int) -> list[Ticket]:
        if not self._failing or (now_ms < self._failing_until_ms and not self._closing):
            return []
        failing, self._failing = self._failing, []
        return failing

    def _commit(self, batch: list[Ticket]) -> None:
        try:
            outcomes = self._store.transact([ticket.operation for ticket in batch], self._clock)
        except StoreUnavailableError as error:
            self._put_off(batch, error)
        except Exception as error:
            self._single_out(batch, error)
        else:
            self._answer(batch, outcomes)

    def _answer(self, batch: list[Ticket], outcomes: list[Any]) -> None:
        now_ms = self._timer()
        deliveries = []
        for ticket, outcome in zip(batch, outcomes, strict=True):
            if type(outcome) in _PLAIN and ticket.waiter is None:
                deliveries.append((ticket, outcome))
            elif isinstance(ticket.operation, Reserve):
                told = self._room.answer(ticket, outcome, now_ms)
                if told is not None:
                    deliveries.append((ticket, told))
            else:
                if isinstance(outcome, Expired) and outcome.attempts:
                    self._expired(outcome, now_ms)
                deliveries.append((ticket, outcome))
        self._deliver(deliveries)

    def _expired(self, outcome: Expired, now_ms: int) -> None:
        self._room.released(None, now_ms)
        if self._notice is not None:
            self._notice(outcome)

    def _put_off(self, batch: list[Ticket], error: StoreUnavailableError) -> None:
        """The books failed: refuse the reserves, keep the settles."""
        now_ms = self._timer()
        deliveries: list[tuple[Ticket, Any]] = []
        for ticket in batch:
            if isinstance(ticket.operation, Reserve):
                self._room.forget(ticket, now_ms, "refused")
                deliveries.append((ticket, error))
                if len(self._failing) < UNSURE_MAX and not self._closing:
                    # The commit may have come about and only its answer been lost: nobody will use that grant.
                    self._failing.append(Ticket(Void(ticket.operation.attempt_id)))
                continue
            if isinstance(ticket.operation, (Renew, Expire)):
                continue
            ticket.since_ms = ticket.since_ms or now_ms
            if now_ms - ticket.since_ms >= SETTLE_PATIENCE_MS or self._closing:
                deliveries.append((ticket, error))
            if not self._closing:
                self._failing.append(ticket)
        self._failing_until_ms = now_ms + RETRY_MS
        self._deliver(deliveries)

    def _single_out(self, batch: list[Ticket], error: Exception) -> None:
        """One operation broke the transaction: find it, so that its neighbours are not lost with it."""
        if len(batch) == 1:
            self._room.forget(batch[0], self._timer(), "refused")
            self._deliver([(batch[0], _wrapped(error))])
            return
        for ticket in batch:
            self._commit([ticket])

    def _deliver(self, deliveries: list[tuple[Ticket, Any]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Ticket, Any]]] = {}
        with self._fate:
            for ticket, outcome in deliveries:
                if ticket.delivered:
                    continue
                ticket.outcome = outcome
                ticket.delivered = True
                if ticket.abandoned:
                    if isinstance(outcome, Granted):
                        self._queue.append(Ticket(Void(outcome.attempt_id)))
                elif ticket.loop is not None:
                    by_loop.setdefault(ticket.loop, []).append((ticket, outcome))
                elif ticket.lock is not None:
                    ticket.lock.release()
        for loop, answers in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, answers)
            except RuntimeError:
                # The loop was closed under its callers: nobody will use these grants.
                for ticket, outcome in answers:
                    if isinstance(outcome, Granted):
                        self._queue.append(Ticket(Void(ticket.outcome.attempt_id)))


def _resolve(answers: list[tuple[Ticket, Any]]) -> None:
    for ticket, outcome in answers:
        if ticket.future is not None and not ticket.future.done():
            ticket.future.set_result(outcome)


def _wrapped(error: Exception) -> BursarError:
    if isinstance(error, BursarError):
        return error
    wrapped = StoreUnavailableError(f"the books refused an operation: {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
