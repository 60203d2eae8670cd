"""Limits on requests, tokens and calls in flight: listed, shown, set and removed."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from bursar.config.by_hand import Given, entered
from bursar.gateway.admin.budgets import ListAsked, StandingsAsked, found, page_of, put, refuse_defined, removed
from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.reading import at_cursor, cursor_of
from bursar.gateway.admin.shapes import LimitMeter, Missing, Mode, Name, Removed
from bursar.gateway.admin.standings import (
    LimitShown,
    LimitStanding,
    by_allowance,
    limit_shown,
    limit_standing,
)
from bursar.gateway.problems import Problem
from bursar.rules.windows import Period


class Limits(Struct, frozen=True):
    """A page of limits."""

    data: list[LimitShown]
    next: str | None = None


class LimitStandings(Struct, frozen=True):
    """A limit, and a page of where it stands, by subject."""

    limit: LimitShown
    data: list[LimitStanding]
    next: str | None = None


class SetLimit(Struct, frozen=True, forbid_unknown_fields=True):
    """What a limit shall be; what is left away stays as it was. A new one needs `meter` and `amount`.

    per: a minute, unless said otherwise; in_flight has none. window: count in calendar windows instead of refilling.
    """

    meter: LimitMeter | None = None
    amount: Annotated[int, Meta(ge=1, le=9_000_000_000_000_000)] | None = None
    per: Period | None = None
    window: bool | None = None
    each: Annotated[str, Meta(max_length=64)] | None = None
    only: dict[str, Name] | None = None
    missing: Missing | None = None
    mode: Mode | None = None


def list_limits(ask: Ask) -> Limits:
    """Every limit, by name."""
    named, following = page_of(ask, budgets=False)
    balances = by_allowance(ask.store.balances(ask.now_ms, names=[one.name for one in named])) if named else {}
    return Limits([limit_shown(ask.settings, one, balances.get(one.name, [])) for one in named], following)


def show_limit(ask: Ask) -> LimitStandings:
    """One limit, with a page of its standings."""
    query: StandingsAsked = ask.query
    allowance = found(ask, budgets=False)
    balances = ask.store.balances(ask.now_ms, names=[allowance.name], subject=query.subject)
    (after,) = at_cursor(query.cursor, 1) or ("",)
    rest = sorted(one for one in balances if not query.cursor or one.subject > after)
    shown, more = rest[: query.limit], len(rest) > query.limit
    return LimitStandings(
        limit_shown(ask.settings, allowance, balances),
        [limit_standing(one) for one in shown],
        cursor_of([shown[-1].subject]) if more else None,
    )


def set_limit(ask: Ask) -> LimitShown:
    """Make a limit in the books, or change it."""
    wanted: SetLimit = ask.body
    (name,) = ask.parts
    before = {one.name: one for one in ask.store.allowances()}.get(name)
    meter = wanted.meter or (before.meter if before is not None and before.meter != "nano_usd" else None)
    if meter is None:
        raise Problem(400, "invalid_request", f"there is no limit {name[:80]!r} yet: a new one needs meter and amount")
    if meter == "in_flight" and wanted.per is not None:
        raise Problem(400, "invalid_request", "in_flight counts the calls of this moment: it has no period")
    given = Given(
        wanted.amount,
        meter=meter,
        shape=None if wanted.window is None else "calendar" if wanted.window else "bucket",
        period=wanted.per,
        each=wanted.each,
        only=None if wanted.only is None else tuple(wanted.only.items()),
        missing=wanted.missing,
        mode=wanted.mode,
    )
    refuse_defined(ask, before)
    allowance = entered(before, ask.settings, name, given)
    put(ask, allowance)
    return limit_shown(ask.settings, allowance, ask.store.balances(ask.now_ms, names=[name]))


def remove_limit(ask: Ask) -> Removed:
    """Remove a limit."""
    return removed(ask, budgets=False)


ENDPOINTS = (
    Endpoint("GET", "/api/limits", "view", "Limits and where they stand.", list_limits, Limits, query=ListAsked),
    Endpoint(
        "GET", "/api/limits/{name:path}", "view", "One limit, and a page of its standings by subject.", show_limit,
        LimitStandings, query=StandingsAsked,
    ),
    Endpoint(
        "PUT", "/api/limits/{name:path}", "admin", "Make a limit in the books, or change it.", set_limit,
        LimitShown, takes=SetLimit, conflicts=True,
    ),
    Endpoint(
        "DELETE", "/api/limits/{name:path}", "admin", "Remove a limit that was set here.", remove_limit, Removed,
        conflicts=True,
    ),
)  # fmt: skip
