"""The books as the doctor finds them: on which disk, openable, writable, whole, and what is pending in them.

Reads the file by a connection of its own that cannot write, so that looking at broken books makes nothing worse.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.cli.opening import MEMORY, now_ms
from bursar.cli.output import counted, instant
from bursar.cli.symptoms import Symptom
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.config import Settings

FREE_BYTES_MIN = 100 * 2**20
# A log this long means that a reader, or a process that was stopped, keeps it from being cut back.
WAL_BYTES_MAX = 64 * 2**20
# Reading more than this for a check takes too long; `bursar db check` reads all of it.
QUICK_CHECK_BYTES_MAX = 512 * 2**20
AHEAD_MS_MAX = 5 * 60_000
_PLACE = "books"


def place(settings: Settings) -> Iterator[Symptom]:
    """Where the books are, or would be made."""
    if settings.books == MEMORY:
        yield Symptom(_PLACE, "note", "in memory: they end with the program that writes them", "name a file: books:")
        return
    path = Path(settings.books)
    folder = next((each for each in path.parents if each.exists()), path.parent)
    yield from _disk(folder)
    if not path.exists():
        if os.access(folder, os.W_OK):
            yield Symptom(_PLACE, "ok", f"none yet; the first call makes {path}")
        else:
            mend = "name a file elsewhere, with books: in bursar.yaml or BURSAR_DB"
            yield Symptom(_PLACE, "error", f"{path} cannot be made: {folder} is read-only", mend)
        return
    size = path.stat().st_size
    yield Symptom(_PLACE, "ok", f"{path}, {_bytes(size)}")
    if not os.access(path, os.R_OK | os.W_OK):
        yield Symptom(_PLACE, "error", "this user may not read and write them", f"chown or chmod {path}")
    if not os.access(path.parent, os.W_OK):
        mend = f"make {path.parent} writable: SQLite keeps its log beside the file"
        yield Symptom(_PLACE, "error", "their folder is read-only", mend)
    if path.exists() and path.stat().st_mode & 0o077 and os.name == "posix":
        yield Symptom(_PLACE, "note", "other users of this machine may read them", f"chmod 600 {path}")


def contents(settings: Settings) -> Iterator[Symptom]:
    """What is in the file, as far as it can be read."""
    path = Path(settings.books)
    if settings.books == MEMORY or not path.exists() or not os.access(path, os.R_OK):
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as connection:
            yield from _contents(connection, path)
    except sqlite3.Error as error:
        mend = "bursar db check says more; restore a backup, or move the file away to begin new books"
        yield Symptom(_PLACE, "error", f"cannot be read: {error}", mend)


def _contents(connection: sqlite3.Connection, path: Path) -> Iterator[Symptom]:
    from bursar.edges.stores.schema import APPLICATION_ID, SCHEMA_VERSION

    def one(statement: str, *values: object) -> int:
        return int(connection.execute(statement, values).fetchone()[0] or 0)

    version = one("PRAGMA user_version")
    if one("PRAGMA application_id") != APPLICATION_ID:
        if one("SELECT count(*) FROM sqlite_master") or version:
            yield Symptom(_PLACE, "error", "a database of something else than Bursar", "name another file")
        return
    if version > SCHEMA_VERSION:
        yield Symptom(_PLACE, "error", f"written by a newer Bursar (version {version})", "upgrade Bursar")
        return
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        yield Symptom(_PLACE, "warning", f"journal mode {mode}, not wal", "the next program that opens them sets it")
    wal = Path(f"{path}-wal")
    wal_bytes = wal.stat().st_size if wal.exists() else 0
    if wal_bytes > WAL_BYTES_MAX:
        mend = "end programs that hold the books open without use"
        yield Symptom(_PLACE, "warning", f"the write-ahead log has grown to {_bytes(wal_bytes)}", mend)
    rows, allowances = one("SELECT count(*) FROM ledger"), one("SELECT count(*) FROM allowances")
    found = f"{counted(rows, 'row')} in the ledger, {counted(allowances, 'budget or limit', 'budgets and limits')}"
    yield Symptom(_PLACE, "ok", f"{found}, journal mode {mode}")
    if not allowances:
        mend = "bursar budget set everything --usd 5"
        yield Symptom("budgets", "note", "the books have none: Bursar only counts", mend)
    yield from _pending(connection, path)
    newest = one("SELECT max(reserved_ms) FROM ledger")
    if newest > now_ms() + AHEAD_MS_MAX:
        mend = "set the clock; until then windows that have begun stay open"
        yield Symptom("clock", "error", f"the ledger has a row of {instant(newest)} UTC, which is yet to come", mend)
    yield from _whole(connection, path)


def _pending(connection: sqlite3.Connection, path: Path) -> Iterator[Symptom]:
    """Holds of calls in flight, and of processes that are gone."""
    from bursar.edges.stores.holds import decode_holds
    from bursar.edges.stores.locks import locking_for
    from bursar.edges.stores.owners import Owner

    bodies = [row[0] for row in connection.execute("SELECT body FROM holds").fetchall()]
    if not bodies:
        yield Symptom("holds", "ok", "no money is held")
        return
    locking = locking_for(path)
    try:
        dead = set(Owner(locking, "").dead(connection, now_ms()))
    finally:
        locking.close()
    holds = decode_holds(f"[{','.join(bodies)}]")
    orphans = [hold for hold in holds if hold.owner_id in dead]
    live = [hold for hold in holds if hold.owner_id not in dead]
    if live:
        amount = format_usd(sum(hold.amount("nano_usd") for hold in live))
        yield Symptom("holds", "ok", f"{amount} is held by {counted(len(live), 'call')} in flight")
    if orphans:
        amount = format_usd(sum(hold.amount("nano_usd") for hold in orphans))
        found = f"{amount} is held by {counted(len(orphans), 'call')} of processes that are gone"
        yield Symptom("holds", "note", found, "the next program that opens the books counts it as spent")


def _whole(connection: sqlite3.Connection, path: Path) -> Iterator[Symptom]:
    if path.stat().st_size > QUICK_CHECK_BYTES_MAX:
        yield Symptom("integrity", "note", "not looked at: the books are large", "bursar db check reads all of them")
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found == "ok":
        yield Symptom("integrity", "ok", "quick check passed")
    else:
        mend = "stop every program, restore a backup; bursar db check says more"
        yield Symptom("integrity", "error", f"the file is damaged: {found}", mend)


def _disk(folder: Path) -> Iterator[Symptom]:
    from bursar.edges.stores.filesystems import MOUNTINFO, SHARED, file_system_of

    if MOUNTINFO.exists():
        kind = file_system_of(folder.resolve(), MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))
        if kind in SHARED:
            mend = "name a file on a local disk, with books: in bursar.yaml or BURSAR_DB"
            yield Symptom("disk", "error", f"{folder} is on {kind}, which cannot keep the books safe", mend)
            return
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        mend = "make room: without it nothing can be reserved, and nothing is sent"
        yield Symptom("disk", "warning", f"{_bytes(free)} free in {folder}", mend)
    else:
        yield Symptom("disk", "ok", f"{_bytes(free)} free")


def _bytes(number: int) -> str:
    """A size for people.

    >>> _bytes(512), _bytes(4096), _bytes(3 * 2**30)
    ('512 B', '4.0 KiB', '3.0 GiB')
    """
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError(number)


CHECKS: tuple[Callable[[Settings], Iterator[Symptom]], ...] = (place, contents)
