"""Posts alerts to one address, behind everybody's back: a bounded queue, one thread, patience within bounds.

Decides when one is posted again (no answer, or a status that passes) and when it is given up; what it says is decided
elsewhere. The address is a secret, since whoever knows it can post there: it is read when it is first needed, and is
in no error, log line or repr. Redirects are not followed. Alerts are posted in their order, one at a time.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

from bursar.call.events import AlertRaised
from bursar.call.exchange import Answer, Exchange, Failed, Progress
from bursar.edges.http.pool import PoolLimits
from bursar.edges.http.surroundings import BodyBounds, wall_ms
from bursar.errors import BursarError

# An alert that is posted late is still worth it; after a quarter of an hour somebody has looked.
PAUSES_SECONDS = (1.0, 5.0, 30.0, 120.0, 600.0)
# What may wait while an address does not answer. Beyond it the log alone tells.
WAITING_MAX = 1_000
POST_SECONDS = 15.0
# The longest that an answer's own advice to wait is heeded.
ADVICE_SECONDS_MAX = 600.0
# How long closing a client posts what is waiting, once each.
CLOSE_SECONDS = 5.0
# What an address answers is a word; more of it is not read.
ANSWER_BYTES = 65_536
THREAD = "bursar-webhook"
POOL = "alerts.webhook"


class Opens(Protocol):
    """What performs a POST; `edges.http.BlockingTransport` does."""

    def open(self, exchange: Exchange, progress: Progress) -> tuple[Any, Any]: ...

    def close(self) -> None: ...


class Webhook:
    """Thread-safe. `close` it.

    address: tells the address, and may take its time or raise ConfigError. body_of: what is posted there for an alert,
    given the alert and the address. pauses_seconds: before each further try, as many as there are.
    """

    def __init__(
        self,
        address: Callable[[], str],
        body_of: Callable[[AlertRaised, str], bytes],
        *,
        pauses_seconds: tuple[float, ...] = PAUSES_SECONDS,
        waiting_max: int = WAITING_MAX,
        opening: Callable[[], Opens] | None = None,
    ) -> None:
        self._address = address
        self._body_of = body_of
        self._pauses_seconds = pauses_seconds
        self._waiting_max = waiting_max
        self._opening = opening or _transport
        self._transport: Opens | None = None
        self._changed = threading.Condition()
        self._waiting: deque[AlertRaised] = deque()
        self._posting = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._pid = os.getpid()
        self.posted = 0
        self.lost = 0

    def __len__(self) -> int:
        """How many alerts wait, the one that is being posted among them."""
        return len(self._waiting) + self._posting

    def __call__(self, alert: AlertRaised) -> None:
        """Have an alert posted; returns at once."""
        if os.getpid() != self._pid:
            return
        with self._changed:
            if self._closing.is_set() or len(self._waiting) >= self._waiting_max:
                self._lose(alert, "too many wait already")
                return
            self._waiting.append(alert)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                with suppress(RuntimeError):  # no more threads, or the interpreter is ending
                    self._thread.start()

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Post what is waiting, once each and for so long at most, and end. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._changed:
            self._closing.set()
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(seconds)
        if self._transport is not None:
            self._transport.close()  # ends what is under way, and the thread with it
        if thread is not None and thread.is_alive():
            thread.join(seconds)

    # Everything below runs in the thread.

    def _run(self) -> None:
        while (alert := self._next()) is not None:
            try:
                self._post(alert)
            except BursarError as error:
                self._lose(alert, error.message)  # of the configuration: it names the key, never the address
            except Exception as error:
                # Not its text: it may repeat the address.
                self._lose(alert, type(error).__name__)

    def _next(self) -> AlertRaised | None:
        with self._changed:
            self._posting = bool(self._waiting)
            if not self._waiting:
                self._thread = None
                return None
            return self._waiting.popleft()

    def _post(self, alert: AlertRaised) -> None:
        """Post one alert until it is taken or given up."""
        address = self._address()
        if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
            self._lose(alert, "alerts.webhook is no http or https address")
            return
        body = self._body_of(alert, address)
        if self._transport is None:
            self._transport = self._opening()
        for pause_seconds in (*self._pauses_seconds, None):
            problem, passes, advice_seconds = self._try(address, body)
            if not problem:
                self.posted += 1
                return
            if not passes or pause_seconds is None:
                break
            if self._closing.wait(max(pause_seconds, advice_seconds)):
                break
        self._lose(alert, problem)

    def _try(self, address: str, body: bytes) -> tuple[str, bool, float]:
        """Post once: what went wrong ("" for nothing), whether it may pass, and the seconds that it asks to wait."""
        assert self._transport is not None
        headers = {"Content-Type": "application/json"}
        deadline_ms = wall_ms() + int(POST_SECONDS * 1000)
        outcome, _ = self._transport.open(Exchange(POOL, address, headers, body, False, deadline_ms), Progress())
        if isinstance(outcome, Failed):
            if outcome.kind == "too_large" and (outcome.status or 0) < 300:
                return "", False, 0.0
            return f"no answer ({outcome.kind})", outcome.kind != "closed", 0.0
        status = outcome.status
        if status < 300:
            return "", False, 0.0
        if status < 400:
            return f"status {status}: redirects are not followed", False, 0.0
        return f"status {status}", status in (408, 425, 429) or status >= 500, _advice(outcome)

    def _lose(self, alert: AlertRaised, why: str) -> None:
        self.lost += 1
        logging.getLogger("bursar").warning("alert %s was not delivered: %s", alert.id, why)


def _advice(answer: Answer) -> float:
    """The seconds of Retry-After, within bounds; 0 without any that can be read."""
    text = answer.headers.get("retry-after", "")
    return min(float(text), ADVICE_SECONDS_MAX) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _transport() -> Opens:
    from bursar.edges.http.blocking import BlockingTransport

    limits = PoolLimits(max_connections=1, max_keepalive=1, connect_timeout_seconds=5.0, read_timeout_seconds=10.0)
    return BlockingTransport({POOL: limits}, bounds=BodyBounds(ANSWER_BYTES, ANSWER_BYTES), now_ms=wall_ms)
