"""The keyring of books in a file: shared, in books that are older than it, and without a word of a key's text."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bursar.edges.stores.sqlite import SqliteStore
from bursar.gateway.keys import Keysmith, Wanted
from bursar.gateway.quotas import Budget
from bursar.gateway.secret import digest_of, secret_of
from bursar.rules.keys import CallerKey, Team
from tests.contract.store.material import NOON_MS, Clock

KEY = CallerKey("ci", "key_a", (("d", None),), NOON_MS)


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_books_that_were_made_before_it_get_a_keyring(path: Path) -> None:
    SqliteStore(path).close()
    before = tables(path)
    with closing(sqlite3.connect(path)) as connection:
        for table in ("keys", "key_digests", "teams", "keyring"):
            connection.execute(f"DROP TABLE {table}")
        connection.commit()
    assert tables(path) < before
    store = SqliteStore(path)
    store.keyring.put(KEY)
    store.keyring.put_team(Team("search", "", 1))
    assert (store.keyring.keys(), store.keyring.version()) == ([KEY], 2)
    store.close()
    assert tables(path) == before


def test_it_is_there_again_when_the_books_are_opened_again(path: Path) -> None:
    store = SqliteStore(path)
    store.keyring.put(KEY)
    version = store.keyring.version()
    store.close()
    again = SqliteStore(path)
    assert (again.keyring.version(), again.keyring.by_digest("d")) == (version, KEY)
    again.close()


def test_processes_see_each_others_changes(path: Path) -> None:
    one, other = SqliteStore(path), SqliteStore(path)
    one.keyring.put(KEY)
    version = other.keyring.version()
    assert other.keyring.keys() == [KEY]
    other.keyring.alter("ci", lambda key: CallerKey("ci", key.id, key.digests, key.created_ms, revoked_ms=5))
    assert one.keyring.version() > version
    assert [key.revoked_ms for key in one.keyring.keys(version)] == [5]
    one.close()
    other.close()


def test_neither_a_key_nor_the_secret_is_in_any_file_of_the_books(path: Path) -> None:
    store = SqliteStore(path)
    secret = secret_of(path, {})
    smith = Keysmith(store, secret, Clock())
    texts = [smith.create(Wanted("canary", budget=Budget(5))).text, smith.rotate("canary", 60).text]
    files = [file for file in path.parent.rglob("*") if file.is_file() and file.name != f"{path.name}.secret"]
    assert any(file.name.endswith("-wal") and file.stat().st_size for file in files)
    held = b"".join(file.read_bytes() for file in files)
    store.close()
    held += path.read_bytes()
    assert digest_of(secret, texts[1]).encode() in held
    for canary in (*texts, *(text.removeprefix("sk-bursar-") for text in texts), secret.decode()):
        assert canary.encode() not in held
