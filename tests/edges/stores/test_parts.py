"""The parts that stores are made of, each alone."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from bursar.edges.stores import bindings, bulk, schema
from bursar.edges.stores.accounts import account_of, scopes_of
from bursar.edges.stores.bindings import Bindings
from bursar.edges.stores.filesystems import file_system_of, refuse_shared
from bursar.edges.stores.locks import FileLocking
from bursar.errors import StoreUnavailableError
from tests.contract.store.material import DAY_MS, NOON_MS, budget

# bulk


@pytest.mark.parametrize("count", [0, 1, 2, 16, 17, 37, 127, 128, 129, 300])
def test_bulk_inserts_every_row_once(count: int) -> None:
    rows = [(number, f"row {number}") for number in range(count)]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE numbers (number, text)")
        bulk.insert(connection, "numbers", 2, rows)
        assert connection.execute("SELECT * FROM numbers ORDER BY number").fetchall() == rows


def test_bulk_takes_few_statements() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE numbers (number)")
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        bulk.insert(connection, "numbers", 1, [(number,) for number in range(16)])
        assert len([statement for statement in seen if statement.startswith("INSERT")]) == 1
        seen.clear()
        bulk.insert(connection, "numbers", 1, [(number,) for number in range(100)])
        assert len([statement for statement in seen if statement.startswith("INSERT")]) == 3


# bindings


def test_what_binds_is_remembered_while_its_windows_last() -> None:
    index = Bindings([budget(), budget("month", period="month")])
    binding = index.now({"user": "ann"}, NOON_MS)
    assert index.now({"user": "ann"}, NOON_MS + DAY_MS // 2 - 1) is binding
    assert index.now({"user": "ann"}, NOON_MS + DAY_MS // 2).places[0].key[2] == NOON_MS + DAY_MS // 2
    assert index.now({"user": "ann"}, NOON_MS).places == binding.places


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "REMEMBERED_MAX", 10)
    index = Bindings([budget("users", each="user")])
    for number in range(1_000):
        assert index.now({"user": f"u{number}"}, NOON_MS).places[0].key[1] == f"u{number}"
    assert len(index._remembered) <= 10


def test_the_rarest_value_finds_an_allowance() -> None:
    one_a_key = [budget(f"b{number}", only=(("provider", "openai"), ("key", f"k{number}"))) for number in range(500)]
    index = Bindings(one_a_key)
    assert len(index._by_value[("key", "k7")]) == 1
    assert ("provider", "openai") not in index._by_value
    assert [place.allowance.name for place in index.at({"provider": "openai", "key": "k7"}, NOON_MS).places] == ["b7"]


# accounts


@pytest.mark.parametrize(
    "scopes",
    [
        {},
        {"user": ""},
        {"provider": "openai", "model": "openai/gpt-4o", "key": "k", "user": "u", "session": "s"},
        {"team": "a", "user": "ann"},
        {"team": 'quote " and \u00e9', "tags": "{}"},
    ],
)
def test_scopes_come_back_from_their_columns(scopes: dict[str, str]) -> None:
    account = account_of(scopes)
    assert scopes_of(account[:5], account[5]) == scopes


# schema


def test_two_who_make_the_tables_at_once_make_them_once(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as connection:
        for _ in range(2):
            connection.execute("BEGIN IMMEDIATE")
            schema.prepare(connection, "books.db")
            connection.execute("COMMIT")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        assert {"holds", "levels", "ledger", "openings", "owners", "allowances", "books"} <= {row[0] for row in tables}


# filesystems

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 22 0:40 / /data rw shared:5 - nfs4 server:/export rw
41 40 254:1 / /data/local\040disk rw,relatime shared:6 master:2 - xfs /dev/vdb rw
42 22 0:42 / /mnt rw - cifs //server/share rw
43 22 254:2 / /mnt rw - btrfs /dev/vdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/books.db", "ext4"),
        ("/data/books.db", "nfs4"),
        ("/database/books.db", "ext4"),
        ("/data/local disk/books.db", "xfs"),
        ("/mnt/books.db", "btrfs"),
    ],
)
def test_the_mount_below_a_path_is_found(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_where_mounts_are_not_known_nothing_is_refused(tmp_path: Path) -> None:
    refuse_shared(tmp_path, tmp_path / "no such table")
    (tmp_path / "odd").write_text("nothing\nof use\n")
    refuse_shared(tmp_path, tmp_path / "odd")


# locks


def test_a_turn_is_one_at_a_time_and_those_that_wait_come_first(tmp_path: Path) -> None:
    one, other = FileLocking(tmp_path / "db"), FileLocking(tmp_path / "db")
    one.take_turn(100)
    with pytest.raises(StoreUnavailableError, match="for too long"):
        other.take_turn(5)
    order: list[str] = []

    def wait() -> None:
        other.take_turn(5_000)
        order.append("other")
        other.end_turn()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while _free(tmp_path / "db-gate"):
        time.sleep(0.001)
    one.end_turn()
    one.take_turn(5_000)
    order.append("one")
    one.end_turn()
    waiting.join()
    assert order == ["other", "one"]
    one.close()
    other.close()


def test_two_who_probe_do_not_take_each_other_for_the_owner(tmp_path: Path) -> None:
    locking = FileLocking(tmp_path / "db")
    owners = tmp_path / "db-owners"
    owners.mkdir()
    with (owners / "dead").open("w") as probe:
        fcntl.flock(probe, fcntl.LOCK_SH)
        assert locking.alive("dead") is False
    assert locking.alive("buried") is False
    locking.live("me")
    assert FileLocking(tmp_path / "db").alive("me") is True
    locking.close()
    assert FileLocking(tmp_path / "db").alive("me") is False


def _free(path: Path) -> bool:
    """Whether nobody stands at a lock."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
