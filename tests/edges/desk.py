"""A teller without its thread, under a virtual clock: everything is decided when the test says so, in no real time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bursar.call.books import Expired, Granted, Operation, Outcome, Settle, Void
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.teller import Teller
from bursar.edges.tickets import Ticket
from bursar.rules.allowances import Allowance
from bursar.rules.fairness import Tenants
from tests.contract.store.material import HOUR_MS, SCOPES, Clock, fact, reserve

FLIGHT = Allowance("flight", "in_flight", 2, "gauge")
TOKENS = Allowance("tokens", "tokens", 60_000, "bucket", "minute")  # one a millisecond
REQUESTS = Allowance("requests", "requests", 60, "bucket", "minute")  # one a second
OTHER = {"provider": "anthropic"}


def openai(allowance: Allowance) -> Allowance:
    """The same for calls to openai alone."""
    return Allowance(allowance.name, allowance.meter, allowance.capacity, allowance.shape, allowance.period,
                     (("provider", "openai"),))  # fmt: skip


class Books(MemoryStore):
    """Books in memory that count their transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = 0

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        self.transactions += 1
        return super().transact(operations, clock)


class Desk:
    """Books, a teller over them, and the time. `served` are the attempts in the order of their grants."""

    def __init__(
        self,
        *allowances: Allowance,
        capacity: int = 1_000,
        tenants: Tenants | None = None,
        shared: bool = False,
        notice: Callable[[Expired], None] | None = None,
    ) -> None:
        self.clock = Clock()
        self.books = Books()
        self.books.define(allowances, "test", self.clock)
        # No lease is renewed within any test: what is counted are the transactions of its callers.
        self.teller = Teller(
            self.books, self.clock, waiting_max=capacity, tenants=tenants, shared=shared, timer=self.clock,
            lease_ms=10**9, notice=notice,
        )  # fmt: skip
        self.teller._pid = os.getpid()
        self.teller._renew_at_ms = self.clock() + 10**9
        self.served: list[str] = []
        self._open: list[Ticket] = []

    @property
    def room(self) -> Any:
        """The waiting room."""
        return self.teller._room

    def ask(
        self,
        name: str,
        nano_usd: int = 100,
        *,
        wait_ms: int = HOUR_MS,
        tokens: tuple[int, int] = (0, 0),
        scopes: Mapping[str, str] | None = None,
        begun_ms: int = 0,
        decide: bool = True,
    ) -> Ticket:
        """Ask for a grant, and let it be decided at once unless told otherwise. begun_ms: when its call began."""
        operation = reserve(name, nano_usd, tokens=tokens, scopes={**SCOPES, **(scopes or {})})
        ticket = self.teller._ticket(replace(operation, begun_ms=begun_ms), self.clock() + wait_ms if wait_ms else 0)
        self.teller._put(ticket)
        self._open.append(ticket)
        if decide:
            self.decide()
        return ticket

    def tell(self, *operations: Operation) -> None:
        """Queue operations that nobody waits for, and have everything decided."""
        for operation in operations:
            self.teller.tell(operation)
        self.decide()

    def settle(self, name: str, charged: int = 0, **options: Any) -> None:
        """End an attempt, by default for nothing."""
        self.tell(Settle(fact(name, charged, **options)))

    def void(self, name: str) -> None:
        """Give a grant back without a word of whose it was."""
        self.tell(Void(name))

    def cancel(self, ticket: Ticket, *, decide: bool = True) -> None:
        """Its caller goes."""
        self.teller._abandon(ticket)
        if decide:
            self.decide()

    def decide(self) -> None:
        """Let the teller work until nothing is due."""
        for _ in range(10_000):
            self.step()
            if not self.teller._queue and not self.teller._gone and self.room.next_ms() > self.clock():
                return
        raise AssertionError("the teller works without end")

    def step(self) -> None:
        """Let the teller do one transaction."""
        self.teller._wake.put(None)
        batch = self.teller._collect()
        if batch:
            self.teller._commit(batch)
        for ticket in [ticket for ticket in self._open if ticket.delivered]:
            self._open.remove(ticket)
            if isinstance(ticket.outcome, Granted) and not ticket.abandoned:
                self.served.append(ticket.outcome.attempt_id)

    def pass_ms(self, milliseconds: int) -> None:
        """Let time pass, and whatever falls due in it happen at its time."""
        until_ms = self.clock() + milliseconds
        while (next_ms := self.room.next_ms()) <= until_ms:
            self.clock.now_ms = max(next_ms, self.clock())
            self.decide()
        self.clock.now_ms = until_ms

    def waiting(self) -> dict[tuple[str, str], list[str]]:
        """Who waits in which queue, in the order in which they would be served."""
        return {
            key: [waiter.ticket.reserve.attempt_id for waiter in queue.line.first(len(queue.line))]
            for key, queue in self.room._queues.items()
        }

    def held(self, name: str, subject: str = "") -> int:
        """What is held of an allowance."""
        found = self.books.balances(self.clock(), names=[name], subject=subject)
        return found[0].held if found else 0

    def empty(self) -> bool:
        """Whether nothing is left of anybody who waited."""
        room, shown = self.room, self.teller.queues()
        lines = (room.count, room._queues, room._bound, self.teller._queue, self.teller._gone)
        return not any(lines) and not any(each["waiting"] for each in shown.values())


def outcomes(tickets: Iterable[Ticket]) -> list[str]:
    """What became of tickets, in a word each."""
    return [_word(ticket) for ticket in tickets]


def _word(ticket: Ticket) -> str:
    outcome = ticket.outcome
    if not ticket.delivered:
        return "waits"
    if isinstance(outcome, Granted):
        return "granted"
    return f"{outcome.reason} {outcome.comeback}" if hasattr(outcome, "comeback") else type(outcome).__name__
