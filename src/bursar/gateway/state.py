"""What the gateway works with at one time: settings, engine, connections, and who may come in. A reload makes another.

Decides when the old one ends: once the last request that began with it has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from bursar.edges.drain import CLOSE_SECONDS, AsyncDrain
from bursar.edges.drive import AsyncDriver
from bursar.edges.http.asynchronous import AsyncTransport
from bursar.edges.refusals import RefusalRecorder
from bursar.gateway.replaying import Leases

if TYPE_CHECKING:
    from bursar.config import Settings
    from bursar.gateway.opening import Opened


class State:
    """Settings and all that was made from them; to be made on the loop that uses it. under_way: requests inside."""

    def __init__(self, opened: Opened) -> None:
        engine = opened.engine
        self.engine = engine
        self.doorkeeper = opened.doorkeeper
        self.transport = AsyncTransport(engine.pool_limits(), now_ms=engine.clock)
        self.drain = AsyncDrain()
        self.driver = AsyncDriver(self.transport, engine.teller, self.drain, engine.clock)
        self.refusals = RefusalRecorder(engine.store.history, engine.clock)
        engine.watch(self.refusals)
        self.leases = Leases(engine.store.replays, engine.clock)
        self.under_way = 0
        self._kept: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def settings(self) -> Settings:
        """What it was made from."""
        return self.engine.settings

    def enter(self) -> None:
        """A request begins."""
        if not self.under_way:
            self._idle.clear()
        self.under_way += 1

    def leave(self) -> None:
        """A request has ended."""
        self.under_way -= 1
        if not self.under_way:
            self._idle.set()

    def keep(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Perform a call in a task that its caller's leaving does not end."""
        self.enter()
        task = asyncio.get_running_loop().create_task(call)
        self._kept.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._kept.discard(task)
        self.leave()

    async def retire(self) -> None:
        """Wait for the last request inside, or to be hurried, then close."""
        await self._idle.wait()
        await self.close()

    def hurry(self) -> None:
        """No request is waited for any more."""
        self._idle.set()

    async def close(self) -> None:
        """End what is still under way, settle it, and close the books."""
        if self._kept:
            await asyncio.wait(set(self._kept), timeout=CLOSE_SECONDS)
        for task in set(self._kept):
            task.cancel()
        while self._kept:
            await asyncio.wait(set(self._kept))
        await self.drain.close()
        await self.transport.close()
        await asyncio.to_thread(self.refusals.close)
        await asyncio.to_thread(self.engine.close)
