"""The board of books in a file: several processes, those that died, and books that are older than it."""

from __future__ import annotations

import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bursar.call.books import Expire, Renew
from bursar.call.events import BreakerChanged
from bursar.edges.stores.locks import FileLocking, LeaseLocking
from bursar.edges.stores.sqlite import SqliteStore
from bursar.errors import StoreUnavailableError
from tests.contract.store.material import NOON_MS, Books, Clock, reserve

OPEN = BreakerChanged("openai", "gpt-4o", "open", NOON_MS + 60_000, NOON_MS, "5 failures in a row", 1)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM breakers").fetchone()[0])


def test_every_process_posts_its_own_and_is_asked_for_its_own(path: Path) -> None:
    one, other = (SqliteStore(path, clock=lambda: NOON_MS) for _ in range(2))
    for store in (one, other):
        store.board.post([OPEN], lambda: NOON_MS)
    posted = one.board.posted(NOON_MS)
    assert [(each.pid, each.host, each.change) for each in posted] == [(os.getpid(), socket.gethostname(), OPEN)] * 2
    assert len({each.process for each in posted}) == 2
    assert one.board.ask_reset() == 2
    assert one.board.resets() == other.board.resets() == [("openai", "gpt-4o")]
    other.close()
    assert [each.process for each in one.board.posted(NOON_MS)] == [one._owner.id]
    one.close()
    assert rows(path) == 0


def test_what_a_dead_process_has_posted_is_not_shown_and_goes_with_its_holds(path: Path) -> None:
    locking = FileLocking(path)
    dead, living = SqliteStore(path, locking=locking, clock=lambda: NOON_MS), SqliteStore(path, clock=lambda: NOON_MS)
    dead.board.post([OPEN], lambda: NOON_MS)
    assert len(living.board.posted(NOON_MS)) == 1
    locking.close()
    assert living.board.posted(NOON_MS) == []
    assert rows(path) == 1
    living.transact([Expire()], lambda: NOON_MS)
    assert rows(path) == 0
    living.close()


def test_without_locks_the_lease_tells(path: Path) -> None:
    clock = Clock()
    stores = [SqliteStore(path, locking=LeaseLocking(), lease_ms=60_000, clock=clock) for _ in range(2)]
    stores[0].board.post([OPEN], clock)
    clock.pass_ms(59_999)
    assert len(stores[1].board.posted(clock())) == 1
    clock.pass_ms(1)
    assert stores[1].board.posted(clock()) == []
    for store in stores:
        store.close()


def test_posting_never_shortens_a_lease(path: Path) -> None:
    with closing(SqliteStore(path, lease_ms=60_000, clock=lambda: NOON_MS)) as store:
        store.transact([Renew(600_000), reserve("a")], lambda: NOON_MS)
        store.board.post([OPEN], lambda: NOON_MS)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT lease_until_ms FROM owners").fetchall() == [(NOON_MS + 600_000,)]


def test_books_that_are_older_than_the_board_get_one(path: Path, books: Books) -> None:
    books.store.transact([reserve("a")], books.clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE breakers")
    with closing(SqliteStore(path, clock=lambda: NOON_MS)) as store:
        store.board.post([OPEN], lambda: NOON_MS)
        assert len(store.board.posted(NOON_MS)) == 1


def test_the_board_ends_with_its_books(path: Path) -> None:
    store = SqliteStore(path, clock=lambda: NOON_MS)
    store.close()
    with pytest.raises(StoreUnavailableError):
        store.board.post([OPEN], lambda: NOON_MS)
    with pytest.raises(StoreUnavailableError):
        store.board.posted(NOON_MS)
