"""Keys of callers: made, listed, shown, changed, rotated and revoked, as `bursar keys` does it.

The text of a key is in one answer alone: the one that makes or rotates it. Nobody shuts the door behind himself: the
key that asks is not the one that it revokes or demotes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from bursar.config.nearest import did_you_mean
from bursar.gateway.admin.budgets import ListAsked
from bursar.gateway.admin.endpoint import Ask, Endpoint, conflict
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
from bursar.gateway.admin.reading import at_cursor, cursor_of, moment_ms
from bursar.gateway.admin.shapes import GivenInstant, Instant, Role, instant, instant_or_none
from bursar.gateway.keys import OVERLAP_SECONDS_MAX, Made, Wanted
from bursar.gateway.problems import Problem
from bursar.rules.keys import CallerKey, refusal_of

KeyName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
Text = Annotated[str, Meta(max_length=256)]
Models = Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=256)]
Tags = dict[str, Annotated[str, Meta(min_length=1, max_length=256)]]


class KeyShown(Struct, frozen=True):
    """A key, without its text.

    id: public and for ever. models: names or patterns that it may use; [] for all. tags: what its calls are counted
    under. old_text_until: until when the text that it had before its rotation counts, too.
    """

    name: str
    id: str
    status: Literal["active", "expired", "revoked"]
    role: Role
    user: str | None
    team: str | None
    organisation: str | None
    models: list[str]
    tags: dict[str, str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    old_text_until: Instant | None
    quota: Quota


class KeyMade(Struct, frozen=True):
    """A key with its text, which is shown this once. `id` and `name` are those of `details`."""

    key: str
    id: str
    name: str
    details: KeyShown


class Keys(Struct, frozen=True):
    """A page of keys, by name."""

    data: list[KeyShown]
    next: str | None = None


class KeysAsked(ListAsked, frozen=True, forbid_unknown_fields=True):
    """Which keys. all: those that are revoked or have expired, too."""

    team: str = ""
    all: bool = False


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made. A team must be there already. budget, limits: of the key's own."""

    name: KeyName
    role: Role = "call"
    user: Text = ""
    team: Text = ""
    organisation: Text = ""
    models: Models = []
    tags: Tags = {}
    expires_at: GivenInstant | None = None
    budget: GivenBudget | None = None
    limits: Annotated[list[GivenLimit], Meta(max_length=8)] = []


