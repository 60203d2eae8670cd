"""Bugs to plant: what programs of this kind get wrong, each as a small change of the real code.

Each is seen to be caught by the simulation (`test_planted`); a check that catches none of them proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bursar.call import conclude, flow
from bursar.call.books import Ended, Granted, Reserve, Settle, Void
from bursar.call.effects import Streamed
from bursar.call.exchange import Failed
from bursar.edges import breakers, run, teller, waiting
from bursar.edges.stores import applying
from bursar.engine import planning, routing
from bursar.rules import allowances, retries
from bursar.rules.allowances import Denial, Level
from bursar.rules.money import Cost

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def released_on_expiry(patch: Patch) -> None:
    """What the dead held is given back, and may be spent again."""

    def release(level: Level, claimed: int) -> None:
        level.held -= 0 if level.allowance.shape == "bucket" else claimed

    patch.setattr(applying, "expire", release)


def settled_twice(patch: Patch) -> None:
    """A settle that is repeated after a lost answer charges again."""
    once = applying._APPLY[Settle]

    def settle(page: Any, operation: Settle) -> Any:
        ended: Ended = once(page, operation)  # type: ignore[assignment]
        return ended if ended.changed else applying._charge_unknown(page, operation.fact, "")

    patch.setitem(applying._APPLY, Settle, settle)


def granted_without_hold(patch: Patch) -> None:
    """A grant that nobody wrote down."""
    once = applying._APPLY[Reserve]

    def reserve(page: Any, operation: Reserve) -> Any:
        outcome = once(page, operation)
        if isinstance(outcome, Granted):
            page.opened.pop(operation.attempt_id, None)
        return outcome

    patch.setitem(applying._APPLY, Reserve, reserve)


def denied_with_effects(patch: Patch) -> None:
    """A denial that counts what it refuses."""
    once = applying._APPLY[Reserve]

    def reserve(page: Any, operation: Reserve) -> Any:
        outcome = once(page, operation)
        if isinstance(outcome, Denial) and outcome.allowance.shape == "calendar":
            place = page.bindings.now(operation.scopes, page.now_ms).places[0]
            level = page.current_level(place)
            allowances.take(level, 1, page.now_ms)
            page.move(place.key, level)
        return outcome

    patch.setitem(applying._APPLY, Reserve, reserve)


def granted_beyond_the_limit(patch: Patch) -> None:
    """A decision that looks at what is spent and forgets what is held."""
    decide = allowances.decide

    def careless(levels: list[Level], demand: Any, now_ms: int) -> Any:
        held = [level.held for level in levels]
        for level in levels:
            level.held = 0
        try:
            return decide(levels, demand, now_ms)
        finally:
            for level, amount in zip(levels, held, strict=True):
                level.held = amount

    patch.setattr(applying, "decide", careless)


def permit_kept(patch: Patch) -> None:
    """A call that says nothing of the provider keeps its permit."""
    finish = breakers.Guard.finish

    def forgetful(self: breakers.Guard, permit: int, outcome: Any, duration_ms: int) -> None:
        if outcome != "ignored":
            finish(self, permit, outcome, duration_ms)

    patch.setattr(breakers.Guard, "finish", forgetful)


def seat_kept(patch: Patch) -> None:
    """A seat that a cancelled call took is not given back."""
    patch.setattr(run.Run, "release_seat", lambda self: None)


def grant_of_the_gone_kept(patch: Patch) -> None:
    """Whoever is cancelled while it is granted keeps the grant."""

    def abandon(self: teller.Teller, ticket: Any) -> None:
        ticket.abandoned = False

    patch.setattr(teller.Teller, "_abandon", abandon)


def settle_of_the_gone_forgotten(patch: Patch) -> None:
    """A call that was cut settles nothing."""
    once = run.Run.unattended

    def unattended(self: run.Run, effect: Any) -> Any:
        if not isinstance(effect, Settle):
            return once(self, effect)
        self.held_by = ""
        return Ended("", changed=False)

    patch.setattr(run.Run, "unattended", unattended)


def unsure_grant_kept(patch: Patch) -> None:
    """A grant whose answer was lost stays."""
    patch.setattr(teller, "UNSURE_MAX", 0)


def id_used_twice(patch: Patch) -> None:
    """A retry goes out under the id of the attempt before it."""
    patch.setattr(routing, "_following", lambda failure: failure.plan.attempt)


def cap_forgotten(patch: Patch) -> None:
    """A fallback has the whole cap again."""
    caps = planning.Planner._caps
    patch.setattr(planning.Planner, "_caps", lambda self, candidate, asked, charged: caps(self, candidate, asked, 0))


def void_after_sending(patch: Patch) -> None:
    """What was sent and brought no answer is given back."""
    once = conclude.conclude_failed

    def conclude_failed(plan: Any, grant: Any, failed: Failed, timing: Any) -> Any:
        return once(plan, grant, replace(failed, sent=False), timing)

    patch.setattr(flow, "conclude_failed", conclude_failed)


def sure_of_the_unknown(patch: Patch) -> None:
    """A reply that does not say what it used is taken to cost nothing."""
    once = conclude._cost

    def cost(plan: Any, metered: Any, status: int) -> Any:
        found, version = once(plan, metered, status)
        return Cost(found.nano_usd or 0, "computed", certain=True), version

    patch.setattr(conclude, "_cost", cost)


def cut_shown_as_whole(patch: Patch) -> None:
    """A stream that breaks ends as if it were complete."""
    once = conclude.conclude_stream

    def conclude_stream(plan: Any, grant: Any, opened: Any, metered: Any, streamed: Streamed, timing: Any) -> Any:
        whole = replace(metered, complete=True, error=None)
        return once(plan, grant, opened, whole, replace(streamed, failed=None), timing)

    patch.setattr(flow, "conclude_stream", conclude_stream)


def deadline_forgotten(patch: Patch) -> None:
    """A retry waits as long as it likes."""
    once = retries.decide

    def decide(problem: Any, tries: int, policy: Any, now_ms: int, deadline_ms: Any, *rest: Any, **options: Any) -> Any:
        return once(problem, tries, policy, now_ms, None, *rest, **options)

    patch.setattr(routing, "decide", decide)


def settled_without_generation(patch: Patch) -> None:
    """A settle counts whatever ended the hold before: the provider's own record is overwritten by a guess."""
    patch.setattr(applying, "_awaits", lambda row, evidence: evidence not in row.evidences)


def nobody_woken(patch: Patch) -> None:
    """Whoever waits is not tried again."""
    patch.setattr(waiting.WaitingRoom, "turns", lambda self, now_ms: [])


def void_ignored(patch: Patch) -> None:
    """What was not sent stays held."""
    once = applying._APPLY[Void]

    def void(page: Any, operation: Void) -> Any:
        return Ended(operation.attempt_id, changed=False) if operation.fact is None else once(page, operation)

    patch.setitem(applying._APPLY, Void, void)


PLANTED: tuple[Plant, ...] = (
    released_on_expiry,
    settled_twice,
    granted_without_hold,
    denied_with_effects,
    granted_beyond_the_limit,
    permit_kept,
    seat_kept,
    grant_of_the_gone_kept,
    settle_of_the_gone_forgotten,
    unsure_grant_kept,
    id_used_twice,
    cap_forgotten,
    void_after_sending,
    sure_of_the_unknown,
    cut_shown_as_whole,
    deadline_forgotten,
    settled_without_generation,
    nobody_woken,
    void_ignored,
)
