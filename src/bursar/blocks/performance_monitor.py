"""PerformanceMonitor: times, tokens, costs and errors of calls, over a sliding window and in bounded memory.

A face of `rules.statistics` with a clock and a lock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from decimal import Decimal
from threading import Lock
from typing import Any

from bursar.errors import BursarError
from bursar.rules.money import Cost, nano_of, usd_of
from bursar.rules.statistics import SlidingStatistics

FAILED = "error"
SECONDS_MAX = 1e12


def elapsed_ms() -> int:
    """Milliseconds of a clock that never goes back or jumps; its origin means nothing."""
    return time.monotonic_ns() // 1_000_000


class PerformanceMonitor:
    """Statistics of the calls of the last `window_seconds` (None: of all calls). Thread-safe.

    Each attempt is recorded once: by `record_request`, with `error` when it failed, or by `record_error` when nothing
    but the error is known of it. Memory stays below a few megabytes, however many calls there are and for how long.

    clock: milliseconds from any origin.

    >>> monitor = PerformanceMonitor()
    >>> monitor.record_request(1.5, tokens=700, cost="0.0021")
    >>> monitor.record_error("timeout")
    >>> figures = monitor.get_statistics()
    >>> figures["avg_response_time"], figures["total_cost"], figures["success_rate"], figures["errors"]
    (1.5, Decimal('0.0021'), 0.5, {'timeout': 1})
    """

    def __init__(self, window_seconds: float | None = 3_600, *, clock: Callable[[], int] = elapsed_ms) -> None:
        """Raises ValueError when the window is not a number of seconds above 0."""
        self.window_seconds = window_seconds
        if window_seconds is not None:
            window_seconds = _seconds("window_seconds", window_seconds)
        self._statistics = SlidingStatistics(None if window_seconds is None else math.ceil(window_seconds * 1000))
        self._clock = clock
        self._lock = Lock()

    def record_request(
        self,
        duration: float,
        tokens: int = 0,
        cost: Cost | Decimal | str | int | float | None = None,
        *,
        ok: bool = True,
        error: str | BaseException | None = None,
        cost_nano_usd: int | None = None,
    ) -> None:
        """Record an attempt that ended, well or not.

        Args:
            duration: seconds, 0 or more.
            tokens: input and output together, 0 or more.
            cost: in USD, or a Cost; None when it is not known, which is counted and not added as 0.
            ok: False for an attempt that failed; `error` says so, too.
            error: why it failed: a kind in a word, or the exception.
            cost_nano_usd: the cost as an integer of nano-USD, instead of `cost`.

        Raises:
            ValueError: a duration, token count or cost that cannot be one; nothing is recorded.
        """
        if isinstance(cost, Cost):
            cost_nano_usd = cost.nano_usd
        elif cost is not None:
            cost_nano_usd = nano_of(cost, round_up=True)
        duration_us = round(_seconds("duration", duration) * 1e6)
        for name, value in (("tokens", tokens), ("cost_nano_usd", cost_nano_usd or 0)):
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} must be a whole number, 0 or more, not {value!r}")
        kind = "" if ok and error is None else kind_of(error)
        with self._lock:
            self._statistics.request(
                self._clock(), duration_us=duration_us, tokens=tokens, cost_nano_usd=cost_nano_usd, error=kind
            )

    def record_attempt(self, duration_ms: int, tokens: int, cost_nano_usd: int | None, error: str = "") -> None:
        """Record an attempt whose figures are those of the books, and need no checking. error: a kind in a word."""
        with self._lock:
            self._statistics.request(
                self._clock(), duration_us=duration_ms * 1_000, tokens=tokens, cost_nano_usd=cost_nano_usd, error=error
            )

    def record_error(self, error: str | BaseException = FAILED) -> None:
        """Record an attempt that failed and of which neither time nor tokens are known: a kind, or the exception."""
        with self._lock:
            self._statistics.failure(self._clock(), kind_of(error))

    def get_statistics(self) -> dict[str, Any]:
        """The figures of the window.

        avg_response_time, p50, p95, p99: seconds (percentiles within 1 %); None when no time was recorded.
        total_tokens. total_cost: Decimal USD of the costs that are known, None when none is; unknown_costs: how many
        are not. success_rate: 0 to 1, None when nothing was recorded. count: attempts. errors: how many of each kind.
        """
        with self._lock:
            summary = self._statistics.summary(self._clock())
        return {
            "avg_response_time": summary.mean_seconds,
            "total_tokens": summary.tokens,
            "total_cost": None if summary.cost_nano_usd is None else usd_of(summary.cost_nano_usd),
            "success_rate": summary.success_rate,
            "count": summary.count,
            "p50": summary.percentile_seconds(50),
            "p95": summary.percentile_seconds(95),
            "p99": summary.percentile_seconds(99),
            "errors": dict(summary.errors),
            "unknown_costs": summary.unpriced,
        }


def kind_of(error: str | BaseException | None) -> str:
    """A failure in a word: the code of an error of Bursar's, the class of any other; never its message."""
    if isinstance(error, BursarError):
        return error.code
    if isinstance(error, BaseException):
        return type(error).__name__
    return error or FAILED


def _seconds(name: str, value: Any) -> float:
    # NaN fails the comparison; beyond it lies no time that anything can have taken.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= SECONDS_MAX:
        raise ValueError(f"{name} must be a number of seconds from 0 to {SECONDS_MAX:.0f}, not {value!r}")
    return value
