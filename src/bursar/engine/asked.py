"""How a caller governs one call: the arguments that are ours, checked, and the scopes that they make.

Decides nothing about money or providers; it refuses what could be counted under the wrong name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from msgspec import Struct

from bursar.errors import InvalidRequestError
from bursar.rules.money import nano_of
from bursar.rules.observing import PROVIDER_KEY

__all__ = ["Asked", "milliseconds", "nano_usd_of", "scope", "scopes_of"]

# What scopes call themselves; a tag of such a name would count for the wrong allowance.
RESERVED = frozenset({"provider", "model", "key", PROVIDER_KEY, "user", "session"})
TAGS_MAX = 32
SCOPE_CHARACTERS_MAX = 256


class Asked(Struct, frozen=True):
    """How a caller governs one call. Money is given in USD, times in seconds; fallbacks are names of models.

    key: the name of the caller's own key, where it asks with one (at the gateway).
    """

    model: str | None = None
    max_cost_usd: Any = None
    timeout: float | None = None
    max_wait_seconds: float | None = None
    tags: Mapping[str, str] | None = None
    user: str | None = None
    session: str | None = None
    extra_headers: Mapping[str, str] | None = None
    fallbacks: Sequence[str] | None = None
    key: str | None = None


def scopes_of(asked: Asked, provider: str, model: str, key: str, tags: Mapping[str, str]) -> dict[str, str]:
    """What a call is counted under: who serves it, with which key, for whom, and the tags of the program and the call.

    key: a name for the provider's key, never the key. Where the caller has a key of its own, that one is the scope
    "key", and the provider's is "provider_key". Raises InvalidRequestError.
    """
    scopes = {"provider": provider, "model": f"{provider}/{model}", "key": key}
    if asked.key is not None:
        scopes["key"] = scope("key", asked.key)
        scopes[PROVIDER_KEY] = key
    if asked.user is not None:
        scopes["user"] = scope("user", asked.user)
    if asked.session is not None:
        scopes["session"] = scope("session", asked.session)
    for given in (tags, asked.tags):
        for tag, value in given.items() if given else ():
            if tag in RESERVED:
                raise InvalidRequestError(f"a tag cannot be called {tag!r}: pass it as an argument of that name")
            scopes[scope("tag", tag)] = value if _sound(value) else scope(f"tag {tag}", value)
    if len(scopes) > TAGS_MAX:
        raise InvalidRequestError(f"a call carries at most {TAGS_MAX} tags")
    return scopes


def scope(what: str, value: object) -> str:
    """A value that calls are counted under, checked. Raises InvalidRequestError."""
    if _sound(value):
        return value
    raise InvalidRequestError(f"{what} must be 1 to {SCOPE_CHARACTERS_MAX} printable characters")


def _sound(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= SCOPE_CHARACTERS_MAX and value.isprintable()


def nano_usd_of(name: str, usd: Any) -> int:
    """An amount of USD that the argument of this name gives. Raises InvalidRequestError."""
    try:
        return nano_of(usd)
    except ValueError as error:
        raise InvalidRequestError(f"{name}: {error}") from None


def milliseconds(name: str, seconds: object) -> int:
    """A time in seconds that the argument of this name gives, up to a day. Raises InvalidRequestError."""
    # NaN fails both comparisons; a longer limit than a day is a mistake of units.
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 86_400:
        raise InvalidRequestError(f"{name} must be seconds from 0 to 86400, not {seconds!r}")
    return int(seconds * 1000)
