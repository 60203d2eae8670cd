"""Pruning, checking, copying and watching a database."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from bursar.call.books import Adjust, Expired, Operation, Settle, UsageQuery
from bursar.edges.stores import connections
from bursar.edges.stores.sqlite import SqliteStore
from bursar.errors import StoreUnavailableError
from bursar.rules.allowances import Allowance
from bursar.rules.usage import Usage
from tests.contract.store.material import DAY_MS, HOUR_MS, MINUTE_MS, NOON_MS, SCOPES, Books, budget, fact, reserve

ALLOWANCES = (
    budget("all", 10**9, period="total"),
    budget("month", 10**9, period="month", time_zone="Asia/Kathmandu"),
    budget("day", 10**9, time_zone="Asia/Kolkata"),
    budget("rolling", 10**9, shape="rolling"),
    budget("rolling week", 10**9, shape="rolling", period="week"),
    budget("rolling hour", 10**9, shape="rolling", period="hour"),
    budget("minute", 10**9, period="minute"),
    budget("users", 10**9, period="total", each="user"),
    Allowance("tokens", "tokens", 10**9, "calendar", "month"),
    Allowance("calls", "requests", 10**9, "rolling", "month"),
    Allowance("flight", "in_flight", 9, "gauge"),
)


@pytest.fixture
def old(books: Books) -> Books:
    """Books with ten days of calls, three every 101 minutes; one is uncertain, and one is pending for a day."""
    books.define(*ALLOWANCES)
    books.clock.pass_ms(-10 * DAY_MS)
    books.reserve("doubt", 100)
    books.settle("doubt", 100, certain=False)
    number = 0
    while books.clock.now_ms < NOON_MS:
        operations: list[Operation] = [reserve("pending", 50)] if books.clock.now_ms > NOON_MS - DAY_MS else []
        for user in ("u0", "u1", "u2"):
            number += 1
            operations.append(reserve(f"a{number}", 20, scopes={**SCOPES, "user": user}))
            operations.append(Settle(fact(f"a{number}", number % 20, usage=Usage.of(number, 1))))
        books.do_all(operations)
        books.clock.pass_ms(101 * MINUTE_MS)
    books.clock.now_ms = NOON_MS
    return books


def everything(books: Books) -> tuple[object, ...]:
    """All balances, and the usage by day, user, hour and model."""
    return (
        books.store.usage(UsageQuery(("model", "served_model"))),
        books.store.balances(books.clock.now_ms),
        books.store.usage(UsageQuery(("day", "user"), time_zone="Asia/Kolkata")),
        books.store.usage(UsageQuery(("hour", "ending"), time_zone="Asia/Kathmandu")),
    )


@pytest.mark.parametrize("age_ms", [0, 3 * HOUR_MS + 5 * MINUTE_MS, 5 * DAY_MS, 30 * DAY_MS])
def test_pruning_changes_no_balance(old: Books, age_ms: int) -> None:
    before, rows = everything(old), len(old.store.attempts(limit=10_000))
    folded = old.store.prune(NOON_MS - age_ms, old.clock)
    assert (folded > 0) == (age_ms < 10 * DAY_MS)
    assert everything(old) == before
    assert old.problems() == []
    assert len(old.store.attempts(limit=10_000)) == rows - folded
    # Every window could be added up again from what is left.
    old.define()
    old.define(*ALLOWANCES)
    assert everything(old) == before
    assert old.problems() == []


def test_pruning_leaves_what_may_still_change(old: Books) -> None:
    rows = len(old.store.attempts(limit=10_000))
    folded = old.store.prune(NOON_MS, old.clock)
    assert [row.attempt_id for row in old.store.attempts(uncertain=True)] == ["doubt"]
    spent = old.balance("all")[0]
    old.do(Adjust(fact("doubt", 40), "provider"))
    old.settle("pending", 10)
    assert old.balance("all") == (spent - 60 + 10, 0)
    assert old.problems() == []
    # What was held is gone, and with it what had to wait for it; the last two hours are never folded.
    assert rows - 10 < folded + old.store.prune(NOON_MS, old.clock) < rows + 1
    assert old.balance("all") == (spent - 60 + 10, 0)
    assert old.problems() == []


def test_pruning_goes_piece_by_piece(old: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.edges.stores.pruning.ROWS_MAX", 10)
    commits = old.store.statistics().commits
    old.settle("pending", 50)
    before = everything(old)
    assert old.store.prune(NOON_MS, old.clock) > 300
    assert old.store.statistics().commits > commits + 30
    assert everything(old) == before


def test_pruning_forgets_windows_that_count_no_longer(old: Books, path: Path) -> None:
    def levels() -> int:
        with closing(sqlite3.connect(path)) as connection:
            return int(connection.execute("SELECT count(*) FROM levels").fetchone()[0])

    old.settle("pending", 10)
    before = levels()
    old.store.prune(NOON_MS, old.clock)
    assert levels() < before / 2


# Checking


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE levels SET spent = spent + 1 WHERE allowance = 'day'", "has spent 71, and the ledger says 70"),
        ("UPDATE levels SET held = 0 WHERE allowance = 'day'", "holds 0, and the pending holds claim 30"),
        ("DELETE FROM levels WHERE allowance = 'day'", "has spent 0, and the ledger says 70"),
        ("UPDATE ledger SET charged_nano_usd = 1", "has spent 70, and the ledger says 1"),
        ("DELETE FROM holds", "holds 30, and the pending holds claim 0"),
    ],
)
def test_what_does_not_add_up_is_found(books: Books, path: Path, statement: str, problem: str) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 70)
    books.reserve("b", 30)
    assert books.problems() == []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)
    assert any(problem in found for found in books.problems()), books.problems()


def test_an_overdrawn_budget_is_found(books: Books) -> None:
    books.define(budget(capacity=100))
    books.reserve("a", 100)
    books.settle("a", 130)
    assert books.problems() == [
        "day stands 30 nano-USD above its limit: it was lowered, or a provider billed more than its bound"
    ]


# Copying


def test_a_backup_is_the_books_of_one_moment(books: Books, tmp_path: Path) -> None:
    books.define(budget())
    books.reserve("a", 100)
    books.settle("a", 70)
    books.reserve("b", 30)
    books.store.backup(tmp_path / "copy.db")
    books.settle("b", 30)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    copy = SqliteStore(tmp_path / "copy.db", clock=books.clock)
    assert copy.recovered == Expired((("b", 30),))
    assert [(each.spent, each.held) for each in copy.balances(NOON_MS)] == [(100, 0)]
    assert copy.check(NOON_MS) == []
    copy.close()
    with pytest.raises(StoreUnavailableError, match="exists already"):
        books.store.backup(tmp_path / "copy.db")
    assert sorted(file.name for file in tmp_path.glob("copy.db*.part")) == []


# Watching


def test_readers_are_opened_on_demand_and_bounded(path: Path) -> None:
    store = SqliteStore(path, max_readers=2, busy_timeout_ms=50)
    assert (store.statistics().readers_open, store.statistics().readers_in_use) == (1, 1)
    with store._connections.reading(), store._connections.reading():
        with pytest.raises(StoreUnavailableError, match="all 2 readers"):
            store.allowances()
    assert store._connections.readers_open == 2
    assert store.allowances() == []
    store.close()


def test_writers_are_bounded(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path, max_writers=1, busy_timeout_ms=50)
    with pytest.raises(StoreUnavailableError, match="raise max_writers"):
        store.backup(tmp_path / "copy.db")
    store.close()


def test_a_reader_sees_one_moment(books: Books) -> None:
    books.define(budget())
    with books.store._connections.reading() as connection:
        assert connection.execute("SELECT count(*) FROM holds").fetchone()[0] == 0
        books.reserve("a", 100)
        assert connection.execute("SELECT count(*) FROM holds").fetchone()[0] == 0
    assert books.balance("day") == (0, 100)


def test_many_threads_read_while_one_commits(books: Books) -> None:
    books.define(budget("day", 10**9))
    wrong: list[object] = []

    def read() -> None:
        for _ in range(30):
            (found,) = books.store.balances(NOON_MS)
            if (found.spent + found.held) % 100:
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(30):
        books.reserve(f"a{number}", 100)
        books.settle(f"a{number}", 100)
    for reader in readers:
        reader.join()
    assert wrong == []
    assert books.store.statistics().readers_open <= 5


def test_the_log_is_cut_back(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAL_BYTES_MAX", 4096)
    books.define(budget("day", 10**9))
    with books.store._connections.reading() as reader:
        reader.execute("SELECT count(*) FROM holds").fetchone()
        for number in range(connections.WAL_LOOK_COMMITS):
            books.reserve(f"a{number}", 1)
        assert books.store._connections.wal_bytes > 100_000, "a reader still needs it"
    for number in range(connections.WAL_LOOK_COMMITS):
        books.do(Settle(fact(f"a{number}", 1)))
    assert books.store._connections.wal_bytes < 1_000_000
    books.store.close()
    assert books.store._connections.wal_bytes == 0


def test_statistics(books: Books) -> None:
    books.define(budget())
    books.reserve("a")
    books.reserve("b")
    books.settle("a", 1)
    found = books.store.statistics()
    assert (found.pending_holds, found.ledger_rows, found.last_commit_ms) == (1, 1, NOON_MS)
    assert found.page_count > 5
    assert found.wal_bytes > 0
