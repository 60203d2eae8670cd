"""What keys, teams, users and organisations may spend and use: their own budgets and limits, as taken and as shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple, get_args

from msgspec import Meta, Struct

from bursar.gateway.admin.endpoint import Ask
from bursar.gateway.admin.reading import nano_usd_of
from bursar.gateway.admin.shapes import BudgetPeriod, GivenUsd, LimitMeter, LimitPeriod
from bursar.gateway.admin.standings import BudgetShown, LimitShown, budget_shown, by_allowance, limit_shown
from bursar.gateway.keys import Keysmith
from bursar.gateway.quotas import Budget, Holder, Limit, quota_name
from bursar.rules.allowances import Meter

if TYPE_CHECKING:
    from bursar.call.books import Balance
    from bursar.rules.allowances import Allowance

METERS: tuple[Meter, ...] = get_args(Meter)


class GivenBudget(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that may be spent in one window."""

    usd: GivenUsd
    per: BudgetPeriod = "day"


class GivenLimit(Struct, frozen=True, forbid_unknown_fields=True):
    """The most of a meter in a period; in_flight counts the calls of this moment and has none. 0 takes it away."""

    meter: LimitMeter
    amount: Annotated[int, Meta(ge=0, le=9_000_000_000_000_000)]
    per: LimitPeriod | None = None


class Quota(Struct, frozen=True):
    """The budget and the limits of one key, team, user or organisation, and where they stand."""

    budget: BudgetShown | None
    limits: list[LimitShown]


def smith(ask: Ask) -> Keysmith:
    """What is done with keys, under the configuration of now."""
    settings, state = ask.settings, ask.state
    return Keysmith(
        ask.store, state.doorkeeper.secret, ask.engine.clock, mode=settings.mode, time_zone=settings.time_zone
    )


def budget_of(given: GivenBudget) -> Budget:
    """A budget as it is taken."""
    return Budget(nano_usd_of("budget.usd", given.usd), given.per)


def limits_of(given: list[GivenLimit]) -> tuple[Limit, ...]:
    """Limits as they are taken. Raises ConfigError."""
    return tuple(Limit(one.meter, one.amount, one.per) for one in given)


class Books(NamedTuple):
    """Allowances and where they stand, read once for a whole list."""

    allowances: dict[str, Allowance]
    balances: dict[str, list[Balance]]


def read_books(ask: Ask) -> Books:
    """All of them."""
    return Books({one.name: one for one in ask.store.allowances()}, by_allowance(ask.store.balances(ask.now_ms)))


def read_quota(ask: Ask, holder: Holder, name: str) -> Books:
    """Those that one holder can have of its own."""
    names = {quota_name(holder, name, meter) for meter in METERS}
    known = {one.name: one for one in ask.store.allowances() if one.name in names}
    return Books(known, by_allowance(ask.store.balances(ask.now_ms, names=list(known))) if known else {})


def quota_shown(ask: Ask, books: Books, holder: Holder, name: str) -> Quota:
    """What a holder may spend and use, and where that stands."""
    budget, limits = None, []
    for meter in METERS:
        allowance = books.allowances.get(quota_name(holder, name, meter))
        if allowance is None:
            continue
        balances = books.balances.get(allowance.name, [])
        if meter == "nano_usd":
            budget = budget_shown(ask.settings, allowance, balances)
        else:
            limits.append(limit_shown(ask.settings, allowance, balances))
    return Quota(budget, limits)
