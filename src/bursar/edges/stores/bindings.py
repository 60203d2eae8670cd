"""Which allowances bind a call's scopes, and which of their windows an instant falls in.

It decides nothing about amounts. Thousands of allowances, one a key, must not slow a call: those with a condition are
found by one of its values, and what binds a set of scopes is remembered, within bounds, while its windows last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bursar.edges.stores.accounts import Account, account_of
from bursar.rules.allowances import Allowance
from bursar.rules.windows import ALWAYS, Window, calendar_window, rolling_window

# Sets of scopes remembered. Users and sessions make many; forgetting all of them at once is cheap and bounded.
REMEMBERED_MAX = 8_192

Key = tuple[str, str, int]
"""The identity of a level: allowance, subject, start of the window."""


class Place(NamedTuple):
    """One level that binds: whose it is, and its window."""

    allowance: Allowance
    key: Key
    end_ms: int


class Binding(NamedTuple):
    """What binds a set of scopes in [from_ms, until_ms).

    keys: those of the places. account: the scopes as they are kept.
    refused: the first enforced allowance that lacks the value it counts by, None when nothing is missing.
    would_refuse: names of observed allowances that would have refused for the same reason.
    """

    from_ms: int
    until_ms: int
    places: tuple[Place, ...]
    refused: Allowance | None
    would_refuse: tuple[str, ...]
    keys: tuple[Key, ...]
    account: Account


def window_of(allowance: Allowance, instant_ms: int) -> Window:
    """The (sub-)window of an allowance's level that counts what is reserved at `instant_ms`."""
    if allowance.shape == "calendar" and allowance.period is not None:
        return calendar_window(allowance.period, ZoneInfo(allowance.time_zone), instant_ms)
    if allowance.shape == "rolling" and allowance.period is not None:
        return rolling_window(allowance.period, instant_ms)[0]
    return ALWAYS


class Bindings:
    """An index over the definitions, changed as they change. Not for several threads at once."""

    def __init__(self, allowances: Iterable[Allowance] = ()) -> None:
        self.by_name: dict[str, Allowance] = {}
        self._general: dict[str, Allowance] = {}
        self._by_value: dict[tuple[str, str], dict[str, Allowance]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._found_by: dict[str, tuple[str, str]] = {}
        self._remembered: dict[tuple[tuple[str, str], ...], Binding] = {}
        self.put(allowances)

    def put(self, allowances: Iterable[Allowance]) -> None:
        """Add definitions, or replace those of the same name."""
        new = list(allowances)
        for allowance in new:
            self._drop(allowance.name)
            self.by_name[allowance.name] = allowance
            for pair in allowance.only:
                self._counts[pair] = self._counts.get(pair, 0) + 1
        for allowance in new:
            if allowance.only:
                # The rarest of its values narrows the search best: of provider and key, the key.
                rarest = min(allowance.only, key=self._counts.__getitem__)
                self._by_value.setdefault(rarest, {})[allowance.name] = allowance
                self._found_by[allowance.name] = rarest
            else:
                self._general[allowance.name] = allowance
        self._remembered.clear()

    def _drop(self, name: str) -> None:
        before = self.by_name.pop(name, None)
        if before is None:
            return
        self._general.pop(name, None)
        for pair in before.only:
            self._counts[pair] -= 1
        if name in self._found_by:
            del self._by_value[self._found_by.pop(name)][name]

    def now(self, scopes: Mapping[str, str], now_ms: int) -> Binding:
        """What binds these scopes now, from memory where the windows still last."""
        identity = tuple(scopes.items())
        binding = self._remembered.get(identity)
        if binding is None or not binding.from_ms <= now_ms < binding.until_ms:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            binding = self._remembered[identity] = self.at(scopes, now_ms)
        return binding

    def at(self, scopes: Mapping[str, str], instant_ms: int) -> Binding:
        """What binds these scopes, with the windows that `instant_ms` falls in."""
        candidates = [*self._general.values()]
        for pair in scopes.items():
            if pair in self._by_value:
                candidates += self._by_value[pair].values()
        candidates.sort(key=attrgetter("name"))
        from_ms, until_ms = ALWAYS.start_ms, ALWAYS.end_ms
        places, refused, would_refuse = [], None, []
        for allowance in candidates:
            subject = allowance.subject_of(scopes)
            if subject is None:
                continue
            if allowance.refuses_missing(scopes):
                if allowance.enforced:
                    refused = refused or allowance
                else:
                    would_refuse.append(allowance.name)
            window = window_of(allowance, instant_ms)
            from_ms, until_ms = max(from_ms, window.start_ms), min(until_ms, window.end_ms)
            places.append(Place(allowance, (allowance.name, subject, window.start_ms), window.end_ms))
        keys = tuple(place.key for place in places)
        return Binding(from_ms, until_ms, tuple(places), refused, tuple(would_refuse), keys, account_of(scopes))
