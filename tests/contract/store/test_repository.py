"""How the file of a store and its connections are doing."""

from __future__ import annotations

from bursar.call.books import Repository
from bursar.edges.stores.memory import MemoryStore
from tests.contract.store.material import NOON_MS, Books


def test_the_figures_of_a_repository(books: Books) -> None:
    before: Repository = books.store.repository()
    books.reserve("a.0")
    books.store.balances(NOON_MS)
    now: Repository = books.store.repository()
    if isinstance(books.store, MemoryStore):
        assert now == before == Repository()
        return
    assert now.commits == before.commits + 1
    assert now.last_commit_ms == NOON_MS
    assert (now.readers_open, now.readers_in_use, now.readers_max) == (1, 0, 16)
    assert (now.writers_open, now.writers_max) == (1, 4)
    assert now.file_bytes > 0
    assert now.wal_bytes > 0
