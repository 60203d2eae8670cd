"""Every order in which two processes can reserve, send, settle, void, repeat themselves and be taken for dead.

An explicit-state search over the real operations: three requests of two processes under one budget that two of them
fill. A process may be taken for dead at any time and go on all the same. In every state that can be reached, what the
provider has billed is within the budget and never above what the books carry for it, and the books add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from bursar.call.books import Expire, Granted, Operation, Reserve, Settle, Void
from bursar.edges.stores import applying
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.memory import MemoryStore
from bursar.rules.allowances import Level, void
from tests.contract.store.material import NOON_MS, budget, fact, reserve

LIMIT = 4
# Books that go wrong may do so without end.
STATES_MAX = 50_000


class Request(NamedTuple):
    """A request: whose it is, what it claims, what the provider will bill."""

    attempt_id: str
    process: int
    bound: int
    actual: int


REQUESTS = (Request("a", 0, 2, 1), Request("b", 0, 2, 2), Request("c", 1, 2, 2))
NEW, GRANTED, SENT, VOIDED = "new", "granted", "sent", "voided"


class State(NamedTuple):
    """The books (levels, holds, rows as sorted items) and how far each process knows to be with its requests."""

    levels: tuple[Any, ...]
    holds: tuple[Any, ...]
    rows: tuple[Any, ...]
    phases: tuple[str, ...]


def search(wanted: str = "") -> tuple[int, set[str]]:
    """How many states there are, and which invariants are broken, until the one that is wanted is."""
    store = MemoryStore()
    store.define([budget("day", LIMIT)], "bursar.yaml", lambda: NOON_MS)
    first = snapshot(store, (NEW,) * len(REQUESTS))
    seen, todo, broken = {first}, [first], set[str]()
    while todo:
        state = todo.pop()
        broken |= set(violations(state))
        for following in steps(store, state):
            if following not in seen:
                seen.add(following)
                todo.append(following)
        if wanted in broken or len(seen) > STATES_MAX:
            break
    return len(seen), broken


def steps(store: MemoryStore, state: State) -> Iterator[State]:
    """Every state that one step leads to."""

    def after(operation: Operation, place: int = -1, phase: Callable[[Any], str] | None = None) -> State:
        store._levels, store._rows = dict(state.levels), dict(state.rows)
        store._holds = {name: holding.hold for name, holding in state.holds}
        outcome = store.transact([operation], lambda: NOON_MS)[0]
        phases = list(state.phases)
        if phase is not None:
            phases[place] = phase(outcome)
        return snapshot(store, tuple(phases))

    for process in (0, 1):
        store._orphans = [request.attempt_id for request in REQUESTS if request.process == process]
        yield after(Expire())
        store._orphans = []
    for place, request in enumerate(REQUESTS):
        phase = state.phases[place]
        told = Settle(fact(request.attempt_id, request.actual))
        if phase in (NEW, GRANTED):
            again = reserve(request.attempt_id, request.bound)
            yield after(again, place, lambda outcome: GRANTED if isinstance(outcome, Granted) else NEW)
        if phase == GRANTED:
            phases = tuple(SENT if other == place else each for other, each in enumerate(state.phases))
            yield state._replace(phases=phases)
        if phase in (GRANTED, VOIDED):
            yield after(Void(request.attempt_id), place, lambda _: VOIDED)
        if phase == SENT:
            yield after(told)


def snapshot(store: MemoryStore, phases: tuple[str, ...]) -> State:
    """The books and the phases, as a value."""
    holds = tuple(sorted((name, Holding(hold)) for name, hold in store._holds.items()))
    return State(tuple(sorted(store._levels.items())), holds, tuple(sorted(store._rows.items())), phases)


class Holding:
    """A hold that can be hashed, by its attempt: nothing else of it differs here."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold

    def __hash__(self) -> int:
        return hash(self.hold.attempt_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holding) and self.hold == other.hold


def violations(state: State) -> Iterator[str]:
    """The invariants that a state breaks."""
    holds = {name: holding.hold for name, holding in state.holds}
    rows = dict(state.rows)
    spent = sum(stored.spent for _, stored in state.levels)
    held = sum(stored.held for _, stored in state.levels)
    sent = [request for request, phase in zip(REQUESTS, state.phases, strict=True) if phase == SENT]
    if spent + held > LIMIT:
        yield "the books pass the limit"
    if sum(request.actual for request in sent) > LIMIT:
        yield "the bill passes the limit"
    if held != sum(hold.bound_nano_usd for hold in holds.values()):
        yield "held is not the sum of holds"
    if spent != sum(row.charged_nano_usd for row in rows.values()):
        yield "spent is not the sum of rows"
    for request in sent:
        carried = rows[request.attempt_id].charged_nano_usd if request.attempt_id in rows else 0
        carried += holds[request.attempt_id].bound_nano_usd if request.attempt_id in holds else 0
        if carried < request.actual:
            yield "a bill is not in the books"
        if request.attempt_id in rows and rows[request.attempt_id].certain and carried != request.actual:
            yield "a certain charge is not the bill"


def test_no_order_of_events_passes_the_budget() -> None:
    states, broken = search()
    assert broken == set()
    assert 300 < states < STATES_MAX


# The search must be able to see: each of these faults was seen in other programs.


def test_giving_back_what_an_orphan_held_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(level: Level, claimed: int) -> None:
        void(level, claimed, NOON_MS)

    monkeypatch.setattr(applying, "expire", release)
    assert "the bill passes the limit" in search("the bill passes the limit")[1]


def test_settling_twice_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def settle_again(page: Any, operation: Settle) -> Any:
        return applying._charge_unknown(page, operation.fact, "")

    monkeypatch.setitem(applying._APPLY, Settle, settle_again)
    assert "spent is not the sum of rows" in search("spent is not the sum of rows")[1]


def test_a_charge_without_its_row_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "expired_row", lambda hold, now_ms: None)
    assert "spent is not the sum of rows" in search("spent is not the sum of rows")[1]


def test_granting_a_repeated_reserve_again_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve_once = applying._APPLY[Reserve]

    def forget(page: Any, operation: Reserve) -> Any:
        page.holds.pop(operation.attempt_id, None)
        return reserve_once(page, operation)

    monkeypatch.setitem(applying._APPLY, Reserve, forget)
    assert "held is not the sum of holds" in search("held is not the sum of holds")[1]
