"""How long calls wait, by the allowance that they wait for: what `Client.statistics()` shows under "queues".

Bounded: once `SERIES_MAX` allowances have figures of their own, further ones share one. A wait counts for the allowance
that was waited for last; percentiles are of the waits that ended with a grant.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Literal

from bursar.rules.statistics import SlidingStatistics

WINDOW_MS = 3_600_000
SERIES_MAX = 256
OTHERS = "(others)"

WaitEnding = Literal["granted", "timed_out", "refused", "left"]


class _Series:
    __slots__ = ("since_ms", "waits")

    def __init__(self) -> None:
        # Who waits now, by arrival: since when.
        self.since_ms: dict[int, int] = {}
        self.waits = SlidingStatistics(WINDOW_MS)


class WaitStatistics:
    """Figures of every queue, over the last hour. Thread-safe.

    timer: milliseconds that only go forward.
    """

    def __init__(self, timer: Callable[[], int]) -> None:
        self._timer = timer
        self._lock = Lock()
        self._series: dict[str, _Series] = {}

    def began(self, allowance: str, arrival: int, since_ms: int) -> None:
        """A call waits for this allowance."""
        with self._lock:
            self._of(allowance).since_ms[arrival] = since_ms

    def moved(self, left: str, allowance: str, arrival: int) -> None:
        """A call waits for another allowance than before."""
        with self._lock:
            since_ms = self._of(left).since_ms.pop(arrival)
            self._of(allowance).since_ms[arrival] = since_ms

    def ended(self, allowance: str, arrival: int, ending: WaitEnding) -> None:
        """A call waits no more."""
        now_ms = self._timer()
        with self._lock:
            series = self._of(allowance)
            since_ms = series.since_ms.pop(arrival)
            if ending == "granted":
                series.waits.request(now_ms, duration_us=(now_ms - since_ms) * 1000)
            else:
                series.waits.failure(now_ms, ending)

    def turned_away(self, allowance: str) -> None:
        """A call could not wait: too many do."""
        now_ms = self._timer()
        with self._lock:
            self._of(allowance).waits.failure(now_ms, "full")

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """The figures of now, by allowance.

        waiting: calls that wait now; oldest_wait_seconds: the longest of them so far, None when nobody waits.
        In the last hour: granted; timed_out (max_wait_seconds or timeout); refused (what they need was spent, or comes
        too late); left (callers who went); full (turned away); and of those that were granted avg_wait_seconds, p50,
        p95, p99 (seconds, within 1 %) and longest_wait_seconds, None without any.
        """
        now_ms = self._timer()
        with self._lock:
            return {name: _figures(series, now_ms) for name, series in sorted(self._series.items())}

    def _of(self, allowance: str) -> _Series:
        if allowance not in self._series and len(self._series) >= SERIES_MAX:
            allowance = OTHERS
        series = self._series.get(allowance)
        if series is None:
            series = self._series[allowance] = _Series()
        return series


def _figures(series: _Series, now_ms: int) -> dict[str, Any]:
    summary, since_ms = series.waits.summary(now_ms), series.since_ms.values()
    return {
        "waiting": len(since_ms),
        "oldest_wait_seconds": (now_ms - min(since_ms)) / 1000 if since_ms else None,
        "granted": summary.timed,
        "timed_out": summary.errors.get("timed_out", 0),
        "refused": summary.errors.get("refused", 0),
        "left": summary.errors.get("left", 0),
        "full": summary.errors.get("full", 0),
        "avg_wait_seconds": summary.mean_seconds,
        "p50": summary.percentile_seconds(50),
        "p95": summary.percentile_seconds(95),
        "p99": summary.percentile_seconds(99),
        "longest_wait_seconds": summary.longest_us / 1e6 if summary.timed else None,
    }
