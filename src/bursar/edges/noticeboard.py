"""Posts changes of breakers on the board of the books, and listens there for resets.

It decides nothing about breakers. Its thread lives only while one is not closed: a process in which nothing fails
writes nothing, reads nothing, and has no thread for it. Calls never wait for it; when the books fail, it tries again at
the next look.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from threading import Event, Lock, Thread, current_thread

from bursar.call.breakers import BreakerBoard
from bursar.call.events import BreakerChanged
from bursar.errors import BursarError

# How often a process with a breaker that is not closed looks for a reset: the longest that one takes to arrive.
LOOK_SECONDS = 1.0


class Noticeboard:
    """The board as seen from one process. Thread-safe.

    reset: closes the breaker of a provider's model, which posts that.
    """

    def __init__(
        self,
        board: BreakerBoard,
        clock: Callable[[], int],
        reset: Callable[[str, str], object],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._board = board
        self._clock = clock
        self._reset = reset
        self._look_seconds = look_seconds
        self._lock = Lock()
        self._wake = Event()
        # Only the latest change of each counts, so neither grows beyond the table of breakers.
        self._posts: dict[tuple[str, str], BreakerChanged] = {}
        self._troubled: set[tuple[str, str]] = set()
        self._thread: Thread | None = None
        self._closing = False
        self._pid = os.getpid()

    def post(self, change: BreakerChanged) -> None:
        """Have a change posted; returns at once."""
        if os.getpid() != self._pid:
            return  # the books are the parent's
        with self._lock:
            self._posts[change.provider, change.model] = change
            if self._closing:
                return
            if self._thread is None:
                self._thread = Thread(target=self._run, name="bursar-breakers", daemon=True)
                self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """End the thread, once it has posted what there is. Idempotent."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not current_thread() and os.getpid() == self._pid:
            thread.join()

    def _run(self) -> None:
        try:
            while self._look():
                self._wake.wait(self._look_seconds)
                self._wake.clear()
        except Exception:
            logging.getLogger("bursar").exception("the board of breakers failed; the breakers themselves go on")
            with self._lock:
                self._thread = None

    def _look(self) -> bool:
        """Post, and do what is asked for. False when there is nothing left to do."""
        with self._lock:
            posts, self._posts = self._posts, {}
        try:
            if posts:
                self._board.post(list(posts.values()), self._clock)
            for provider, model in self._board.resets() if self._troubled or posts else ():
                self._reset(provider, model)
        except BursarError:
            with self._lock:
                self._posts = posts | self._posts
        else:
            for key, change in posts.items():
                (self._troubled.discard if change.state == "closed" else self._troubled.add)(key)
        with self._lock:
            done = self._closing or not (self._troubled or self._posts)
            if done:
                self._thread = None
            return not done
