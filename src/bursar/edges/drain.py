"""Reading on for callers who have gone, so that what their calls cost is known. Bounded in number and in time.

A drain that is full, closing, or out of patience cuts the call instead: its connection is closed and its bound stays
charged. No caller ever waits for a drain.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from bursar.errors import BursarError

if TYPE_CHECKING:
    from bursar.edges.blocking import BlockingRelay
    from bursar.edges.drive import AsyncRelay

# Calls that are read on at once; each holds a connection and a little memory.
DRAINS_MAX = 64
# A reply that takes longer is cut: its connection is worth more than its exact cost.
DRAIN_SECONDS = 60.0
# How long closing a client waits for drains before it cuts them.
CLOSE_SECONDS = 5.0


class AsyncDrain:
    """The drain of one event loop."""

    def __init__(self, *, drains_max: int = DRAINS_MAX, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._drains_max = drains_max
        self._drain_seconds = drain_seconds
        self._tasks: set[asyncio.Task[Any]] = set()
        self._drained = 0
        self._closing = False

    def __len__(self) -> int:
        return len(self._tasks)

    def adopt(self, task: asyncio.Task[Any], *, worth_it: bool) -> None:
        """Take over a call whose caller has gone; `worth_it` says that its request has been sent."""
        if task.done():
            self._finish(task)
            return
        if not worth_it or self._closing or len(self._tasks) >= self._drains_max:
            task.cancel()
        self._keep(task)

    def adopt_stream(self, relay: AsyncRelay) -> None:
        """Read a stream that was left to its end."""
        if self._closing or len(self._tasks) >= self._drains_max:
            relay.cut()
            return
        task = asyncio.get_running_loop().create_task(relay.read_on())
        self._keep(task)
        # A task that is cancelled before its first step runs nothing of its coroutine.
        task.add_done_callback(lambda _: relay.cut())

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Give the drains a moment, then cut them."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
        self._closing = True
        for task in set(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        timer = asyncio.get_running_loop().call_later(self._drain_seconds, task.cancel)

        def ended(task: asyncio.Task[Any]) -> None:
            timer.cancel()
            self._finish(task)

        task.add_done_callback(ended)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            if not isinstance(error, BursarError):
                task.get_loop().call_exception_handler(
                    {"message": "bursar: a call failed after its caller had gone", "exception": error, "task": task}
                )
            return
        # A stream that opened after its caller had gone is left like any other.
        leave = getattr(task.result(), "leave", None)
        if leave is not None:
            leave()


class BlockingDrain:
    """The drain of blocking callers: a daemon thread for each stream that was left."""

    def __init__(self, *, drains_max: int = DRAINS_MAX, drain_seconds: float = DRAIN_SECONDS) -> None:
        self._drains_max = drains_max
        self._drain_seconds = drain_seconds
        self._lock = threading.Lock()
        self._relays: dict[BlockingRelay, threading.Thread] = {}
        self._closing = False

    def __len__(self) -> int:
        return len(self._relays)

    def adopt_stream(self, relay: BlockingRelay) -> None:
        """Read a stream that was left to its end."""
        with self._lock:
            adopted = not self._closing and len(self._relays) < self._drains_max and self._start(relay)
        if not adopted:
            relay.cut()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Give the drains a moment, then cut them."""
        with self._lock:
            self._closing = True
            relays = dict(self._relays)
        for thread in relays.values():
            thread.join(seconds / max(len(relays), 1))
        for relay, thread in relays.items():
            if thread.is_alive():
                relay.abort()
                thread.join(CLOSE_SECONDS)

    def _start(self, relay: BlockingRelay) -> bool:
        thread = threading.Thread(target=self._read_on, args=(relay,), name="bursar-drain", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False  # no more threads, or the interpreter is ending
        self._relays[relay] = thread
        return True

    def _read_on(self, relay: BlockingRelay) -> None:
        try:
            relay.read_on(self._drain_seconds)
        finally:
            with self._lock:
                self._relays.pop(relay, None)
