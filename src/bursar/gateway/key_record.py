"""A key as programs are shown it, on the command line and by the API: everything but its text, and no digest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from bursar.gateway.quotas import quota_name
from bursar.rules.allowances import Allowance
from bursar.rules.keys import CallerKey, refusal_of
from bursar.rules.money import format_usd


def record_of(key: CallerKey, now_ms: int, allowances: Iterable[Allowance] = ()) -> dict[str, Any]:
    """One key. allowances: those in the books, of which its own are shown.

    state: "active", "revoked" or "expired". rotated_until: until when an earlier text counts as well.
    """
    earlier = [until_ms for _, until_ms in key.digests if until_ms is not None and until_ms > now_ms]
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "state": refusal_of(key, now_ms) or "active",
        "user": key.user,
        "team": key.team,
        "organisation": key.organisation,
        "models": list(key.models),
        "tags": dict(key.tags),
        "created_at": instant(key.created_ms),
        "expires_at": instant(key.expires_ms),
        "revoked_at": instant(key.revoked_ms),
        "rotated_until": instant(max(earlier, default=None)),
        **quotas_shown(quota_name("key", key.name), allowances),
    }


def quotas_shown(budget_name: str, allowances: Iterable[Allowance]) -> dict[str, Any]:
    """The budget of this name, as {"usd", "per"} or None, and the limits beside it, as {"requests": "600/minute"}."""
    budget, limits = None, {}
    for allowance in allowances:
        if allowance.name == budget_name:
            budget = {"usd": format_usd(allowance.capacity).removeprefix("$"), "per": allowance.period}
        elif allowance.name == f"{budget_name}:{allowance.meter}":
            per = f"/{allowance.period}" if allowance.period else ""
            limits[allowance.meter] = f"{allowance.capacity}{per}"
    return {"budget": budget, "limits": limits}


def instant(epoch_ms: int | None) -> str | None:
    """A moment in UTC, to the second; None for never.

    >>> instant(0), instant(None)
    ('1970-01-01T00:00:00Z', None)
    """
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
