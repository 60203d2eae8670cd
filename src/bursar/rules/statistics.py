"""Statistics of requests over a sliding window: counts, totals, errors by kind, and percentiles of the duration.

Bounded whatever the traffic: the window is kept as `SUB_WINDOWS` sub-windows of counters, and durations as counts in
bins whose width grows with the duration, so that a percentile is within `PERCENTILE_ERROR` of the fact and every other
figure is exact. Knows no clock (`now_ms` is an argument, from any origin) and no thread: whoever shares one locks it.

Source: the bins are those of DDSketch (Masson, Rim and Lee, "DDSketch", VLDB 2019).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

# The oldest, partly covered sub-window counts in full, so that a window is at most a twelfth longer than asked for.
SUB_WINDOWS = 12

# Each bin ends 2 % above its beginning: its middle is within 1 % of everything in it.
_GROWTH = 1.02
_LOG_GROWTH = math.log(_GROWTH)
PERCENTILE_ERROR = (_GROWTH - 1) / (_GROWTH + 1)

# Longer durations (11 days) come from clocks that jumped; they are counted as this long.
DURATION_US_MAX = 10**12

# Kinds of errors are told apart up to this many in a sub-window, the rest together: codes come from providers.
ERROR_KINDS_MAX = 50
OTHER_ERRORS = "other"


class _Tally:
    """What was counted in one sub-window."""

    __slots__ = (
        "bins", "cost_nano_usd", "count", "duration_us", "errors", "failures", "longest_us", "priced", "shortest_us",
        "start_ms", "timed", "tokens", "unpriced",
    )  # fmt: skip

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.count = 0
        self.failures = 0
        self.timed = 0
        self.tokens = 0
        self.priced = 0
        self.unpriced = 0
        self.cost_nano_usd = 0
        self.duration_us = 0
        self.shortest_us = DURATION_US_MAX
        self.longest_us = 0
        self.bins: dict[int, int] = {}
        self.errors: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one window.

    count: attempts. failures: those that failed. errors: failures by kind. timed: attempts with a known duration.
    cost_nano_usd: what is known of the cost, None when nothing is; unpriced: attempts whose cost is not known.
    """

    count: int
    failures: int
    timed: int
    tokens: int
    cost_nano_usd: int | None
    unpriced: int
    duration_us: int
    shortest_us: int
    longest_us: int
    errors: Mapping[str, int]
    bins: tuple[tuple[int, int], ...]

    @property
    def success_rate(self) -> float | None:
        """The share of attempts that did not fail, 0 to 1; None when there were none."""
        return (self.count - self.failures) / self.count if self.count else None

    @property
    def mean_seconds(self) -> float | None:
        """The mean duration; None when none is known."""
        return self.duration_us / self.timed / 1e6 if self.timed else None

    def percentile_seconds(self, percent: int) -> float | None:
        """The duration that `percent` (1 to 100) of the attempts did not exceed; None when none is known.

        By the nearest rank, within `PERCENTILE_ERROR`.

        >>> statistics = SlidingStatistics(60_000)
        >>> for seconds in (1, 2, 3, 4):
        ...     statistics.request(0, duration_us=seconds * 1_000_000)
        >>> round(statistics.summary(0).percentile_seconds(50))
        2
        """
        left = -(-percent * self.timed // 100)
        for index, count in self.bins:
            left -= count
            if left <= 0:
                return min(max(_middle_us(index), self.shortest_us), self.longest_us) / 1e6
        return None


class SlidingStatistics:
    """The requests of the last `window_ms` milliseconds; None keeps one window for ever."""

    __slots__ = ("_tallies", "_width_ms")

    def __init__(self, window_ms: int | None) -> None:
        if window_ms is not None and window_ms <= 0:
            raise ValueError(f"a window must be longer than 0 ms, not {window_ms}")
        self._width_ms = None if window_ms is None else -(-window_ms // SUB_WINDOWS)
        self._tallies: deque[_Tally] = deque()

    def request(
        self, now_ms: int, *, duration_us: int, tokens: int = 0, cost_nano_usd: int | None = None, error: str = ""
    ) -> None:
        """Count an attempt that took `duration_us`; `error` is the kind of its failure, "" for none.

        A cost that is not known (None) is counted as such and never added as 0.
        """
        tally = self._tally(now_ms)
        tally.count += 1
        tally.timed += 1
        tally.tokens += tokens
        duration_us = min(max(duration_us, 0), DURATION_US_MAX)
        tally.duration_us += duration_us
        tally.shortest_us = min(tally.shortest_us, duration_us)
        tally.longest_us = max(tally.longest_us, duration_us)
        index = _bin(duration_us)
        tally.bins[index] = tally.bins.get(index, 0) + 1
        if cost_nano_usd is None:
            tally.unpriced += 1
        else:
            tally.priced += 1
            tally.cost_nano_usd += cost_nano_usd
        if error:
            _count_error(tally, error)

    def failure(self, now_ms: int, error: str) -> None:
        """Count an attempt of which nothing is known but the kind of its failure."""
        tally = self._tally(now_ms)
        tally.count += 1
        _count_error(tally, error)

    def summary(self, now_ms: int) -> Summary:
        """The figures of the window that ends at `now_ms`."""
        start_ms = self._start_ms(now_ms)
        tallies = [tally for tally in self._tallies if self._counts(tally, start_ms)]
        bins: dict[int, int] = {}
        errors: dict[str, int] = {}
        for tally in tallies:
            for index, count in tally.bins.items():
                bins[index] = bins.get(index, 0) + count
            for kind, count in tally.errors.items():
                errors[kind] = errors.get(kind, 0) + count
        unpriced = sum(tally.unpriced for tally in tallies)
        known = any(tally.priced for tally in tallies) or not unpriced
        return Summary(
            count=sum(tally.count for tally in tallies),
            failures=sum(tally.failures for tally in tallies),
            timed=sum(tally.timed for tally in tallies),
            tokens=sum(tally.tokens for tally in tallies),
            cost_nano_usd=sum(tally.cost_nano_usd for tally in tallies) if known else None,
            unpriced=unpriced,
            duration_us=sum(tally.duration_us for tally in tallies),
            shortest_us=min((tally.shortest_us for tally in tallies), default=0),
            longest_us=max((tally.longest_us for tally in tallies), default=0),
            errors=dict(sorted(errors.items())),
            bins=tuple(sorted(bins.items())),
        )

    def _tally(self, now_ms: int) -> _Tally:
        tallies, width_ms = self._tallies, self._width_ms
        if not tallies or (width_ms is not None and now_ms >= tallies[-1].start_ms + width_ms):
            start_ms = self._start_ms(now_ms)
            tallies.append(_Tally(start_ms))
            while not self._counts(tallies[0], start_ms):
                tallies.popleft()
        return tallies[-1]

    def _start_ms(self, now_ms: int) -> int:
        """The start of the sub-window of this moment. A clock that went back stays in the newest one."""
        if self._width_ms is None:
            return 0
        start_ms = now_ms - now_ms % self._width_ms
        return max(start_ms, self._tallies[-1].start_ms) if self._tallies else start_ms

    def _counts(self, tally: _Tally, start_ms: int) -> bool:
        return self._width_ms is None or tally.start_ms >= start_ms - SUB_WINDOWS * self._width_ms


def _count_error(tally: _Tally, kind: str) -> None:
    tally.failures += 1
    if kind not in tally.errors and len(tally.errors) >= ERROR_KINDS_MAX:
        kind = OTHER_ERRORS
    tally.errors[kind] = tally.errors.get(kind, 0) + 1


def _bin(duration_us: int) -> int:
    return 1 + int(math.log(duration_us) / _LOG_GROWTH) if duration_us else 0


def _middle_us(index: int) -> float:
    """The duration whose distance from both ends of a bin is the same share of them."""
    return 2 * _GROWTH**index / (1 + _GROWTH) if index else 0.0
