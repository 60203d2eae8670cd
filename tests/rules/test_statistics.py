"""Statistics over a sliding window: exact but for percentiles, which are near, and bounded whatever comes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.statistics import (
    DURATION_US_MAX,
    ERROR_KINDS_MAX,
    OTHER_ERRORS,
    PERCENTILE_ERROR,
    SUB_WINDOWS,
    SlidingStatistics,
    Summary,
)

WINDOW_MS = 12_000
WIDTH_MS = WINDOW_MS // SUB_WINDOWS


@dataclass(frozen=True, slots=True)
class Sample:
    """One attempt as a test gives it; `later_ms` after the one before."""

    later_ms: int
    duration_us: int | None
    tokens: int
    cost_nano_usd: int | None
    error: str


SAMPLES = st.builds(
    Sample,
    later_ms=st.integers(0, 3_000),
    duration_us=st.none() | st.integers(0, 10**9),
    tokens=st.integers(0, 10**6),
    cost_nano_usd=st.none() | st.integers(0, 10**12),
    error=st.sampled_from(["", "", "timeout", "rate"]),
)


def recorded(samples: list[Sample], window_ms: int | None) -> tuple[SlidingStatistics, list[tuple[int, Sample]], int]:
    statistics, placed, now_ms = SlidingStatistics(window_ms), [], 0
    for sample in samples:
        now_ms += sample.later_ms
        placed.append((now_ms, sample))
        if sample.duration_us is None:
            statistics.failure(now_ms, sample.error or "unknown")
        else:
            statistics.request(
                now_ms,
                duration_us=sample.duration_us,
                tokens=sample.tokens,
                cost_nano_usd=sample.cost_nano_usd,
                error=sample.error,
            )
    return statistics, placed, now_ms


def nearest_rank(durations: list[int], percent: int) -> int:
    return sorted(durations)[math.ceil(percent * len(durations) / 100) - 1]


def check(summary: Summary, samples: list[Sample]) -> None:
    timed = [sample for sample in samples if sample.duration_us is not None]
    durations = [sample.duration_us for sample in timed if sample.duration_us is not None]
    priced = [sample.cost_nano_usd for sample in timed if sample.cost_nano_usd is not None]
    failures = [sample for sample in samples if sample.error or sample.duration_us is None]
    assert (summary.count, summary.timed, summary.failures) == (len(samples), len(timed), len(failures))
    assert summary.tokens == sum(sample.tokens for sample in timed)
    assert summary.unpriced == len(timed) - len(priced)
    assert summary.cost_nano_usd == (sum(priced) if priced or not timed else None)
    assert summary.duration_us == sum(durations)
    assert sum(summary.errors.values()) == len(failures)
    if durations:
        for percent in (1, 50, 95, 99, 100):
            fact = nearest_rank(durations, percent) / 1e6
            found = summary.percentile_seconds(percent)
            assert found is not None
            assert abs(found - fact) <= fact * (PERCENTILE_ERROR + 1e-9)
    else:
        assert summary.percentile_seconds(99) is None


@given(st.lists(SAMPLES, max_size=60), st.integers(0, 20_000))
def test_the_figures_are_those_of_the_window(samples: list[Sample], later_ms: int) -> None:
    statistics, placed, last_ms = recorded(samples, WINDOW_MS)
    now_ms = last_ms + later_ms
    oldest_ms = now_ms - now_ms % WIDTH_MS - WINDOW_MS
    summary = statistics.summary(now_ms)
    check(summary, [sample for at_ms, sample in placed if at_ms >= oldest_ms])
    # What happened within the window asked for is always in it.
    assert summary.count >= sum(at_ms > now_ms - WINDOW_MS for at_ms, _ in placed)


@given(st.lists(SAMPLES, max_size=60))
def test_without_a_window_everything_counts(samples: list[Sample]) -> None:
    statistics, _, now_ms = recorded(samples, None)
    check(statistics.summary(now_ms + 10**12), samples)


def test_nothing_recorded_has_no_figures_and_divides_by_nothing() -> None:
    summary = SlidingStatistics(WINDOW_MS).summary(5)
    assert (summary.count, summary.tokens, summary.cost_nano_usd, summary.unpriced) == (0, 0, 0, 0)
    assert (summary.success_rate, summary.mean_seconds, summary.percentile_seconds(50)) == (None, None, None)


def test_failures_alone_have_a_rate_and_no_times() -> None:
    statistics = SlidingStatistics(WINDOW_MS)
    statistics.failure(0, "connect")
    summary = statistics.summary(0)
    assert (summary.success_rate, summary.mean_seconds, summary.percentile_seconds(50)) == (0.0, None, None)
    assert summary.errors == {"connect": 1}


def test_the_window_slides_past_what_is_old() -> None:
    statistics = SlidingStatistics(WINDOW_MS)
    statistics.request(0, duration_us=1, tokens=7)
    assert statistics.summary(WINDOW_MS).tokens == 7
    assert statistics.summary(WINDOW_MS + WIDTH_MS - 1).tokens == 7
    assert statistics.summary(WINDOW_MS + WIDTH_MS).tokens == 0


def test_a_clock_that_goes_back_loses_nothing() -> None:
    statistics = SlidingStatistics(WINDOW_MS)
    statistics.request(100 * WINDOW_MS, duration_us=1, tokens=1)
    statistics.request(0, duration_us=1, tokens=2)
    assert statistics.summary(0).tokens == 3
    assert statistics.summary(100 * WINDOW_MS).tokens == 3


def test_memory_is_bounded() -> None:
    statistics = SlidingStatistics(WINDOW_MS)
    for number in range(50_000):
        statistics.request(number * 7, duration_us=number * number * 1_000_003, error=f"code {number}")
    tallies = statistics._tallies
    assert len(tallies) <= SUB_WINDOWS + 1
    assert max(len(tally.errors) for tally in tallies) == ERROR_KINDS_MAX + 1
    assert all(max(tally.bins) <= 1 + math.log(DURATION_US_MAX, 1.02) for tally in tallies)
    summary = statistics.summary(50_000 * 7)
    assert sum(summary.errors.values()) == summary.failures == summary.count
    assert summary.errors[OTHER_ERRORS] > 0


def test_a_duration_of_a_jumped_clock_is_cut() -> None:
    statistics = SlidingStatistics(None)
    statistics.request(0, duration_us=DURATION_US_MAX * 1_000)
    statistics.request(0, duration_us=-5)
    summary = statistics.summary(0)
    assert (summary.longest_us, summary.shortest_us, summary.duration_us) == (DURATION_US_MAX, 0, DURATION_US_MAX)


@pytest.mark.parametrize("window_ms", [0, -1])
def test_a_window_has_a_length(window_ms: int) -> None:
    with pytest.raises(ValueError, match="longer than 0 ms"):
        SlidingStatistics(window_ms)
