"""Every store there is: what holds for one must hold for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.sqlite import SqliteStore
from tests.contract.store.material import NOON_MS, Books


@pytest.fixture(params=["memory", "sqlite"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Books]:
    """Empty books at noon. Whatever a test does, they add up in the end."""
    store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "books.db", clock=lambda: NOON_MS)
    opened = Books(store)
    yield opened
    try:
        wrong = [problem for problem in opened.problems() if "above its limit" not in problem]
        assert wrong == []
    finally:
        opened.store.close()
