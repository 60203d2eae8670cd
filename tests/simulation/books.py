"""The books that several simulated processes share, and the teller of one of them, moved on by the loop.

The teller is the real one without its thread: each commit takes its time, and so does each acknowledgement, so that a
process can die between the two. The store is the one in memory with what several processes need: it knows whose holds
are whose, fails now and then, and is looked at after every transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty
from random import Random
from typing import Any

from msgspec.structs import replace

from bursar.call.books import Adjust, Expired, Operation, Outcome
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.rows import expired_row, fact_of
from bursar.edges.teller import Teller
from bursar.edges.tickets import Ticket
from bursar.errors import StoreUnavailableError
from tests.simulation.loop import VirtualLoop

# A full audit after every so many transactions; what budgets carry is looked at after each.
AUDIT_EVERY = 40
COMMIT_SECONDS = 0.004


class SharedBooks(MemoryStore):
    """Books in memory that outlive the processes. wrong: told of everything that does not hold."""

    def __init__(self, wrong: Callable[[str], None]) -> None:
        super().__init__()
        self.dead: list[str] = []
        self.presumed: set[str] = set()
        self.fails = False
        self.forgets = False
        self.transactions = 0
        self._wrong = wrong

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        """Apply all operations; those of a dead process never come here."""
        if self.fails:
            raise StoreUnavailableError("the disk is full")
        self._orphans = [name for name in self._holds if name in self.presumed or name.startswith(tuple(self.dead))]
        outcomes = super().transact(operations, clock)
        self.transactions += 1
        for problem in self.problems(clock()):
            self._wrong(problem)
        if self.forgets:
            raise StoreUnavailableError("the connection was lost before the answer came")
        return outcomes

    def problems(self, now_ms: int) -> Iterator[str]:
        """What does not hold of the books as they stand."""
        limits = {name: defined.allowance for name, defined in self._defined.items()}
        for (name, subject, _), stored in self._levels.items():
            allowance = limits[name]
            if allowance.shape != "bucket" and allowance.enforced and stored.spent + stored.held > allowance.capacity:
                yield f"{name} {subject}: {stored.spent} spent + {stored.held} held > {allowance.capacity}"
        if self.transactions % AUDIT_EVERY == 0:
            yield from self.check(now_ms)

    def carried_nano_usd(self, attempt_id: str) -> int | None:
        """What the books carry for an attempt; None when they do not know it."""
        if attempt_id in self._holds:
            return self._holds[attempt_id].bound_nano_usd
        return self._rows[attempt_id].charged_nano_usd if attempt_id in self._rows else None

    def correct(self, attempt_id: str, billed_nano_usd: int, clock: Callable[[], int]) -> None:
        """Bring the provider's record of an attempt, pending or ended."""
        if attempt_id in self._holds:
            hold = self._holds[attempt_id]
            fact = fact_of(expired_row(hold, clock()))
        elif attempt_id in self._rows:
            fact = fact_of(self._rows[attempt_id])
        else:
            return
        known = {"charged_nano_usd": billed_nano_usd, "cost_nano_usd": billed_nano_usd, "cost_source": "provider"}
        told = replace(fact, ending="ok", certain=True, **known)
        with suppress(StoreUnavailableError):
            self.transact([Adjust(told, "record")], clock)

    def pending(self) -> list[str]:
        """The attempts that hold something."""
        return sorted(self._holds)


class Bell:
    """Wakes the teller of the loop, as a thread would be woken."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    def put(self, item: None) -> None:
        """Ring."""
        self._ring()

    def get(self, timeout: float) -> None:
        """There is never anything to wait for: the loop does that."""
        raise Empty


class LoopTeller(Teller):
    """The teller of one process. Once it is dead nothing passes any more, in either direction."""

    def __init__(
        self, store: SharedBooks, loop: VirtualLoop, chance: Random, *, lease_ms: int, notice: Callable[[Expired], None]
    ) -> None:
        super().__init__(store, loop.now_ms, timer=loop.now_ms, lease_ms=lease_ms, notice=notice)
        self.dead = False
        self._loop = loop
        self._random = chance
        self._wake: Any = Bell(self._ring)
        self._alarm: Any = None
        self._unanswered: tuple[list[Ticket], list[Any]] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody's operations are queued or fail; its own go on for ever."""
        return not (self._queue or self._failing)

    def close(self) -> None:
        """Commit what has queued and refuse what is parked, at once."""
        self._closing = True
        self._acknowledge()
        while not self.dead and (batch := self._collect()):
            super()._commit(batch)
        if not self.dead:
            self._deliver(self._room.empty(self._timer()))
        self._ended = True

    def _put(self, ticket: Ticket) -> None:
        if not self.dead and not self._loop.is_closed():
            super()._put(ticket)

    def _start(self) -> None:
        self._pid = os.getpid()
        self._renew_at_ms = self._timer() + self._lease_ms // 3
        self._idle = True

    def _ring(self) -> None:
        if not self.dead and not self._unanswered and not self._loop.is_closed():
            self._step_in(self._random.uniform(0.0, COMMIT_SECONDS))

    def _step_in(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_later(seconds, self._step)

    def _step(self) -> None:
        self._alarm = None
        if self.dead or self._closing:
            return
        batch = self._collect()
        if batch:
            self._commit(batch)
        if not self._unanswered:
            self._rest()

    def _rest(self) -> None:
        """Sleep until somebody rings or a timer is due."""
        if self._closing:
            return
        self._idle = not self._queue
        self._step_in(0.0 if self._queue or self._gone else self._pause_seconds())

    def _answer(self, batch: list[Ticket], outcomes: list[Any]) -> None:
        """The acknowledgement takes its time; nothing else is committed meanwhile."""
        if self._closing:
            super()._answer(batch, outcomes)
            return
        if self._unanswered is not None:
            self._unanswered[0].extend(batch)
            self._unanswered[1].extend(outcomes)
            return
        self._unanswered = list(batch), list(outcomes)
        self._loop.call_later(self._random.uniform(0.0, COMMIT_SECONDS), self._acknowledge)

    def _acknowledge(self) -> None:
        if self._unanswered is not None and not self.dead:
            (batch, outcomes), self._unanswered = self._unanswered, None
            super()._answer(batch, outcomes)
            self._rest()
