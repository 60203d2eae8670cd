"""What happened, for those who watch: logs, metrics, dashboards. Plain values; an observer can change nothing.

No event carries prompt or reply text, or a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from bursar.call.books import Balance, Fact
from bursar.errors import BursarError
from bursar.rules.breaker import State


class CallEnded(Struct, frozen=True, gc=False):
    """An attempt came to an end and was entered in the books (`settled`) or will be.

    balances: where the budgets that it moved stand now; empty while it is not entered.
    """

    fact: Fact
    settled: bool = True
    balances: tuple[Balance, ...] = ()


class AttemptFailed(Struct, frozen=True, gc=False):
    """An attempt failed, and the call goes on at the same or another candidate after `wait_ms`."""

    fact: Fact
    next_provider: str
    next_model: str
    wait_ms: int


@dataclass(frozen=True, slots=True)
class CandidateRefused:
    """A candidate of a call was not asked, one of several: a budget, a limit or its breaker refused it.

    place: its number within the call. scopes: what the call is counted under there.
    """

    call_id: str
    place: int
    provider: str
    model: str
    error: BursarError
    wait_ms: int
    scopes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A call was refused before anything was sent. scopes: what it would have been counted under."""

    call_id: str
    provider: str
    model: str
    error: BursarError
    wait_ms: int
    scopes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallFailed:
    """A call ended with an error after at least one provider was asked: `error` is what its caller is told.

    provider, model: of the attempt that the error is of. Every attempt had its own CallEnded before.
    """

    call_id: str
    provider: str
    model: str
    error: BursarError


@dataclass(frozen=True, slots=True)
class BudgetOverdrawn:
    """Alarm: budgets stand above their limit, because a provider billed beyond the bound or a limit was lowered."""

    call_id: str
    budgets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CostWarned:
    """A call cost at least the `cost_warning_threshold` of its provider."""

    fact: Fact
    threshold_nano_usd: int


@dataclass(frozen=True, slots=True)
class HoldsExpired:
    """Holds of processes that are gone now count as spent: (attempt id, nano-USD) each."""

    attempts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class LimitBeyondProvider:
    """A limit is larger than the one that the provider says it keeps; told with each answer that says so.

    limit: its name here. allowed: the provider's own, in the same units and for the same period.
    """

    call_id: str
    provider: str
    limit: str
    allowed: int


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """The circuit breaker of a provider's model opened, lets a probe pass (half_open), or closed.

    until_ms: while open, when the next probe may go. at_ms: since when. Both in epoch milliseconds.
    why: what opened it, in a few words; kept until it closes. opened: how often it has opened so far.
    """

    provider: str
    model: str
    state: State
    until_ms: int
    at_ms: int = 0
    why: str = ""
    opened: int = 0


AlertKind = Literal["budget", "budget_overdrawn", "breaker_opened", "billed_beyond_bound"]
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """What people are to be told, said once by all processes that share the books.

    id: unique, so that whoever hears of it twice can know. name: the budget, or provider/model. subject: whose part
    of the budget, "" for all. percent: the share of the budget that was reached, 0 for other kinds. balance: where
    the budget stands. refused: a call was refused because what is left does not carry it.
    message: a sentence for people, with the numbers.
    """

    id: str
    kind: AlertKind
    severity: Severity
    at_ms: int
    name: str
    message: str
    subject: str = ""
    percent: int = 0
    balance: Balance | None = None
    refused: bool = False
    call_id: str = ""


Event = (
    CallEnded
    | AttemptFailed
    | CandidateRefused
    | CallRefused
    | CallFailed
    | BudgetOverdrawn
    | CostWarned
    | HoldsExpired
    | LimitBeyondProvider
    | BreakerChanged
    | AlertRaised
)
Observer = Callable[[Event], None]


def unobserved(event: Event) -> None:
    """The observer of those who watch nothing."""
