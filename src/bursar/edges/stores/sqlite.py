"""The books in one SQLite file: durable at every commit, shared by any number of processes on one machine.

It decides nothing about money: a transaction loads what its operations need, the shared rules move it (see `applying`),
and what changed is written back. Nothing is remembered across transactions but the definitions of allowances, and
these only while the books say that nothing changed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bursar.call.books import (
    Balance,
    Expire,
    Expired,
    Fact,
    Operation,
    Outcome,
    Renew,
    Repository,
    Reserve,
    UsageQuery,
    UsageRow,
)
from bursar.edges.stores import definitions, reads
from bursar.edges.stores.alerts import SqliteClaims
from bursar.edges.stores.applying import apply, foresee, needed_keys
from bursar.edges.stores.board import SqliteBoard
from bursar.edges.stores.connections import Connections
from bursar.edges.stores.defining import plan, plan_one, plan_removal, topped_up
from bursar.edges.stores.definitions import Known
from bursar.edges.stores.filesystems import MOUNTINFO
from bursar.edges.stores.history import SqliteHistory
from bursar.edges.stores.keyring import SqliteKeyring
from bursar.edges.stores.locks import Locking, locking_for
from bursar.edges.stores.owners import Owner
from bursar.edges.stores.page import Page
from bursar.edges.stores.pruning import prune
from bursar.edges.stores.replays import SqliteReplays
from bursar.edges.stores.shelving import Opening, SqlShelf, open_page, rows_of, save_levels, save_page
from bursar.edges.stores.standing import standing
from bursar.edges.stores.upkeep import StoreStatistics, back_up, check, statistics
from bursar.rules.allowances import Allowance

LEASE_MS = 60_000
BUSY_TIMEOUT_MS = 10_000


def wall_clock_ms() -> int:
    """Now, in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A Store in one file. Opening it makes the file where there is none, and ends the holds of dead processes.

    path: the database; its locks lie beside it (`-turn`, `-gate`, `-owners/`). source_name: where this process has
    its definitions from. lease_ms: how long its holds outlive it where locks cannot tell that it died.
    max_readers, max_writers: connections at most; one of the writers commits, and more of them would only be slower.
    busy_timeout_ms: how long to wait for other processes. Every method raises StoreUnavailableError when the file
    cannot be used, and says what to do.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source_name: str = "",
        lease_ms: int = LEASE_MS,
        max_readers: int = 16,
        max_writers: int = 4,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        clock: Callable[[], int] = wall_clock_ms,
        locking: Locking | None = None,
        mountinfo: Path = MOUNTINFO,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self._locking = locking or locking_for(self.path)
        self._owner = Owner(self._locking, source_name)
        self._lease_ms = lease_ms
        self._clock = clock
        self._connections = Connections(
            self.path,
            self._locking,
            max_readers=max_readers,
            max_writers=max_writers,
            busy_timeout_ms=busy_timeout_ms,
            mountinfo=mountinfo,
        )
        self.board = SqliteBoard(self._connections, self._owner, lease_ms)
        self.alerts = SqliteClaims(self._connections)
        self.history = SqliteHistory(self._connections)
        self.keyring = SqliteKeyring(self._connections)
        self.replays = SqliteReplays(self._connections)
        self._known = Known()
        self._last_commit_ms = 0
        try:
            self.recovered = self._recover()
        except BaseException:
            self.close()
            raise

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        """Apply all operations in one durable transaction, in order."""
        with self._connections.committing() as connection:
            now_ms = clock()
            page = self._load(connection, operations, now_ms)
            outcomes = [apply(page, operation) for operation in operations]
            save_page(connection, page)
        self._last_commit_ms = now_ms
        return outcomes

    def define(self, allowances: Sequence[Allowance], source: str, clock: Callable[[], int]) -> None:
        """Make `allowances` the ones that `source` defines. Raises ConfigError as the protocol says."""
        with self._connections.committing() as connection:
            now_ms = clock()
            others = self._owner.others_sources(connection, now_ms)
            living = self._owner.living_sources(connection, now_ms)
            change = plan(definitions.read(connection), allowances, source, others, living)
            self._owner.register(connection, now_ms + self._lease_ms, source)
            if change:
                definitions.write(connection, change, now_ms)

    def put_allowance(self, allowance: Allowance, clock: Callable[[], int]) -> None:
        """Make or change one definition by hand. Raises ConfigError when a file defines that name: it says where."""
        with self._connections.committing() as connection:
            change = plan_one(definitions.read(connection, [allowance.name]), allowance)
            definitions.write(connection, change, clock())

    def remove_allowance(self, name: str, clock: Callable[[], int]) -> None:
        """Remove an allowance, unless a file that exists or a running process defines it. Raises ConfigError."""
        with self._connections.committing() as connection:
            now_ms = clock()
            used = {*self._owner.sources, *self._owner.others_sources(connection, now_ms)}
            change = plan_removal(
                definitions.read(connection), name, lambda source: source in used or Path(source).is_file()
            )
            definitions.write(connection, change, now_ms)

    def top_up(self, name: str, amount: int, subject: str, clock: Callable[[], int]) -> Balance:
        """Add credit to the current window of a calendar allowance, in units of its meter. Raises ConfigError."""
        with self._connections.committing() as connection:
            now_ms = clock()
            known = definitions.read(connection)
            shelf = SqlShelf(connection)
            stored = topped_up(known, lambda key: shelf.levels([key]).get(key), name, amount, subject, now_ms)
            save_levels(connection, [stored])
        return standing(known[name].allowance, [stored], subject, now_ms)[0]

    def prune(self, before_ms: int, clock: Callable[[], int]) -> int:
        """Fold certain rows reserved before `before_ms` into opening rows; how many. No balance changes by it."""
        return prune(self._connections.committing, before_ms, clock, self.allowances())

    def backup(self, path: str | Path) -> None:
        """Copy the books, as of one moment, to a new file. Raises StoreUnavailableError when it exists."""
        with self._connections.writer_slot(), self._connections.reading() as connection:
            back_up(connection, Path(path))

    def check(self, now_ms: int) -> list[str]:
        """What is wrong with the file, and what does not add up, a sentence a problem; empty when all is well."""
        with self._connections.reading() as connection:
            return check(connection, now_ms)

    def statistics(self) -> StoreStatistics:
        """How the file and its connections are doing."""
        with self._connections.reading() as connection:
            return statistics(connection, self._connections, self._last_commit_ms)

    def balances(self, now_ms: int, *, names: Sequence[str] = (), subject: str | None = None) -> list[Balance]:
        """Where every allowance stands in its current window, one row a subject that has been seen in it."""
        with self._connections.reading() as connection:
            return reads.balances(connection, now_ms, names, subject)

    def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Add up the ledger, opening rows included."""
        with self._connections.reading() as connection:
            return reads.usage(connection, query)

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
        with self._connections.reading() as connection:
            return reads.attempts(
                connection,
                call_id=call_id,
                provider=provider,
                since_ms=since_ms,
                until_ms=until_ms,
                uncertain=uncertain,
                limit=limit,
            )

    def allowances(self) -> list[Allowance]:
        """Every definition in the books, by name."""
        with self._connections.reading() as connection:
            return [defined.allowance for defined in definitions.read(connection).values()]

    def repository(self) -> Repository:
        """How the file and its connections are doing; asks the file system, not the file."""
        return self._connections.repository(self._last_commit_ms)

    def close(self) -> None:
        """Give up the lease and close every connection. Holds still pending become orphans. Idempotent."""
        self._connections.close(self._owner.unregister)
        self._owner.close()

    def _recover(self) -> Expired:
        with self._connections.committing() as connection:
            orphaned = self._owner.dead(connection, self._clock())
        if not orphaned:
            return Expired()
        outcome = self.transact([Expire()], self._clock)[0]
        return outcome if isinstance(outcome, Expired) else Expired()

    def _load(self, connection: sqlite3.Connection, operations: Sequence[Operation], now_ms: int) -> Page:
        """A page with what the operations need, and with the lease that its reservations stand under."""
        page = Page(SqlShelf(connection), self._known.bindings, now_ms, self._owner.id)
        attempt_ids, keys = foresee(page, operations)
        opening = open_page(connection, self._owner.id, attempt_ids, keys)
        if opening.definitions == self._known.version:
            page.foresee(keys, opening.levels)
        else:
            self._known.learn(connection)
            page.bindings = self._known.bindings
        page.holds = {hold.attempt_id: hold for hold in opening.holds}
        if opening.rows:
            page.rows = {row.attempt_id: row for row in rows_of(connection, opening.rows)}
        self._keep_lease(connection, operations, opening, now_ms)
        if any(isinstance(operation, Expire) for operation in operations):
            orphans = self._owner.bury(connection, self._owner.dead(connection, now_ms))
            page.orphans = [hold.attempt_id for hold in orphans]
            page.holds.update((hold.attempt_id, hold) for hold in orphans)
        missing = [key for key in needed_keys(page) if not page.foreseen(key)]
        if missing:
            page.foresee(missing, page.shelf.levels(missing))
        return page

    def _keep_lease(
        self, connection: sqlite3.Connection, operations: Sequence[Operation], opening: Opening, now_ms: int
    ) -> None:
        """Renew the lease when asked; and before anything is held, should it have run low or been taken away."""
        asked = [operation for operation in operations if isinstance(operation, Renew)]
        if asked:
            self._lease_ms = asked[-1].lease_ms
        low = (opening.lease_until_ms or 0) - now_ms < self._lease_ms // 2
        if asked or (low and any(isinstance(operation, Reserve) for operation in operations)):
            self._owner.register(connection, now_ms + self._lease_ms)
