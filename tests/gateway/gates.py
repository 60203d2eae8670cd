"""A gate before the provider: calls of a gateway stand there until a test opens it, and no test waits for a clock."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

from tests.gateway.running import Running

PATIENCE_SECONDS = 60.0
_patience = threading.Event()


class Gate:
    """Where calls stand. reached: set once one does."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def wait_reached(self) -> None:
        assert self.reached.wait(PATIENCE_SECONDS), "no call came to the gate"

    async def pass_through(self) -> None:
        self.reached.set()
        await asyncio.to_thread(self.opened.wait, PATIENCE_SECONDS)


@contextlib.contextmanager
def gated(*gateways: Running) -> Iterator[Gate]:
    """A gate before every call of these gateways; open at the end."""
    gate = Gate()
    drivers: list[Any] = [gateway.worker.gateway.state.driver for gateway in gateways]
    for driver in drivers:
        driver.call = _through(gate, driver.call)
    try:
        yield gate
    finally:
        gate.opened.set()
        for driver in drivers:
            del driver.call


def until_waiting(gateway: Running, count: int) -> None:
    """Until so many wait for a call that was sent before under the same idempotency key."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "books.db")) as books:
        for _ in range(int(PATIENCE_SECONDS / 0.01)):
            if books.execute("SELECT sum(waiting) FROM replays WHERE NOT ended").fetchone()[0] == count:
                return
            _patience.wait(0.01)
    raise AssertionError(f"there are not {count} who wait")


def _through(gate: Gate, call: Any) -> Any:
    async def passing(*arguments: Any) -> Any:
        await gate.pass_through()
        return await call(*arguments)

    return passing
