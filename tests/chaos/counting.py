"""The same work through a check-then-add counter in a SQLite table that all processes share.

Adding is atomic and durable; it is checking and adding that are apart, and a process that dies between them.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from bursar.cli.demo_calls import DemoCall
from bursar.cli.naive import CheckThenAdd
from tests.chaos.worker import CALLERS, MODELS

KEY = "sk-sim-chaos"


class SharedTotal:
    """The counter in a file."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("CREATE TABLE IF NOT EXISTS total (id INTEGER PRIMARY KEY, nano_usd INTEGER)")
        self._connection.execute("INSERT OR IGNORE INTO total VALUES (1, 0)")

    @property
    def nano_usd(self) -> int:
        """What was counted so far, by all processes."""
        return int(self._connection.execute("SELECT nano_usd FROM total").fetchone()[0])

    def add(self, nano_usd: int) -> None:
        """Count a cost."""
        self._connection.execute("UPDATE total SET nano_usd = nano_usd + ?", (nano_usd,))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def count(path: Path, base_urls: dict[str, str], budget_nano_usd: int, seed: int) -> None:
    """Make calls until the counter says that the budget is spent."""
    total = SharedTotal(path)
    naive = CheckThenAdd(base_urls, KEY, budget_nano_usd, total)
    asyncio.run(naive.run(_calls(random.Random(seed), total, budget_nano_usd), CALLERS))
    total.close()


def _calls(chance: random.Random, total: SharedTotal, budget_nano_usd: int) -> Iterator[DemoCall]:
    while total.nano_usd < budget_nano_usd:
        leaves = chance.randint(1, 200)
        yield DemoCall(
            model=chance.choice(MODELS),
            prompt=f"How much is {chance.random()}?",
            max_tokens=chance.choice((40, 80, 120)),
            stream=chance.random() < 0.3,
            leave_after_deltas=leaves,
        )
