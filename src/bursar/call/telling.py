"""What each alert says, how long it is not said again, and which refusals are worth one. Pure.

Only numbers and names that people gave come into an alert: no prompt, no key.
"""

from __future__ import annotations

from typing import NamedTuple

from bursar.call.alerts import AlertClaim
from bursar.call.books import Balance, Fact
from bursar.call.events import AlertRaised, BreakerChanged, CallRefused, Severity
from bursar.call.receipt import instant
from bursar.errors import BudgetExceededError
from bursar.rules.alerts import due_at, percent_of
from bursar.rules.money import format_usd
from bursar.rules.windows import FOREVER_MS

# Processes meet the same failure one after the other, and a provider that comes and goes need not be told of each time.
BREAKER_QUIET_MS = 600_000
BEYOND_QUIET_MS = 3_600_000
OVERDRAWN_QUIET_MS = 86_400_000


class Due(NamedTuple):
    """An alert, and the claim under which one process tells it."""

    claim: AlertClaim
    alert: AlertRaised


def is_spent(error: BudgetExceededError) -> bool:
    """Whether a call was refused because a budget's money is gone: nobody holds it, and an empty window would do."""
    needed, limit = error.needed_nano_usd, error.limit_nano_usd
    return not error.held and error.window != "call" and error.left_nano_usd < needed <= limit


def _whose(name: str, subject: str, period: str) -> str:
    return f"Budget {name!r} ({subject}, {period})" if subject else f"Budget {name!r} ({period})"


def _resets(resets_at_ms: int | None) -> str:
    return "" if resets_at_ms is None else f" Resets {instant(resets_at_ms)}."


def share_reached(balance: Balance, share: int, alert_id: str, now_ms: int) -> Due:
    """A budget has reached a share of its limit, in percent."""
    severity: Severity = "critical" if share >= 100 else "warning" if share >= 80 else "info"
    message = (
        f"{_whose(balance.allowance, balance.subject, balance.period)} has reached {share} %: "
        f"{format_usd(balance.spent)} of {format_usd(balance.limit)} spent "
        f"({percent_of(balance.spent, balance.limit)} %), {format_usd(balance.held)} held by calls in flight."
        f"{_resets(balance.resets_at_ms)}"
    )
    alert = AlertRaised(
        alert_id, "budget", severity, now_ms, balance.allowance, message, balance.subject, share, balance
    )
    until_ms = FOREVER_MS if balance.resets_at_ms is None else balance.resets_at_ms
    return Due(_claim(alert, until_ms, due_at(balance.limit, share)), alert)


def refused(event: CallRefused, error: BudgetExceededError, alert_id: str, now_ms: int) -> Due:
    """A budget refused a call because what is left of it does not carry it."""
    balance = Balance(
        error.budget, error.subject, "nano_usd", error.window, error.spent_nano_usd, error.held_nano_usd,
        error.limit_nano_usd, error.resets_at_ms,
    )  # fmt: skip
    message = (
        f"{_whose(error.budget, error.subject, error.window)} refuses calls: one needed up to "
        f"{format_usd(error.needed_nano_usd)}; {format_usd(balance.left)} left of {format_usd(balance.limit)} "
        f"({format_usd(balance.spent)} spent).{_resets(error.resets_at_ms)}"
    )
    alert = AlertRaised(
        alert_id, "budget", "critical", now_ms, error.budget, message, error.subject, 100, balance, refused=True,
        call_id=event.call_id,
    )  # fmt: skip
    until_ms = FOREVER_MS if error.resets_at_ms is None else error.resets_at_ms
    return Due(_claim(alert, until_ms, due_at(balance.limit, 100)), alert)


def breaker_opened(event: BreakerChanged, alert_id: str, now_ms: int) -> Due:
    """A model is left alone because it failed too often."""
    name = f"{event.provider}/{event.model}"
    why = f" ({event.why})" if event.why else ""
    message = (
        f"The circuit breaker of {name} opened{why}: calls to it are refused or go to another model. "
        f"A probe goes at {instant(event.until_ms)}."
    )
    alert = AlertRaised(alert_id, "breaker_opened", "warning", now_ms, name, message)
    return Due(_claim(alert, now_ms + BREAKER_QUIET_MS), alert)


def overdrawn(budget: str, call_id: str, alert_id: str, now_ms: int) -> Due:
    """A budget stands above its limit."""
    message = (
        f"Budget {budget!r} stands above its limit: a provider billed more than the bound of a call, or the limit was "
        "lowered. Calls under it are refused until its window ends or it is raised."
    )
    alert = AlertRaised(alert_id, "budget_overdrawn", "critical", now_ms, budget, message, call_id=call_id)
    return Due(_claim(alert, now_ms + OVERDRAWN_QUIET_MS), alert)


def billed_beyond(fact: Fact, alert_id: str, now_ms: int) -> Due:
    """A provider billed more than the most that a call could cost."""
    name = f"{fact.provider}/{fact.model}"
    message = (
        f"{name} billed {format_usd(fact.charged_nano_usd)} for a call whose bound was "
        f"{format_usd(fact.bound_nano_usd)}: its price or what it counts is not what Bursar knows. Compare with "
        "`bursar prices why` and `bursar reconcile`."
    )
    alert = AlertRaised(alert_id, "billed_beyond_bound", "warning", now_ms, name, message, call_id=fact.call_id)
    return Due(_claim(alert, now_ms + BEYOND_QUIET_MS), alert)


def _claim(alert: AlertRaised, until_ms: int, amount: int = 0) -> AlertClaim:
    return AlertClaim(alert.kind, alert.name, alert.subject, alert.percent, until_ms, amount)
