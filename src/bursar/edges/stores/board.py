"""The boards on which processes post their circuit breakers: a table beside the books in SQLite, or a dict.

A board is no part of the books: nothing is decided by it, and no call reads or writes it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from bursar.call.breakers import Posted
from bursar.call.events import BreakerChanged
from bursar.edges.stores.connections import Connections
from bursar.edges.stores.owners import Owner

# What has been closed for so long interests nobody.
CLOSED_KEPT_MS = 86_400_000

_POST = """
INSERT INTO breakers (owner_id, provider, model, state, until_ms, at_ms, why, opened, reset_asked)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (owner_id, provider, model) DO UPDATE SET
    state = excluded.state, until_ms = excluded.until_ms, at_ms = excluded.at_ms, why = excluded.why,
    opened = excluded.opened, reset_asked = reset_asked AND excluded.state <> 'closed'
"""
_POSTED = """
SELECT owner_id, pid, host, provider, model, state, until_ms, at_ms, why, opened, reset_asked
FROM breakers JOIN owners ON owners.id = owner_id ORDER BY provider, model, owner_id
"""
_ASK = """
UPDATE breakers SET reset_asked = 1
WHERE state <> 'closed' AND ?1 IN ('', provider) AND ?2 IN ('', model)
"""
_RESETS = "SELECT provider, model FROM breakers WHERE owner_id = ? AND reset_asked"
_FORGET = "DELETE FROM breakers WHERE owner_id = ? AND state = 'closed' AND at_ms < ?"


class SqliteBoard:
    """The board of books in a file. Rows end with their owner, and those of one that died are never shown."""

    def __init__(self, connections: Connections, owner: Owner, lease_ms: int) -> None:
        self._connections = connections
        self._owner = owner
        self._lease_ms = lease_ms

    def post(self, changes: Sequence[BreakerChanged], clock: Callable[[], int]) -> None:
        """Say what has changed in this process."""
        with self._connections.committing() as connection:
            now_ms = clock()
            if self._owner.lease_until_ms(connection) < now_ms + self._lease_ms // 2:
                self._owner.register(connection, now_ms + self._lease_ms)
            for one in changes:
                connection.execute(_POST, (self._owner.id, *astuple(one)))
            connection.execute(_FORGET, (self._owner.id, now_ms - CLOSED_KEPT_MS))

    def posted(self, now_ms: int) -> list[Posted]:
        """What living processes have posted."""
        with self._connections.reading() as connection:
            rows = connection.execute(_POSTED).fetchall()
            dead = frozenset(self._owner.dead(connection, now_ms)) if rows else frozenset()
        return [_posted_of(row) for row in rows if row[0] not in dead]

    def ask_reset(self, provider: str = "", model: str = "") -> int:
        """Ask the processes of these breakers to close them; how many are asked."""
        with self._connections.committing() as connection:
            return int(connection.execute(_ASK, (provider, model)).rowcount)

    def resets(self) -> list[tuple[str, str]]:
        """The breakers that this process is asked to close."""
        with self._connections.reading() as connection:
            return connection.execute(_RESETS, (self._owner.id,)).fetchall()


class MemoryBoard:
    """The board of books in memory: of one process, and of no use to any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], Posted] = {}

    def post(self, changes: Sequence[BreakerChanged], clock: Callable[[], int]) -> None:
        """Say what has changed."""
        forgotten_ms = clock() - CLOSED_KEPT_MS
        with self._lock:
            for one in changes:
                known = self._rows.get((one.provider, one.model))
                asked = known is not None and known.reset_asked and one.state != "closed"
                self._rows[one.provider, one.model] = Posted("memory", os.getpid(), "", one, asked)
            for key, row in list(self._rows.items()):
                if row.change.state == "closed" and row.change.at_ms < forgotten_ms:
                    del self._rows[key]

    def posted(self, now_ms: int) -> list[Posted]:
        """What was posted."""
        with self._lock:
            return [row for _, row in sorted(self._rows.items())]

    def ask_reset(self, provider: str = "", model: str = "") -> int:
        """Ask for these breakers to be closed; how many are asked."""
        with self._lock:
            asked = {
                key: row._replace(reset_asked=True)
                for key, row in self._rows.items()
                if row.change.state != "closed" and provider in ("", key[0]) and model in ("", key[1])
            }
            self._rows.update(asked)
            return len(asked)

    def resets(self) -> list[tuple[str, str]]:
        """The breakers that are to be closed."""
        with self._lock:
            return [key for key, row in self._rows.items() if row.reset_asked]


def _posted_of(row: tuple[Any, ...]) -> Posted:
    process, pid, host, *change, reset_asked = row
    return Posted(process, pid, host, BreakerChanged(*change), bool(reset_asked))
