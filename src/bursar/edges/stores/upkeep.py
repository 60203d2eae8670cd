"""Looking after the database file: is it sound, does it add up, how is it doing, and a copy of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bursar.edges.stores import definitions
from bursar.edges.stores.auditing import audit
from bursar.edges.stores.connections import Connections
from bursar.edges.stores.holds import decode_holds
from bursar.edges.stores.standing import Stored
from bursar.errors import StoreUnavailableError


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """How the books are doing. `last_commit_ms`: of this process, epoch milliseconds, 0 for none yet."""

    path: str
    readers_open: int
    readers_in_use: int
    readers_max: int
    wal_bytes: int
    page_count: int
    page_bytes: int
    pending_holds: int
    ledger_rows: int
    commits: int
    last_commit_ms: int


def statistics(connection: sqlite3.Connection, connections: Connections, last_commit_ms: int) -> StoreStatistics:
    """Figures about the file and the connections to it. Counts the ledger, so not for every second."""

    def number(question: str) -> int:
        return int(connection.execute(question).fetchone()[0])

    return StoreStatistics(
        path=str(connections.path),
        readers_open=connections.readers_open,
        readers_in_use=connections.readers_in_use,
        readers_max=connections.readers_max,
        wal_bytes=connections.wal_bytes,
        page_count=number("PRAGMA page_count"),
        page_bytes=number("PRAGMA page_size"),
        pending_holds=number("SELECT count(*) FROM holds"),
        ledger_rows=number("SELECT count(*) FROM ledger"),
        commits=connections.commits,
        last_commit_ms=last_commit_ms,
    )


def check(connection: sqlite3.Connection, now_ms: int) -> list[str]:
    """Damage to the file first; only a sound one is added up."""
    damage = [str(row[0]) for row in connection.execute("PRAGMA integrity_check").fetchall() if row[0] != "ok"]
    if damage:
        return [f"the file is damaged: {line}" for line in damage]
    allowances = [defined.allowance for defined in definitions.read(connection).values()]
    rows = connection.execute("SELECT * FROM levels").fetchall()
    levels = {stored[:3]: stored for stored in (Stored(*row) for row in rows)}
    text = connection.execute("SELECT group_concat(body, ',') FROM holds").fetchone()[0]
    holds = decode_holds(f"[{text}]") if text else []
    return audit(allowances, levels, holds, lambda span: definitions.add_up(connection, span), now_ms)


def back_up(connection: sqlite3.Connection, path: Path) -> None:
    """Copy the books to a new file, complete or not at all."""
    if path.exists():
        raise StoreUnavailableError(f"{path} exists already: name another file for the backup")
    part = path.with_name(f"{path.name}.part")
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
