"""Where a level stands, as a Balance. Shared by the answers to settles and by the reading of all balances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from bursar.call.books import Balance
from bursar.edges.stores.bindings import window_of
from bursar.rules.allowances import Allowance, Level
from bursar.rules.windows import SUB_WINDOWS, rolling_window, sub_window_ms


class Stored(NamedTuple):
    """A level as it is kept. Amounts in units of the meter (a bucket's `spent` in units x milliseconds)."""

    allowance: str
    subject: str
    start_ms: int
    end_ms: int
    spent: int
    held: int
    credit: int
    updated_ms: int


def level_of(allowance: Allowance, stored: Stored) -> Level:
    """The level that the rules move, from what is kept of it."""
    _, subject, start_ms, end_ms, spent, held, credit, updated_ms = stored
    return Level(allowance, subject, start_ms, end_ms, spent, held, credit, updated_ms)


def stored_of(level: Level) -> Stored:
    """What is kept of a level."""
    return Stored(
        level.allowance.name,
        level.subject,
        level.start_ms,
        level.end_ms,
        level.spent,
        level.held,
        level.credit,
        level.updated_ms,
    )


def balance_of(level: Level, now_ms: int) -> Balance:
    """Where a level of any shape but "rolling" stands."""
    allowance = level.allowance
    name, period = allowance.name, allowance.period
    if level.scale:
        # Everything that was poured in has leaked out by then.
        leaked = level.leaked(now_ms)
        resets_at_ms = now_ms + -(-leaked // level.limit) if level.limit else None
        return Balance(
            name, level.subject, level.meter, period or "", -(-leaked // level.scale), 0, level.limit, resets_at_ms
        )
    ends_at_ms = None if period is None or period == "total" else level.end_ms
    return Balance(name, level.subject, level.meter, period or "", level.spent, level.held, level.limit, ends_at_ms)


def rolling_balance(allowance: Allowance, subject: str, used: Iterable[tuple[int, int, int]], now_ms: int) -> Balance:
    """Where a rolling allowance stands. `used`: (start_ms, spent, held) of its sub-windows, current or not.

    It resets when the newest of those that count has left the window.
    """
    period = allowance.period or "hour"
    current, oldest_ms = rolling_window(period, now_ms)
    spent = held = 0
    newest_ms = oldest_ms
    for start_ms, more_spent, more_held in used:
        if oldest_ms <= start_ms <= current.start_ms and (more_spent or more_held):
            spent += more_spent
            held += more_held
            newest_ms = max(newest_ms, start_ms)
    resets_at_ms = newest_ms + sub_window_ms(period) * (SUB_WINDOWS + 1)
    return Balance(allowance.name, subject, allowance.meter, period, spent, held, allowance.capacity, resets_at_ms)


def counted_from_ms(allowance: Allowance, now_ms: int) -> tuple[int, int]:
    """The starts of the first and the last (sub-)window of an allowance that count now."""
    start_ms = window_of(allowance, now_ms).start_ms
    if allowance.shape == "rolling" and allowance.period is not None:
        return rolling_window(allowance.period, now_ms)[1], start_ms
    return start_ms, start_ms


def standing(allowance: Allowance, levels: Sequence[Stored], subject: str | None, now_ms: int) -> list[Balance]:
    """Where an allowance stands, a row a subject. `levels`: those of its current window, by subject, then by start."""
    if not levels and allowance.each is None and subject in (None, ""):
        # One level for all: it stands somewhere even before the first call.
        window = window_of(allowance, now_ms)
        levels = [Stored(allowance.name, "", window.start_ms, window.end_ms, 0, 0, 0, now_ms)]
    if allowance.shape != "rolling":
        return [balance_of(level_of(allowance, stored), now_ms) for stored in levels]
    return [
        rolling_balance(allowance, whose, [(part.start_ms, part.spent, part.held) for part in parts], now_ms)
        for whose, parts in groupby(levels, key=lambda stored: stored.subject)
    ]
