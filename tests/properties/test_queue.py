"""The queue beside what it promises, whatever callers, releases, time and other processes do, in any order.

After every transaction: newcomers that were granted passed nobody who waited for something that binds both, and of one
tenant in one queue nobody passed who had come before and is bound by no other; who comes again came when its call
began. After every step: no head waits for what
it could have, unless it comes after another queue's; everybody who was not answered waits in one queue; the books add
up. In the end nothing is left. Once as a state machine, which finds short examples, and once as long seeded runs, in
which queues are long.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bursar.call.books import Granted, Settle, Void
from bursar.edges.tickets import Ticket, Waiter
from bursar.rules.allowances import Allowance, Denial
from bursar.rules.fairness import Tenants
from tests.contract.store.material import HOUR_MS, NOON_MS, fact
from tests.edges.desk import Desk

OPENAI = (("provider", "openai"),)
ALLOWANCES = (
    Allowance("flight", "in_flight", 4, "gauge", only=OPENAI),
    Allowance("tokens", "tokens", 60_000, "bucket", "minute", only=OPENAI),
    Allowance("users", "nano_usd", 1_000, "calendar", "day", each="user"),
    Allowance("all", "nano_usd", 2_500, "calendar", "day"),
)


@dataclass(frozen=True)
class Standing:
    """Where somebody waited before a transaction. only: nobody waits for anything else that binds it."""

    ticket: Ticket
    arrival: int
    tenant: str
    queue: Any
    only: bool


class WatchedDesk(Desk):
    """A desk at which every transaction is watched."""

    def step(self) -> None:
        before = {id(one.ticket): one for one in self.standing()}
        asked = len(self.served)
        open_tickets = list(self._open)
        super().step()
        granted = set(self.served[asked:])
        still = {id(one.ticket): one for one in self.standing()}
        for ticket in open_tickets:
            if ticket.delivered and ticket.reserve.attempt_id in granted:
                self._passed_nobody(ticket, before, still)

    def standing(self) -> list[Standing]:
        """Everybody who waits."""
        found = []
        for queue in self.room._queues.values():
            for waiter in queue.line.first(len(queue.line)):
                assert isinstance(waiter, Waiter)
                assert waiter.queue is queue
                assert waiter.ticket.waiter is waiter
                reserve = waiter.ticket.reserve
                binding = [each for each in self.room._binding(reserve.scopes) if each.size_of(reserve)]
                found.append(Standing(waiter.ticket, waiter.arrival, waiter.tenant, queue, len(binding) == 1))
        return found

    def _passed_nobody(self, ticket: Ticket, before: dict[int, Standing], still: dict[int, Standing]) -> None:
        own = before.get(id(ticket))
        tenant, _ = self.room._tenants.of(ticket.reserve.scopes)
        for key, other in still.items():
            stood = before.get(key)
            if stood is None or stood.queue is not other.queue or (own and own.arrival < other.arrival):
                continue
            if own is not None and (own.queue is not other.queue or not stood.only):
                continue  # who is preceded in another queue is passed over in its own
            allowance = other.queue.denial.allowance
            binds = allowance.subject_of(ticket.reserve.scopes) == other.queue.key[1]
            if binds and other.queue.size_of(ticket.reserve) and (own is None or tenant == other.tenant):
                raise AssertionError(f"{ticket.reserve.attempt_id} passed {other.ticket.reserve.attempt_id}")


class Crowd:
    """Callers of three users and two providers; some wait, some do not, some go."""

    def __init__(self, weights: dict[str, int]) -> None:
        self.desk = WatchedDesk(*ALLOWANCES, tenants=Tenants("user", weights), capacity=40)
        self.tickets: list[Ticket] = []
        self.number = 0

    def ask(self, user: str, provider: str, nano_usd: int, tokens: int, wait_ms: int, decide: bool) -> None:
        """Ask for a grant."""
        self.number += 1
        scopes = {"user": user, "provider": provider, "model": f"{provider}/x"}
        asked = self.desk.ask(
            f"{self.number}", nano_usd, tokens=(tokens, 0), wait_ms=wait_ms, scopes=scopes, decide=decide
        )
        self.tickets.append(asked)

    @property
    def granted(self) -> list[Ticket]:
        """Attempts under way."""
        return [ticket for ticket in self.tickets if isinstance(ticket.outcome, Granted) and not ticket.abandoned]

    @property
    def unanswered(self) -> list[Ticket]:
        """Callers who wait for an answer."""
        return [ticket for ticket in self.tickets if not ticket.delivered]

    def settle(self, ticket: Ticket, charged: int) -> None:
        """End an attempt."""
        self.tickets.remove(ticket)
        granted = ticket.outcome
        ended = fact(
            granted.attempt_id, min(charged, granted.nano_usd), scopes=ticket.reserve.scopes,
            bound_nano_usd=granted.nano_usd, reserved_ms=granted.at_ms,
        )  # fmt: skip
        self.desk.tell(Settle(ended))

    def refuse(self, ticket: Ticket, pass_ms: int, wait_ms: int) -> None:
        """The provider refuses an attempt; its caller comes again after a while, as old as the call is."""
        reserve = ticket.reserve
        self.settle(ticket, 0)
        self.pass_ms(pass_ms)
        self.number += 1
        demand, name = reserve.demand, f"{self.number} for {reserve.attempt_id}"
        again = self.desk.ask(
            name, demand.nano_usd(demand.output_tokens_min), tokens=(demand.rate_input_tokens, 0), wait_ms=wait_ms,
            scopes=reserve.scopes, begun_ms=ticket.begun_ms or NOON_MS,
        )  # fmt: skip
        self.tickets.append(again)

    def void(self, ticket: Ticket, silently: bool) -> None:
        """Undo an attempt."""
        self.tickets.remove(ticket)
        name = ticket.outcome.attempt_id
        self.desk.tell(Void(name) if silently else Void(name, fact(name, 0, scopes=ticket.reserve.scopes)))

    def cancel(self, ticket: Ticket, decide: bool) -> None:
        """A caller goes."""
        self.tickets.remove(ticket)
        self.desk.cancel(ticket, decide=decide)

    def pass_ms(self, milliseconds: int) -> None:
        """Let time pass."""
        self.desk.decide()
        self.desk.pass_ms(milliseconds)

    def check(self) -> None:
        """Nobody waits for nothing."""
        desk, now_ms = self.desk, self.desk.clock()
        if desk.teller._queue or desk.teller._gone:
            return
        standing = desk.standing()
        assert sorted(id(one.ticket) for one in standing) == sorted(map(id, self.unanswered))
        assert desk.teller.waiting == len(standing)
        assert sum(each["waiting"] for each in desk.teller.queues().values()) == len(standing)
        assert desk.room.next_ms() > now_ms
        for ticket in self.unanswered:
            assert isinstance(ticket.outcome, Denial)
            assert ticket.until_ms > now_ms
        for queue in desk.room._queues.values():
            by = queue.blocked_by
            if by is not None:
                assert desk.room._queues[by.key] is by
                assert not by.waits_for(queue)
                continue
            head = queue.line.head().ticket.reserve
            (looked,) = desk.books.transact([replace(head, behind=("?",))], desk.clock)
            assert isinstance(looked, Denial), f"{head.attempt_id} could have been granted"
        assert desk.books.check(now_ms) == []

    def end(self) -> None:
        """Everything ends; nothing may be left."""
        desk = self.desk
        desk.decide()
        while self.granted:
            self.void(self.granted[0], silently=True)
        desk.pass_ms(2 * HOUR_MS)
        while self.granted:
            self.void(self.granted[0], silently=True)
        assert not self.unanswered
        assert desk.empty()
        assert not any(balance.held for balance in desk.books.balances(desk.clock()))


USERS = ["ann", "bob", "eve"]
PROVIDERS = ["openai", "openai", "anthropic"]
AMOUNTS = [0, 50, 100, 400, 900, 1_001]
TOKENS = [0, 10, 1_000, 30_000, 60_000]
WAITS_MS = [0, 5, 2_000, 60_000, HOUR_MS]
LIKELIHOODS = {"ask": 50, "settle": 12, "refuse": 4, "void": 3, "cancel": 4, "pass": 4, "decide": 2}


class QueueMachine(RuleBasedStateMachine):
    """A crowd, as Hypothesis leads it."""

    @initialize(weights=st.sampled_from([{}, {"ann": 3}]))
    def begin(self, weights: dict[str, int]) -> None:
        self.crowd = Crowd(weights)

    @rule(
        user=st.sampled_from(USERS),
        provider=st.sampled_from(PROVIDERS),
        nano_usd=st.sampled_from(AMOUNTS),
        tokens=st.sampled_from(TOKENS),
        wait_ms=st.sampled_from(WAITS_MS),
        decide=st.booleans(),
    )
    def ask(self, user: str, provider: str, nano_usd: int, tokens: int, wait_ms: int, decide: bool) -> None:
        self.crowd.ask(user, provider, nano_usd, tokens, wait_ms, decide)

    @precondition(lambda self: self.crowd.granted)
    @rule(data=st.data(), charged=st.sampled_from([0, 0, 50, 900]))
    def settle(self, data: Any, charged: int) -> None:
        self.crowd.settle(data.draw(st.sampled_from(self.crowd.granted)), charged)

    @precondition(lambda self: self.crowd.granted)
    @rule(data=st.data(), pass_ms=st.sampled_from([0, 10, 500]), wait_ms=st.sampled_from(WAITS_MS))
    def refuse(self, data: Any, pass_ms: int, wait_ms: int) -> None:
        self.crowd.refuse(data.draw(st.sampled_from(self.crowd.granted)), pass_ms, wait_ms)

    @precondition(lambda self: self.crowd.granted)
    @rule(data=st.data(), silently=st.booleans())
    def void(self, data: Any, silently: bool) -> None:
        self.crowd.void(data.draw(st.sampled_from(self.crowd.granted)), silently)

    @precondition(lambda self: self.crowd.unanswered)
    @rule(data=st.data(), decide=st.booleans())
    def cancel(self, data: Any, decide: bool) -> None:
        self.crowd.cancel(data.draw(st.sampled_from(self.crowd.unanswered)), decide)

    @rule(milliseconds=st.sampled_from([1, 10, 500, 20_000]))
    def pass_time(self, milliseconds: int) -> None:
        self.crowd.pass_ms(milliseconds)

    @rule()
    def decide(self) -> None:
        self.crowd.desk.decide()

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if hasattr(self, "crowd"):
            self.crowd.check()

    def teardown(self) -> None:
        if hasattr(self, "crowd"):
            self.crowd.end()


QueueMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
test_queue_machine = QueueMachine.TestCase


@pytest.mark.parametrize("seed", range(int(os.environ.get("BURSAR_QUEUE_SEEDS", "8"))))
def test_seeded_runs(seed: int) -> None:
    chance = Random(seed)
    crowd = Crowd(chance.choice([{}, {"ann": 3}]))
    longest = 0
    for _ in range(400):
        match chance.choices(["ask", "settle", "refuse", "void", "cancel", "pass", "decide"], [50, 12, 4, 3, 4, 4, 2])[
            0
        ]:
            case "ask":
                crowd.ask(
                    chance.choice(USERS), chance.choice(PROVIDERS), chance.choice(AMOUNTS[:5]),
                    chance.choice(TOKENS[:4]), chance.choice(WAITS_MS[2:]), chance.random() < 0.7,
                )  # fmt: skip
            case "settle" if crowd.granted:
                crowd.settle(chance.choice(crowd.granted), chance.choice([0] * 20 + [50]))
            case "refuse" if crowd.granted:
                crowd.refuse(chance.choice(crowd.granted), chance.choice([0, 20, 900]), chance.choice(WAITS_MS[2:]))
            case "void" if crowd.granted:
                crowd.void(chance.choice(crowd.granted), chance.random() < 0.5)
            case "cancel" if crowd.unanswered:
                crowd.cancel(chance.choice(crowd.unanswered), chance.random() < 0.5)
            case "pass":
                crowd.pass_ms(chance.choice([1, 50, 700, 9_000]))
            case _:
                crowd.desk.decide()
        crowd.check()
        longest = max(longest, crowd.desk.teller.waiting)
    assert longest > 10
    crowd.end()
