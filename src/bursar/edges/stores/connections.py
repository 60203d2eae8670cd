"""Connections to the database file: the one that commits, and those that read.

One connection commits (four writers are no faster than one, and SQLite starves some of them); readers are opened on
demand, up to a bound, and only for short transactions. A connection that may be broken is thrown away and opened anew.
Every sqlite3 error leaves here as a StoreUnavailableError that says what to do.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bursar.call.books import Repository
from bursar.edges.stores import schema
from bursar.edges.stores.filesystems import MOUNTINFO, refuse_shared
from bursar.edges.stores.locks import Locking
from bursar.errors import StoreUnavailableError

# Once the write-ahead log is larger, it is cut back; a long reader may have let it grow.
WAL_BYTES_MAX = 16 * 2**20
# Commits between two looks at its size.
WAL_LOOK_COMMITS = 64
# Enough for every size of bulk statement that a batch is cut into.
STATEMENTS_MAX = 256


class Connections:
    """Every connection of one store to one file. Thread-safe; of no use in a forked child."""

    def __init__(
        self,
        path: Path,
        locking: Locking,
        *,
        max_readers: int,
        max_writers: int,
        busy_timeout_ms: int,
        mountinfo: Path = MOUNTINFO,
    ) -> None:
        self.path = path
        self.busy_timeout_ms = busy_timeout_ms
        self.readers_max = max_readers
        self.writers_max = max_writers
        self.readers_in_use = 0
        self.commits = 0
        self._locking = locking
        self._mountinfo = mountinfo
        self._pid = os.getpid()
        self._committing = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._idle: list[sqlite3.Connection] = []
        self._reader_slots = threading.BoundedSemaphore(max_readers)
        self._writer_slots = threading.BoundedSemaphore(max_writers)
        self._closed = False

    @contextmanager
    def committing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction on the committing connection, in turn with other processes; committed at the end."""
        self._refuse_fork()
        with self._committing, self._translating():
            writer = self._open_writer()
            self._locking.take_turn(self.busy_timeout_ms)
            try:
                writer.execute("BEGIN IMMEDIATE")
                yield writer
                writer.execute("COMMIT")
            except BaseException as error:
                self._roll_back(writer, error)
                raise
            finally:
                self._locking.end_turn()
            self.commits += 1
            if self.commits % WAL_LOOK_COMMITS == 0:
                self._trim(writer)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: one consistent view. Waits for a reader when all are in use."""
        self._refuse_fork()
        self._refuse_closed()
        if not self._reader_slots.acquire(timeout=self.busy_timeout_ms / 1000):
            raise StoreUnavailableError(f"all {self.readers_max} readers of {self.path} are busy: raise max_readers")
        self.readers_in_use += 1
        try:
            with self._translating():
                reader = self._idle.pop() if self._idle else self._open_reader()
                try:
                    reader.execute("BEGIN")
                    yield reader
                    reader.execute("COMMIT")
                except BaseException:
                    reader.close()
                    raise
                if self._closed:
                    reader.close()
                else:
                    self._idle.append(reader)
        finally:
            self.readers_in_use -= 1
            self._reader_slots.release()

    @contextmanager
    def writer_slot(self) -> Iterator[None]:
        """Room for one more connection that writes (a backup's), within `max_writers`."""
        self._refuse_fork()
        if not self._writer_slots.acquire(timeout=self.busy_timeout_ms / 1000):
            raise StoreUnavailableError(f"too many connections write to {self.path} already: raise max_writers")
        try:
            with self._translating():
                yield
        finally:
            self._writer_slots.release()

    @property
    def readers_open(self) -> int:
        """Read connections that are open: idle ones and those in use."""
        return len(self._idle) + self.readers_in_use

    @property
    def wal_bytes(self) -> int:
        """The size of the write-ahead log."""
        return _size(Path(f"{self.path}-wal"))

    def repository(self, last_commit_ms: int) -> Repository:
        """The figures of now, without a question to the database."""
        return Repository(
            readers_open=self.readers_open,
            readers_in_use=self.readers_in_use,
            readers_max=self.readers_max,
            writers_open=int(self._writer is not None),
            writers_max=self.writers_max,
            wal_bytes=self.wal_bytes,
            file_bytes=_size(self.path),
            commits=self.commits,
            last_commit_ms=last_commit_ms,
        )

    def close(self, farewell: Callable[[sqlite3.Connection], None] | None = None) -> None:
        """Close every connection; `farewell` is given the last write transaction. Idempotent, harmless in a child."""
        if self._closed or os.getpid() != self._pid:
            self._closed = True
            return
        if farewell is not None and self._writer is not None:
            with suppress(StoreUnavailableError), self.committing() as writer:
                farewell(writer)
        with self._committing:
            self._closed = True
            while self._idle:
                self._idle.pop().close()
            if self._writer is not None:
                self._trim(self._writer)
                self._drop_writer()

    def _open_writer(self) -> sqlite3.Connection:
        self._refuse_closed()
        if self._writer is not None:
            if self._identity != _identity(self.path):
                self._drop_writer()
                raise StoreUnavailableError(
                    f"{self.path} was removed or replaced while it was in use: put it back, or start again"
                )
            return self._writer
        if self._identity is not None and self._identity != _identity(self.path):
            raise StoreUnavailableError(
                f"{self.path} was removed or replaced while it was in use: put it back, or start again"
            )
        refuse_shared(self.path, self._mountinfo)
        _make_file(self.path)
        if not self._writer_slots.acquire(timeout=self.busy_timeout_ms / 1000):
            raise StoreUnavailableError(f"too many connections write to {self.path} already: raise max_writers")
        try:
            self._writer = self._set_up()
        except BaseException:
            self._writer_slots.release()
            raise
        self._identity = _identity(self.path)
        return self._writer

    def _set_up(self) -> sqlite3.Connection:
        writer = sqlite3.connect(
            self.path,
            timeout=self.busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS_MAX,
        )
        try:
            # In turn, too: two processes that start at once would make the tables twice.
            self._locking.take_turn(self.busy_timeout_ms)
            try:
                mode = writer.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                if mode != "wal":
                    raise StoreUnavailableError(f"{self.path} cannot be kept in WAL mode: use a file on a local disk")
                writer.execute("PRAGMA synchronous = FULL")
                writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
                writer.execute("BEGIN IMMEDIATE")
                schema.prepare(writer, str(self.path))
                writer.execute("COMMIT")
            finally:
                self._locking.end_turn()
        except BaseException:
            writer.close()
            raise
        return writer

    def _open_reader(self) -> sqlite3.Connection:
        reader = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=self.busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        reader.execute("PRAGMA query_only = 1")
        return reader

    def _roll_back(self, writer: sqlite3.Connection, error: BaseException) -> None:
        try:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._drop_writer()
            return
        # Of these a connection may not recover (a file that was replaced, a page that cannot be read).
        if isinstance(error, sqlite3.DatabaseError) and _primary(error) in _LOST:
            self._drop_writer()

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._writer_slots.release()
            with suppress(sqlite3.Error):
                writer.close()

    def _trim(self, writer: sqlite3.Connection) -> None:
        """Cut the write-ahead log back, unless a reader needs it; never waits for one."""
        if self.wal_bytes > (0 if self._closed else WAL_BYTES_MAX):
            with suppress(sqlite3.Error):
                writer.execute("PRAGMA busy_timeout = 0")
                writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            with suppress(sqlite3.Error):
                writer.execute(f"PRAGMA busy_timeout = {self.busy_timeout_ms}")

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreUnavailableError("these books are closed")

    def _refuse_fork(self) -> None:
        if os.getpid() != self._pid:
            raise StoreUnavailableError("these books were opened before a fork: open a client in the child process")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise unavailable(error, self.path) from error
        except OSError as error:
            raise StoreUnavailableError(
                f"{error.filename or self.path} cannot be used ({error.strerror or error}): "
                "check that there is room, and that this user may write to it and to its folder"
            ) from error


_LOST = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; make room, and settles that wait will be booked",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only; make both writable for this user",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; run `bursar db check`, and restore a backup",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; name another one",
    sqlite3.SQLITE_BUSY: "another program keeps it locked; end that program's transaction",
    sqlite3.SQLITE_LOCKED: "another connection keeps it locked",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the folder exists and may be written to",
    sqlite3.SQLITE_IOERR: "the disk refuses to read or write; it may be full or failing",
    sqlite3.SQLITE_PERM: "access is denied; check the permissions of the file",
}


def unavailable(error: sqlite3.Error, path: Path) -> StoreUnavailableError:
    """The error of a database as the caller is told: what happened, and what to do."""
    advice = _ADVICE.get(_primary(error), "run `bursar db check`")
    return StoreUnavailableError(f"the books in {path} cannot be used ({error}): {advice}")


def _primary(error: sqlite3.Error) -> int:
    """The primary result code; the extended codes carry more in their upper bits."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, at every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _make_file(path: Path) -> None:
    """Make the file for its user alone; the log and the index beside it take its mode over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
