"""Opening the settings and the books for a command. A command that only reads makes no books.

Decides what is said where there are none yet: nothing was ever called here, or the path is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bursar.cli.ending import EndedError
from bursar.cli.output import note

if TYPE_CHECKING:
    from bursar.config import Settings
    from bursar.edges.stores.sqlite import SqliteStore

MEMORY = "memory:"


def load_settings(config: Path | None, books: str | None = None) -> Settings:
    """The settings that a command runs under: file, environment and options."""
    from bursar.config import load

    return load(config, books=books, environ=os.environ)


def now_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def utc_today() -> date:
    """Today, in UTC: the day whose prices hold."""
    return datetime.now(UTC).date()


def has_books(settings: Settings) -> bool:
    """Whether there are books to read. Says on stderr why there are none; raises when they were asked for by name."""
    if settings.books == MEMORY:
        note("The configuration keeps the books in memory: they end with the program that wrote them.")
        return False
    if Path(settings.books).exists():
        return True
    if settings.place("books").origin == "argument":
        raise EndedError(f"there are no books at {settings.books}", code="no_books", books=settings.books)
    note(f"There are no books yet at {settings.books}.\nThe first call makes them: bursar chat, or bursar.Client().")
    return False


def require_books(settings: Settings) -> None:
    """Raise where there are no books in a file."""
    if settings.books == MEMORY:
        raise EndedError("the configuration keeps the books in memory; name a file with --books", code="no_books")
    if not Path(settings.books).exists():
        raise EndedError(
            f"there are no books at {settings.books}; the first call makes them, or name others with --books",
            code="no_books",
            books=settings.books,
        )


@contextmanager
def open_books(settings: Settings) -> Iterator[SqliteStore]:
    """The books in their file, which is made where there is none."""
    if settings.books == MEMORY:
        raise EndedError("the configuration keeps the books in memory; name a file with --books", code="no_books")
    from bursar.edges.stores.sqlite import SqliteStore

    # No source: this process defines nothing, and stands in the way of nobody who does.
    store = SqliteStore(settings.books)
    try:
        yield store
    finally:
        store.close()
