"""What can be wrong with a database file: each gives one error that says what to do, and nothing is half done."""

from __future__ import annotations

import fcntl
import os
import resource
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from bursar.call.books import Granted, Settle
from bursar.edges.stores.sqlite import SqliteStore
from bursar.errors import StoreUnavailableError
from tests.contract.store.material import SCOPES, Books, budget, fact, reserve


def altered(path: Path, *statements: str) -> None:
    """Change a database behind Bursar's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_new_file_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "books.db"
    store = SqliteStore(path)
    store.transact([reserve("a")], lambda: 1)
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-turn")):
        assert file.stat().st_mode & 0o777 == 0o600
    store.close()


def test_what_is_closed_stays_closed(books: Books) -> None:
    books.store.close()
    books.store.close()
    with pytest.raises(StoreUnavailableError, match="are closed"):
        books.reserve("a")
    with pytest.raises(StoreUnavailableError, match="are closed"):
        books.store.allowances()


def test_a_newer_version_is_refused_by_both_numbers(path: Path) -> None:
    SqliteStore(path).close()
    altered(path, "PRAGMA user_version = 7")
    with pytest.raises(StoreUnavailableError, match="in version 7, and this Bursar knows version 1: upgrade"):
        SqliteStore(path)


def test_a_newer_form_of_a_definition_is_refused(books: Books, path: Path) -> None:
    books.define(budget())
    altered(path, "UPDATE allowances SET format = 9")
    with pytest.raises(StoreUnavailableError, match="'day' is kept in form 9, and this Bursar knows form 1"):
        books.reserve("a")


@pytest.mark.parametrize("statement", ["CREATE TABLE notes (text)", "PRAGMA user_version = 3"])
def test_a_database_of_something_else_is_left_alone(path: Path, statement: str) -> None:
    altered(path, statement)
    with pytest.raises(StoreUnavailableError, match="a database of something else"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_left_alone(path: Path) -> None:
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StoreUnavailableError, match="is not an SQLite database"):
        SqliteStore(path)
    assert path.read_text().startswith("Dear diary")


def test_a_damaged_file_says_how_to_check_it(path: Path) -> None:
    books = Books(SqliteStore(path))
    books.define(budget())
    books.do_all([reserve(f"a{number}") for number in range(9)])
    books.do_all([Settle(fact(f"a{number}", 1)) for number in range(9)])
    books.store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 :] = b"\xff" * len(damaged[4096 * 3 :])
    path.write_bytes(damaged)
    with pytest.raises(StoreUnavailableError, match="run `bursar db check`"):
        SqliteStore(path).transact([reserve("b")], books.clock)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="cannot be opened; check that the folder exists"):
        SqliteStore(tmp_path)


def test_a_full_disk_loses_nothing_and_heals(books: Books) -> None:
    books.define(budget("day", 10**9))
    books.reserve("a", 100)
    books.store.close()
    books = Books(SqliteStore(books.store.path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, limits[1]))
    try:
        with pytest.raises(StoreUnavailableError, match="full"):
            books.do_all([Settle(fact("a", 70)), *[reserve(f"b{number}") for number in range(50)]])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # Expired when the books were opened again; the settle corrects that once, now that there is room.
    assert books.settle("a", 70).changed
    assert books.balance("day") == (70, 0)
    books.store.close()


def test_a_full_database_loses_nothing_and_heals(books: Books) -> None:
    books.define(budget("day", 10**9))
    books.reserve("a", 100)
    with books.store._connections.committing() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailableError, match="the disk is full; make room"):
        books.do_all([Settle(fact("a", 70)), *[reserve(f"b{number}") for number in range(500)]])
    assert books.balance("day") == (0, 100)
    with books.store._connections.committing() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert books.settle("a", 70).changed
    assert books.balance("day") == (70, 0)


def test_a_clock_that_breaks_leaves_no_lock_behind(books: Books) -> None:
    books.define(budget())

    def broken() -> int:
        raise RuntimeError("no time")

    with pytest.raises(RuntimeError, match="no time"):
        books.store.transact([reserve("a")], broken)
    assert isinstance(books.reserve("a"), Granted)


def test_the_clock_is_read_when_the_lock_is_held(books: Books, path: Path) -> None:
    def looking() -> int:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        return books.clock.now_ms

    assert isinstance(books.store.transact([reserve("a")], looking)[0], Granted)


def test_another_programs_lock_is_waited_for_within_bounds(books: Books, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="another program keeps it locked"):
            books.reserve("a")
    assert isinstance(books.reserve("a"), Granted)


def test_a_stopped_process_in_its_turn_is_waited_for_within_bounds(books: Books, path: Path) -> None:
    turn = os.open(f"{path}-turn", os.O_RDWR)
    fcntl.flock(turn, fcntl.LOCK_EX)
    with pytest.raises(StoreUnavailableError, match="has kept the books locked for too long"):
        books.reserve("a")
    os.close(turn)
    assert isinstance(books.reserve("a"), Granted)


def test_a_file_that_was_removed_is_not_made_anew(books: Books, path: Path) -> None:
    books.define(budget())
    path.rename(path.with_suffix(".moved"))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="was removed or replaced"):
            books.reserve("a")
    assert not path.exists()
    path.with_suffix(".moved").rename(path)
    assert isinstance(books.reserve("a"), Granted)


def test_a_network_file_system_is_refused_by_name(path: Path) -> None:
    mountinfo = path.parent / "mountinfo"
    mountinfo.write_text(f"36 35 98:0 / {path.parent} rw,noatime master:1 - nfs4 server:/x rw\n")
    with pytest.raises(StoreUnavailableError, match="is on nfs4, a network file system"):
        SqliteStore(path, mountinfo=mountinfo)
    assert not path.exists()


def test_a_lost_connection_is_opened_again(books: Books) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.store._connections._writer.close()
    with pytest.raises(StoreUnavailableError):
        books.settle("a", 70)
    assert books.settle("a", 70).changed
    assert books.balance("day") == (70, 0)


def test_a_connection_that_met_damage_is_not_used_again(books: Books) -> None:
    books.define(budget())
    before = books.store._connections._writer
    damage = sqlite3.DatabaseError("database disk image is malformed")
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    with pytest.raises(StoreUnavailableError, match="run `bursar db check`"):
        _meet(books.store, damage)
    assert isinstance(books.reserve("a"), Granted)
    assert books.store._connections._writer is not before


def _meet(store: SqliteStore, error: Exception) -> None:
    with store._connections.committing():
        raise error


def as_somebody_else(path: Path) -> str:
    """What opening the books says to a user who is not root, whom permissions do not bind."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            SqliteStore(path)
            said = "it opened"
        except StoreUnavailableError as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o755, 0o444), (0o555, 0o666)])
