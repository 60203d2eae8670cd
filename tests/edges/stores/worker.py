"""A process that spends from shared books until it is killed. Says on its output what the books have acknowledged.

    python -m tests.edges.stores.worker PATH NAME COMMAND

Commands: "spend" (reserve and settle without end), "hold" (reserve once, then wait), "define" (define a budget of its
own source, then wait), "use-after-fork" (fork, and use the books in the child).
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path

from bursar.call.books import Granted, Settle
from bursar.edges.stores.sqlite import SqliteStore, wall_clock_ms
from bursar.errors import ConfigError, StoreUnavailableError
from bursar.rules.allowances import Allowance
from tests.contract.store.material import budget, fact, reserve

BUDGETS = (
    budget("all", 60_000, period="total"),
    budget("users", 50_000, each="user", period="total"),
    Allowance("flight", "in_flight", 50, "gauge"),
)
HELD, COST = 100, 60


def say(*words: object) -> None:
    """One line, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def spend(store: SqliteStore, name: str) -> None:
    """Two attempts at a time: settle the last two, reserve the next two."""
    granted: list[str] = []
    for number in itertools.count():
        reserves = [reserve(f"{name}-{number}-{part}", HELD) for part in range(2)]
        settles = [Settle(fact(attempt_id, COST, reserved_ms=wall_clock_ms())) for attempt_id in granted]
        outcomes = store.transact([*settles, *reserves], wall_clock_ms)
        for attempt_id in granted:
            say("settled", attempt_id)
        granted = [outcome.attempt_id for outcome in outcomes if isinstance(outcome, Granted)]
        if not granted and not settles:
            say("refused")
            time.sleep(0.01)


def use_after_fork(store: SqliteStore) -> None:
    """The child may not use the books, and does not keep their owner alive."""
    store.transact([reserve("parents")], wall_clock_ms)
    if os.fork():
        say("ready")
        time.sleep(600)
    try:
        store.transact([reserve("childs")], wall_clock_ms)
        say("granted")
    except StoreUnavailableError as error:
        say(error)
    time.sleep(600)


def main() -> None:
    """Open the books and do as told."""
    path, name, command = sys.argv[1:]
    store = SqliteStore(Path(path), source_name=f"{name}.yaml")
    try:
        store.define(BUDGETS if command != "define" else [budget("day", 10)], f"{name}.yaml", wall_clock_ms)
    except ConfigError as error:
        say(error)
        return
    if command == "spend":
        spend(store, name)
    elif command == "use-after-fork":
        use_after_fork(store)
    elif command == "hold":
        store.transact([reserve(name, HELD)], wall_clock_ms)
    say("ready")
    time.sleep(600)


if __name__ == "__main__":
    main()
