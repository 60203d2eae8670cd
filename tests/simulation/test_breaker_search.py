"""Every order in which callers can take permits, end well or badly, be cancelled or vanish, while time passes.

An explicit-state search over the real breaker: three callers, steps of time forwards and one backwards, a reset. States
that differ only by when they happen are the same, so the search is complete and not cut at a depth. Where shares open
the breaker the counts of its window make the states endless, and the search ends at a depth.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from bursar.rules.breaker import Breaker, BreakerPolicy, Outcome, State

CALLERS = 3
STEP_MS = 500
BACK_MS = 1_000
# Open for a second, then for two: the cap.
POLICY = BreakerPolicy(
    consecutive_failures=2,
    minimum_calls=1_000,
    slow_seconds=5,
    open_seconds=1,
    open_seconds_max=2,
    sustain_seconds=1,
    window_seconds=5,
    lease_seconds=2,
)
LONGEST_MS = 2_000
SUSTAIN_MS = 1_000
# "Now" in every state that is searched; far from 0, so that what lies before it is positive.
NOW_MS = 1_000_000
# Machines that go wrong may do so without end.
STATES_MAX = 100_000
OUTCOMES: tuple[tuple[Outcome, int], ...] = (("success", 10), ("success", 6_000), ("failure", 10), ("ignored", 10))


class Holder(NamedTuple):
    """A caller with a permit: whether the state that gave it still lasts, and when its lease ends (0: it has none)."""

    permit: int
    current: bool
    lease_until_ms: int


class Seen(NamedTuple):
    """A state: the breaker's fields, the callers' permits, and what may still happen once."""

    fields: tuple[Any, ...]
    holders: tuple[Holder, ...]
    may_vanish: bool
    may_go_back: bool


class Search:
    """A search over one kind of breaker under one policy. `broken`: the promises that it does not keep."""

    def __init__(
        self, kind: type[Breaker] = Breaker, *, policy: BreakerPolicy = POLICY, depth: int = 1_000, wanted: str = ""
    ) -> None:
        self.kind = kind
        self.policy = policy
        self.counts = policy.minimum_calls < 1_000
        self.broken: set[str] = set()
        self.reached: set[State] = set()
        breaker = kind(policy)
        breaker.reset(NOW_MS)
        first = self.seen(breaker, (), True, True, 0)
        self.states = {first}
        todo = deque([(first, 0)])
        while todo and len(self.states) < STATES_MAX and wanted not in self.broken:
            state, steps = todo.popleft()
            self.check(state)
            if steps < depth:
                for following in self.steps(state):
                    if following not in self.states:
                        self.states.add(following)
                        todo.append((following, steps + 1))

    def steps(self, state: Seen) -> Iterator[Seen]:
        """Every state that one step leads to."""
        if len(state.holders) < CALLERS:
            yield self.take(state)
        for place in range(len(state.holders)):
            for outcome, duration_ms in OUTCOMES:
                yield self.finish(state, place, outcome, duration_ms)
            if state.may_vanish:
                rest = without(state.holders, place)
                yield self.seen(self.breaker(state), rest, False, state.may_go_back, 0)
        yield self.seen(self.breaker(state), state.holders, state.may_vanish, state.may_go_back, STEP_MS)
        if state.may_go_back:
            yield self.seen(self.breaker(state), state.holders, state.may_vanish, False, -BACK_MS)
        breaker = self.breaker(state)
        breaker.reset(NOW_MS)
        yield self.seen(breaker, stale(state.holders), state.may_vanish, state.may_go_back, 0)

    def take(self, state: Seen) -> Seen:
        """A caller asks for a permit."""
        breaker = self.breaker(state)
        before, allowed = breaker.state(NOW_MS), breaker.allows(NOW_MS)
        begins = breaker._state == "open"
        permit = breaker.take(NOW_MS)
        self.promise("allows says what take does", allowed == (permit is not None))
        self.promise(
            "open lets nobody pass, closed everybody", before == "half_open" or allowed == (before == "closed")
        )
        holders = stale(state.holders) if begins and permit is not None else state.holders
        if permit is not None:
            lease_until_ms = 0 if before == "closed" else NOW_MS + LONGEST_MS
            holders = (*holders, Holder(permit, True, lease_until_ms))
        return self.seen(breaker, holders, state.may_vanish, state.may_go_back, 0)

    def finish(self, state: Seen, place: int, outcome: Outcome, duration_ms: int) -> Seen:
        """A caller gives its permit back."""
        breaker = self.breaker(state)
        holder, rest = state.holders[place], without(state.holders, place)
        fields, before = self.fields(breaker, 0), breaker.state(NOW_MS)
        changed = breaker.finish(holder.permit, outcome, duration_ms, NOW_MS, 0.0)
        if not holder.current:
            self.promise("what is stale changes nothing", changed is None and self.fields(breaker, 0) == fields)
        if outcome == "ignored":
            self.promise("what is ignored changes no state", breaker.state(NOW_MS) == before)
        if state.may_vanish and before == "half_open" and changed is None and not rest:
            self.promise("every permit comes back", breaker.allows(NOW_MS))
        if holder.current and before == "half_open" and (outcome, duration_ms) in OUTCOMES[1:3]:
            self.promise("a probe that goes badly opens", changed == "open")
        return self.seen(breaker, stale(rest) if changed else rest, state.may_vanish, state.may_go_back, 0)

    def check(self, state: Seen) -> None:
        """What holds in every state."""
        breaker = self.breaker(state)
        now = breaker.state(NOW_MS)
        self.reached.add(now)
        if now == "half_open":
            probes = [holder for holder in live(state.holders) if holder.current]
            self.promise("no more than the permits are out", len(probes) <= self.policy.permits)
        wait_ms = breaker.opens_again_ms(NOW_MS) - NOW_MS if now != "closed" else 0
        self.promise("nobody waits longer than the longest open time", 0 <= wait_ms <= LONGEST_MS)
        self.promise("who may come now is told so", breaker.allows(NOW_MS) == (wait_ms == 0))
        if wait_ms:
            self.promise("who has to wait is refused", breaker.take(NOW_MS) is None)
            self.promise("who comes back when told passes", breaker.allows(NOW_MS + wait_ms))
        self.recover(self.breaker(state))

    def recover(self, breaker: Breaker) -> None:
        """Whatever happened, and whoever never came back: with a provider that is well it closes."""
        for round_ in range(self.policy.permits + 1):
            now_ms = NOW_MS + round_ * LONGEST_MS
            permit = breaker.take(now_ms)
            if permit is not None:
                breaker.finish(permit, "success", 10, now_ms, 0.0)
        self.promise("it closes when the provider is well", breaker.state(now_ms) == "closed")

    def promise(self, what: str, kept: bool) -> None:
        """Note a promise that is not kept."""
        if not kept:
            self.broken.add(what)

    def breaker(self, state: Seen) -> Breaker:
        """A breaker as it was in a state."""
        breaker = self.kind(self.policy)
        for name, value in zip(Breaker.__slots__, state.fields, strict=True):
            if name == "_past":
                breaker._past.clear()
                breaker._past.extend(value)
            elif name == "_out":
                breaker._out.clear()
                breaker._out.update(value)
            else:
                setattr(breaker, name, value)
        return breaker

    def seen(
        self, breaker: Breaker, holders: tuple[Holder, ...], may_vanish: bool, may_go_back: bool, passed_ms: int
    ) -> Seen:
        """A state in its plainest form, `passed_ms` later: permits numbered from 1, instants as if it were NOW_MS."""
        moved = [
            holder._replace(lease_until_ms=later(holder.lease_until_ms, passed_ms) if live([holder]) else 0)
            for holder in holders
        ]
        known = {holder.permit for holder in holders} | set(breaker._out) | ({breaker.closed_permit} - {0})
        number = {permit: place for place, permit in enumerate(sorted(known), start=1)}
        values = dict(zip(Breaker.__slots__, self.fields(breaker, passed_ms), strict=True))
        values["_out"] = tuple((number[permit], until_ms) for permit, until_ms in values["_out"])
        values["_serial"] = len(number)
        values["closed_permit"] = number.get(breaker.closed_permit, 0)
        fields = tuple(values[name] for name in Breaker.__slots__)
        renumbered = sorted(holder._replace(permit=number[holder.permit]) for holder in moved)
        return Seen(fields, tuple(renumbered), may_vanish, may_go_back)

    def fields(self, breaker: Breaker, passed_ms: int) -> tuple[Any, ...]:
        """The fields of a breaker as plain values; those that do not matter in its state are all the same."""
        values = {name: getattr(breaker, name) for name in Breaker.__slots__}
        values["_out"] = tuple((permit, later(until, passed_ms)) for permit, until in breaker._out.items())
        closed = breaker._state == "closed"
        values["_since_ms"] = later(breaker._since_ms + SUSTAIN_MS, passed_ms) - SUSTAIN_MS if closed else 0
        rests = breaker._state == "open"
        values["_seen_ms"] = later(breaker._seen_ms, passed_ms) if rests else 0
        values["_until_ms"] = later(breaker._until_ms, passed_ms) if rests else 0
        values["why"] = ""
        if self.counts:
            values["_bucket"] = breaker._bucket - passed_ms // breaker._bucket_ms
            values["_past"] = tuple(breaker._past)
        else:
            values["_bucket"] = values["_calls"] = values["_failures"] = values["_slow"] = 0
            values["_past"] = ()
        return tuple(values[name] for name in Breaker.__slots__)


def later(instant_ms: int, passed_ms: int) -> int:
    """An instant as seen after so much time; what is over even if the clock went back is all the same."""
    return max(instant_ms - passed_ms, NOW_MS - BACK_MS)


def without(holders: tuple[Holder, ...], place: int) -> tuple[Holder, ...]:
    return holders[:place] + holders[place + 1 :]


def stale(holders: tuple[Holder, ...]) -> tuple[Holder, ...]:
    return tuple(holder._replace(current=False) for holder in holders)


def live(holders: tuple[Holder, ...]) -> list[Holder]:
    """The probes whose lease still runs; after the clock went back, those that it cut short run no more."""
    return [holder for holder in holders if NOW_MS < holder.lease_until_ms <= NOW_MS + LONGEST_MS]


class Unreturned(Breaker):
    """A planted bug: what is cancelled keeps its permit."""

    def finish(self, permit: int, outcome: Outcome, duration_ms: int, now_ms: int, jitter: float) -> State | None:
        if outcome == "ignored":
            return None
        return super().finish(permit, outcome, duration_ms, now_ms, jitter)


class Undated(Breaker):
    """A planted bug: a result counts whichever state its permit is of."""

    def finish(self, permit: int, outcome: Outcome, duration_ms: int, now_ms: int, jitter: float) -> State | None:
        current = self.closed_permit or (permit if permit in self._out else next(iter(self._out), permit))
        return super().finish(current, outcome, duration_ms, now_ms, jitter)


class Unleased(Breaker):
    """A planted bug: a permit whose holder vanished is never given to another."""

    def _leases(self, now_ms: int) -> list[int]:
        return list(self._out.values())


class Uncounted(Breaker):
    """A planted bug: everybody may probe, as in a breaker that only knows when it may try again."""

    def _leases(self, now_ms: int) -> list[int]:
        return []


class Trusting(Breaker):
    """A planted bug: a clock that goes back prolongs the open time."""

    def _rests(self, now_ms: int) -> bool:
        return now_ms < self._until_ms


@pytest.mark.parametrize("permits", [1, 2])
def test_every_order_keeps_every_promise(permits: int) -> None:
    search = Search(policy=replace(POLICY, permits=permits))
    assert search.broken == set()
    assert search.reached == {"closed", "open", "half_open"}
    assert 1_000 < len(search.states) < STATES_MAX


def test_so_it_does_where_shares_open_it() -> None:
    search = Search(policy=replace(POLICY, consecutive_failures=100, minimum_calls=2), depth=9)
    assert search.broken == set()
    assert search.reached == {"closed", "open", "half_open"}


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Unreturned, "every permit comes back"),
        (Undated, "what is stale changes nothing"),
        (Unleased, "it closes when the provider is well"),
        (Uncounted, "no more than the permits are out"),
        (Trusting, "nobody waits longer than the longest open time"),
    ],
)
def test_a_planted_bug_is_found(kind: type[Breaker], broken: str) -> None:
    assert broken in Search(kind, wanted=broken).broken
