"""What happened, for those who watch: logs, metrics, dashboards. Plain values; an observer can change nothing.

No event carries prompt or reply text, or a key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bursar.call.books import Fact
from bursar.errors import BursarError


@dataclass(frozen=True, slots=True)
class CallEnded:
    """An attempt came to an end and was entered in the books (`settled`) or will be."""

    fact: Fact
    settled: bool = True


@dataclass(frozen=True, slots=True)
class CallRefused:
    """A call was refused before anything was sent."""

    call_id: str
    provider: str
    model: str
    error: BursarError
    wait_ms: int


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


Event = CallEnded | CallRefused | BudgetOverdrawn | CostWarned | HoldsExpired
Observer = Callable[[Event], None]


def unobserved(event: Event) -> None:
    """The observer of those who watch nothing."""
