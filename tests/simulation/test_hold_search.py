"""Every order in which processes can reserve, send, settle, void, repeat themselves, be taken for dead, and die.

An explicit-state search over the real operations on real books. Two processes have requests under a budget, one for
each user and a limit of calls in flight, which not all of the requests fit. Any step may be repeated, as after a lost
answer; a process may be taken for dead at any time and go on all the same, or die and never say another word; the
provider's record may come at any time. The search is complete: it ends when no step leads to a state not seen before.

Held in every state are the invariants 1 to 6 of the design: no allowance is passed, nor by the provider's bill; the
books add up; every hold ends once; nothing is sent without one; a denial changes nothing and says when to come back;
all claims are granted together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from bursar.call.books import (
    Adjust,
    Ended,
    Expire,
    Granted,
    Mark,
    Operation,
    Outcome,
    Renew,
    Reserve,
    Settle,
    Void,
)
from bursar.edges.stores import applying
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.memory import MemoryStore
from bursar.rules import allowances
from bursar.rules.allowances import Allowance, Denial, Level
from tests.contract.store.material import DAY_MS, NOON_MS, budget, fact, reserve
from tests.simulation import planting

# Books that go wrong may do so without end.
STATES_MAX = 100_000
LEASE_MS = 60_000

NEW, GRANTED, SENT, VOIDED, PAID, UNSURE = "new", "granted", "sent", "voided", "paid", "unsure"


class Request(NamedTuple):
    """A request: whose it is, what it claims, what the provider will bill."""

    attempt_id: str
    process: int
    user: str
    bound: int
    actual: int

    @property
    def reserve(self) -> Reserve:
        """Its reservation."""
        return reserve(self.attempt_id, self.bound, scopes={"user": self.user})

    def told(self, *, certain: bool, reserved_ms: int) -> Settle:
        """Its settle: by the fact, or by the bound where the process does not know it."""
        charged = self.actual if certain else self.bound
        scopes = {"user": self.user}
        return Settle(
            fact(
                self.attempt_id,
                charged,
                certain=certain,
                scopes=scopes,
                reserved_ms=reserved_ms,
                bound_nano_usd=self.bound,
            )
        )


REQUESTS = (Request("a", 0, "ann", 2, 1), Request("b", 0, "bob", 2, 2), Request("c", 1, "ann", 2, 2))
ALLOWANCES = (
    budget("day", 4),
    budget("users", 3, each="user"),
    Allowance("flight", "in_flight", 2, "gauge"),
)


class State(NamedTuple):
    """The books (levels, holds, rows as sorted items), how far each request is as its process knows, and who lives."""

    levels: tuple[Any, ...]
    holds: tuple[Any, ...]
    rows: tuple[Any, ...]
    phases: tuple[str, ...]
    alive: tuple[bool, ...]
    days: int


class Holding:
    """A hold that can be hashed, by its attempt: what else differs of it is compared."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold

    def __hash__(self) -> int:
        return hash(self.hold.attempt_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holding) and self.hold == other.hold


