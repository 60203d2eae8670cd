"""`bursar db`: check, backup and prune."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bursar.cli.opening import now_ms
from bursar.edges.stores.sqlite import SqliteStore
from tests.cli.conftest import Bursar
from tests.cli.ledger import HOUR_MS, books, call

OLD_MS = 100 * 24 * HOUR_MS


@pytest.fixture
def ledger(folder: Path) -> Path:
    path = folder / "bursar.db"
    store = books(path)
    call(store, "old", at_ms=now_ms() - OLD_MS)
    call(store, "new", at_ms=now_ms())
    store.close()
    return path


@pytest.mark.parametrize("arguments", [("check",), ("backup", "b.db"), ("prune", "--older-than", "1d")])
def test_without_books_nothing_is_done(bursar: Bursar, folder: Path, arguments: tuple[str, ...]) -> None:
    ended = bursar("db", *arguments)
    assert (ended.exit_code, "there are no books" in ended.stderr) == (1, True)
    assert list(folder.iterdir()) == []


def test_check(bursar: Bursar, ledger: Path) -> None:
    assert bursar("db", "check").exit_code == 0
    ledger.write_bytes(os.urandom(8192))
    ended = bursar("db", "check", "--json")
    assert ended.exit_code == 1
    shown = json.loads(ended.stdout)
    assert (shown["ok"], len(shown["problems"])) == (False, 1)


def test_a_sum_that_disagrees_is_found(bursar: Bursar, folder: Path) -> None:
    bursar("budget", "set", "all", "--usd", "5", "--per", "total")
    store = SqliteStore(folder / "bursar.db")
    call(store, "a", at_ms=now_ms())
    store.close()
    with closing(sqlite3.connect(folder / "bursar.db", isolation_level=None)) as connection:
        connection.execute("UPDATE levels SET spent = spent + 1")
    ended = bursar("db", "check")
    assert (ended.exit_code, "all" in ended.stdout) == (1, True)


def test_backup_is_the_same_books(bursar: Bursar, folder: Path, ledger: Path) -> None:
    assert bursar("db", "backup", "copy.db").exit_code == 0
    for path in ("copy.db", "bursar.db"):
        [row] = json.loads(bursar("usage", "--json", "--books", path).stdout)
        assert row["calls"] == 2


def test_backup_overwrites_only_when_told_and_never_the_books(bursar: Bursar, folder: Path, ledger: Path) -> None:
    (folder / "copy.db").write_text("precious")
    assert "--force" in bursar("db", "backup", "copy.db").stderr
    assert (folder / "copy.db").read_text() == "precious"
    assert bursar("db", "backup", "copy.db", "--force").exit_code == 0
    assert (folder / "copy.db").read_bytes().startswith(b"SQLite format 3")
    assert not (folder / "copy.db.new").exists()
    before = ledger.read_bytes()
    assert "is the books themselves" in bursar("db", "backup", "bursar.db", "--force").stderr
    assert ledger.read_bytes() == before


def test_prune_folds_and_changes_no_sum(bursar: Bursar, ledger: Path) -> None:
    before = json.loads(bursar("usage", "--json").stdout)
    assert "Folded 1 row." in bursar("db", "prune", "--older-than", "90d").stderr
    assert json.loads(bursar("usage", "--json").stdout) == before
    assert "No rows are that old." in bursar("db", "prune", "--older-than", "90d").stderr


def test_prune_needs_an_age(bursar: Bursar, folder: Path, ledger: Path) -> None:
    assert bursar("db", "prune").exit_code == 2
    (folder / "bursar.yaml").write_text("retention: {ledger: 90d}\n")
    assert json.loads(bursar("db", "prune", "--json").stdout)["folded_rows"] == 1
