"""Asking providers, behind everybody's back, for their records of attempts that ended uncertain.

Decides when one is asked for and when it is given up: what has no record after a minute stays charged at its bound, and
`bursar reconcile` asks again. What a record is worth, `call.evidence` decides. An observer of events; no call waits for
it. A thread of its own works while there is something to ask for; how politely it asks, `records` says.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from bursar.call.books import Adjust, Fact
from bursar.call.events import CallEnded, Event
from bursar.call.evidence import adjustment
from bursar.edges.http.lookup import Lookup
from bursar.edges.records import Found, Records, Unanswered
from bursar.errors import BursarError
from bursar.wire.generation import read_generation

__all__ = ["Inquiries", "Source"]

# A record is there a moment after its stream ended, and sometimes much later: seconds before each try.
TRY_AFTER_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# Attempts that may wait for their records; what comes beyond is left to `bursar reconcile`.
WAITING_MAX = 1_000
# How long closing a client asks for what is still waiting, once each.
CLOSE_SECONDS = 2.0
THREAD = "bursar-inquiry"


# A provider that does not answer is not asked for the next record at once.
SILENCE_SECONDS = 10.0


class Source(NamedTuple):
    """Where the record of an attempt is kept: the URL, its path as the row has it, the headers with the key of the
    attempt, and a name for that key.
    """

    url: str
    path: str
    headers: Mapping[str, str]
    key: str


class Waiting(NamedTuple):
    """An attempt whose record is asked for. due: seconds of the timer; number: of its kind, so that all differ."""

    due: float
    number: int
    fact: Fact
    source: Source
    tries: int = 0


class Inquiries:
    """Thread-safe. `close` it before the books.

    source_of: where the record of an attempt is kept, None for nowhere. correct: enters a correction into the books;
    it may wait for them. after_seconds: before each try, as many as there are.
    """

    def __init__(
        self,
        source_of: Callable[[Fact], Source | None],
        correct: Callable[[Adjust], None],
        *,
        after_seconds: tuple[float, ...] = TRY_AFTER_SECONDS,
        waiting_max: int = WAITING_MAX,
        timer: Callable[[], float] = time.monotonic,
        open_lookup: Callable[[str, Mapping[str, str]], Lookup] = Lookup,
    ) -> None:
        self._source_of = source_of
        self._correct = correct
        self._after_seconds = after_seconds
        self._waiting_max = waiting_max
        self._timer = timer
        self._changed = threading.Condition()
        self._waiting: list[Waiting] = []
        self._number = 0
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._open_lookup = open_lookup
        self._lookups: list[Lookup] = []
        self._records: dict[tuple[str, str], Records] = {}
        self._silent_until: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __call__(self, event: Event) -> None:
        """Take note of an attempt that ended uncertain and whose record can be asked for."""
        if not isinstance(event, CallEnded) or event.fact.certain or not event.fact.request_id:
            return
        source = self._source_of(event.fact)
        if source is None:
            return
        with self._changed:
            if self._closing.is_set() or len(self._waiting) >= self._waiting_max:
                return
            self._number += 1
            self._wait(Waiting(0.0, self._number, event.fact, source))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                with suppress(RuntimeError):  # no more threads, or the interpreter is ending
                    self._thread.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Ask once more for what is waiting, for so long at most, and end. Idempotent."""
        with self._changed:
            self._closing.set()
            thread = self._thread
            self._changed.notify()
        if thread is not None and thread.is_alive():
            thread.join(seconds)
        with self._changed:
            self._waiting.clear()
        for lookup in list(self._lookups):
            lookup.close()
        if thread is not None and thread.is_alive():
            thread.join(seconds)

    def _wait(self, waiting: Waiting) -> None:
        """Queue it for its next try; under the lock."""
        due = self._timer() + self._after_seconds[waiting.tries]
        heapq.heappush(self._waiting, waiting._replace(due=due, tries=waiting.tries + 1))
        self._changed.notify()

    # Everything below runs in the thread.

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            try:
                settled = self._settled(waiting)
            except BursarError:
                settled = False  # the books could not be written: another time
            except Exception:
                logging.getLogger("bursar").exception("a record of %s could not be read", waiting.fact.provider)
                settled = True
            if not settled and waiting.tries < len(self._after_seconds):
                with self._changed:
                    if not self._closing.is_set():
                        self._wait(waiting)

    def _next(self) -> Waiting | None:
        """The next to ask for, once it is due; None when nothing is left."""
        with self._changed:
            while self._waiting:
                pause_seconds = self._waiting[0].due - self._timer()
                if pause_seconds <= 0 or self._closing.is_set():
                    return heapq.heappop(self._waiting)
                self._changed.wait(pause_seconds)
            self._thread = None
            return None

    def _settled(self, waiting: Waiting) -> bool:
        """Ask for one record, and correct the books by it; whether there is nothing more to ask."""
        whose = (waiting.source.url, waiting.source.key)
        if self._timer() < self._silent_until.get(whose, 0.0):
            return False
        found = self._records_at(whose, waiting).find(waiting.fact.request_id)
        if isinstance(found, Unanswered):
            self._silent_until[whose] = self._timer() + SILENCE_SECONDS
        if not isinstance(found, Found):
            return False
        correction = adjustment(waiting.fact, read_generation(found.body), waiting.source.path)
        if correction is None:
            return False
        self._correct(correction)
        return True

    def _records_at(self, whose: tuple[str, str], waiting: Waiting) -> Records:
        records = self._records.get(whose)
        if records is None:
            lookup = self._open_lookup(waiting.fact.provider, waiting.source.headers)
            self._lookups.append(lookup)
            records = self._records[whose] = Records(lookup, waiting.source.url, pause=self._pause)
        return records

    def _pause(self, seconds: float) -> None:
        self._closing.wait(seconds)
