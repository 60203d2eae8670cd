"""Claims in a file: of several processes, in books that are older than they are, and bounded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Barrier, Thread

from bursar.call.alerts import AlertClaim
from bursar.edges.stores.sqlite import SqliteStore
from tests.contract.store.material import DAY_MS, NOON_MS

HALF = AlertClaim("budget", "all", "", 50, NOON_MS + DAY_MS, 500)


def now() -> int:
    return NOON_MS


def test_one_of_several_processes_gets_it(path: Path) -> None:
    stores = [SqliteStore(path, clock=now) for _ in range(3)]
    together, won = Barrier(6), []

    def ask(store: SqliteStore) -> None:
        together.wait()
        won.append(store.alerts.claim(HALF, now))

    threads = [Thread(target=ask, args=(store,)) for store in stores * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 5 + [True]
    for store in stores:
        store.close()


def test_a_claim_that_stands_costs_no_commit(path: Path) -> None:
    store = SqliteStore(path, clock=now)
    store.alerts.claim(HALF, now)
    commits = store.statistics().commits
    assert not store.alerts.claim(HALF, now)
    assert store.statistics().commits == commits
    store.close()


def test_books_that_are_older_than_claims_get_their_table(path: Path) -> None:
    SqliteStore(path, clock=now).alerts.claim(HALF, now)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE alerts")
    store = SqliteStore(path, clock=now)
    assert store.alerts.claim(HALF, now)
    store.close()


def test_rows_of_windows_that_ended_are_removed(path: Path) -> None:
    store = SqliteStore(path, clock=now)
    for number in range(20):
        store.alerts.claim(HALF._replace(subject=str(number)), now)
    store.alerts.claim(HALF._replace(until_ms=NOON_MS + 2 * DAY_MS), lambda: NOON_MS + DAY_MS)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM alerts").fetchone() == (1,)
