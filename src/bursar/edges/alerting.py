"""Sees what is worth an alert, and has it told once by all processes that share the books.

An observer of events. What it costs a call is a look at how much of a budget was spent when it last looked; everything
else, the books included, is done in a thread of its own, which lives only while there is something to do. Which shares
of a budget are due, `rules.alerts` decides; how an alert reaches people, those who watch (the log) and `deliver` do.

A budget alerts at each of its shares once a window, and once more where it was raised since. At 100 % it also alerts
when a call is refused because what is left does not carry it. A breaker alerts when it opens and not at every failed
probe. A provider that bills beyond the bound alerts once an hour for each model.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex

from bursar.call.books import Balance, Fact, Store
from bursar.call.events import (
    AlertRaised,
    BreakerChanged,
    BudgetOverdrawn,
    CallEnded,
    CallRefused,
    Event,
    Observer,
)
from bursar.call.telling import Due, billed_beyond, breaker_opened, is_spent, overdrawn, refused, share_reached
from bursar.errors import BudgetExceededError, BursarError
from bursar.rules.alerts import next_due, reached

# Shares of so many budgets and subjects are remembered; beyond it all of them are looked at anew, which tells nothing
# twice, since the books remember what was told.
KNOWN_MAX = 10_000
# What may wait for the thread. Ten thousand budgets that pass a share at the same moment are looked at with their next
# calls.
WAITING_MAX = 10_000
# Definitions may be changed by others; so long it may take until their new shares are known here.
LEARN_MS = 60_000
# A book that cannot be written is tried again with a pause.
RETRY_SECONDS = 1.0
TRIES_MAX = 30
# How long closing a client waits for what is being told.
CLOSE_SECONDS = 2.0
THREAD = "bursar-alerts"
# What defines the budgets of sessions.
SESSION = "session"

Work = Balance | CallRefused | BreakerChanged | BudgetOverdrawn | Fact | None
Known = tuple[int | None, int, float]
"""Of a budget and subject: when its window ends, its limit, and the spending from which on there is something to do."""


class _Watch:
    """What is known of budgets. The shares of each, by name; and by budget and subject, when there is something to do.

    One object, so that what was found by the shares of yesterday is never kept beside those of today.
    """

    __slots__ = ("known", "shares")

    def __init__(self, shares: Mapping[str, tuple[int, ...]]) -> None:
        self.shares = shares
        self.known: dict[tuple[str, str], Known] = {}


class Alerting:
    """Thread-safe. `close` it before the books.

    raised: told of every alert that this process is to tell. deliver: sends it to people elsewhere; returns at once.
    default_at: the shares of budgets that say none of their own, in percent; empty for no alerts of these. A program's
    sessions have none but their own: there are too many of them.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        raised: Observer,
        *,
        deliver: Callable[[AlertRaised], None] | None = None,
        default_at: Sequence[int] = (),
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._raised = raised
        self._deliver = deliver
        self._default_at = tuple(default_at)
        self._retry_seconds = retry_seconds
        self._watch = _Watch({})
        self._refused: dict[tuple[str, str], tuple[int | None, int]] = {}
        self._open: set[tuple[str, str]] = set()
        self._learn_ms: float = math.inf
        self._changed = threading.Condition()
        self._work: deque[Work] = deque()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._pid = os.getpid()
        self._learn()

    @property
    def default_at(self) -> tuple[int, ...]:
        """The shares of budgets that say none of their own, in percent."""
        return self._default_at

    @default_at.setter
    def default_at(self, shares: Sequence[int]) -> None:
        self._default_at = tuple(shares)
        self._learn()

    def __call__(self, event: Event) -> None:
        """Look whether an event is worth an alert; returns at once."""
        if isinstance(event, CallEnded):
            self._ended(event)
        elif isinstance(event, CallRefused):
            self._refuse(event)
        elif isinstance(event, BreakerChanged):
            self._note(event)
        elif isinstance(event, BudgetOverdrawn):
            self._put(event)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Tell what there is to tell, for so long at most, and end. Idempotent."""
        if os.getpid() != self._pid:
            return
        with self._changed:
            self._closing.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(seconds)

    def _ended(self, event: CallEnded) -> None:
        """Look at the budgets of a call: at most of them, that they are not worth a look."""
        known = self._watch.known
        for balance in event.balances:
            name, subject, _, _, spent, _, limit, resets_at_ms = balance
            last = known.get((name, subject))
            if last is None or spent >= last[2] or limit != last[1] or resets_at_ms != last[0]:
                self._look(balance)
        fact = event.fact
        if fact.charged_nano_usd > fact.bound_nano_usd > 0:
            self._put(fact)
        if fact.ended_ms >= self._learn_ms:
            self._learn_ms = math.inf
            self._put(None)

    def _look(self, balance: Balance) -> None:
        """A budget in a new window, or that has reached a share: tell it, and remember when to look again."""
        watch = self._watch
        shares = watch.shares.get(balance.allowance)
        if shares is None or reached(balance.spent, balance.limit, shares):
            self._put(balance)  # without shares it was defined since: the thread learns of it
        due = next_due(balance.spent, balance.limit, shares or ())
        if len(watch.known) >= KNOWN_MAX:
            watch.known.clear()
        window = (balance.resets_at_ms, balance.limit, math.inf if due is None else due)
        watch.known[balance.allowance, balance.subject] = window

    def _refuse(self, event: CallRefused) -> None:
        error = event.error
        if not isinstance(error, BudgetExceededError) or not is_spent(error):
            return
        key, window = (error.budget, error.subject), (error.resets_at_ms, error.limit_nano_usd)
        if self._refused.get(key) == window:
            return
        if len(self._refused) >= KNOWN_MAX:
            self._refused = {}
        self._refused[key] = window
        self._put(event)

    def _note(self, event: BreakerChanged) -> None:
        key = (event.provider, event.model)
        if event.state == "closed":
            self._open.discard(key)
        elif event.state == "open" and key not in self._open:
            if len(self._open) < KNOWN_MAX:
                self._open.add(key)
            self._put(event)

    def _put(self, work: Work) -> None:
        if os.getpid() != self._pid:
            return  # the books are the parent's
        with self._changed:
            if self._closing.is_set() or len(self._work) >= WAITING_MAX:
                return
            self._work.append(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads, or the interpreter is ending
                    self._thread = None

    # Everything below runs in the thread, but for the first _learn.

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._work:
                    self._thread = None
                    return
                work = self._work.popleft()
            try:
                self._attend(work)
            except Exception:
                logging.getLogger("bursar").exception("an alert could not be told")

    def _attend(self, work: Work) -> None:
        if work is None or (isinstance(work, Balance) and work.allowance not in self._watch.shares):
            self._trying(self._learn)
        for due in self._dues(work):
            if self._trying(lambda due=due: self._store.alerts.claim(due.claim, self._clock)):  # type: ignore[misc]
                self._raised(due.alert)
                if self._deliver is not None:
                    self._deliver(due.alert)

    def _trying(self, deed: Callable[[], bool]) -> bool:
        """Do what needs the books, again and again while they fail. Never done: whoever comes next tells it."""
        for _ in range(TRIES_MAX):
            try:
                return deed()
            except BursarError:
                if self._closing.wait(self._retry_seconds):
                    return False
        return False

    def _learn(self) -> bool:
        """Read which shares each budget is told at; what was remembered with others is looked at anew."""
        shares = {
            one.name: one.alert_at or (() if one.source == SESSION else self._default_at)
            for one in self._store.allowances()
            if one.meter == "nano_usd"
        }
        if shares != self._watch.shares:
            self._watch = _Watch(shares)
            self._refused = {}
        self._learn_ms = self._clock() + LEARN_MS
        return True

    def _dues(self, work: Work) -> list[Due]:
        now_ms, shares = self._clock(), self._watch.shares
        if isinstance(work, Balance):
            if work.resets_at_ms is not None and work.resets_at_ms <= now_ms:
                return []  # its window has ended: nobody can do anything about it
            told = reached(work.spent, work.limit, shares.get(work.allowance, ()))
            return [share_reached(work, share, _new_id(now_ms), now_ms) for share in told]
        if isinstance(work, CallRefused) and isinstance(work.error, BudgetExceededError):
            refuses = 100 in shares.get(work.error.budget, ())
            return [refused(work, work.error, _new_id(now_ms), now_ms)] if refuses else []
        if isinstance(work, BreakerChanged):
            return [breaker_opened(work, _new_id(now_ms), now_ms)]
        if isinstance(work, BudgetOverdrawn):
            return [overdrawn(name, work.call_id, _new_id(now_ms), now_ms) for name in work.budgets]
        return [billed_beyond(work, _new_id(now_ms), now_ms)] if isinstance(work, Fact) else []


def _new_id(now_ms: int) -> str:
    """Of its time and of chance, so that ids sort and never meet."""
    return f"alert_{now_ms:012x}{token_hex(8)}"
