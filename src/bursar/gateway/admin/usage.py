"""What was spent, added up from the ledger by up to three dimensions."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from bursar.call.books import UsageQuery, UsageRow
from bursar.config.nearest import nearest
from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.reading import at_cursor, cursor_of, moment_ms, pairs_of
from bursar.gateway.admin.shapes import Cursor, GivenInstant, Page, Usd, usd
from bursar.gateway.problems import Problem

DIMENSIONS = ("model", "served_model", "provider", "key", "user", "session", "day", "hour", "ending")
# Tags that need no prefix.
KNOWN_TAGS = ("team", "organisation")
GROUPS_MAX = 3
_SCOPES = ("provider", "model", "key", "user", "session")
Value = Annotated[str, Meta(max_length=256)]


class UsageAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """What to add up: calls reserved from since to until, grouped by up to three of model, served_model, provider, key,
    user, session, day, hour, ending, team, organisation, and tag:NAME for any other tag.

    key, provider, model, user, session, tag (name=value): only calls that carry it. time_zone: of days and hours.
    """

    by: list[Value] = []
    since: GivenInstant | None = None
    until: GivenInstant | None = None
    key: Value | None = None
    provider: Value | None = None
    model: Value | None = None
    user: Value | None = None
    session: Value | None = None
    tag: list[Value] = []
    time_zone: Annotated[str, Meta(max_length=64)] | None = None
    cursor: Cursor = ""
    limit: Page = 100


class UsageGroup(Struct, frozen=True):
    """One group of calls. group: its values by dimension, "" where calls carry none.

    charged_usd: what budgets carry; certain_usd: how much of it is a fact. unknown_cost_calls: calls of which nobody
    knows what they cost; it is not in the sums, but for what they are charged at most.
    """

    group: dict[str, str]
    calls: int
    ok: int
    errors: int
    input_tokens: int
    output_tokens: int
    charged_usd: Usd
    certain_usd: Usd
    uncertain_calls: int
    unknown_cost_calls: int
    would_refuse: dict[str, int]


class Usage(Struct, frozen=True):
    """A page of groups, in their order."""

    data: list[UsageGroup]
    next: str | None = None


def show_usage(ask: Ask) -> Usage:
    """What was spent, by groups."""
    query: UsageAsked = ask.query
    groups = _groups(query.by)
    only = {name: value for name in _SCOPES if (value := getattr(query, name)) is not None}
    zone = _zone(query.time_zone) if query.time_zone else ask.settings.time_zone
    rows = ask.store.usage(
        UsageQuery(
            groups,
            moment_ms("since", query.since, zone) or 0,
            moment_ms("until", query.until, zone),
            pairs_of("tag", query.tag) | only,
            zone,
            True,
        )
    )
    after = at_cursor(query.cursor, len(groups))
    rest = [row for row in rows if not after or row.group > after]
    shown = rest[: query.limit]
    following = cursor_of(shown[-1].group) if len(rest) > query.limit else None
    return Usage([usage_group(groups, row) for row in shown], following)


def usage_group(groups: tuple[str, ...], row: UsageRow) -> UsageGroup:
    """A row of the report, as it is shown."""
    return UsageGroup(
        dict(zip(groups, row.group, strict=True)),
        row.calls,
        row.ok,
        row.errors,
        row.input_tokens,
        row.output_tokens,
        usd(row.charged_nano_usd),
        usd(row.certain_nano_usd),
        row.uncertain_calls,
        row.unknown_cost_calls,
        dict(row.would_refuse),
    )


def _zone(name: str) -> str:
    """A time zone that there is. Raises Problem (400)."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Problem(400, "invalid_request", f"there is no time zone {name[:64]!r}") from None
    return name


def _groups(by: list[str]) -> tuple[str, ...]:
    """The dimensions that are asked for; model where none is. Raises Problem (400)."""
    names = [name.strip() for text in by for name in text.split(",")] or ["model"]
    found = tuple(dict.fromkeys(_dimension(name) for name in names))
    if len(found) > GROUPS_MAX:
        raise Problem(400, "invalid_request", f"usage is grouped by up to {GROUPS_MAX} dimensions, not {len(found)}")
    return found


def _dimension(name: str) -> str:
    if name.startswith("tag:") and len(name) > len("tag:"):
        return name.removeprefix("tag:")
    if name in DIMENSIONS or name in KNOWN_TAGS:
        return name
    near = nearest(name, (*DIMENSIONS, *KNOWN_TAGS))
    meant = f"did you mean {near}? " if near else ""
    raise Problem(400, "invalid_request", f"by={name[:80]}: {meant}A tag is given as by=tag:NAME")


ENDPOINTS = (
    Endpoint(
        "GET", "/api/usage", "view", "What was spent, added up from the ledger.", show_usage, Usage, query=UsageAsked
    ),
)  # fmt: skip
