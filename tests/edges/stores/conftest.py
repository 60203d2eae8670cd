"""One database at noon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.edges.stores.sqlite import SqliteStore
from tests.contract.store.material import NOON_MS, Books


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database is."""
    return tmp_path / "books.db"


@pytest.fixture
def books(path: Path) -> Iterator[Books]:
    """Empty books in a file."""
    opened = Books(SqliteStore(path, clock=lambda: NOON_MS, busy_timeout_ms=100))
    yield opened
    opened.store.close()
