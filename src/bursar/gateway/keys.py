"""What is done with keys of callers: made, listed, rotated, revoked, changed. The command line and the API do it alike.

Decides what a key may be, and when its text is seen: once, when it is made or rotated. A key's name is entered first
and its budget before its text is shown, so that no key is ever in use without what it was to be bound by.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from bursar.call.books import Store
from bursar.call.keyring import Keyring, NameTakenError
from bursar.config.nearest import did_you_mean, one_of
from bursar.errors import ConfigError
from bursar.gateway.quotas import Budget, Limit, Quotas, holder_checked
from bursar.gateway.secret import digest_of, mark_of
from bursar.gateway.teams import UnknownNameError, team_of
from bursar.rules.keys import ID_BYTES, NAME, RANDOM_BYTES, ROLES, CallerKey, Role, id_of, mint, refusal_of

ADMIN_VARIABLE = "BURSAR_ADMIN_KEY"
# The key that is made at the first start, or that the variable gives. Nobody else's.
ADMIN = "admin"
ADMIN_CHARACTERS_MIN = 32
ADMIN_CHARACTERS_MAX = 256
TAGS_MAX = 16
MODELS_MAX = 256
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
# Scopes that are no tags.
_NO_TAGS = frozenset({"provider", "model", "key", "provider_key", "user", "session", "team", "organisation"})
OVERLAP_SECONDS_MAX = 90 * 86_400
# A command that has another secret than the gateway would make keys that the gateway does not know.
ELSEWHERE = "the keys in these books were made under another secret"
REMEDY = (
    "give the one that the gateway has (BURSAR_SECRET, or the file .secret beside the books); if it is lost, "
    "bursar keys rotate --new-secret makes each key anew"
)


class Made(NamedTuple):
    """A key, and its text, which is nowhere else. Not to be logged: its repr has no text."""

    key: CallerKey
    text: str

    def __repr__(self) -> str:
        return f"Made({self.key.name!r})"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A key to be made. expires_ms: epoch milliseconds, None for never. The other fields are those of `CallerKey`."""

    name: str
    role: Role = "call"
    user: str = ""
    team: str = ""
    organisation: str = ""
    models: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    expires_ms: int | None = None
    budget: Budget | None = None
    limits: tuple[Limit, ...] = ()


