"""The course of one blocking exchange: until when it may run, whether it has sent, and how another thread ends it.

Pure but for the monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.call.exchange import Progress


class Course:
    """One exchange as its sockets see it. until: its end on the monotonic clock, None for never."""

    __slots__ = ("_lock", "_shut", "connect_until", "opened", "progress", "until")

    def __init__(self, until: float | None, progress: Progress) -> None:
        self.until = until
        self.connect_until: float | None = None
        self.progress = progress
        self.opened = False  # a connection was made for it
        self._lock = threading.Lock()
        self._shut: Callable[[], None] | None = None

    def left(self, timeout: float | None, late: type[Exception], until: float | None = None) -> float | None:
        """Seconds that an operation with this timeout may take; raises `late` when there are none."""
        for end in (self.until, until):
            if end is not None:
                seconds = end - time.monotonic()
                if seconds <= 0:
                    raise late
                timeout = seconds if timeout is None else min(timeout, seconds)
        return timeout

    def rides(self, shut: Callable[[], None]) -> bool:
        """Note how the connection that it is on is shut. Returns whether this is its first, and not made for it."""
        with self._lock:
            first, self._shut = self._shut is None, shut
        return first and not self.opened

    def alight(self) -> None:
        """Leave the connection, which may serve another exchange next."""
        with self._lock:
            self._shut = None

    def abort(self) -> None:
        """End what its connection is doing in whatever thread, as if the peer had gone."""
        with self._lock:
            if self._shut is not None:
                self._shut()


class Current(threading.local):
    """The course of this thread: httpcore2 does all input and output of an exchange in the thread that asks for it."""

    course: Course
