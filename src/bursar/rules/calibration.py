"""What calls will probably use, learnt from what calls like them did use.

Decides the estimate that rate limits are checked by before a call: the wire's own estimate times the median of what it
was off by lately, and the median of recent outputs. It serves rate limits alone and never money: over traffic that is
all alike it is within a few percent, over mixed traffic it is not. Bounded in memory. Knows no threads: `learn` is for
one at a time, `likely` for any at any time.

Source: recorded usage of nine providers; the ratio of reported to estimated tokens is steady for each provider, model
and use of tools, and differs tenfold between them (`bench/bounds.py`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import NamedTuple

from bursar.rules.estimate import Likely

__all__ = ["Calibration", "Series"]

# Enough that one odd call moves nothing, few enough that a changed prompt is followed within minutes.
CALLS_REMEMBERED = 20
SERIES_MAX = 1_024
# Ratios are kept as whole thousandths, and only within what an estimate can be off by: a provider may report anything.
_UNIT = 1_000
_RATIO_MAX = 1_000 * _UNIT


class Series(NamedTuple):
    """Calls that are alike enough to learn from: who serves which model, and whether it is given tools."""

    provider: str
    model: str
    tools: bool


class _Median:
    """The median of the last numbers: the middle one, the lower of two, so that it is always one that was seen."""

    __slots__ = ("_latest", "_ordered", "value")

    def __init__(self) -> None:
        self._latest: deque[int] = deque()
        self._ordered: list[int] = []
        self.value = 0

    def add(self, number: int) -> None:
        latest, ordered = self._latest, self._ordered
        if len(latest) == CALLS_REMEMBERED:
            del ordered[bisect_left(ordered, latest.popleft())]
        latest.append(number)
        insort(ordered, number)
        self.value = ordered[(len(ordered) - 1) // 2]


class _Lately:
    """The last calls of a series: what their estimates were off by, and their outputs."""

    __slots__ = ("outputs", "ratios")

    def __init__(self) -> None:
        self.ratios = _Median()
        self.outputs = _Median()


class Calibration:
    """The medians of every series of calls that was seen lately.

    >>> calibration, series = Calibration(), Series("p", "m", tools=False)
    >>> calibration.learn(series, estimated_tokens=100, input_tokens=150, output_tokens=30)
    >>> calibration.likely(series, 200)
    Likely(input_tokens=300, output_tokens=30)
    """

    def __init__(self, series_max: int = SERIES_MAX) -> None:
        self._series_max = series_max
        self._series: dict[Series, _Lately] = {}

    def learn(self, series: Series, *, estimated_tokens: int, input_tokens: int, output_tokens: int) -> None:
        """Take in what a call was estimated at and what it used; the output is that of one choice."""
        # What was used last stands last, so that the first is what nobody has used for longest.
        lately = self._series.pop(series, None) or _Lately()
        lately.ratios.add(min(max(input_tokens, 0) * _UNIT // max(estimated_tokens, 1), _RATIO_MAX))
        lately.outputs.add(max(output_tokens, 0))
        self._series[series] = lately
        if len(self._series) > self._series_max:
            del self._series[next(iter(self._series))]

    def likely(self, series: Series, estimated_tokens: int) -> Likely:
        """What a call of the series will probably use; the wire's own estimate where none was seen."""
        lately = self._series.get(series)
        if lately is None:
            return Likely(estimated_tokens)
        return Likely(estimated_tokens * lately.ratios.value // _UNIT, lately.outputs.value)