class Keysmith:
    """Does what is done with keys. secret: what they are digested under. mode, time_zone: of budgets that are made."""

    def __init__(
        self,
        store: Store,
        secret: bytes,
        clock: Callable[[], int],
        *,
        mode: Literal["enforce", "observe"] = "enforce",
        time_zone: str = "UTC",
    ) -> None:
        self._store = store
        self._keyring = store.keyring
        self._secret = secret
        self._clock = clock
        self.quotas = Quotas(store, clock, mode=mode, time_zone=time_zone)

    def create(self, wanted: Wanted) -> Made:
        """Make a key. Raises NameTakenError, and ConfigError for what no key can be."""
        if not NAME.fullmatch(wanted.name):
            raise ConfigError("a key's name has 1 to 64 letters, digits, dots, - and _")
        if wanted.name.startswith("key_"):
            raise ConfigError("ids begin with key_, and could not be told from such a name: take another name")
        if wanted.name == ADMIN:
            raise ConfigError(f"{ADMIN!r} is the key of {ADMIN_VARIABLE} or of the first start: take another name")
        now_ms = self._clock()
        if made_elsewhere(self._keyring, self._secret, now_ms):
            raise ConfigError(f"{ELSEWHERE}, and do not count with this one: {REMEDY}")
        text = mint(secrets.token_bytes(RANDOM_BYTES))
        key = self._checked(
            CallerKey(
                name=wanted.name,
                id=id_of(secrets.token_bytes(ID_BYTES)),
                digests=((digest_of(self._secret, text), None),),
                created_ms=now_ms,
                expires_ms=wanted.expires_ms,
                role=wanted.role,
                user=wanted.user,
                team=wanted.team,
                organisation=wanted.organisation,
                models=tuple(wanted.models),
                tags=dict(wanted.tags),
                secret_mark=mark_of(self._secret),
            ),
            now_ms,
        )
        self.quotas.drawn("key", key.name, wanted.budget, wanted.limits)  # before anything is entered
        self._keyring.put(key)
        if wanted.budget is not None or wanted.limits:
            self.quotas.set("key", key.name, wanted.budget, wanted.limits)
        return Made(key, text)

    def keys(self, *, team: str = "", all: bool = False) -> list[CallerKey]:
        """The keys that count, by name; `all`: those that are revoked or have expired, too."""
        now_ms, keys = self._clock(), self._keyring.keys()
        return [key for key in keys if (all or refusal_of(key, now_ms) is None) and team in ("", key.team)]

    def key(self, name: str) -> CallerKey:
        """The key of this name or id. Raises UnknownNameError, which says which name is nearest."""
        keys = self._keyring.keys()
        for key in keys:
            if name in (key.name, key.id):
                return key
        raise UnknownNameError(
            f"there is no key {name[:80]!r}; {did_you_mean(name, [key.name for key in keys], 'keys')}"
        )

    def rotate(self, name: str, overlap_seconds: int = 0, *, new_secret: bool = False) -> Made:
        """Give a key a new text. The one it has counts for `overlap_seconds` more, older ones no longer than that.

        new_secret: also a key that was made under another secret. Raises UnknownNameError, and ConfigError for a key
        that is revoked or has expired.
        """
        if not 0 <= overlap_seconds <= OVERLAP_SECONDS_MAX:
            raise ConfigError(f"an overlap has 0 to {OVERLAP_SECONDS_MAX:,} seconds (90 days), not {overlap_seconds:,}")
        text = mint(secrets.token_bytes(RANDOM_BYTES))
        digest, mark = digest_of(self._secret, text), mark_of(self._secret)
        now_ms = self._clock()

        def turned(key: CallerKey) -> CallerKey:
            refusal = refusal_of(key, now_ms)
            if refusal is not None:
                was = "was revoked" if refusal == "revoked" else "has expired"
                raise ConfigError(f"the key {key.name!r} {was}: make another one")
            if key.secret_mark not in ("", mark) and not new_secret:
                raise ConfigError(f"the key {key.name!r} was made under another secret: {REMEDY}")
            until_ms = now_ms + overlap_seconds * 1_000
            older = ((own, until_ms if ends is None else min(ends, until_ms)) for own, ends in key.digests)
            kept = tuple((own, ends) for own, ends in older if ends > now_ms)
            return replace(key, digests=((digest, None), *kept), secret_mark=mark)

        return Made(self._alter(name, turned), text)

    def revoke(self, name: str) -> CallerKey:
        """End a key for good, within a second in every process. What it spent, and its budget, stay on record.

        A key that was revoked before stays as it is. Raises UnknownNameError.
        """
        now_ms = self._clock()
        return self._alter(name, lambda key: key if key.revoked_ms is not None else replace(key, revoked_ms=now_ms))

    def change(
        self,
        name: str,
        fields: Mapping[str, Any],
        *,
        budget: Budget | None = None,
        no_budget: bool = False,
        limits: Sequence[Limit] = (),
    ) -> CallerKey:
        """Change what a key may do. fields: any of role, user, team, organisation, models, tags and expires_ms, anew.

        budget, limits: as `Quotas.set`; no_budget takes the key's own away. Raises UnknownNameError and ConfigError.
        """
        unknown = [each for each in fields if each not in CHANGEABLE]
        if unknown:
            raise ConfigError(
                f"a key has nothing called {unknown[0][:80]!r} to change; {did_you_mean(unknown[0], CHANGEABLE)}"
            )
        if budget is not None and no_budget:
            raise ConfigError("a key has a budget, or none: give one of both")
        now_ms = self._clock()
        key = self.key(name)
        self.quotas.drawn("key", key.name, budget, limits)

        def altered(key: CallerKey) -> CallerKey:
            if key.revoked_ms is not None:
                raise ConfigError(f"the key {key.name!r} was revoked: make another one")
            given = dict(fields)
            if given.get("team") and "organisation" not in given:
                given["organisation"] = team_of(self._keyring, given["team"]).organisation or key.organisation
            return self._checked(replace(key, **given), now_ms, was=key)

        key = self._alter(key.name, altered)
        if budget is not None or limits:
            self.quotas.set("key", key.name, budget, limits)
        if no_budget:
            self.quotas.remove_budget("key", key.name)
        return key

    def _alter(self, name: str, change: Callable[[CallerKey], CallerKey]) -> CallerKey:
        altered = self._keyring.alter(self.key(name).name, change)
        assert altered is not None  # keys are never removed
        return altered

    def _checked(self, key: CallerKey, now_ms: int, was: CallerKey | None = None) -> CallerKey:
        """A key that can be one, in the organisation of its team. Raises ConfigError."""
        if key.role not in ROLES:
            raise ConfigError(f"a role is {one_of(ROLES)}, not {str(key.role)[:80]!r}")
        if (
            key.expires_ms is not None
            and key.expires_ms <= now_ms
            and (was is None or was.expires_ms != key.expires_ms)
        ):
            raise ConfigError("the key would have expired already: give a moment to come")
        if key.user:
            holder_checked("user", key.user)
        if len(key.models) > MODELS_MAX or any(not model or len(model) > 256 for model in key.models):
            raise ConfigError(f"models are up to {MODELS_MAX} names, such as openai/gpt-4o-mini, or patterns: openai/*")
        _check_tags(key.tags)
        if key.organisation:
            holder_checked("organisation", key.organisation)
        if key.team and (was is None or (was.team, was.organisation) != (key.team, key.organisation)):
            team = team_of(self._keyring, key.team)
            if key.organisation and team.organisation and key.organisation != team.organisation:
                raise ConfigError(f"the team {team.name!r} belongs to {team.organisation!r}, not {key.organisation!r}")
            return replace(key, organisation=key.organisation or team.organisation)
        return key


