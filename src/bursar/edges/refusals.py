"""Enters refusals into the history of calls: an observer that returns at once, and a thread that writes what it noted.

Decides nothing about calls. In a flood the oldest that nobody has written yet are forgotten, and when the books cannot
be written what was noted stays for the next time: no call ever waits for its own refusal.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from bursar.call.events import CallRefused, CandidateRefused, Event
from bursar.call.history import History, Refusal
from bursar.errors import BudgetExceededError, BursarError, LimitExceededError

# How long a refusal may lie before it is entered: those of a second share a transaction.
PAUSE_SECONDS = 1.0
WAITING_MAX = 5_000
MESSAGE_CHARACTERS_MAX = 2_000
# The number of what a call ended with: behind those of all candidates.
LAST_PLACE = 1_000_000


class RefusalRecorder:
    """Watches calls that are refused. Thread-safe; its thread lives only while there is something to write."""

    def __init__(self, history: History, clock: Callable[[], int], pause_seconds: float = PAUSE_SECONDS) -> None:
        self._history = history
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: deque[Refusal] = deque(maxlen=WAITING_MAX)
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._closing = False
        self._pid = os.getpid()

    def __call__(self, event: Event) -> None:
        """Note a refusal; every other event is none of its business."""
        if isinstance(event, CallRefused):
            self._note(_noted(event, LAST_PLACE, self._clock(), final=True))
        elif isinstance(event, CandidateRefused):
            self._note(_noted(event, event.place, self._clock(), final=False))

    def flush(self) -> None:
        """Enter what is noted now. Blocks. Raises StoreUnavailableError; what was noted stays then."""
        with self._writing:
            with self._lock:
                noted = list(self._waiting)
                self._waiting.clear()
            if not noted:
                return
            try:
                self._history.record(noted, self._clock())
            except BursarError:
                with self._lock:
                    self._waiting.extendleft(reversed(noted[: WAITING_MAX - len(self._waiting)]))
                raise

    def close(self) -> None:
        """Enter what there is, as far as the books can be written, and end the thread. Idempotent."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._wake.set()
        if os.getpid() != self._pid:
            return
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._try()

    def _note(self, refusal: Refusal) -> None:
        if os.getpid() != self._pid:
            return  # the books are the parent's
        with self._lock:
            self._waiting.append(refusal)
            if self._thread is None and not self._closing:
                thread = threading.Thread(target=self._run, name="bursar-refusals", daemon=True)
                with suppress(RuntimeError):  # no more threads: the next refusal tries again, and so does the end
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause_seconds)
            self._try()
            with self._lock:
                if self._closing or not self._waiting:
                    self._thread = None
                    return

    def _try(self) -> None:
        try:
            self.flush()
        except BursarError as error:
            logging.getLogger("bursar").warning("refused calls could not be entered into the history: %s", error)


def _noted(event: CallRefused | CandidateRefused, place: int, at_ms: int, *, final: bool) -> Refusal:
    error = event.error
    message = " ".join(str(error).split())[:MESSAGE_CHARACTERS_MAX]
    return Refusal(
        event.call_id,
        place,
        at_ms,
        event.provider,
        event.model,
        event.scopes,
        error.code,
        message,
        max(event.wait_ms, 0),
        _binding(error),
        final,
    )


def _binding(error: BursarError) -> str:
    if isinstance(error, BudgetExceededError):
        return error.budget
    return error.limit if isinstance(error, LimitExceededError) else ""