def test_what_is_read_only_says_so(folder_mode: int, file_mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        SqliteStore(path).close()
        path.chmod(file_mode)
        Path(f"{path}-turn").chmod(0o666)
        Path(f"{path}-gate").chmod(0o666)
        Path(folder).chmod(folder_mode)
        said = as_somebody_else(path)
        Path(folder).chmod(0o755)
    assert "make both writable" in said or "may write to it" in said, said


def test_definitions_of_another_process_bind_at_once(books: Books, path: Path) -> None:
    other = SqliteStore(path)
    books.define(budget("day", 1000))
    books.reserve("a", 100)
    other.define([budget("day", 120)], "bursar.yaml", books.clock)
    assert books.reserve("b", 100).limit == 120
    altered(path, "DELETE FROM allowances")
    assert books.reserve("b", 100).claims == ()
    other.close()


def _break_off(store: SqliteStore) -> None:
    with store._connections.committing() as connection:
        connection.execute("DELETE FROM allowances")
        connection.execute("SELECT nonsense")


def test_an_error_inside_define_changes_nothing(books: Books) -> None:
    books.define(budget("day", 1000))
    books.reserve("a", 100)
    with pytest.raises(StoreUnavailableError, match="no such column"):
        _break_off(books.store)
    assert [claim.amount for claim in books.reserve("b", 100, scopes=SCOPES).claims] == [100]
