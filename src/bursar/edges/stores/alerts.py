"""Claims of alerts: a table beside the books in SQLite, or a dict.

Like the board of breakers it is no part of the books. It grows by what budgets have passed in windows that last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from bursar.call.alerts import AlertClaim
from bursar.edges.stores.connections import Connections

_STANDING = "SELECT until_ms > ? AND amount >= ? FROM alerts WHERE kind = ? AND name = ? AND subject = ? AND step = ?"
_CLAIM = """
INSERT INTO alerts (kind, name, subject, step, until_ms, amount) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, name, subject, step) DO UPDATE SET until_ms = excluded.until_ms, amount = excluded.amount
WHERE until_ms <= ? OR amount < excluded.amount
"""
_FORGET = "DELETE FROM alerts WHERE until_ms <= ?"


class SqliteClaims:
    """The claims of books in a file."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def claim(self, wanted: AlertClaim, clock: Callable[[], int]) -> bool:
        """True for the first of all processes; a claim that stands is found without writing."""
        with self._connections.reading() as connection:
            found = connection.execute(_STANDING, (clock(), wanted.amount, *wanted[:4])).fetchone()
        if found is not None and found[0]:
            return False
        with self._connections.committing() as connection:
            now_ms = clock()
            connection.execute(_FORGET, (now_ms,))
            return connection.execute(_CLAIM, (*wanted, now_ms)).rowcount > 0


class MemoryClaims:
    """The claims of books in memory: of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[tuple[str, str, str, int], AlertClaim] = {}

    def claim(self, wanted: AlertClaim, clock: Callable[[], int]) -> bool:
        """True for the first."""
        now_ms = clock()
        with self._lock:
            self._claims = {key: one for key, one in self._claims.items() if one.until_ms > now_ms}
            known = self._claims.get(wanted[:4])
            if known is not None and known.amount >= wanted.amount:
                return False
            self._claims[wanted[:4]] = wanted
            return True
