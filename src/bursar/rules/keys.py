"""Keys of callers: what one is, when it is refused, and what it may do.

A key names its bearer: calls count under its name, and what it fixes (user, team, organisation, tags) beats what a
request says. Of the key's text only digests are known here, and they are made elsewhere (`gateway.secret`); a rotated
key has two for a while. Names are never used again, so that the ledger keeps its meaning.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

Role = Literal["call", "view", "admin"]
# Each may do what those before it may.
ROLES: tuple[Role, ...] = ("call", "view", "admin")

PREFIX = "sk-bursar-"
# 256 bits: nothing to guess, so that one quick digest is enough.
RANDOM_BYTES = 32
ID_BYTES = 8
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KEY = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CallerKey:
    """A key as it is kept. Times are epoch milliseconds, None for never.

    name: unique for ever, 1 to 64 of A-Z a-z 0-9 . _ -; the scope "key" of its calls. id: public, "key_" and 12
    characters. digests: (hexadecimal, valid until) of the key's texts, the latest first. user, team, organisation: ""
    for none. models: names or patterns such as "openai/*", of which a call's model must be one; empty allows all.
    secret_mark: tells under which secret its latest digest was made; "" for any.
    """

    name: str
    id: str
    digests: tuple[tuple[str, int | None], ...] = field(repr=False)
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    role: Role = "call"
    user: str = ""
    team: str = ""
    organisation: str = ""
    models: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    secret_mark: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Team:
    """Whose budget several keys share. organisation: "" for none."""

    name: str
    organisation: str
    created_ms: int


def mint(random: bytes) -> str:
    """The text of a new key, from 32 random bytes.

    >>> mint(bytes(32))
    'sk-bursar-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
    """
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key is made of {RANDOM_BYTES} random bytes, not {len(random)}")
    return PREFIX + urlsafe_b64encode(random).rstrip(b"=").decode()


def id_of(random: bytes) -> str:
    """The public id of a new key, from 8 random bytes.

    >>> id_of(bytes(8))
    'key_aaaaaaaaaaaa'
    """
    if len(random) != ID_BYTES:
        raise ValueError(f"an id is made of {ID_BYTES} random bytes, not {len(random)}")
    return "key_" + b32encode(random)[:12].decode().lower()


def looks_like(text: str) -> bool:
    """Whether a text has the form of a key that `mint` makes; whether it is one, only its digest says."""
    return _KEY.fullmatch(text) is not None


def matches(key: CallerKey, digest: str, now_ms: int) -> bool:
    """Whether a digest is one of the key's own, and still counts. Takes as long for every digest."""
    found = False
    for own, until_ms in key.digests:
        same = hmac.compare_digest(own, digest)
        found |= same and (until_ms is None or now_ms < until_ms)
    return found


def refusal_of(key: CallerKey, now_ms: int) -> str | None:
    """Why the key is not taken any more, "revoked" or "expired"; None while it is."""
    if key.revoked_ms is not None:
        return "revoked"
    if key.expires_ms is not None and now_ms >= key.expires_ms:
        return "expired"
    return None


def may_use(key: CallerKey, model: str) -> bool:
    """Whether the key's allow-list has a model, by the name that is asked for.

    >>> key = CallerKey("ci", "key_a", (), 0, models=("openai/*", "fast"))
    >>> may_use(key, "openai/gpt-4o"), may_use(key, "fast"), may_use(key, "gpt-4o")
    (True, True, False)
    """
    return not key.models or any(fnmatchcase(model, pattern) for pattern in key.models)


def allows(role: Role, needed: Role) -> bool:
    """Whether a role may do what needs another.

    >>> allows("admin", "call"), allows("view", "view"), allows("call", "view")
    (True, True, False)
    """
    return ROLES.index(role) >= ROLES.index(needed)
