"""Whether the books add up: what every level says, against the pending holds and the ledger that it sums.

held = the claims of pending holds, spent = the rows of the ledger and the opening rows, by subject and window; and no
enforced budget stands above its limit. Buckets are left out: what has leaked is not on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bursar.edges.stores.bindings import Key, window_of
from bursar.edges.stores.defining import Carried, Span
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.standing import Stored, counted_from_ms, standing
from bursar.rules.allowances import Allowance
from bursar.rules.windows import Window


def audit(
    allowances: Iterable[Allowance],
    levels: Mapping[Key, Stored],
    holds: Iterable[Hold],
    add_up: Callable[[Span], Iterable[Carried]],
    now_ms: int,
) -> list[str]:
    """What does not add up, a sentence a problem; empty when all does."""
    held: dict[Key, int] = {}
    for hold in holds:
        for claim in hold.claims:
            key = claim[:3]
            held[key] = held.get(key, 0) + claim.amount
    problems: list[str] = []
    for allowance in allowances:
        if allowance.shape == "bucket":
            continue
        kept = {key: stored for key, stored in levels.items() if key[0] == allowance.name}
        claimed = {key: amount for key, amount in held.items() if key[0] == allowance.name}
        holding = {key: stored.held for key, stored in kept.items()}
        problems += _differences("holds", holding, claimed, "the pending holds claim")
        if allowance.shape != "gauge":
            spent = {key: stored.spent for key, stored in kept.items()}
            problems += _differences("has spent", spent, _carried(allowance, kept, add_up, now_ms), "the ledger says")
        if allowance.meter == "nano_usd" and allowance.enforced:
            problems += _overdrawn(allowance, kept, now_ms)
    return problems


def _carried(
    allowance: Allowance, kept: Mapping[Key, Stored], add_up: Callable[[Span], Iterable[Carried]], now_ms: int
) -> dict[Key, int]:
    """What the ledger carries in the windows that have a level, and in the current one."""
    current = window_of(allowance, now_ms)
    windows = {Window(key[2], stored.end_ms) for key, stored in kept.items()} | {current}
    sums: dict[Key, int] = {}
    for window in windows:
        for carried in add_up(Span(window, 0, allowance.only)):
            subject = allowance.subject_of(carried.scopes)
            key = (allowance.name, subject or "", window.start_ms)
            # A level of a window that is over may have been pruned; those of the current one must be there.
            if subject is not None and (key in kept or window == current):
                sums[key] = sums.get(key, 0) + carried.amount(allowance.meter)
    return sums


def _differences(verb: str, said: Mapping[Key, int], summed: Mapping[Key, int], witness: str) -> list[str]:
    return [
        f"{key[0]} {f'({key[1]}) ' if key[1] else ''}in the window of {key[2]} {verb} {said.get(key, 0)}, "
        f"and {witness} {summed.get(key, 0)}"
        for key in sorted({*said, *summed})
        if said.get(key, 0) != summed.get(key, 0)
    ]


def _overdrawn(allowance: Allowance, kept: Mapping[Key, Stored], now_ms: int) -> list[str]:
    since_ms, until_ms = counted_from_ms(allowance, now_ms)
    current = [kept[key] for key in sorted(kept) if since_ms <= key[2] <= until_ms]
    return [
        f"{balance.allowance} {f'({balance.subject}) ' if balance.subject else ''}stands {-balance.left} nano-USD "
        "above its limit: it was lowered, or a provider billed more than its bound"
        for balance in standing(allowance, current, None, now_ms)
        if balance.left < 0
    ]
