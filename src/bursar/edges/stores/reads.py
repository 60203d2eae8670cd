"""What the SQLite books answer: balances, sums of the ledger, and its rows. Short read transactions; changes nothing.

Days and hours are those of the query's time zone: their boundaries are computed by the rules of windows, and SQLite
only compares instants with them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby

from bursar.call.books import Balance, Fact
from bursar.edges.stores import definitions
from bursar.edges.stores.bindings import window_of
from bursar.edges.stores.rows import Row, fact_of
from bursar.edges.stores.standing import Stored, balance_of, level_of, rolling_balance
from bursar.rules.allowances import Allowance
from bursar.rules.windows import rolling_window


def balances(connection: sqlite3.Connection, now_ms: int, names: Sequence[str], subject: str | None) -> list[Balance]:
    """Where every allowance stands now."""
    found: list[Balance] = []
    for defined in definitions.read(connection).values():
        allowance = defined.allowance
        if not names or allowance.name in names:
            found += _balances_of(connection, allowance, now_ms, subject)
    return found


def _balances_of(
    connection: sqlite3.Connection, allowance: Allowance, now_ms: int, subject: str | None
) -> list[Balance]:
    window = window_of(allowance, now_ms)
    since_ms = window.start_ms
    if allowance.shape == "rolling" and allowance.period is not None:
        since_ms = rolling_window(allowance.period, now_ms)[1]
    rows = connection.execute(
        "SELECT subject, start_ms, end_ms, spent, held, credit, updated_ms FROM levels "
        "WHERE allowance = ?1 AND start_ms BETWEEN ?2 AND ?3 AND (?4 IS NULL OR subject = ?4) "
        "ORDER BY subject, start_ms",
        (allowance.name, since_ms, window.start_ms, subject),
    ).fetchall()
    if not rows and allowance.each is None and subject in (None, ""):
        # One level for all: it stands somewhere even before the first call.
        rows = [("", window.start_ms, window.end_ms, 0, 0, 0, now_ms)]
    if allowance.shape == "rolling":
        return [
            rolling_balance(allowance, whose, [(row[1], row[3], row[4]) for row in group], now_ms)
            for whose, group in groupby(rows, key=lambda row: str(row[0]))
        ]
    return [
        balance_of(level_of(allowance, whose, start_ms, end_ms, Stored(end_ms, *rest)), now_ms)
        for whose, start_ms, end_ms, *rest in rows
    ]


def attempts(connection: sqlite3.Connection, call_id: str, limit: int, uncertain: bool) -> list[Fact]:
    """Rows of the ledger, newest first."""
    rows = connection.execute(
        "SELECT * FROM ledger WHERE (?1 = '' OR call_id = ?1) AND (NOT ?2 OR certain = 0) "
        "ORDER BY reserved_ms DESC, rowid DESC LIMIT ?3",
        (call_id, uncertain, limit),
    ).fetchall()
    return [fact_of(Row(*values)) for values in rows]
