"""Windows of time that money and counts belong to: calendar periods in a time zone, and rolling ones.

A calendar window is the half-open interval [start, end) between two local midnights (or hours, Mondays, firsts of a
month), so a day may have 23 or 25 hours and may begin at 01:00. A rolling window is kept as `SUB_WINDOWS` sub-windows
aligned to the epoch; what lies in the oldest, partly covered one still counts in full, so no span of the period's
length ever holds more than the capacity. All instants are epoch milliseconds (UTC).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal, get_args

Period = Literal["second", "minute", "hour", "day", "week", "month", "total"]
PERIODS: tuple[str, ...] = get_args(Period)

# A month is calendar-long in calendar windows; where a fixed length is needed (rolling windows, buckets) it is 30 days.
PERIOD_MS: dict[str, int] = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    "month": 30 * 86_400_000,
}

# 60 sub-windows keep the over-count of a rolling window below 1/60 of its period for at most 61 rows.
SUB_WINDOWS = 60

# The end of a window that never ends. Below 2**53, so that any reader of JSON keeps it exact.
FOREVER_MS = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open interval [start_ms, end_ms) in epoch milliseconds."""

    start_ms: int
    end_ms: int

    def __contains__(self, instant_ms: int) -> bool:
        return self.start_ms <= instant_ms < self.end_ms


ALWAYS = Window(0, FOREVER_MS)


def calendar_window(period: Period, zone: tzinfo, now_ms: int) -> Window:
    """The calendar window of `period` in `zone` that contains `now_ms`.

    Weeks begin on Monday. Hours are counted from the local midnight, so zones off by half an hour have them too.

    >>> from zoneinfo import ZoneInfo
    >>> day = calendar_window("day", ZoneInfo("Europe/Berlin"), 1_774_746_000_000)     # 2026-03-29, clocks go forward
    >>> (day.end_ms - day.start_ms) // 3_600_000
    23
    """
    if period == "total":
        return ALWAYS
    if period in ("second", "minute", "hour"):
        return _clock_window(PERIOD_MS[period], zone, now_ms)
    day = datetime.fromtimestamp(now_ms / 1000, zone).date()
    first, following = _span(period, day)
    start_ms, end_ms = _day_start_ms(first, zone), _day_start_ms(following, zone)
    # Around a change of clocks the local date may run ahead of, or fall behind, the day that has begun.
    if now_ms >= end_ms:
        return Window(end_ms, _day_start_ms(_span(period, following)[1], zone))
    if now_ms < start_ms:
        return Window(_day_start_ms(_span(period, first - timedelta(days=1))[0], zone), start_ms)
    return Window(start_ms, end_ms)


def rolling_window(period: Period, now_ms: int) -> tuple[Window, int]:
    """The sub-window that `now_ms` falls in, and the start of the oldest sub-window that still counts.

    >>> sub, oldest_ms = rolling_window("hour", 3_600_000)
    >>> (sub.start_ms, sub.end_ms, oldest_ms)
    (3600000, 3660000, 0)
    """
    if period == "total":
        return ALWAYS, 0
    width_ms = sub_window_ms(period)
    start_ms = now_ms - now_ms % width_ms
    return Window(start_ms, start_ms + width_ms), start_ms - width_ms * SUB_WINDOWS


def sub_window_ms(period: Period) -> int:
    """The width of a rolling window's sub-windows in milliseconds (at least 1)."""
    return max(PERIOD_MS[period] // SUB_WINDOWS, 1)


def _clock_window(length_ms: int, zone: tzinfo, now_ms: int) -> Window:
    offset_ms = _offset_ms(zone, now_ms)
    start_ms = now_ms - (now_ms + offset_ms) % length_ms
    end_ms = start_ms + length_ms
    if length_ms == PERIOD_MS["hour"]:
        # Where clocks move by half an hour (Lord Howe), the change ends one hour early and begins the next.
        if _offset_ms(zone, start_ms) != offset_ms:
            start_ms = _change_ms(zone, start_ms, now_ms)
        if _offset_ms(zone, end_ms - 1) != offset_ms:
            end_ms = _change_ms(zone, now_ms, end_ms)
    return Window(start_ms, end_ms)


def _offset_ms(zone: tzinfo, instant_ms: int) -> int:
    offset = datetime.fromtimestamp(instant_ms / 1000, zone).utcoffset() or timedelta(0)
    return int(offset.total_seconds() * 1000)


def _change_ms(zone: tzinfo, before_ms: int, after_ms: int) -> int:
    """The first millisecond between two instants whose offset is no longer that of the first."""
    offset_ms = _offset_ms(zone, before_ms)
    while after_ms - before_ms > 1:
        middle_ms = (before_ms + after_ms) // 2
        if _offset_ms(zone, middle_ms) == offset_ms:
            before_ms = middle_ms
        else:
            after_ms = middle_ms
    return after_ms


def _span(period: Period, day: date) -> tuple[date, date]:
    """The first day of the period that `day` lies in, and the first day after it."""
    if period == "week":
        first = day - timedelta(days=day.weekday())
        return first, first + timedelta(days=7)
    if period == "month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)
    return day, day + timedelta(days=1)


def _day_start_ms(day: date, zone: tzinfo) -> int:
    """The first instant of a local day: midnight, or the end of the gap when clocks skip midnight."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    # fold=0 reads a midnight inside a gap with the offset from before it, and an ambiguous one as the first of two.
    start = midnight.astimezone(UTC)
    # A gap that began before midnight (23:30 to 00:30) puts that reading after the gap's end: go back to the end.
    while (start - timedelta(minutes=15)).astimezone(zone).date() >= day:
        start -= timedelta(minutes=15)
    return int(start.timestamp() * 1000)
