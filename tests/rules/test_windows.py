"""Windows cut time into pieces without gap or overlap, in every zone, on days of 23, 24 and 25 hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bursar.rules.windows import (
    ALWAYS,
    FOREVER_MS,
    SUB_WINDOWS,
    Period,
    calendar_window,
    rolling_window,
    sub_window_ms,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Ordinary ones; midnight skipped (Cairo, Sao Paulo, Beirut, Asuncion, Havana); halves and quarters of an hour; a clock
# that moves by half an hour (Lord Howe); a day that was left out (Apia, 30 December 2011).
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Sao_Paulo", "Asia/Beirut", "America/Asuncion",
    "America/Havana", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide", "Australia/Lord_Howe", "Pacific/Chatham",
    "Pacific/Apia", "Pacific/Kiritimati",
)  # fmt: skip
PERIODS: tuple[Period, ...] = ("second", "minute", "hour", "day", "week", "month")
INSTANTS = st.integers(946_684_800_000, 2_524_608_000_000)  # 2000 to 2050


def instant(zone: str, *local: int, fold: int = 0) -> int:
    return int(datetime(*local, tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)  # type: ignore[arg-type,misc]


@given(st.sampled_from(ZONES), st.sampled_from(PERIODS), INSTANTS)
@example("Africa/Cairo", "day", 1_682_632_800_000)
@example("Australia/Lord_Howe", "hour", 1_775_314_800_000)
@example("Australia/Lord_Howe", "hour", 1_759_591_800_000)
@example("Pacific/Apia", "day", 1_325_239_200_000)
def test_windows_cut_time_without_gap_or_overlap(zone: str, period: Period, now_ms: int) -> None:
    there = ZoneInfo(zone)
    window = calendar_window(period, there, now_ms)
    assert now_ms in window
    assert calendar_window(period, there, window.start_ms) == window, "its first millisecond"
    assert calendar_window(period, there, window.end_ms - 1) == window, "its last millisecond"
    assert calendar_window(period, there, window.end_ms).start_ms == window.end_ms, "the next begins where it ends"


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
def test_a_walk_through_two_years_of_windows_meets_every_change_of_clocks(zone: str, period: Period) -> None:
    there = ZoneInfo(zone)
    at_ms, end_ms = instant("UTC", 2011, 1, 1), instant("UTC", 2013, 1, 1) if period != "hour" else 0
    starts = [at_ms] if period != "hour" else changes_of_clocks(there)
    for start_ms in starts:
        window = calendar_window(period, there, start_ms)
        stop_ms = end_ms or start_ms + 12 * HOUR_MS
        while window.end_ms < stop_ms:
            following = calendar_window(period, there, window.end_ms)
            assert following.start_ms == window.end_ms
            assert calendar_window(period, there, following.end_ms - 1) == following
            window = following


def changes_of_clocks(zone: ZoneInfo) -> list[int]:
    """Three hours before each change of offset in 2023 to 2025."""
    found = []
    at = datetime(2023, 1, 1, tzinfo=ZoneInfo("UTC"))
    while at.year < 2026:
        later = at + timedelta(hours=6)
        if at.astimezone(zone).utcoffset() != later.astimezone(zone).utcoffset():
            found.append(int(at.timestamp() * 1000) - 3 * HOUR_MS)
        at = later
    return found


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 6, 1), 24),
        ("Africa/Cairo", (2023, 4, 28), 23),
        ("Africa/Cairo", (2023, 10, 26), 25),
        ("America/Sao_Paulo", (2018, 11, 4), 23),
        ("America/Sao_Paulo", (2018, 2, 17), 25),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
        ("Asia/Kolkata", (2026, 3, 29), 24),
    ],
)
def test_days_are_as_long_as_they_are_there(zone: str, date: tuple[int, int, int], hours: float) -> None:
    window = calendar_window("day", ZoneInfo(zone), instant(zone, *date, 12))
    assert (window.end_ms - window.start_ms) / HOUR_MS == hours


@pytest.mark.parametrize(
    ("zone", "date"),
    [("Africa/Cairo", (2023, 4, 28)), ("America/Sao_Paulo", (2018, 11, 4)), ("Asia/Beirut", (2022, 3, 27))],
)
def test_a_day_whose_midnight_was_skipped_begins_at_one(zone: str, date: tuple[int, int, int]) -> None:
    there = ZoneInfo(zone)
    window = calendar_window("day", there, instant(zone, *date, 12))
    begins = datetime.fromtimestamp(window.start_ms / 1000, there)
    assert (begins.hour, begins.minute) == (1, 0)
    before = calendar_window("day", there, window.start_ms - 1)
    assert before.end_ms == window.start_ms
    assert datetime.fromtimestamp((window.start_ms - 1) / 1000, there).day != begins.day


def test_a_midnight_that_comes_twice_does_not_begin_the_day_twice() -> None:
    # Havana goes back from 01:00 to 00:00: the first hour of the day comes twice.
    window = calendar_window("day", ZoneInfo("America/Havana"), instant("America/Havana", 2026, 11, 1, 12))
    assert window.end_ms - window.start_ms == 25 * HOUR_MS
    first = instant("America/Havana", 2026, 11, 1, 0, 30, fold=0)
    second = instant("America/Havana", 2026, 11, 1, 0, 30, fold=1)
    assert second - first == HOUR_MS
    assert first in window
    assert second in window


def test_a_month_and_a_week_take_in_the_hours_that_clocks_give_and_take() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    march = calendar_window("month", berlin, instant("Europe/Berlin", 2026, 3, 15))
    assert march.end_ms - march.start_ms == 31 * DAY_MS - HOUR_MS
    week = calendar_window("week", berlin, instant("Europe/Berlin", 2026, 10, 25, 23))
    assert week.end_ms - week.start_ms == 7 * DAY_MS + HOUR_MS
    assert datetime.fromtimestamp(week.start_ms / 1000, berlin).weekday() == 0


@given(st.sampled_from(ZONES), INSTANTS)
def test_hours_begin_on_the_local_hour(zone: str, now_ms: int) -> None:
    there = ZoneInfo(zone)
    window = calendar_window("hour", there, now_ms)
    local = datetime.fromtimestamp(window.start_ms / 1000, there)
    whole = (local.minute, local.second, local.microsecond) == (0, 0, 0)
    changed = (local - timedelta(0)).utcoffset() != datetime.fromtimestamp(
        (window.start_ms - 1) / 1000, there
    ).utcoffset()
    assert whole or changed


def test_a_total_never_ends() -> None:
    assert calendar_window("total", ZoneInfo("UTC"), 5) is ALWAYS
    assert FOREVER_MS - 1 in ALWAYS
    assert rolling_window("total", 5) == (ALWAYS, 0)


@given(st.sampled_from(PERIODS), INSTANTS)
def test_what_a_rolling_window_counts_is_never_shorter_than_its_period(period: Period, now_ms: int) -> None:
    window, oldest_ms = rolling_window(period, now_ms)
    length_ms = sub_window_ms(period) * SUB_WINDOWS
    assert now_ms in window
    assert window.end_ms - window.start_ms == sub_window_ms(period)
    assert window.start_ms - oldest_ms == length_ms
    # Whatever lies within the period before now is in a sub-window that still counts.
    assert oldest_ms <= now_ms - length_ms < oldest_ms + sub_window_ms(period)


def test_every_period_is_named() -> None:
    assert set(get_args(Period)) == {*PERIODS, "total"}
