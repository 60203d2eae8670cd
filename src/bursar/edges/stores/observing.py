"""Where a provider's own limits stand, entered into the books with the settle of the call that it answered.

It decides which of the levels that the call's hold claims are the provider's to speak of; what it says corrects them
in `rules.observing`. A limit told apart by model or key is closer than one of the whole provider, and only the closest
are corrected: an account's two keys have a limit each, and what one has used up is not the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bursar.call.books import Claim, Fact
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.page import Page
from bursar.rules.allowances import Allowance
from bursar.rules.observing import closeness, key_scope, observe, rest
from bursar.rules.windows import PERIOD_MS
from bursar.wire.rate_headers import Observation

# A provider counts a call when it arrives, and shows how it stands then; its limits have refilled since. Calls do not
# arrive at the distances at which they were sent, and one that comes too early by a moment is refused: so much of what
# has come back is left to that.
DELAYS_MS = 50

Beyond = tuple[str, int]
"""A limit of ours, and the smaller one that the provider has."""


class _Limit(NamedTuple):
    """A bucket that a hold claims and that is its provider's own."""

    closeness: int
    allowance: Allowance
    claim: Claim


def follow(page: Page, hold: Hold, fact: Fact, observed: Sequence[Observation]) -> tuple[Beyond, ...]:
    """Correct the levels that `hold` claims by what the provider said; the limits of ours that are beyond its own."""
    limits = _limits(page, hold.claims, key_scope(fact.scopes))
    counted_ms = fact.ended_ms - fact.duration_ms + DELAYS_MS
    age_ms = max(page.now_ms - counted_ms, 0)
    beyond: list[Beyond] = []
    for seen in observed:
        rests = seen.at_once and not seen.remaining
        if rests:
            _rest(page, hold, limits, seen, observed, fact.ended_ms)
        for allowance, claim in _closest(limits, seen):
            if seen.limit < allowance.capacity:
                beyond.append((allowance.name, seen.limit))
            level = None if rests else page.claimed_level(claim, hold)
            if level is not None:
                observe(level, seen.limit, seen.remaining, page.now_ms, age_ms=age_ms)
    return tuple(beyond)


def _limits(page: Page, claims: Iterable[Claim], key: str) -> list[_Limit]:
    found = []
    for claim in claims:
        allowance = page.bindings.by_name.get(claim.allowance)
        close = 0 if allowance is None else closeness(allowance, key)
        if allowance is not None and close:
            found.append(_Limit(close, allowance, claim))
    return found


def _closest(limits: Iterable[_Limit], seen: Observation) -> list[tuple[Allowance, Claim]]:
    """The limits of this meter and period that are closest to the provider's."""
    alike = [one for one in limits if one.claim.meter == seen.meter and one.allowance.period == seen.period]
    closest = max((one.closeness for one in alike), default=0)
    return [(one.allowance, one.claim) for one in alike if one.closeness == closest]


def _rest(
    page: Page, hold: Hold, limits: Iterable[_Limit], asked: Observation, observed: Iterable[Observation], asked_ms: int
) -> None:
    """The provider asks to wait: others wait, too. One level is enough for that, the likeliest to be meant."""

    def likelihood(one: _Limit) -> tuple[bool, bool, int, int]:
        period = one.allowance.period or "day"
        return one.claim.meter == asked.meter, period == asked.period, one.closeness, -PERIOD_MS[period]

    meant = max(limits, key=likelihood, default=None)
    if meant is None or any(_explains(seen, meant) for seen in observed):
        return
    level = page.claimed_level(meant.claim, hold)
    if level is not None:
        wait_ms = asked_ms + (asked.resets_in_ms or 0) - page.now_ms
        rest(level, max(meant.claim.amount, 1), wait_ms, page.now_ms)


def _explains(seen: Observation, meant: _Limit) -> bool:
    """Whether what was seen of a limit is why the call was refused: it says better when to come back, to the
    millisecond and for each size of call, than advice that is rounded to seconds.
    """
    alike = seen.meter == meant.claim.meter and seen.period == meant.allowance.period
    return alike and seen.remaining < meant.claim.amount and seen.refills