CHANGEABLE = ("role", "user", "team", "organisation", "models", "tags", "expires_ms")


def has_admin(keyring: Keyring, now_ms: int) -> bool:
    """Whether a key of the role admin counts."""
    keys = keyring.keys()
    return any(key.role == "admin" and refusal_of(key, now_ms) is None for key in keys)


def made_elsewhere(keyring: Keyring, secret: bytes, now_ms: int) -> bool:
    """Whether there are keys that count, and all of them were made under another secret than this."""
    keys = keyring.keys()
    marks = {key.secret_mark for key in keys if refusal_of(key, now_ms) is None}
    return bool(marks) and not marks & {"", mark_of(secret)}


def ensure_admin(keyring: Keyring, secret: bytes, environ: Mapping[str, str], clock: Callable[[], int]) -> str | None:
    """See that there is an admin key: the variable's, else one that is made once and returned, to be shown.

    Another value of the variable takes the place of the last one. A key that was revoked stays so as long as the
    variable has its text; and where there ever was an admin key, none is made without being asked. Raises ConfigError.
    """
    if made_elsewhere(keyring, secret, clock()):
        logging.getLogger("bursar").warning("%s, and none of them counts: %s", ELSEWHERE, REMEDY)
    given = environ.get(ADMIN_VARIABLE)
    if given:
        if not ADMIN_CHARACTERS_MIN <= len(given) <= ADMIN_CHARACTERS_MAX or not (
            given.isascii() and given.isprintable()
        ):
            raise ConfigError(
                f"{ADMIN_VARIABLE} must be {ADMIN_CHARACTERS_MIN} to {ADMIN_CHARACTERS_MAX} plain characters that "
                "nobody guesses: openssl rand -hex 32 makes them",
                key=ADMIN_VARIABLE,
            )
        _install(keyring, digest_of(secret, given), mark_of(secret), clock())
        return None
    keys = keyring.keys()
    if any(key.role == "admin" for key in keys):
        return None
    text = mint(secrets.token_bytes(RANDOM_BYTES))
    try:
        keyring.put(_admin_key(digest_of(secret, text), mark_of(secret), clock()))
    except NameTakenError:
        return None  # another process was first, and shows its own
    return text


def _install(keyring: Keyring, digest: str, mark: str, now_ms: int) -> None:
    known = keyring.by_digest(digest)
    if known is not None and known.name != ADMIN:
        raise ConfigError(f"{ADMIN_VARIABLE} is the key {known.name!r} already: give another one", key=ADMIN_VARIABLE)

    def installed(key: CallerKey) -> CallerKey:
        digests = ((digest, None),)
        return replace(key, digests=digests, expires_ms=None, revoked_ms=None, role="admin", secret_mark=mark)

    if known is not None and known.digests[:1] == ((digest, None),):
        return
    if keyring.alter(ADMIN, installed) is None:
        try:
            keyring.put(_admin_key(digest, mark, now_ms))
        except NameTakenError:
            keyring.alter(ADMIN, installed)


def _admin_key(digest: str, mark: str, now_ms: int) -> CallerKey:
    new_id = id_of(secrets.token_bytes(ID_BYTES))
    return CallerKey(ADMIN, new_id, ((digest, None),), now_ms, role="admin", secret_mark=mark)


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise ConfigError(f"a key has at most {TAGS_MAX} tags")
    for name, value in tags.items():
        if name in _NO_TAGS:
            raise ConfigError(
                f"a tag cannot be called {name!r}: a key's user, team and organisation have their own place"
            )
        if not TAG.fullmatch(name):
            raise ConfigError(f"{name[:80]!r} is no name of a tag: letters, digits, - _ and .")
        holder_checked(f"tag {name}", value)