class Search:
    """A search. broken: the promises that are not kept. wanted: end when this one is not. midnight: a day may end."""

    def __init__(
        self,
        requests: Sequence[Request] = REQUESTS,
        defined: Sequence[Allowance] = ALLOWANCES,
        *,
        wanted: str = "",
        midnight: bool = False,
        marks: bool = False,
    ) -> None:
        self.requests = requests
        self.defined = defined
        self.midnight = midnight
        self.marks = marks
        self.now_ms = NOON_MS
        self.broken: set[str] = set()
        self.store = MemoryStore()
        self.store.define(defined, "bursar.yaml", lambda: NOON_MS)
        first = self.seen((NEW,) * len(requests), (True, True), 0)
        self.states = {first}
        todo = deque([first])
        while todo and wanted not in self.broken and len(self.states) < STATES_MAX:
            state = todo.popleft()
            self.check(state)
            for following in self.steps(state):
                if following not in self.states:
                    self.states.add(following)
                    todo.append(following)

    def steps(self, state: State) -> Iterator[State]:
        """Every state that one step leads to."""
        for process in (0, 1):
            orphans = [one.attempt_id for one in self.requests if one.process == process]
            yield self.after(state, Expire(), orphans=orphans)
            if state.alive[process]:
                alive = tuple(each and place != process for place, each in enumerate(state.alive))
                yield state._replace(alive=alive)
        yield self.after(state, Renew(LEASE_MS))
        for place, request in enumerate(self.requests):
            if state.alive[request.process]:
                yield from self.steps_of(state, place, request)
            if state.phases[place] in (SENT, PAID, UNSURE):
                record = request.told(certain=True, reserved_ms=NOON_MS)
                yield self.after(state, Adjust(record.fact, "record"))
        if self.midnight and not state.days:
            yield state._replace(days=1)

    def steps_of(self, state: State, place: int, request: Request) -> Iterator[State]:
        """What its process can do about one request."""
        phase = state.phases[place]
        if phase in (NEW, GRANTED):
            yield self.after(state, request.reserve, place, lambda out: GRANTED if isinstance(out, Granted) else NEW)
        if phase == GRANTED:
            self.promise("nothing is sent without a hold", self.carries(state, request.attempt_id))
            yield state._replace(phases=put(state.phases, place, SENT))
        if phase in (GRANTED, VOIDED):
            yield self.after(state, Void(request.attempt_id), place, lambda _: VOIDED)
        if phase == SENT and self.marks:
            yield self.after(state, Mark(request.attempt_id, "r"))
        if phase in (SENT, PAID):
            yield self.after(state, request.told(certain=True, reserved_ms=NOON_MS), place, lambda _: PAID)
        if phase in (SENT, UNSURE):
            yield self.after(state, request.told(certain=False, reserved_ms=NOON_MS), place, lambda _: UNSURE)

    def after(
        self,
        state: State,
        operation: Operation,
        place: int = -1,
        phase: Callable[[Any], str] | None = None,
        orphans: Sequence[str] = (),
    ) -> State:
        """The state after an operation, which is repeated to see that this changes nothing."""
        self.restore(state)
        self.store._orphans = list(orphans)
        outcome = self.do(operation)
        phases = state.phases if phase is None else put(state.phases, place, phase(outcome))
        following = self.seen(phases, state.alive, state.days)
        for name, row in state.rows:
            self.promise("what is certain stays so", not row.certain or self.store._rows[name] == row)
        again = self.do(operation)
        self.promise("what is repeated changes nothing", self.seen(phases, state.alive, state.days) == following)
        if isinstance(outcome, Granted):
            self.promise("what is repeated says the same", again == outcome)
            names = {claim.allowance for claim in outcome.claims}
            self.promise("all is granted together", names == {one.name for one in self.defined})
        if isinstance(outcome, Ended):
            self.promise("what is repeated says so", isinstance(again, Ended) and not again.changed)
        if isinstance(outcome, Denial):
            self.deny(state, operation, outcome)
        self.store._orphans = []
        return following

    def deny(self, state: State, operation: Operation, denial: Denial) -> None:
        """A denial changes nothing, and what it says of coming back is so."""
        self.restore(state)
        before = self.seen(state.phases, state.alive, state.days)
        self.do(operation)
        self.promise("a denial changes nothing", self.seen(state.phases, state.alive, state.days) == before)
        limit = next(one.capacity for one in self.defined if one.name == denial.allowance.name)
        self.promise("a denial names what binds", denial.needed > limit - denial.spent - denial.held)
        self.now_ms += denial.wait_ms
        for name in [holding.hold.attempt_id for _, holding in state.holds]:
            self.do(Void(name))
        later = self.do(operation)
        self.now_ms -= denial.wait_ms
        self.promise("a denial says when to come back", isinstance(later, Granted) == (denial.comeback != "never"))

    def do(self, operation: Operation) -> Outcome:
        """The outcome of one operation."""
        return self.store.transact([operation], lambda: self.now_ms)[0]

    def restore(self, state: State) -> None:
        """Books as they were in a state."""
        self.store._levels, self.store._rows = dict(state.levels), dict(state.rows)
        self.store._holds = {name: holding.hold for name, holding in state.holds}
        self.now_ms = NOON_MS + state.days * DAY_MS

    def seen(self, phases: tuple[str, ...], alive: tuple[bool, ...], days: int) -> State:
        """The books of now, as a value."""
        store = self.store
        holds = tuple((name, Holding(hold)) for name, hold in sorted(store._holds.items(), key=lambda one: one[0]))
        levels, rows = tuple(sorted(store._levels.items())), tuple(sorted(store._rows.items()))
        return State(levels, holds, rows, phases, alive, days)

    def carries(self, state: State, attempt_id: str) -> bool:
        """Whether the books know of an attempt, as pending or as charged in full."""
        return attempt_id in dict(state.holds) or attempt_id in dict(state.rows)

    def check(self, state: State) -> None:
        """What holds in every state."""
        self.restore(state)
        holds = {name: holding.hold for name, holding in state.holds}
        rows = dict(state.rows)
        limits = {one.name: one.capacity for one in self.defined}
        for (name, _, _), stored in state.levels:
            if name != "rate":
                self.promise("no limit is passed", stored.spent + stored.held <= limits[name])
        self.promise("the books add up", self.store.check(self.now_ms) == [])
        self.promise("a hold ends once", not holds.keys() & rows.keys())
        for day in (0, 1):
            billed = sum(
                one.actual
                for one, phase in zip(self.requests, state.phases, strict=True)
                if phase in (SENT, PAID, UNSURE) and reserved_day(holds, rows, one.attempt_id) == day
            )
            self.promise("the bill is within the budget", billed <= limits["day"])
        for request, phase in zip(self.requests, state.phases, strict=True):
            name, row = request.attempt_id, rows.get(request.attempt_id)
            carried = row.charged_nano_usd if row else holds[name].bound_nano_usd if name in holds else 0
            if phase in (SENT, PAID, UNSURE):
                self.promise("every bill is in the books", carried >= request.actual)
                self.promise("what is certain is the bill", row is None or not row.certain or carried == request.actual)
            if phase == PAID:
                self.promise("what was told is known", row is not None and row.certain)
            if phase == VOIDED:
                self.promise("what was voided costs nothing", carried == 0 and name not in holds)

    def promise(self, what: str, kept: bool) -> None:
        """Note a promise that is not kept."""
        if not kept:
            self.broken.add(what)


