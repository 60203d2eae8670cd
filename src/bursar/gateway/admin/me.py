"""Who asks: the own key, what binds it, and what it has used."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from msgspec import Struct

from bursar.call.books import UsageQuery
from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.shapes import Instant, Role, instant, instant_or_none
from bursar.gateway.admin.standings import BudgetShown, LimitShown, budget_shown, limit_shown, own
from bursar.gateway.admin.usage import UsageGroup, usage_group
from bursar.rules.keys import CallerKey
from bursar.rules.windows import calendar_window


class Me(Struct, frozen=True):
    """The key that asks. budgets, limits: those that are about it, its user, team, organisation or tags.

    today: what it has used today, by model, in the time zone of the configuration.
    """

    name: str
    id: str
    role: Role
    user: str | None
    team: str | None
    organisation: str | None
    models: list[str]
    tags: dict[str, str]
    created_at: Instant
    expires_at: Instant | None
    budgets: list[BudgetShown]
    limits: list[LimitShown]
    today: list[UsageGroup]


def show_me(ask: Ask) -> Me:
    """The key that asks, what binds it, and what it has used today."""
    key, now_ms = ask.key, ask.now_ms
    bound = own(ask.store, scopes_of(key), now_ms)
    zone = ask.settings.time_zone
    since_ms = calendar_window("day", ZoneInfo(zone), now_ms).start_ms
    rows = ask.store.usage(UsageQuery(("model",), since_ms, only={"key": key.name}, time_zone=zone, would_refuse=True))
    return Me(
        key.name,
        key.id,
        key.role,
        key.user or None,
        key.team or None,
        key.organisation or None,
        list(key.models),
        dict(key.tags),
        instant(key.created_ms),
        instant_or_none(key.expires_ms),
        [budget_shown(ask.settings, one, balances) for one, balances in bound if one.meter == "nano_usd"],
        [limit_shown(ask.settings, one, balances) for one, balances in bound if one.meter != "nano_usd"],
        [usage_group(("model",), row) for row in rows],
    )


def scopes_of(key: CallerKey) -> dict[str, str]:
    """What every call of a key is counted under."""
    fixed = {"key": key.name, "user": key.user, "team": key.team, "organisation": key.organisation}
    return {**key.tags, **{name: value for name, value in fixed.items() if value}}


ENDPOINTS = (Endpoint("GET", "/api/me", "call", "The key that asks, what binds it, and its use.", show_me, Me),)
