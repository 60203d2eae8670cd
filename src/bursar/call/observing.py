"""What a provider's answer says about its limits, for the books: see `Settle.observed`.

Decides whether anything of ours could follow it, and what a refusal means for the calls that wait. What is said is
read in `wire.rate_headers`; which levels it moves is found by the store, in the transaction of the settle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from bursar.catalog.providers import Provider
from bursar.rules.allowances import Allowance
from bursar.rules.observing import closeness
from bursar.wire.rate_headers import Observation, ObservedMeter, read_rate_headers

__all__ = ["limits_observed", "observed"]


def observed(
    row: Provider, headers: Mapping[str, str] | None, *, wait_seconds: float | None = None
) -> tuple[Observation, ...]:
    """What an answer of this provider says about its limits; never raises.

    headers: the answer's, lower-case names; None where no head came. wait_seconds: when the provider wants to see us
    again, where it refused for its rate (a 429, a 402 for money in flight); None for every other answer: what stands
    in `retry-after` of a success means nothing.
    """
    found = read_rate_headers(row.rate_headers, headers) if headers else ()
    if not wait_seconds or wait_seconds < 0:
        return found
    wait_ms = math.ceil(min(wait_seconds, 86_400.0) * 1000)
    return (*found, Observation(_scarcest(found), "", 0, 0, wait_ms, at_once=True))


def _scarcest(found: Iterable[Observation]) -> ObservedMeter:
    """The meter that a refusal is most likely about: that of which the smallest share remains; else requests."""
    scarcest = min(found, key=lambda seen: seen.remaining / seen.limit, default=None)
    return "requests" if scarcest is None else scarcest.meter


def limits_observed(allowances: Iterable[Allowance], provider: str, *, keys: int = 1, key: str = "key") -> bool:
    """Whether answers of this provider can correct any of these: a limit of its own, or of a model or key of it.

    keys: how many keys it is called with. Each has limits of its own at the provider, so with several only limits that
    tell keys apart follow them: what one key has used up must not keep the others waiting. key: the scope that has it.
    """
    for allowance in allowances:
        only = dict(allowance.only)
        if not closeness(allowance, key) or only.get("provider", provider) != provider:
            continue
        if only.get("model", f"{provider}/").split("/")[0] != provider:
            continue
        if keys == 1 or allowance.each == key or key in only:
            return True
    return False
