"""Budgets: listed, shown, set, topped up and removed. What a file defines is changed there, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from bursar.config.by_hand import Given, by_hand, entered, place_of
from bursar.config.nearest import did_you_mean
from bursar.errors import ConfigError
from bursar.gateway.admin.endpoint import Ask, Endpoint, conflict, missing
from bursar.gateway.admin.reading import at_cursor, cursor_of, nano_usd_of
from bursar.gateway.admin.shapes import BudgetPeriod, Cursor, GivenUsd, Missing, Mode, Name, Page, Removed
from bursar.gateway.admin.standings import (
    BudgetShown,
    BudgetStanding,
    budget_shown,
    budget_standing,
    by_allowance,
)
from bursar.gateway.problems import Problem

if TYPE_CHECKING:
    from bursar.rules.allowances import Allowance

Share = Annotated[int, Meta(ge=1, le=100, description="Percent of the budget.")]


class Budgets(Struct, frozen=True):
    """A page of budgets."""

    data: list[BudgetShown]
    next: str | None = None


class BudgetStandings(Struct, frozen=True):
    """A budget, and a page of where it stands, by subject."""

    budget: BudgetShown
    data: list[BudgetStanding]
    next: str | None = None


class StandingsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which standings of one budget or limit. subject: of this one alone."""

    subject: Annotated[str, Meta(max_length=256)] | None = None
    cursor: Cursor = ""
    limit: Page = 100


class ListAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list by name."""

    cursor: Cursor = ""
    limit: Page = 100


class SetBudget(Struct, frozen=True, forbid_unknown_fields=True):
    """What a budget shall be; what is left away stays as it was. A new one needs `usd`, and is a day's.

    each: "" for one budget in all. only: {} for every call.
    """

    usd: GivenUsd | None = None
    per: BudgetPeriod | None = None
    rolling: bool | None = None
    each: Annotated[str, Meta(max_length=64)] | None = None
    only: dict[str, Name] | None = None
    missing: Missing | None = None
    mode: Mode | None = None
    alert_at: Annotated[list[Share], Meta(max_length=16)] | None = None


class TopUp(Struct, frozen=True, forbid_unknown_fields=True):
    """How much more may be spent in the current window. subject: whose, where each user, key, ... has a budget."""

    usd: GivenUsd
    subject: Name | None = None


def list_budgets(ask: Ask) -> Budgets:
    """Every budget, by name."""
    named, following = page_of(ask, budgets=True)
    balances = by_allowance(ask.store.balances(ask.now_ms, names=[one.name for one in named])) if named else {}
    return Budgets([budget_shown(ask.settings, one, balances.get(one.name, [])) for one in named], following)


def show_budget(ask: Ask) -> BudgetStandings:
    """One budget, with a page of its standings."""
    query: StandingsAsked = ask.query
    allowance = found(ask, budgets=True)
    balances = ask.store.balances(ask.now_ms, names=[allowance.name], subject=query.subject)
    (after,) = at_cursor(query.cursor, 1) or ("",)
    rest = sorted(one for one in balances if not query.cursor or one.subject > after)
    shown, more = rest[: query.limit], len(rest) > query.limit
    return BudgetStandings(
        budget_shown(ask.settings, allowance, balances),
        [budget_standing(one) for one in shown],
        cursor_of([shown[-1].subject]) if more else None,
    )


def set_budget(ask: Ask) -> BudgetShown:
    """Make a budget in the books, or change it. What was spent in its window so far counts."""
    wanted: SetBudget = ask.body
    (name,) = ask.parts
    before = {one.name: one for one in ask.store.allowances()}.get(name)
    given = Given(
        None if wanted.usd is None else nano_usd_of("usd", wanted.usd),
        shape=None if wanted.rolling is None else "rolling" if wanted.rolling else "calendar",
        period=wanted.per,
        each=wanted.each,
        only=None if wanted.only is None else tuple(wanted.only.items()),
        missing=wanted.missing,
        mode=wanted.mode,
        alert_at=None if wanted.alert_at is None else tuple(sorted(set(wanted.alert_at))),
    )
    refuse_defined(ask, before)
    allowance = entered(before, ask.settings, name, given)
    put(ask, allowance)
    return budget_shown(ask.settings, allowance, ask.store.balances(ask.now_ms, names=[name]))


def top_up(ask: Ask) -> BudgetStanding:
    """Add money to the current window of a budget; the next window has its usual amount again."""
    wanted: TopUp = ask.body
    allowance = found(ask, budgets=True)
    if allowance.each and wanted.subject is None:
        raise Problem(400, "invalid_request", f"each {allowance.each} has a budget of its own: subject says whose")
    try:
        ask.store.top_up(allowance.name, nano_usd_of("usd", wanted.usd), wanted.subject or "", ask.engine.clock)
    except ConfigError as error:
        raise conflict(error.message) from None
    standing = ask.store.balances(ask.now_ms, names=[allowance.name], subject=wanted.subject or "")
    return budget_standing(standing[0])


def remove_budget(ask: Ask) -> Removed:
    """Remove a budget. What was spent stays in the ledger, and counts should it be set again."""
    return removed(ask, budgets=True)


def page_of(ask: Ask, *, budgets: bool) -> tuple[list[Allowance], str | None]:
    """A page of budgets, or of limits, by name."""
    query: ListAsked = ask.query
    (after,) = at_cursor(query.cursor, 1) or ("",)
    known = [one for one in ask.store.allowances() if (one.meter == "nano_usd") == budgets and one.name > after]
    shown = known[: query.limit]
    return shown, cursor_of([shown[-1].name]) if len(known) > query.limit else None


def found(ask: Ask, *, budgets: bool) -> Allowance:
    """The budget, or limit, that the path names. Raises Problem (404)."""
    known = {one.name: one for one in ask.store.allowances() if (one.meter == "nano_usd") == budgets}
    what = "budget" if budgets else "limit"
    if ask.parts[0] not in known:
        raise missing(what, ask.parts[0], did_you_mean(ask.parts[0], known, f"{what}s"))
    return known[ask.parts[0]]


def refuse_defined(ask: Ask, before: Allowance | None) -> None:
    """Refuse to change what a file or a program defines, naming the place. Raises Problem (409)."""
    if before is not None and not by_hand(before.source):
        where = place_of(ask.settings, before)
        raise conflict(f"{before.name!r} is defined in {where}: change it there", "defined_in_file")


def put(ask: Ask, allowance: Allowance) -> None:
    """Enter an allowance. Raises Problem (409) where a file defines it."""
    try:
        ask.store.put_allowance(allowance, ask.engine.clock)
    except ConfigError as error:
        raise conflict(error.message, "defined_in_file") from None


def removed(ask: Ask, *, budgets: bool) -> Removed:
    """Remove what the path names. Raises Problem (404, 409)."""
    allowance = found(ask, budgets=budgets)
    refuse_defined(ask, allowance)
    try:
        ask.store.remove_allowance(allowance.name, ask.engine.clock)
    except ConfigError as error:
        raise conflict(error.message, "defined_in_file") from None
    return Removed(allowance.name)


ENDPOINTS = (
    Endpoint("GET", "/api/budgets", "view", "Budgets and where they stand.", list_budgets, Budgets, query=ListAsked),
    Endpoint(
        "POST", "/api/budgets/{name:path}/top-ups", "admin", "Add money to a budget's current window.", top_up,
        BudgetStanding, takes=TopUp, conflicts=True,
    ),
    Endpoint(
        "GET", "/api/budgets/{name:path}", "view", "One budget, and a page of its standings by subject.", show_budget,
        BudgetStandings, query=StandingsAsked,
    ),
    Endpoint(
        "PUT", "/api/budgets/{name:path}", "admin", "Make a budget in the books, or change it.", set_budget,
        BudgetShown, takes=SetBudget, conflicts=True,
    ),
    Endpoint(
        "DELETE", "/api/budgets/{name:path}", "admin", "Remove a budget that was set here.", remove_budget, Removed,
        conflicts=True,
    ),
)  # fmt: skip
