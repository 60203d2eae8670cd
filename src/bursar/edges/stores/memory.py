"""The books in memory: for tests, for trying out, and for programs whose budgets may end with the process.

The same operations over the same rules as every store; what differs is only where things are kept. One process, so
there are no leases: nothing is ever orphaned, unless a test says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bursar.call.books import Balance, Fact, Operation, Outcome, Repository, UsageQuery, UsageRow
from bursar.edges.stores.alerts import MemoryClaims
from bursar.edges.stores.applying import apply, attempt_of
from bursar.edges.stores.auditing import audit
from bursar.edges.stores.bindings import Bindings, Key
from bursar.edges.stores.board import MemoryBoard
from bursar.edges.stores.defining import (
    Carried,
    Change,
    Defined,
    Span,
    plan,
    plan_one,
    plan_removal,
    restart,
    topped_up,
)
from bursar.edges.stores.history import MemoryHistory
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.keyring import MemoryKeyring
from bursar.edges.stores.page import Page
from bursar.edges.stores.replays import MemoryReplays
from bursar.edges.stores.rows import Row, fact_of
from bursar.edges.stores.standing import Stored, counted_from_ms, standing, stored_of
from bursar.edges.stores.tallying import FAILED, Entry, plain_dimensions, tally
from bursar.errors import StoreUnavailableError
from bursar.rules.allowances import Allowance
from bursar.rules.windows import FOREVER_MS


class MemoryStore:
    """A Store in plain dicts. Thread-safe."""

    def __init__(self) -> None:
        self.board = MemoryBoard()
        self.alerts = MemoryClaims()
        self.history = MemoryHistory(self._ledger)
        self.keyring = MemoryKeyring()
        self.replays = MemoryReplays()
        self._lock = threading.RLock()
        self._defined: dict[str, Defined] = {}
        self._bindings = Bindings()
        self._levels: dict[Key, Stored] = {}
        self._holds: dict[str, Hold] = {}
        self._rows: dict[str, Row] = {}
        self._orphans: list[str] = []
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
            page.orphans = [attempt_id for attempt_id in self._orphans if attempt_id in self._holds]
            page.holds.update((attempt_id, self._holds[attempt_id]) for attempt_id in page.orphans)
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
            self._change(plan(self._defined, allowances, source, (), (source,)), clock())

    def orphan(self) -> None:
        """Take everything that is held now for the holds of a process that died: the next Expire ends them."""
        with self._open():
            self._orphans = sorted(self._holds)

    def put_allowance(self, allowance: Allowance, clock: Callable[[], int]) -> None:
        """Make or change one definition by hand. Raises ConfigError when a file defines that name: it says where."""
        with self._open():
            self._change(plan_one(self._defined, allowance), clock())

    def remove_allowance(self, name: str, clock: Callable[[], int]) -> None:
        """Remove an allowance that no other source defines. Raises ConfigError."""
        with self._open():
            self._change(plan_removal(self._defined, name, lambda source: True), clock())

    def top_up(self, name: str, amount: int, subject: str, clock: Callable[[], int]) -> Balance:
        """Add credit to the current window of a calendar allowance, in units of its meter. Raises ConfigError."""
        with self._open():
            now_ms = clock()
            stored = topped_up(self._defined, self._levels.get, name, amount, subject, now_ms)
            self._levels[stored[:3]] = stored
            return standing(self._defined[name].allowance, [stored], subject, now_ms)[0]

    def check(self, now_ms: int) -> list[str]:
        """What does not add up, a sentence a problem; empty when all does."""
        with self._open():
            allowances = self.allowances()
            return audit(allowances, self._levels, self._holds.values(), self._add_up, now_ms)

    def balances(self, now_ms: int, *, names: Sequence[str] = (), subject: str | None = None) -> list[Balance]:
        """Where every allowance stands in its current window, one row a subject that has been seen in it."""
        with self._open():
            found: list[Balance] = []
            for name, defined in sorted(self._defined.items()):
                if not names or name in names:
                    found += self._balances_of(defined.allowance, now_ms, subject)
            return found

    def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Add up the ledger."""
        dimensions = plain_dimensions(query)
        until_ms = FOREVER_MS if query.until_ms is None else query.until_ms
        with self._open():
            rows = [row for row in self._rows.values() if query.since_ms <= row.reserved_ms < until_ms]
        entries = []
        for row in rows:
            scopes = {**row.scopes, "ending": row.ending, "served_model": row.served_model or row.asked_model}
            if all(scopes.get(dimension, "") == value for dimension, value in query.only.items()):
                entries.append(_entry(row, tuple(scopes.get(dimension, "") for dimension in dimensions)))
        return tally(query, entries)

    def attempts(
        self,
        *,
        call_id: str = "",
        provider: str = "",
        since_ms: int = 0,
        until_ms: int | None = None,
        uncertain: bool = False,
        limit: int = 100,
    ) -> list[Fact]:
        """Rows of the ledger, newest first."""
        with self._open():
            rows = [
                row
                for row in reversed(self._rows.values())
                if (not call_id or row.call_id == call_id)
                and (not provider or row.asked_provider == provider)
                and since_ms <= row.reserved_ms < (FOREVER_MS if until_ms is None else until_ms)
                and not (uncertain and row.certain)
            ]
        rows.sort(key=lambda row: -row.reserved_ms)
        return [fact_of(row) for row in rows[:limit]]

    def allowances(self) -> list[Allowance]:
        """Every definition, by name."""
        with self._open():
            return [defined.allowance for _, defined in sorted(self._defined.items())]

    def repository(self) -> Repository:
        """There is no file."""
        return Repository()

    def close(self) -> None:
        """Refuse further use. What the books say is gone with the store."""
        self._closed = True

    def _ledger(self) -> list[Row]:
        with self._open():
            return list(self._rows.values())

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
        self._defined.update((each.allowance.name, each) for each in change.write)
        for name in change.remove:
            del self._defined[name]
        if change.remove:
            self._bindings = Bindings(each.allowance for each in self._defined.values())
        else:
            self._bindings.put(each.allowance for each in change.write)

    def _add_up(self, span: Span) -> Iterator[Carried]:
        window, width_ms, _ = span
        for row in self._rows.values():
            if row.reserved_ms in window:
                start_ms = row.reserved_ms - row.reserved_ms % width_ms if width_ms else window.start_ms
                yield Carried(
                    row.scopes, start_ms, row.requests, row.charged_nano_usd, row.carried_input, row.carried_output
                )

    def _balances_of(self, allowance: Allowance, now_ms: int, subject: str | None) -> list[Balance]:
        since_ms, until_ms = counted_from_ms(allowance, now_ms)
        levels = [
            stored
            for key, stored in sorted(self._levels.items())
            if key[0] == allowance.name and subject in (None, key[1]) and since_ms <= key[2] <= until_ms
        ]
        return standing(allowance, levels, subject, now_ms)


def _entry(row: Row, values: tuple[str, ...]) -> Entry:
    return Entry(
        row.reserved_ms,
        values,
        row.would_refuse,
        1,
        int(row.ending == "ok"),
        int(row.ending in FAILED),
        row.input_tokens,
        row.output_tokens,
        row.charged_nano_usd,
        row.charged_nano_usd if row.certain else 0,
        int(not row.certain),
        int(row.cost_nano_usd is None),
    )


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
