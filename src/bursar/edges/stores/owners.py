"""Who holds money: each store that commits is an owner, with a lease and, where files can be locked, a lock.

An owner that holds its lock is alive, even when its lease has ended: a stopped process (a debugger, a suspended
machine) goes on when it is resumed, and its holds with it. One whose lock is free is dead at once when it ran on this
host; from another host (two containers on one folder, perhaps without shared locks) it is dead when its lease has ended
as well. Without locks the lease alone decides. Taking a living owner for dead costs nobody money: its holds count as
spent until it settles them.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import uuid
from collections.abc import Iterable

import msgspec

from bursar.edges.stores.holds import Hold, decode_holds
from bursar.edges.stores.locks import Locking
from bursar.edges.stores.shelving import text_of

_REGISTER = """
INSERT INTO owners VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET sources = excluded.sources, lease_until_ms = excluded.lease_until_ms
"""
_HOLDS = "SELECT group_concat(body, ',') FROM holds WHERE owner_id IN (SELECT value FROM json_each(?))"


class Owner:
    """This store as an owner of holds. Used inside write transactions only, except `close`."""

    def __init__(self, locking: Locking, source: str) -> None:
        self.id = uuid.uuid4().hex
        self.host = socket.gethostname()
        self._locking = locking
        self.sources = [source] if source else []

    def register(self, connection: sqlite3.Connection, lease_until_ms: int, source: str | None = None) -> None:
        """Make or prolong the lease; from now on this owner also uses the definitions of `source`."""
        if source is not None and source not in self.sources:
            self.sources.append(source)
        # The lock first: nobody may ever see an owner in the books whose lock is still free.
        self._locking.live(self.id)
        values = (self.id, os.getpid(), self.host, text_of(self.sources), self._locking.locks, lease_until_ms)
        connection.execute(_REGISTER, values)

    def lease_until_ms(self, connection: sqlite3.Connection) -> int:
        """When the lease ends; 0 for none."""
        row = connection.execute("SELECT lease_until_ms FROM owners WHERE id = ?", (self.id,)).fetchone()
        return row[0] if row else 0

    def unregister(self, connection: sqlite3.Connection) -> None:
        """Give the lease up. Holds that are pending become orphans."""
        connection.execute("DELETE FROM owners WHERE id = ?", (self.id,))
        connection.execute("DELETE FROM breakers WHERE owner_id = ?", (self.id,))
        self._locking.bury(self.id)

    def living_sources(self, connection: sqlite3.Connection, now_ms: int) -> set[str]:
        """The sources whose definitions anybody alive uses, this owner and others of its process among them."""
        rows = connection.execute("SELECT id, host, sources, locked, lease_until_ms FROM owners").fetchall()
        living = {
            source
            for owner_id, host, sources, locked, lease_until_ms in rows
            if owner_id == self.id or self._alive(owner_id, host, locked, lease_until_ms, now_ms)
            for source in msgspec.json.decode(sources, type=list[str])
        }
        return living | set(self.sources)

    def others_sources(self, connection: sqlite3.Connection, now_ms: int) -> set[str]:
        """The sources whose definitions other processes that are alive use."""
        rows = connection.execute(
            "SELECT id, pid, host, sources, locked, lease_until_ms FROM owners WHERE NOT (pid = ? AND host = ?)",
            (os.getpid(), self.host),
        ).fetchall()
        return {
            source
            for owner_id, _, host, sources, locked, lease_until_ms in rows
            if self._alive(owner_id, host, locked, lease_until_ms, now_ms)
            for source in msgspec.json.decode(sources, type=list[str])
        }

    def dead(self, connection: sqlite3.Connection, now_ms: int) -> list[str]:
        """The owners that are gone: those in the books, and those who only left holds, or nothing but their lock."""
        rows = connection.execute("SELECT id, host, locked, lease_until_ms FROM owners").fetchall()
        known = {row[0] for row in rows}
        left = connection.execute("SELECT DISTINCT owner_id FROM holds").fetchall()
        # A holder without a row has been buried or has closed; only its lock could still say otherwise.
        # One who died between taking its lock and being written down has left that lock alone.
        unknown = {owner_id for (owner_id,) in left}.union(self._locking.owners()) - known
        rows += [(owner_id, self.host, 1, 0) for owner_id in sorted(unknown)]
        return [
            owner_id
            for owner_id, host, locked, lease_until_ms in rows
            if owner_id != self.id and not self._alive(owner_id, host, locked, lease_until_ms, now_ms)
        ]

    def bury(self, connection: sqlite3.Connection, owner_ids: Iterable[str]) -> list[Hold]:
        """Take dead owners off the books, and return the holds they have left."""
        ids = text_of(list(owner_ids))
        holds = connection.execute(_HOLDS, (ids,)).fetchone()[0]
        connection.execute("DELETE FROM owners WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        connection.execute("DELETE FROM breakers WHERE owner_id IN (SELECT value FROM json_each(?))", (ids,))
        for owner_id in owner_ids:
            self._locking.bury(owner_id)
        return decode_holds(f"[{holds}]") if holds else []

    def close(self) -> None:
        """Let go of the lock."""
        self._locking.close()

    def _alive(self, owner_id: str, host: str, locked: int, lease_until_ms: int, now_ms: int) -> bool:
        holds_lock = self._locking.alive(owner_id) if locked else None
        if holds_lock is None or (not holds_lock and host != self.host):
            return lease_until_ms > now_ms
        return holds_lock
