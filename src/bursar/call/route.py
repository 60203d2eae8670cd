"""Where a call may go, and what comes after an attempt that brought no answer: what the flow asks of its door.

Decides nothing itself. The engine's routes weigh candidates, retries, budgets of retries and rests of keys; `Single` is
the route of a call that has one place to go and is tried once.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from bursar.call.books import Fact
from bursar.call.plan import Plan
from bursar.errors import BursarError
from bursar.rules.retries import Problem

__all__ = ["Failure", "Route", "Single", "Step"]


class Failure(Struct, frozen=True):
    """An attempt that brought no answer.

    problem: what went wrong at the provider, None where nothing was asked of it (refused by us, no connection free).
    fact: what the books say of it, None where nothing was granted. shown: the payloads that the caller has seen of it,
    where the plan keeps them.
    """

    plan: Plan
    error: BursarError
    problem: Problem | None = None
    fact: Fact | None = None
    shown: tuple[bytes, ...] = ()


class Step(Struct, frozen=True):
    """The next attempt, and how long to wait before it."""

    plan: Plan
    wait_ms: int = 0


class Route(Protocol):
    """The way of one call. Used by that call alone."""

    def first(self) -> Plan:
        """The plan of the first attempt."""

    def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
        """What to try next; None when nothing is left. `charged_nano_usd`: what all attempts so far are charged."""


class Single:
    """A route of one candidate and one attempt."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def first(self) -> Plan:
        """The plan."""
        return self._plan

    def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
        """Nothing."""
        return None
