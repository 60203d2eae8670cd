"""Teams, users and organisations: whose budgets and limits bind the calls of all their keys.

A team is made before keys belong to it. Users and organisations are whatever keys and calls name; here are those that a
key or a quota names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from bursar.gateway.admin.budgets import ListAsked
from bursar.gateway.admin.endpoint import Ask, Endpoint, conflict, missing
from bursar.gateway.admin.keys import Text
from bursar.gateway.admin.quotas import (
    Books,
    GivenBudget,
    GivenLimit,
    Quota,
    budget_of,
    limits_of,
    quota_shown,
    read_books,
    read_quota,
    smith,
)
from bursar.gateway.admin.reading import at_cursor, cursor_of
from bursar.gateway.admin.shapes import Instant, Removed, instant_or_none
from bursar.gateway.quotas import Holder, holder_checked
from bursar.gateway.teams import create_team, team_of
from bursar.rules.keys import CallerKey

TeamName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class HolderShown(Struct, frozen=True):
    """A team, user or organisation. keys: names of the keys that belong to it and count.

    organisation, created_at: of a team.
    """

    name: str
    keys: list[str]
    quota: Quota
    organisation: str | None = None
    created_at: Instant | None = None


class Holders(Struct, frozen=True):
    """A page of them, by name."""

    data: list[HolderShown]
    next: str | None = None


class NewTeam(Struct, frozen=True, forbid_unknown_fields=True):
    """A team to be made."""

    name: TeamName
    organisation: Text = ""
    budget: GivenBudget | None = None
    limits: Annotated[list[GivenLimit], Meta(max_length=8)] = []


class ChangeQuota(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a budget and of limits; what is left away stays. budget: null, or an amount of 0, takes away."""

    budget: GivenBudget | UnsetType | None = UNSET
    limits: Annotated[list[GivenLimit], Meta(max_length=8)] = []


def create(ask: Ask) -> HolderShown:
    """Make a team, with its budget and limits."""
    wanted: NewTeam = ask.body
    if any(team.name == wanted.name for team in ask.store.keyring.teams()):
        raise conflict(f"there is a team {wanted.name!r} already", "name_taken")
    quotas, budget = smith(ask).quotas, None if wanted.budget is None else budget_of(wanted.budget)
    limits = limits_of(wanted.limits)
    quotas.drawn("team", wanted.name, budget, limits)  # before anything is entered
    create_team(ask.store.keyring, wanted.name, wanted.organisation, ask.now_ms)
    if budget is not None or limits:
        quotas.set("team", wanted.name, budget, limits)
    return _shown(ask, "team", wanted.name, smith(ask).keys())


def remove(ask: Ask) -> Removed:
    """Forget a team that no key belongs to. What it spent stays on record, and its budget stays in force."""
    (name,) = ask.parts
    team_of(ask.store.keyring, name)
    keys = [key.name for key in smith(ask).keys(team=name)]
    if keys:
        raise conflict(f"keys belong to the team {name!r}: {', '.join(keys[:5])}; revoke or change them first")
    ask.store.keyring.remove_team(name)
    return Removed(name)


def _listing(holder: Holder) -> Callable[[Ask], Holders]:
    def list_holders(ask: Ask) -> Holders:
        query: ListAsked = ask.query
        (after,) = at_cursor(query.cursor, 1) or ("",)
        keys = smith(ask).keys()
        known = sorted(name for name in _names(ask, holder, keys) if name > after)
        shown = known[: query.limit]
        following = cursor_of([shown[-1]]) if len(known) > query.limit else None
        books = read_books(ask)
        return Holders([_shown(ask, holder, name, keys, books) for name in shown], following)

    return list_holders


def _showing(holder: Holder) -> Callable[[Ask], HolderShown]:
    def show_holder(ask: Ask) -> HolderShown:
        (name,) = ask.parts
        keys = smith(ask).keys()
        if holder == "team":
            team_of(ask.store.keyring, name)
        elif name not in _names(ask, holder, keys):
            raise missing(holder, name, "no key and no budget names it")
        return _shown(ask, holder, name, keys)

    return show_holder


def _changing(holder: Holder) -> Callable[[Ask], HolderShown]:
    def change_quota(ask: Ask) -> HolderShown:
        wanted: ChangeQuota = ask.body
        (name,) = ask.parts
        if holder == "team":
            team_of(ask.store.keyring, name)
        else:
            holder_checked(holder, name)
        quotas, limits = smith(ask).quotas, limits_of(wanted.limits)
        budget = budget_of(wanted.budget) if isinstance(wanted.budget, GivenBudget) else None
        if budget is not None or limits:
            quotas.set(holder, name, budget, limits)
        if wanted.budget is None:
            quotas.remove_budget(holder, name)
        return _shown(ask, holder, name, smith(ask).keys())

    return change_quota


def _names(ask: Ask, holder: Holder, keys: list[CallerKey]) -> set[str]:
    if holder == "team":
        return {team.name for team in ask.store.keyring.teams()}
    quotas = {value for one in ask.store.allowances() for dimension, value in one.only if dimension == holder}
    return quotas | {name for key in keys if (name := _holder_of(key, holder))}


def _holder_of(key: CallerKey, holder: Holder) -> str:
    return {"key": key.name, "team": key.team, "user": key.user, "organisation": key.organisation}[holder]


def _shown(ask: Ask, holder: Holder, name: str, keys: list[CallerKey], books: Books | None = None) -> HolderShown:
    team = next((one for one in ask.store.keyring.teams() if one.name == name), None) if holder == "team" else None
    return HolderShown(
        name,
        sorted(key.name for key in keys if _holder_of(key, holder) == name),
        quota_shown(ask, books or read_quota(ask, holder, name), holder, name),
        (team.organisation or None) if team else None,
        instant_or_none(team.created_ms) if team else None,
    )


def _endpoints(path: str, holder: Holder) -> tuple[Endpoint, ...]:
    one = f"{path}/{{name}}" if holder == "team" else f"{path}/{{name:path}}"
    plural = f"{holder}s"
    return (
        Endpoint("GET", path, "view", f"{plural.capitalize()}, by name.", _listing(holder), Holders, query=ListAsked),
        Endpoint("GET", one, "view", f"One {holder}: keys, budget and limits.", _showing(holder), HolderShown),
        Endpoint(
            "PATCH", one, "admin", f"Set the budget and the limits of one {holder}.", _changing(holder), HolderShown,
            takes=ChangeQuota, conflicts=True,
        ),
    )  # fmt: skip


ENDPOINTS = (
    *_endpoints("/api/teams", "team"),
    Endpoint(
        "POST", "/api/teams", "admin", "Make a team.", create, HolderShown, takes=NewTeam, status=201, conflicts=True
    ),
    Endpoint(
        "DELETE", "/api/teams/{name}", "admin", "Forget a team that no key belongs to.", remove, Removed, conflicts=True
    ),
    *_endpoints("/api/users", "user"),
    *_endpoints("/api/organisations", "organisation"),
)  # fmt: skip
