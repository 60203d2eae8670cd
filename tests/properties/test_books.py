"""Any sequence of operations leaves every store where a trivial model says, and the books add up after every step.

The model remembers attempts and nothing else: what is spent and held is summed anew each time (invariants 1 to 3).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from bursar.call.books import Adjust, Ended, Expire, Expired, Granted, Settle, Void
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.allowances import Allowance, Denial
from bursar.rules.windows import rolling_window
from tests.contract.store.material import DAY_MS, HOUR_MS, NOON_MS, Clock, budget, fact, reserve

DEFINITIONS = [
    (budget("day", 300), Allowance("flight", "in_flight", 3, "gauge")),
    (budget("day", 300), budget("users", 150, each="user", period="total"), budget("seen", 10, mode="observe")),
    (budget("day", 500, time_zone="Asia/Kolkata"), budget("anns", 200, only=(("user", "ann"),), period="month")),
    (budget("day", 250), budget("rolling", 200, shape="rolling"), Allowance("calls", "requests", 4, "calendar", "day")),
    (budget("calls", 400, shape="rolling", period="week", each="user"),),
]
IDS = st.integers(0, 9).map(lambda number: f"a{number}")
AMOUNTS = st.sampled_from([0, 1, 40, 60, 100, 160])
USERS = st.sampled_from(["ann", "bob", None])


@dataclass
class Attempt:
    """What became of an attempt. `requests`: 0 for one that was never sent."""

    scopes: dict[str, str]
    at_ms: int
    bound: int
    charge: int = 0
    pending: bool = True
    certain: bool = False
    ending: str = ""
    evidences: set[str] = field(default_factory=set)
    requests: int = 1


class Model:
    """Attempts, and sums over them."""

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}
        self.allowances: tuple[Allowance, ...] = ()

    def standing(self, allowance: Allowance, subject: str, now_ms: int) -> tuple[int, int]:
        """(spent, held), by looking at every attempt."""
        spent = held = 0
        for attempt in self.attempts.values():
            if allowance.subject_of(attempt.scopes) != subject or not counted(allowance, attempt.at_ms, now_ms):
                continue
            money = allowance.meter == "nano_usd"
            if attempt.pending:
                held += attempt.bound if money else 1
            elif allowance.shape != "gauge":
                spent += attempt.charge if money else attempt.requests
        return spent, held

    def refuses(self, scopes: dict[str, str], amount: int, now_ms: int) -> bool:
        """Whether an enforced allowance has no room."""
        for allowance in self.allowances:
            subject = allowance.subject_of(scopes)
            if subject is not None and allowance.enforced:
                needed = amount if allowance.meter == "nano_usd" else 1
                if needed and needed + sum(self.standing(allowance, subject, now_ms)) > allowance.capacity:
                    return True
        return False

    def end(self, attempt_id: str, charge: int, certain: bool, ending: str, evidence: str) -> bool:
        """A settle or an adjustment; whether it has an effect."""
        attempt = self.attempts[attempt_id]
        late = evidence == "settle" and attempt.ending != "expired"
        if not attempt.pending and (attempt.certain or evidence in attempt.evidences or late):
            return False
        if evidence != "settle" or not attempt.pending:
            attempt.evidences.add(evidence)
        attempt.pending, attempt.charge, attempt.certain, attempt.ending = False, charge, certain, ending
        return True


def counted(allowance: Allowance, at_ms: int, now_ms: int) -> bool:
    """Whether a window that is now counts what was reserved then."""
    from bursar.edges.stores.bindings import window_of

    if allowance.shape == "rolling" and allowance.period is not None:
        current, oldest_ms = rolling_window(allowance.period, now_ms)
        return oldest_ms <= at_ms < current.end_ms
    return at_ms in window_of(allowance, now_ms)


class Stores(RuleBasedStateMachine):
    """A store in memory, one in a file, and the model."""

    @initialize()
    def open(self) -> None:
        """Empty books."""
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock(NOON_MS)
        self.floor_ms = NOON_MS
        self.model = Model()
        self.memory = MemoryStore()
        self.sqlite = self.open_sqlite()
        self.retired: set[str] = set()
        self.pruned = False
        self.define(DEFINITIONS[0])

    def open_sqlite(self) -> SqliteStore:
        """The store in the file, as a new process opens it."""
        return SqliteStore(Path(self.folder.name) / "books.db", clock=self.clock)

    def both(self, operation: Any) -> Any:
        """The outcome in both stores, which must be the same."""
        one = self.memory.transact([operation], self.clock)[0]
        other = self.sqlite.transact([operation], self.clock)[0]
        if self.pruned and isinstance(one, Ended):
            # Levels of windows that are over may be gone from the file.
            one, other = replace(one, balances=(), overdrawn=()), replace(other, balances=(), overdrawn=())
        assert one == other
        return one

    @rule(attempt_id=IDS, amount=AMOUNTS, user=USERS)
    def reserve(self, attempt_id: str, amount: int, user: str | None) -> None:
        """Reserve, again where the id is known."""
        if attempt_id in self.retired:
            return
        scopes = {"provider": "openai"} if user is None else {"provider": "openai", "user": user}
        outcome = self.both(reserve(attempt_id, amount, scopes=scopes))
        if attempt_id in self.model.attempts:
            assert isinstance(outcome, Granted)
            assert outcome.nano_usd == self.model.attempts[attempt_id].bound
        elif self.model.refuses(scopes, amount, self.clock.now_ms):
            assert isinstance(outcome, Denial)
        else:
            assert isinstance(outcome, Granted)
            self.model.attempts[attempt_id] = Attempt(scopes, self.clock.now_ms, amount)

    @rule(attempt_id=IDS, charge=AMOUNTS, certain=st.booleans())
    def settle(self, attempt_id: str, charge: int, certain: bool) -> None:
        """Settle, also what has expired and what has been settled."""
        if attempt_id in self.model.attempts:
            told = fact(attempt_id, charge, certain=certain, reserved_ms=self.clock.now_ms)
            changed = self.model.end(attempt_id, charge, certain, told.ending, "settle")
            assert self.both(Settle(told)).changed == changed

    @rule(attempt_id=IDS, charge=AMOUNTS, certain=st.booleans(), evidence=st.sampled_from(["drain", "provider"]))
    def adjust(self, attempt_id: str, charge: int, certain: bool, evidence: str) -> None:
        """Bring evidence, at any time; also of what nobody knows."""
        if attempt_id not in self.retired:
            told = fact(attempt_id, charge, certain=certain)
            if attempt_id not in self.model.attempts:
                self.model.attempts[attempt_id] = Attempt(dict(told.scopes), told.reserved_ms, told.bound_nano_usd)
                self.floor_ms = self.clock.now_ms  # no level is made for a window that is over
            changed = self.model.end(attempt_id, charge, certain, told.ending, evidence)
            assert self.both(Adjust(told, evidence)).changed == changed

    @rule(attempt_id=IDS, with_fact=st.booleans())
    def void(self, attempt_id: str, with_fact: bool) -> None:
        """Void, also what has expired."""
        attempt = self.model.attempts.get(attempt_id)
        if attempt is None:
            if attempt_id not in self.retired:
                assert self.both(Void(attempt_id)) == Ended(attempt_id, changed=False)
            return
        told = fact(attempt_id, 0, ending="not_sent") if with_fact else None
        expired = attempt.ending == "expired" and not attempt.certain and "void" not in attempt.evidences
        assert self.both(Void(attempt_id, told)).changed == (attempt.pending or expired)
        if attempt.pending and not with_fact:
            del self.model.attempts[attempt_id]
        elif attempt.pending or expired:
            attempt.pending, attempt.charge, attempt.certain, attempt.ending = False, 0, True, "not_sent"
            attempt.requests = 0

    @rule()
    def crash(self) -> None:
        """The process dies and another one opens the books."""
        pending = {name: each for name, each in self.model.attempts.items() if each.pending}
        self.memory.orphan()
        outcome = self.memory.transact([Expire()], self.clock)[0]
        self.sqlite.close()
        self.sqlite = self.open_sqlite()
        assert isinstance(outcome, Expired)
        assert sorted(self.sqlite.recovered.attempts) == sorted(outcome.attempts)
        assert sorted(outcome.attempts) == sorted((name, each.bound) for name, each in pending.items())
        for attempt in pending.values():
            attempt.pending, attempt.charge, attempt.ending = False, attempt.bound, "expired"

    @rule(milliseconds=st.sampled_from([1, HOUR_MS // 2, 5 * HOUR_MS, DAY_MS, 8 * DAY_MS, -HOUR_MS]))
    def pass_time(self, milliseconds: int) -> None:
        """Time passes; it goes back no further than to where levels were last made or forgotten."""
        if self.clock.now_ms + milliseconds >= self.floor_ms:
            self.clock.pass_ms(milliseconds)

    @rule(allowances=st.sampled_from(DEFINITIONS))
    def define(self, allowances: tuple[Allowance, ...]) -> None:
        """Other allowances, some under the same name."""
        self.memory.define(allowances, "bursar.yaml", self.clock)
        self.sqlite.define(allowances, "bursar.yaml", self.clock)
        self.model.allowances = allowances
        self.floor_ms = self.clock.now_ms

    @precondition(lambda self: self.clock.now_ms > NOON_MS + HOUR_MS)
    @rule()
    def prune(self) -> None:
        """Forget what is certain; its ids are not used again, as nobody does after so long."""
        self.sqlite.prune(self.clock.now_ms, self.clock)
        self.pruned = True
        rows = {row.attempt_id for row in self.sqlite.attempts(limit=1_000)}
        for name, attempt in self.model.attempts.items():
            if not attempt.pending and name not in rows:
                self.retired.add(name)
                attempt.ending, attempt.certain = "pruned", True
        # Summed by the model for ever, but never named again.
        for name in self.retired & self.model.attempts.keys():
            self.model.attempts[f"pruned {len(self.model.attempts)} {name}"] = self.model.attempts.pop(name)
        self.floor_ms = self.clock.now_ms

    @invariant()
    def the_books_say_what_the_model_says(self) -> None:
        """Balances are equal everywhere, and add up."""
        now_ms = self.clock.now_ms
        found = self.memory.balances(now_ms)
        assert found == self.sqlite.balances(now_ms)
        limits = {allowance.name: allowance for allowance in self.model.allowances}
        for balance in found:
            assert (balance.spent, balance.held) == self.model.standing(
                limits[balance.allowance], balance.subject, now_ms
            ), balance
        assert list(problems(self.sqlite, now_ms)) == []
        if not self.retired:
            assert list(problems(self.memory, now_ms)) == []

    def teardown(self) -> None:
        """Close the file."""
        if hasattr(self, "sqlite"):
            self.sqlite.close()
            self.folder.cleanup()


def problems(store: MemoryStore | SqliteStore, now_ms: int) -> Iterator[str]:
    """What does not add up; a bill above its bound may overdraw."""
    return (problem for problem in store.check(now_ms) if "above its limit" not in problem)


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=35, stateful_step_count=30)
