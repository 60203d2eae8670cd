"""Where budgets and limits stand, as it is shown: each allowance with what is spent, held and left of it.

Decides which allowances are a caller's own: those that are about its key, its user, its team and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from bursar.config.by_hand import by_hand, place_of
from bursar.gateway.admin.shapes import Instant, Missing, Mode, Usd, instant_or_none, usd

if TYPE_CHECKING:
    from bursar.call.books import Balance, Store
    from bursar.config import Settings
    from bursar.rules.allowances import Allowance

# Of a budget that each user or key has, a list shows so many: those with the least left.
SHOWN_MAX = 100


class BudgetStanding(Struct, frozen=True):
    """Where a budget stands in its current window. subject: whose part of it, "" for all or for nobody named."""

    subject: str
    spent_usd: Usd
    held_usd: Usd
    left_usd: Usd
    limit_usd: Usd
    resets_at: Instant | None


class BudgetShown(Struct, frozen=True):
    """A budget and where it stands.

    each: the dimension of which every value has a budget of its own. only: what a call must carry to be bound.
    defined_in: where; editable: whether it can be changed here. alert_at: percent. subjects: how many have a standing.
    """

    name: str
    usd: Usd
    per: str
    rolling: bool
    each: str | None
    only: dict[str, str]
    missing: Missing
    mode: Mode
    time_zone: str
    alert_at: list[int]
    defined_in: str
    editable: bool
    subjects: int
    standing: list[BudgetStanding]


class LimitStanding(Struct, frozen=True):
    """Where a limit stands. used: in its window or as its bucket is filled; in_flight: held by calls under way."""

    subject: str
    used: int
    in_flight: int
    left: int
    limit: int


class LimitShown(Struct, frozen=True):
    """A limit and where it stands. window: it counts in calendar windows rather than refilling by the second."""

    name: str
    meter: str
    amount: int
    per: str | None
    window: bool
    each: str | None
    only: dict[str, str]
    missing: Missing
    mode: Mode
    defined_in: str
    editable: bool
    subjects: int
    standing: list[LimitStanding]


def budget_standing(balance: Balance) -> BudgetStanding:
    """A balance of money, as it is shown."""
    return BudgetStanding(
        balance.subject,
        usd(balance.spent),
        usd(balance.held),
        usd(balance.left),
        usd(balance.limit),
        instant_or_none(balance.resets_at_ms),
    )


def limit_standing(balance: Balance) -> LimitStanding:
    """A balance of anything else."""
    return LimitStanding(balance.subject, balance.spent, balance.held, balance.left, balance.limit)


def budget_shown(settings: Settings, allowance: Allowance, balances: Sequence[Balance]) -> BudgetShown:
    """A budget with its balances."""
    return BudgetShown(
        allowance.name,
        usd(allowance.capacity),
        allowance.period or "",
        allowance.shape == "rolling",
        allowance.each,
        dict(allowance.only),
        allowance.missing,
        allowance.mode,
        allowance.time_zone,
        list(allowance.alert_at),
        place_of(settings, allowance),
        by_hand(allowance.source),
        len(balances),
        [budget_standing(one) for one in tightest(balances)],
    )


def limit_shown(settings: Settings, allowance: Allowance, balances: Sequence[Balance]) -> LimitShown:
    """A limit with its balances."""
    return LimitShown(
        allowance.name,
        allowance.meter,
        allowance.capacity,
        allowance.period,
        allowance.shape in {"calendar", "rolling"},
        allowance.each,
        dict(allowance.only),
        allowance.missing,
        allowance.mode,
        place_of(settings, allowance),
        by_hand(allowance.source),
        len(balances),
        [limit_standing(one) for one in tightest(balances)],
    )


def tightest(balances: Sequence[Balance]) -> list[Balance]:
    """As many as a list shows, those with the least left first."""
    return sorted(balances, key=lambda one: (one.left, one.subject))[:SHOWN_MAX]


def by_allowance(balances: Iterable[Balance]) -> dict[str, list[Balance]]:
    """Balances by the name of their allowance."""
    found: dict[str, list[Balance]] = {}
    for balance in balances:
        found.setdefault(balance.allowance, []).append(balance)
    return found


def own(store: Store, scopes: Mapping[str, str], now_ms: int) -> list[tuple[Allowance, list[Balance]]]:
    """The budgets and limits that are about one of these scopes and bind calls that carry all of them."""
    found = []
    for allowance in store.allowances():
        subject = allowance.subject_of(scopes)
        about = {dimension for dimension, _ in allowance.only} | ({allowance.each} if allowance.each else set())
        if subject is None or not about & scopes.keys() or (allowance.each and allowance.each not in scopes):
            continue
        found.append((allowance, store.balances(now_ms, names=[allowance.name], subject=subject)))
    return found
