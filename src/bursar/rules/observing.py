"""What a provider says of its own limits corrects ours: upwards only, and nothing twice.

A bucket here has what this client claimed; the provider's has what arrived there, from everyone who shares the limit.
Calls in flight may stand in both, so one is never added to the other: what is free here may not be more than what
remains there, and that is all. A lower level is never believed: claims may still be on their way.

A provider's limit need not be the one that was configured. Where ours is the smaller (a share of the provider's), the
rest of theirs is others' to use and says nothing about ours, until less remains than is free here. Where ours is the
larger, ours refills too fast, and each answer puts it right again: `LimitBeyondProvider` tells the user.

Source: DESIGN section 5; the published headers of nine providers, which refill continuously (`wire.rate_headers`).
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.rules.allowances import LEVEL_MAX, Allowance, Level

# The scope of the provider's key in a call whose caller has a key of its own, which is the scope "key" then.
PROVIDER_KEY = "provider_key"


def key_scope(scopes: Mapping[str, str]) -> str:
    """The scope that has the provider's key of a call.

    >>> key_scope({"key": "openai:0badcafe"}), key_scope({"key": "ci", "provider_key": "openai:0badcafe"})
    ('key', 'provider_key')
    """
    return PROVIDER_KEY if PROVIDER_KEY in scopes else "key"


def closeness(allowance: Allowance, key: str = "key") -> int:
    """How closely an allowance is the limit that its provider speaks of: 0 not at all, 3 of one model for one key.

    key: the scope that has the provider's key (`key_scope`). A limit that is told apart by a user, a team or a caller's
    own key is never the provider's to speak of.

    >>> closeness(Allowance("rpm", "requests", 500, "bucket", "minute", only=(("provider", "openai"),)))
    1
    """
    told_apart_by = {dimension for dimension, _ in allowance.only}
    if allowance.each is not None:
        told_apart_by.add(allowance.each)
    named = bool(told_apart_by & {"provider", "model"})
    if allowance.shape != "bucket" or not named or not told_apart_by <= {"provider", "model", key}:
        return 0
    return 1 + len(told_apart_by - {"provider"})


def observe(level: Level, limit: int, remaining: int, now_ms: int, *, age_ms: int = 0) -> bool:
    """Leave no more free in a bucket than what remains at the provider; whether that changed anything.

    limit, remaining: the provider's, in units a period of the bucket's. age_ms: how long ago it said so; what has come
    back since, by its own rate, is free here too.
    """
    left = remaining * level.scale + max(age_ms, 0) * limit
    return _raise(level, level.limit * level.scale - left, now_ms)


def rest(level: Level, amount: int, wait_ms: int, now_ms: int) -> bool:
    """Fill a bucket so that `amount` units are free again in `wait_ms`, and no sooner; whether that changed anything.

    More than the bucket holds counts as all of it. A wait below 0 has ended so long ago.
    """
    return _raise(level, max(level.limit - amount, 0) * level.scale + wait_ms * level.limit, now_ms)


def _raise(level: Level, at_least: int, now_ms: int) -> bool:
    """Lift a bucket's level to `at_least` units x milliseconds."""
    if at_least <= level.leaked(now_ms):
        return False
    level.spent = min(at_least, LEVEL_MAX)
    level.updated_ms = max(level.updated_ms, now_ms)
    return True
