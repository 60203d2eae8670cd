"""Several processes on one database: killed at any instant, stopped, forked, and disagreeing."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.call.books import Ended, Expire, Expired, Settle, Void
from bursar.edges.stores.locks import FileLocking, LeaseLocking
from bursar.edges.stores.sqlite import SqliteStore, wall_clock_ms
from bursar.errors import ConfigError
from tests.contract.store.material import NOON_MS, Clock, budget, fact, reserve
from tests.edges.stores.worker import BUDGETS, COST, HELD

ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def process(path: Path, name: str, command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker, and its certain end."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.edges.stores.worker", str(path), name, command],
        stdout=subprocess.PIPE,
        bufsize=0,
        cwd=ROOT,
        start_new_session=True,
    )
    try:
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        if worker.stdout is not None:
            worker.stdout.close()


def line_of(worker: subprocess.Popen[bytes]) -> str:
    """The next line that a worker says, within reason."""
    assert worker.stdout is not None
    assert select.select([worker.stdout], [], [], 30)[0], "the worker says nothing"
    return worker.stdout.readline().decode().strip()


def standing(store: SqliteStore, name: str) -> tuple[int, int]:
    """(spent, held) of all subjects of an allowance."""
    found = store.balances(wall_clock_ms(), names=[name])
    return sum(each.spent for each in found), sum(each.held for each in found)


def test_no_charge_is_lost_and_none_is_passed_when_processes_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    chance = random.Random(7)
    acknowledged: set[str] = set()
    for round_ in range(4):
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(process(path, f"w{round_}{number}", "spend")) for number in range(2)]
            for worker in workers:
                line_of(worker)
            time.sleep(chance.uniform(0, 0.02))
            for worker in workers:
                worker.kill()
                assert worker.stdout is not None
                said = worker.stdout.read().decode().splitlines()
                acknowledged |= {line.split()[1] for line in said if line.startswith("settled")}
    store = SqliteStore(path)
    rows = {row.attempt_id: row for row in store.attempts(limit=10_000)}
    assert acknowledged <= rows.keys()
    assert all(rows[attempt_id].charged_nano_usd == COST for attempt_id in acknowledged)
    # Empty only if nobody was killed with money held.
    assert {row.charged_nano_usd for row in rows.values() if row.ending == "expired"} == {HELD}
    spent = sum(row.charged_nano_usd for row in rows.values())
    assert spent <= BUDGETS[0].capacity
    assert standing(store, "all") == standing(store, "users") == (spent, 0)
    assert standing(store, "flight") == (0, 0)
    assert store.check(wall_clock_ms()) == []
    store.close()
    assert list(Path(f"{path}-owners").iterdir()) == []


def test_the_money_of_a_dead_process_is_spent_until_it_is_known(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    with process(path, "gone", "hold") as worker:
        assert line_of(worker) == "ready"
        assert store.transact([Expire()], wall_clock_ms) == [Expired()]
        assert standing(store, "all") == (0, HELD)
        worker.kill()
        worker.wait()
    assert store.transact([Expire()], wall_clock_ms) == [Expired((("gone", HELD),))]
    assert standing(store, "all") == (HELD, 0)
    assert standing(store, "flight") == (0, 0)
    (row,) = store.attempts(uncertain=True)
    assert (row.ending, row.provider, row.model, row.cost_nano_usd) == ("expired", "openai", "gpt-4o", None)
    store.close()


def test_a_stopped_process_is_not_dead_even_when_its_lease_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    with process(path, "stopped", "hold") as worker:
        assert line_of(worker) == "ready"
        worker.send_signal(signal.SIGSTOP)
        assert store.transact([Expire()], lambda: wall_clock_ms() + 10**9) == [Expired()]
        assert standing(store, "all") == (0, HELD)
    store.close()


def test_a_forked_child_may_not_use_the_books_nor_keep_their_owner_alive(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    store = SqliteStore(path)
    with process(path, "parent", "use-after-fork") as worker:
        said = {line_of(worker), line_of(worker)}
        assert said == {"ready", "these books were opened before a fork: open a client in the child process"}
        assert store.transact([Expire()], wall_clock_ms) == [Expired()]
        # The parent alone: the child goes on.
        worker.kill()
        worker.wait()
        assert store.transact([Expire()], wall_clock_ms) == [Expired((("parents", 100),))]
    store.close()


def test_two_live_processes_cannot_pass_each_others_budgets(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with process(path, "first", "define") as first:
        assert line_of(first) == "ready"
        store = SqliteStore(path)
        with pytest.raises(ConfigError, match=r"\$0\.00000001 per day \(enforce\) in first\.yaml, which a running"):
            store.define([budget("day", 20)], "second.yaml", wall_clock_ms)
        assert store.allowances()[0].capacity == 10
        store.define([budget("day", 10)], "second.yaml", wall_clock_ms)
        with pytest.raises(ConfigError, match=r"defined in first\.yaml and second\.yaml"):
            store.remove_allowance("day", wall_clock_ms)
    store.define([budget("day", 20)], "second.yaml", wall_clock_ms)
    assert store.allowances()[0].capacity == 20
    store.close()


# What follows needs no second process: two stores on one file are two owners.


def two(path: Path, *, files: bool) -> tuple[SqliteStore, SqliteStore, Clock]:
    """Two owners with one clock, with or without locks on files."""
    clock = Clock()
    one, other = (
        SqliteStore(path, clock=clock, lease_ms=1000, locking=FileLocking(path) if files else LeaseLocking())
        for _ in range(2)
    )
    one.define([budget()], "one.yaml", clock)
    return one, other, clock


def test_without_locks_the_lease_decides(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=False)
    one.transact([reserve("a")], clock)
    clock.pass_ms(999)
    assert other.transact([Expire()], clock) == [Expired()]
    clock.pass_ms(1)
    assert other.transact([Expire()], clock) == [Expired((("a", 100),))]
    # It was alive after all: its settle corrects the charge once, and it holds again under a new lease.
    assert one.transact([Settle(fact("a", 70)), Settle(fact("a", 60)), reserve("b")], clock)[1] == Ended(
        "a", changed=False
    )
    assert other.transact([Expire()], clock) == [Expired()]
    assert [(each.spent, each.held) for each in other.balances(NOON_MS)] == [(70, 100)]
    assert other.check(NOON_MS) == []
    one.close()
    other.close()


def test_a_void_after_expiry_gives_back_once(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=False)
    one.transact([reserve("a")], clock)
    clock.pass_ms(2000)
    other.transact([Expire()], clock)
    assert [outcome.changed for outcome in one.transact([Void("a"), Void("a")], clock)] == [True, False]  # type: ignore[union-attr]
    assert one.transact([Settle(fact("a", 70))], clock) == [Ended("a", changed=False)]
    assert [(each.spent, each.held) for each in other.balances(NOON_MS)] == [(0, 0)]
    assert [row.ending for row in one.attempts()] == ["not_sent"]
    assert other.check(NOON_MS) == []
    one.close()
    other.close()


def test_a_lease_is_renewed_before_anything_is_held(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=False)
    clock.pass_ms(900)
    one.transact([reserve("a")], clock)
    clock.pass_ms(900)
    assert other.transact([Expire()], clock) == [Expired()]
    one.close()
    other.close()


def test_a_store_that_closes_leaves_orphans(tmp_path: Path) -> None:
    for files in (True, False):
        one, other, clock = two(tmp_path / f"{files}.db", files=files)
        one.transact([reserve("a")], clock)
        one.close()
        assert other.transact([Expire()], clock) == [Expired((("a", 100),))]
        other.close()


def test_an_owner_of_another_host_is_dead_when_its_lease_has_ended_too(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=True)
    one.transact([reserve("a")], clock)
    with other._connections.committing() as connection:
        connection.execute("UPDATE owners SET host = 'elsewhere'")
    one._locking.close()
    assert other.transact([Expire()], clock) == [Expired()]
    clock.pass_ms(1000)
    assert other.transact([Expire()], clock) == [Expired((("a", 100),))]
    one.close()
    other.close()


def test_an_owners_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=True)
    one.transact([reserve("a")], clock)
    for file in Path(f"{tmp_path}/books.db-owners").iterdir():
        file.unlink()
    clock.pass_ms(900)
    one.transact([reserve("b")], clock)
    assert other.transact([Expire()], clock) == [Expired()]
    one.close()
    other.close()


def test_the_lock_of_one_who_died_before_it_was_written_down_is_removed(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=True)
    one.transact([reserve("a")], clock)
    dead, starting = FileLocking(tmp_path / "books.db"), FileLocking(tmp_path / "books.db")
    dead.live("dead")
    starting.live("starting")
    dead.close()
    assert other.transact([Expire()], clock) == [Expired()]
    assert {"starting"} == {path.name for path in (tmp_path / "books.db-owners").iterdir()} - {one._owner.id}
    for store in (one, other, starting):
        store.close()


def test_opening_ends_what_the_dead_have_left(tmp_path: Path) -> None:
    one, other, clock = two(tmp_path / "books.db", files=True)
    one.transact([reserve("a")], clock)
    one.close()
    other.close()
    store = SqliteStore(tmp_path / "books.db", clock=clock)
    assert store.recovered == Expired((("a", 100),))
    store.close()
