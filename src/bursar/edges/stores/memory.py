"""The books in memory: for tests, for trying out, and for programs whose budgets may end with the process.

The same operations over the same rules as every store; what differs is only where things are kept. One process, so
there are no leases: nothing is ever orphaned while the books exist.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bursar.call.books import Balance, Fact, Operation, Outcome, UsageQuery, UsageRow
from bursar.edges.stores.applying import apply, attempt_of
from bursar.edges.stores.bindings import Bindings, Key, window_of
from bursar.edges.stores.defining import Carried, Change, Defined, Span, plan, restart
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.page import Page
from bursar.edges.stores.rows import Row, fact_of
from bursar.edges.stores.standing import Stored, balance_of, level_of, rolling_balance, stored_of
from bursar.errors import StoreUnavailableError
from bursar.rules.allowances import Allowance


class MemoryStore:
    """A Store in plain dicts. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._defined: dict[str, Defined] = {}
        self._bindings = Bindings(())
        self._levels: dict[Key, Stored] = {}
        self._holds: dict[str, Hold] = {}
        self._rows: dict[str, Row] = {}
        self._closed = False

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        """Apply all operations in order, or none of them."""
        with self._open():
            page = Page(_MemoryShelf(self._levels), self._bindings, clock(), "memory")
            for operation in operations:
                attempt_id = attempt_of(operation)
                if attempt_id in self._holds:
                    page.holds[attempt_id] = self._holds[attempt_id]
                if attempt_id in self._rows:
                    page.rows[attempt_id] = self._rows[attempt_id]
            outcomes = [apply(page, operation) for operation in operations]
            self._levels.update((key, stored_of(level)) for key, level in page.moved.items())
            self._holds.update(page.opened)
            for attempt_id in page.ended:
                self._holds.pop(attempt_id, None)
            self._rows.update(page.written)
            return outcomes

    def define(self, allowances: Sequence[Allowance], source: str, clock: Callable[[], int]) -> None:
        """Make `allowances` the ones that `source` defines; there are no other processes to disagree."""
        with self._open():
            self._change(plan(self._defined, allowances, source, ()), clock())

    def balances(self, now_ms: int, *, names: Sequence[str] = (), subject: str | None = None) -> list[Balance]:
        """Where every allowance stands in its current window, one row a subject that has been seen in it."""
        with self._open():
            found: list[Balance] = []
            for name, defined in self._defined.items():
                if not names or name in names:
                    found += self._balances_of(defined.allowance, now_ms, subject)
            return found

    def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Add up the ledger."""
        raise NotImplementedError(query)

    def attempts(self, *, call_id: str = "", limit: int = 100, uncertain: bool = False) -> list[Fact]:
        """Rows of the ledger, newest first."""
        with self._open():
            rows = [
                row
                for row in reversed(self._rows.values())
                if (not call_id or row.call_id == call_id) and not (uncertain and row.certain)
            ]
        rows.sort(key=lambda row: -row.reserved_ms)
        return [fact_of(row) for row in rows[:limit]]

    def allowances(self) -> list[Allowance]:
        """Every definition, by name."""
        with self._open():
            return [defined.allowance for defined in self._defined.values()]

    def close(self) -> None:
        """Refuse further use. What the books say is gone with the store."""
        self._closed = True

    def _open(self) -> threading.RLock:
        if self._closed:
            raise StoreUnavailableError("these books are closed")
        return self._lock

    def _change(self, change: Change, now_ms: int) -> None:
        gone = {*change.remove, *(allowance.name for allowance in change.restart)}
        credits = {key: stored.credit for key, stored in self._levels.items() if key[0] in gone and stored.credit}
        meters = {name: defined.allowance.meter for name, defined in self._defined.items()}
        levels = {key: stored for key, stored in self._levels.items() if key[0] not in gone}
        claims = {
            attempt_id: [claim for claim in hold.claims if claim.allowance not in gone]
            for attempt_id, hold in self._holds.items()
        }
        for allowance in change.restart:
            own = {key: credit for key, credit in credits.items() if key[0] == allowance.name}
            kept = own if meters.get(allowance.name) == allowance.meter else {}
            again = restart(allowance, self._holds.values(), self._add_up, kept, now_ms)
            levels.update(again.levels)
            for attempt_id, claim in again.claims.items():
                claims[attempt_id].append(claim)
        self._levels = levels
        if gone:
            self._holds = {name: hold.claiming(tuple(claims[name])) for name, hold in self._holds.items()}
        defined = {name: each for name, each in self._defined.items() if name not in change.remove}
        defined.update((each.allowance.name, each) for each in change.write)
        self._defined = dict(sorted(defined.items()))
        self._bindings = Bindings(each.allowance for each in defined.values())

    def _add_up(self, span: Span) -> Iterator[Carried]:
        window, width_ms = span
        for row in self._rows.values():
            if row.reserved_ms in window:
                start_ms = row.reserved_ms - row.reserved_ms % width_ms if width_ms else window.start_ms
                yield Carried(
                    row.scopes, start_ms, row.requests, row.charged_nano_usd, row.carried_input, row.carried_output
                )

    def _balances_of(self, allowance: Allowance, now_ms: int, subject: str | None) -> list[Balance]:
        window = window_of(allowance, now_ms)
        rolling = allowance.shape == "rolling"
        levels: dict[str, list[tuple[int, Stored]]] = {}
        for (name, whose, start_ms), stored in sorted(self._levels.items()):
            if name == allowance.name and subject in (None, whose) and (rolling or start_ms == window.start_ms):
                levels.setdefault(whose, []).append((start_ms, stored))
        if not levels and allowance.each is None and subject in (None, ""):
            levels[""] = [(window.start_ms, Stored(window.end_ms, 0, 0, 0, now_ms))]
        if rolling:
            return [
                rolling_balance(
                    allowance, whose, [(start_ms, stored.spent, stored.held) for start_ms, stored in parts], now_ms
                )
                for whose, parts in levels.items()
            ]
        return [
            balance_of(level_of(allowance, whose, start_ms, stored.end_ms, stored), now_ms)
            for whose, parts in levels.items()
            for start_ms, stored in parts
        ]


class _MemoryShelf:
    def __init__(self, levels: Mapping[Key, Stored]) -> None:
        self._levels = levels

    def levels(self, keys: Iterable[Key]) -> Mapping[Key, Stored]:
        return {key: self._levels[key] for key in keys if key in self._levels}

    def sub_windows(self, allowance: str, subject: str, from_ms: int) -> Mapping[int, Stored]:
        return {
            key[2]: stored
            for key, stored in self._levels.items()
            if key[:2] == (allowance, subject) and key[2] >= from_ms
        }
