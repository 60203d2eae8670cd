"""What a worker counts, and the page on which all workers' counts stand together.

Decides when a worker leaves its counts for the others: each second, before it answers a scrape itself (so that whoever
is scraped next never shows less), and when it ends. A worker that is alone leaves nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from bursar.errors import BursarError
from bursar.gateway.figures import of_books, of_worker
from bursar.gateway.run_folder import RunFolder, run_folder
from bursar.telemetry.counting import CallMetrics
from bursar.telemetry.families import Family, Onward, Snapshot, added_up
from bursar.telemetry.prometheus import text_of

if TYPE_CHECKING:
    from bursar.gateway.state import State

WRITE_SECONDS = 1.0
# Who has not written for so long is gone, or as good as: what it holds is no more of interest.
SILENT_MS = 10_000


class Metering:
    """The counts of one worker, over all its states. To be used on its loop.

    folder: where workers on one socket leave their counts; None for a worker that is alone.
    """

    def __init__(self, folder: RunFolder | None = None, *, write_seconds: float = WRITE_SECONDS) -> None:
        self.calls = CallMetrics()
        self._folder = folder
        self._write_seconds = write_seconds
        self._onward = Onward()
        self._snapshots = 0
        self._state: State | None = None
        self._writing: asyncio.Task[None] | None = None

    def watch(self, state: State) -> None:
        """Count what happens in a state, and show its pools from now on. What others still do counts on."""
        self._state = state
        state.engine.watch(self.calls)
        if self._folder is not None and self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_on())

    async def page(self) -> str:
        """Everything that Prometheus is told: this worker's counts of now, the others' of at most a second ago."""
        state = self._state
        assert state is not None
        own = self._snapshot()
        return await asyncio.to_thread(self._page, own, state)

    async def close(self) -> None:
        """Leave the last counts. Idempotent."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._folder is not None and self._state is not None:
            self._folder.write(self._snapshot(ended=True))

    def _page(self, own: Snapshot, state: State) -> str:
        snapshots = [own]
        if self._folder is not None:
            self._folder.write(own)
            snapshots += self._folder.others()
        families = added_up(snapshots, own.at_ms, silent_ms=SILENT_MS)
        return text_of([*families, *_shared(state)])

    def _snapshot(self, *, ended: bool = False) -> Snapshot:
        assert self._state is not None
        worker = "" if self._folder is None else self._folder.worker
        families = [*self.calls.families(), *self._onward(of_worker(self._state))]
        self._snapshots += 1
        return Snapshot(worker, time.time_ns() // 1_000_000, families, ended, self._snapshots)

    async def _write_on(self) -> None:
        assert self._folder is not None
        while True:
            await asyncio.to_thread(self._folder.write, self._snapshot())
            await asyncio.sleep(self._write_seconds)


def _shared(state: State) -> list[Family]:
    """What stands in the books; nothing of it while they cannot be read, and `bursar_books_up` says so."""
    try:
        families, up = of_books(state.engine), 1
    except BursarError:
        families, up = [], 0
    return [Family("bursar_books_up", "gauge", "1 while the books can be read.", (), [((), up)]), *families]


def metering() -> Metering:
    """The metering of this process, with the folder that its supervisor made for it."""
    return Metering(run_folder(os.environ))
