"""Seats: how many exchanges with one provider may be under way, who is next, and the figures of its connections.

A seat is the right to use one connection. Seats are given first come, first served, to waiters of either colour: a
waiter is woken by a callable, so that a future and a thread's event queue alike. This module never opens a connection,
waits, or reads a clock.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from bursar.call.exchange import FailedKind

MAX_CONNECTIONS = 100_000  # more than a process may have open files
MAX_SECONDS = 86_400.0  # a longer limit on time is a mistake of units


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What one provider's connections may be: counts, and seconds above 0. ValueError when absurd.

    keepalive_expiry_seconds: how long an idle connection is kept; 0 keeps none, as `max_keepalive` 0 does.
    connect: DNS, TCP and TLS together. read: between two pieces of the reply, the first counted from the end of the
    request. write: for each 64 KiB of the request. pool: for a seat.
    """

    max_connections: int = 100
    max_keepalive: int = 20
    keepalive_expiry_seconds: float = 5.0
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 60.0
    write_timeout_seconds: float = 10.0
    pool_timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        _check("max_connections", self.max_connections, 1, MAX_CONNECTIONS)
        _check("max_keepalive", self.max_keepalive, 0, MAX_CONNECTIONS)
        _check("keepalive_expiry_seconds", self.keepalive_expiry_seconds, 0.0, MAX_SECONDS)
        for name in ("connect", "read", "write", "pool"):
            seconds: float = getattr(self, f"{name}_timeout_seconds")
            _check(f"{name}_timeout_seconds", seconds, 0.001, MAX_SECONDS)

    @property
    def idle_max(self) -> int:
        """How many idle connections may be kept."""
        return self.max_keepalive if self.keepalive_expiry_seconds > 0 else 0


def _check(name: str, value: float, least: float, most: float) -> None:
    whole = isinstance(least, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ValueError(f"{name} must be a {'whole number' if whole else 'number'}, not {value!r}")
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {value}")


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The figures of one provider's pool at one moment. Counts are since the transport was made."""

    limits: PoolLimits
    seats_in_use: int  # exchanges under way
    waiting: int  # exchanges that wait for a seat
    idle: int  # connections kept open for reuse
    exchanges: int  # seats given
    opened: int  # connections made
    reused: int  # exchanges on a connection that was there already
    waits: int  # exchanges that could not have a seat at once
    failures: int  # exchanges without a whole reply; an HTTP error status is a reply
    failures_in_row: int  # since the last reply; 0 is healthy
    last_failure: FailedKind | None
    last_failure_ms: int | None  # epoch ms


class Seat:
    """The right to one connection. `release` may be called any number of times, from any thread; it acts once."""

    __slots__ = ("held", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.held = True

    def release(self) -> None:
        """Hand the seat to the next in the queue, or back to the pool."""
        self.pool.give_back(self)


class Waiter:
    """A place in the queue for a seat. `seat` is set before `wake` is called; it stays None when the pool closed."""

    __slots__ = ("seat", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.seat: Seat | None = None
        self.wake = wake


class Pool:
    """The seats of one provider and what happened on them. Safe to use from any thread; never blocks."""

    def __init__(self, limits: PoolLimits) -> None:
        self.limits = limits
        self._lock = Lock()
        self._queue: OrderedDict[Waiter, None] = OrderedDict()
        self._closed = False
        self._in_use = 0
        self._exchanges = 0
        self._opened = 0
        self._reused = 0
        self._waits = 0
        self._failures = 0
        self._failures_in_row = 0
        self._last_failure: FailedKind | None = None
        self._last_failure_ms: int | None = None

    def take(self) -> Seat | None:
        """A seat, if one is free now and nobody waits for it."""
        with self._lock:
            if self._closed or self._in_use >= self.limits.max_connections:  # nobody waits beside a free seat
                return None
            self._in_use += 1
            self._exchanges += 1
            return Seat(self)

    def join(self, wake: Callable[[], object]) -> Waiter:
        """Queue for a seat. Follow up with `leave` whatever happens; `wake` comes at most once, from any thread."""
        waiter = Waiter(wake)
        with self._lock:
            self._waits += 1
            if self._closed:
                ready = True
            elif self._in_use < self.limits.max_connections:
                self._in_use += 1
                self._seat(waiter)
                ready = True
            else:
                self._queue[waiter] = None
                ready = False
        if ready:
            wake()
        return waiter

    def leave(self, waiter: Waiter) -> Seat | None:
        """Stop waiting. Returns the seat if it was given meanwhile: it is the caller's, to use or to release."""
        with self._lock:
            self._queue.pop(waiter, None)
            return waiter.seat

    def give_back(self, seat: Seat) -> None:
        """Free a seat, once."""
        with self._lock:
            if not seat.held:
                return
            seat.held = False
            if not self._queue:
                self._in_use -= 1
                return
            waiter, _ = self._queue.popitem(last=False)
            self._seat(waiter)
        waiter.wake()

    def close(self) -> None:
        """Give no more seats and wake everyone who waits, without one."""
        with self._lock:
            self._closed = True
            waiters = list(self._queue)
            self._queue.clear()
        for waiter in waiters:
            waiter.wake()

    def _seat(self, waiter: Waiter) -> None:
        self._exchanges += 1
        waiter.seat = Seat(self)

    def connected(self, *, reused: bool) -> None:
        """Count a connection made, or one used again."""
        with self._lock:
            if reused:
                self._reused += 1
            else:
                self._opened += 1

    def succeeded(self) -> None:
        """Note a reply."""
        self._failures_in_row = 0

    def failed(self, kind: FailedKind, now_ms: int) -> None:
        """Note an exchange without a whole reply."""
        with self._lock:
            self._failures += 1
            self._failures_in_row += 1
            self._last_failure = kind
            self._last_failure_ms = now_ms

    def statistics(self, *, idle: int) -> PoolStatistics:
        """The figures now; `idle` is counted by who keeps the connections."""
        with self._lock:
            return PoolStatistics(
                limits=self.limits,
                seats_in_use=self._in_use,
                waiting=len(self._queue),
                idle=idle,
                exchanges=self._exchanges,
                opened=self._opened,
                reused=self._reused,
                waits=self._waits,
                failures=self._failures,
                failures_in_row=self._failures_in_row,
                last_failure=self._last_failure,
                last_failure_ms=self._last_failure_ms,
            )
