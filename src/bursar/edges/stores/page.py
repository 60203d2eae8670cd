"""The page: what one transaction has open of the books, and what it has changed.

A store fills it with the holds and rows that the operations name, the operations move it (see `applying`), and the
store writes back what changed. Levels are fetched before where the store can foresee them, and on demand otherwise, so
that correctness never depends on foresight. A page lives for one transaction: nothing in it is trusted afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from bursar.call.books import Balance, Claim
from bursar.edges.stores.bindings import Bindings, Key, Place, window_of
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.rows import Row
from bursar.edges.stores.standing import Stored, balance_of, level_of, rolling_balance
from bursar.rules.allowances import Allowance, Level
from bursar.rules.windows import SUB_WINDOWS, rolling_window, sub_window_ms

Group = tuple[str, str]
"""A rolling allowance and a subject, whose sub-windows count together."""


class Shelf(Protocol):
    """Where a page gets levels from that nobody foresaw."""

    def levels(self, keys: Iterable[Key]) -> Mapping[Key, Stored]:
        """The levels of these keys, as far as they are kept."""

    def sub_windows(self, allowance: str, subject: str, from_ms: int) -> Mapping[int, Stored]:
        """A rolling allowance's levels that start at `from_ms` or later, by their start."""


class Page:
    """The working set of one transaction at `now_ms`. `owner_id`: who opens holds."""

    __slots__ = (
        "_added_up", "_stored", "_sub_windows", "bindings", "ended", "holds", "levels", "moved", "now_ms", "opened",
        "orphans", "owner_id", "rows", "shelf", "written",
    )  # fmt: skip

    def __init__(self, shelf: Shelf, bindings: Bindings, now_ms: int, owner_id: str) -> None:
        self.shelf = shelf
        self.bindings = bindings
        self.now_ms = now_ms
        self.owner_id = owner_id
        # What the store knows of the attempts that the operations name, as it stands while they are applied.
        self.holds: dict[str, Hold] = {}
        self.rows: dict[str, Row] = {}
        self.levels: dict[Key, Level] = {}
        # Attempts whose process is gone, when an Expire asks for them.
        self.orphans: list[str] = []
        # What the store has to write: levels, holds, ids of holds to delete, rows.
        self.moved: dict[Key, Level] = {}
        self.opened: dict[str, Hold] = {}
        self.ended: dict[str, None] = {}
        self.written: dict[str, Row] = {}
        self._stored: dict[Key, Stored | None] = {}
        self._sub_windows: dict[Group, Mapping[int, Stored]] = {}
        # The sub-window of each rolling allowance that has added the earlier ones up, as long as none of them moves.
        self._added_up: dict[Group, Key] = {}

    def foresee(self, keys: Iterable[Key], stored: Mapping[Key, Stored]) -> None:
        """Remember what the store has fetched already: the keys it looked for, and what it found."""
        self._stored.update(dict.fromkeys(keys))
        self._stored.update(stored)

    def foreseen(self, key: Key) -> bool:
        """True when the level needs no fetching."""
        return key in self._stored

    def level(self, place: Place) -> Level:
        """The level of a place, new where none is kept."""
        level = self.levels.get(place.key)
        return self._open(place.allowance, place.key, place.end_ms) if level is None else level

    def current_level(self, place: Place) -> Level:
        """The level of a place whose window is now, ready to be decided on."""
        level = self.levels.get(place.key)
        if level is None:
            level = self._open(place.allowance, place.key, place.end_ms)
        if place.allowance.shape == "rolling":
            self._add_up(level)
        return level

    def past_level(self, place: Place) -> Level | None:
        """The level of a place, None when its window counts no more and nothing is kept of it."""
        allowance = place.allowance
        counts_until_ms = place.end_ms
        if allowance.shape == "rolling":
            counts_until_ms += sub_window_ms(allowance.period or "hour") * SUB_WINDOWS
        if counts_until_ms <= self.now_ms and place.key not in self.levels and self._look(place.key) is None:
            return None
        return self.level(place)

    def claimed_level(self, claim: Claim, hold: Hold) -> Level | None:
        """The level that a claim is held of, about to be moved; None when its allowance is no more."""
        key = claim[:3]
        level = self.levels.get(key)
        if level is None:
            allowance = self.bindings.by_name.get(claim.allowance)
            if allowance is None:
                return None
            end_ms = 0 if self._look(key) else window_of(allowance, hold.reserved_ms).end_ms
            level = self._open(allowance, key, end_ms)
        self.move(key, level)
        return level

    def move(self, key: Key, level: Level) -> None:
        """Note that a level is about to change, or has changed."""
        self.moved[key] = level
        if self._added_up and self._added_up.get(key[:2], key) != key:
            del self._added_up[key[:2]]

    def balance(self, level: Level) -> Balance:
        """Where the allowance of a level stands."""
        allowance = level.allowance
        if allowance.shape != "rolling":
            return balance_of(level, self.now_ms)
        return rolling_balance(allowance, level.subject, self._used(allowance, level.subject), self.now_ms)

    def _open(self, allowance: Allowance, key: Key, end_ms: int) -> Level:
        stored = self._look(key)
        if stored is not None:
            level = level_of(allowance, stored)
        else:
            level = Level(allowance, key[1], key[2], end_ms)
        self.levels[key] = level
        return level

    def _look(self, key: Key) -> Stored | None:
        if key not in self._stored:
            self._stored[key] = self.shelf.levels([key]).get(key)
        return self._stored[key]

    def _add_up(self, level: Level) -> None:
        key = level.key
        if self._added_up.get(key[:2]) != key:
            oldest_ms = level.start_ms - sub_window_ms(level.allowance.period or "hour") * SUB_WINDOWS
            used = self._used(level.allowance, level.subject)
            level.others = [(start, spent + held) for start, spent, held in used if oldest_ms <= start < level.start_ms]
            level.before = sum(amount for _, amount in level.others)
            self._added_up[key[:2]] = key

    def _used(self, allowance: Allowance, subject: str) -> list[tuple[int, int, int]]:
        """(start_ms, spent, held) of a rolling allowance's sub-windows as they stand now, oldest first."""
        group = (allowance.name, subject)
        kept = self._sub_windows.get(group)
        if kept is None:
            oldest_ms = rolling_window(allowance.period or "hour", self.now_ms)[1]
            kept = self._sub_windows[group] = self.shelf.sub_windows(*group, oldest_ms)
        used = {start_ms: (stored.spent, stored.held) for start_ms, stored in kept.items()}
        used.update((key[2], (level.spent, level.held)) for key, level in self.levels.items() if key[:2] == group)
        return [(start_ms, spent, held) for start_ms, (spent, held) in sorted(used.items())]
