"""Threads that all do the same at once, and a clock that notices when two read it together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

THREADS = 4
TIMES = 25


class OneAtATime:
    """A clock that is read under a lock, or counts a collision."""

    def __init__(self) -> None:
        self.collisions = 0
        self._reading = threading.Lock()

    def __call__(self) -> int:
        if not self._reading.acquire(blocking=False):
            self.collisions += 1
            return 0
        time.sleep(0.0005)
        self._reading.release()
        return 0


def in_threads(work: Callable[[], object]) -> None:
    """Do `work` so many times in each of so many threads."""

    def run() -> None:
        for _ in range(TIMES):
            work()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