def put(phases: tuple[str, ...], place: int, phase: str) -> tuple[str, ...]:
    return (*phases[:place], phase, *phases[place + 1 :])


def reserved_day(holds: dict[str, Hold], rows: dict[str, Any], name: str) -> int:
    """The day in which an attempt was reserved."""
    known = holds.get(name) or rows.get(name)
    return 0 if known is None else (known.reserved_ms - NOON_MS) // DAY_MS


def test_every_order_keeps_every_promise() -> None:
    search = Search()
    assert search.broken == set()
    assert 5_000 < len(search.states) < STATES_MAX


def test_so_it_does_across_midnight_and_with_the_ids_of_the_provider() -> None:
    search = Search((REQUESTS[0], REQUESTS[2]), midnight=True, marks=True)
    assert search.broken == set()
    assert 10_000 < len(search.states) < STATES_MAX


def test_so_it_does_with_a_limit_that_refills() -> None:
    search = Search(defined=(budget("day", 4), Allowance("rate", "requests", 2, "bucket", "minute")))
    assert search.broken == set()
    assert 4_000 < len(search.states) < STATES_MAX


# The search must be able to see: each of these faults was seen in other programs.


def charged_without_row(patch: planting.Patch) -> None:
    """What the dead held is spent, and nobody wrote down by whom."""
    patch.setattr(applying, "expired_row", lambda hold, now_ms: None)


def granted_again(patch: planting.Patch) -> None:
    """A reservation that is repeated holds once more."""
    once = applying._APPLY[Reserve]

    def forget(page: Any, operation: Reserve) -> Any:
        page.holds.pop(operation.attempt_id, None)
        return once(page, operation)

    patch.setitem(applying._APPLY, Reserve, forget)


def voided_again(patch: planting.Patch) -> None:
    """A void after an expiry gives back as often as it is repeated, also what is known by now."""
    once = applying._APPLY[Void]

    def void(page: Any, operation: Void) -> Any:
        row = page.rows.get(operation.attempt_id)
        if row is not None:
            page.rows[operation.attempt_id] = row._replace(ending="expired", certain=False, evidence="")
        return once(page, operation)

    patch.setitem(applying._APPLY, Void, void)


def granted_in_part(patch: planting.Patch) -> None:
    """A grant that forgets what else binds."""
    patch.setattr(Hold, "granted", lambda self, granted=Hold.granted: replace(granted(self), claims=self.claims[:1]))


def advised_in_vain(patch: planting.Patch) -> None:
    """A denial that says to wait for what is too large for ever."""
    way_back = allowances._way_back

    def hopeful(level: Level, *rest: Any) -> Any:
        comeback, *others = way_back(level, *rest)
        return ("on_release" if comeback == "never" else comeback, *others)

    patch.setattr(allowances, "_way_back", hopeful)


@pytest.mark.parametrize(
    ("plant", "broken"),
    [
        (planting.released_on_expiry, "the bill is within the budget"),
        (planting.settled_twice, "what is repeated changes nothing"),
        (planting.settled_without_generation, "what is certain stays so"),
        (planting.granted_without_hold, "nothing is sent without a hold"),
        (planting.granted_beyond_the_limit, "no limit is passed"),
        (planting.denied_with_effects, "a denial changes nothing"),
        (planting.void_ignored, "what was voided costs nothing"),
        (charged_without_row, "the books add up"),
        (granted_again, "what is repeated says the same"),
        (voided_again, "what is repeated says so"),
        (granted_in_part, "all is granted together"),
        (advised_in_vain, "a denial says when to come back"),
    ],
)
def test_a_planted_bug_is_found(plant: planting.Plant, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert broken in Search(wanted=broken).broken
