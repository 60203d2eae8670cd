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
    """One exchange as its sockets see it. until: its end on the monotonic clock, None for never.

    first_until: the instant by which the first output of a stream must have come; stall_seconds: what a read may wait
    after it.
    """

    __slots__ = (
        "_begun",
        "_lock",
        "_shut",
        "connect_until",
        "first_until",
        "opened",
        "progress",
        "stall_seconds",
        "until",
    )

    def __init__(
        self,
        until: float | None,
        progress: Progress,
        *,
        first_until: float | None = None,
        stall_seconds: float | None = None,
    ) -> None:
        self.until = until
        self.first_until = first_until
        self.stall_seconds = stall_seconds
        self._begun = False
        self.connect_until: float | None = None
        self.progress = progress
        self.opened = False  # a connection was made for it
        self._lock = threading.Lock()
        self._shut: Callable[[], None] | None = None

    def left(self, timeout: float | None, late: type[Exception], until: float | None = None) -> float | None:
        """Seconds that an operation with this timeout may take; raises `late` when there are none."""
        if self.stall_seconds is not None and self._begun:
            timeout = self.stall_seconds if timeout is None else min(timeout, self.stall_seconds)
        for end in (self.until, until, self.first_until):
            if end is not None:
                seconds = end - time.monotonic()
                if seconds <= 0:
                    raise late
                timeout = seconds if timeout is None else min(timeout, seconds)
        return timeout

    def began(self) -> None:
        """The first output has come: from now on it is the pauses that count."""
        self.first_until, self._begun = None, True

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