class ChangeKey(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a key; what is left away stays. budget: null takes the key's own away. An amount of 0 takes that
    limit away; user, team or organisation of "", and expires_at of null, do the same.
    """

    role: Role | UnsetType = UNSET
    user: Text | UnsetType = UNSET
    team: Text | UnsetType = UNSET
    organisation: Text | UnsetType = UNSET
    models: Models | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    expires_at: GivenInstant | UnsetType | None = UNSET
    budget: GivenBudget | UnsetType | None = UNSET
    limits: Annotated[list[GivenLimit], Meta(max_length=8)] = []


class Rotate(Struct, frozen=True, forbid_unknown_fields=True):
    """overlap_seconds: how long the text that it has now counts beside the new one."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = 0


def list_keys(ask: Ask) -> Keys:
    """The keys that count, by name."""
    query: KeysAsked = ask.query
    (after,) = at_cursor(query.cursor, 1) or ("",)
    known = sorted(smith(ask).keys(team=query.team, all=query.all), key=lambda one: one.name)
    known = [one for one in known if one.name > after]
    shown = known[: query.limit]
    following = cursor_of([shown[-1].name]) if len(known) > query.limit else None
    books = read_books(ask)
    return Keys([key_shown(ask, one, books) for one in shown], following)


def show_key(ask: Ask) -> KeyShown:
    """One key, by its name or its id."""
    return key_shown(ask, smith(ask).key(ask.parts[0]))


def create_key(ask: Ask) -> KeyMade:
    """Make a key. Its text is in this answer alone."""
    wanted: NewKey = ask.body
    _check_team(ask, wanted.team)
    made = smith(ask).create(
        Wanted(
            wanted.name,
            wanted.role,
            wanted.user,
            wanted.team,
            wanted.organisation,
            tuple(wanted.models),
            wanted.tags,
            moment_ms("expires_at", wanted.expires_at, ask.settings.time_zone),
            None if wanted.budget is None else budget_of(wanted.budget),
            limits_of(wanted.limits),
        )
    )
    return _made(ask, made)


def change_key(ask: Ask) -> KeyShown:
    """Change what a key may do, for calls that come from now on."""
    wanted: ChangeKey = ask.body
    key = smith(ask).key(ask.parts[0])
    _refuse_gone(ask, key)
    _check_team(ask, wanted.team or "")
    if wanted.role is not UNSET and wanted.role != "admin":
        _refuse_own(ask, key, "demote")
    fields = {name: getattr(wanted, name) for name in ("role", "user", "team", "organisation", "models", "tags")}
    given = {name: value for name, value in fields.items() if value is not UNSET}
    if "models" in given:
        given["models"] = tuple(given["models"])
    if wanted.expires_at is not UNSET:
        given["expires_ms"] = moment_ms("expires_at", wanted.expires_at, ask.settings.time_zone)
    budget = wanted.budget if isinstance(wanted.budget, GivenBudget) else None
    changed = smith(ask).change(
        key.name,
        given,
        budget=None if budget is None else budget_of(budget),
        no_budget=wanted.budget is None,
        limits=limits_of(wanted.limits),
    )
    ask.state.doorkeeper.refresh()
    return key_shown(ask, changed)


def rotate_key(ask: Ask) -> KeyMade:
    """Give a key a new text, in this answer alone."""
    wanted: Rotate = ask.body
    key = smith(ask).key(ask.parts[0])
    _refuse_gone(ask, key)
    made = smith(ask).rotate(key.name, wanted.overlap_seconds)
    ask.state.doorkeeper.refresh()
    return _made(ask, made)


def revoke_key(ask: Ask) -> KeyShown:
    """End a key for good; within a second in every process."""
    key = smith(ask).key(ask.parts[0])
    _refuse_own(ask, key, "revoke")
    revoked = smith(ask).revoke(key.name)
    ask.state.doorkeeper.refresh()
    return key_shown(ask, revoked)


def key_shown(ask: Ask, key: CallerKey, books: Books | None = None) -> KeyShown:
    """A key, as it is shown. books: where they are read for a whole list."""
    now_ms = ask.now_ms
    refusal: Literal["revoked", "expired"] | None = refusal_of(key, now_ms)  # type: ignore[assignment]
    older = [until_ms for _, until_ms in key.digests if until_ms is not None and until_ms > now_ms]
    return KeyShown(
        key.name,
        key.id,
        refusal or "active",
        key.role,
        key.user or None,
        key.team or None,
        key.organisation or None,
        list(key.models),
        dict(key.tags),
        instant(key.created_ms),
        instant_or_none(key.expires_ms),
        instant_or_none(key.revoked_ms),
        instant_or_none(max(older, default=None)),
        quota_shown(ask, books or read_quota(ask, "key", key.name), "key", key.name),
    )


def _made(ask: Ask, made: Made) -> KeyMade:
    return KeyMade(made.text, made.key.id, made.key.name, key_shown(ask, made.key))


def _check_team(ask: Ask, name: str) -> None:
    """A team that a body names must be there: a mistake in the body, and not a path that leads nowhere."""
    known = [team.name for team in ask.store.keyring.teams()] if name else []
    if name and name not in known:
        raise Problem(400, "invalid_request", f"there is no team {name[:80]!r}; {did_you_mean(name, known, 'teams')}")


def _refuse_gone(ask: Ask, key: CallerKey) -> None:
    refusal = refusal_of(key, ask.now_ms)
    if refusal == "revoked":
        raise conflict(f"the key {key.name!r} was revoked: make another one", "key_revoked")


def _refuse_own(ask: Ask, key: CallerKey, what: str) -> None:
    if key.name == ask.key.name:
        raise conflict(f"the key {key.name!r} is the one that asks: use another admin key to {what} it", "own_key")


ENDPOINTS = (
    Endpoint("GET", "/api/keys", "view", "Keys of callers, by name.", list_keys, Keys, query=KeysAsked),
    Endpoint(
        "POST", "/api/keys", "admin", "Make a key; its text is in this answer alone.", create_key, KeyMade,
        takes=NewKey, status=201, conflicts=True,
    ),
    Endpoint("GET", "/api/keys/{name}", "view", "One key, by its name or its id.", show_key, KeyShown),
    Endpoint(
        "PATCH", "/api/keys/{name}", "admin", "Change what a key may do.", change_key, KeyShown, takes=ChangeKey,
        conflicts=True,
    ),
    Endpoint(
        "POST", "/api/keys/{name}/rotate", "admin", "Give a key a new text, in this answer alone.", rotate_key,
        KeyMade, takes=Rotate, conflicts=True,
    ),
    Endpoint(
        "POST", "/api/keys/{name}/revoke", "admin", "End a key for good.", revoke_key, KeyShown, conflicts=True
    ),
)  # fmt: skip
