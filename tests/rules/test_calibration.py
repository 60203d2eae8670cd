"""Estimates learnt from facts: medians of the last calls of a series, bounded, whatever a provider reports."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.calibration import CALLS_REMEMBERED, Calibration, Series
from bursar.rules.estimate import LIKELY_OUTPUT_TOKENS, Likely

PLAIN, TOOLS = Series("p", "m", tools=False), Series("p", "m", tools=True)


def learn(
    calibration: Calibration, used: int, output: int = 0, *, estimated: int = 100, series: Series = PLAIN
) -> None:
    calibration.learn(series, estimated_tokens=estimated, input_tokens=used, output_tokens=output)


def test_where_nothing_was_seen_the_estimate_stays() -> None:
    assert Calibration().likely(PLAIN, 70) == Likely(70, LIKELY_OUTPUT_TOKENS)


def test_the_median_of_what_was_seen_is_the_estimate() -> None:
    calibration = Calibration()
    for used, output in ((90, 10), (150, 30), (4_000, 900)):
        learn(calibration, used, output)
    assert calibration.likely(PLAIN, 200) == Likely(300, 30)


def test_one_odd_call_moves_nothing() -> None:
    calibration = Calibration()
    for _ in range(5):
        learn(calibration, 120, 50)
    learn(calibration, 10**9, 10**9)
    assert calibration.likely(PLAIN, 100) == Likely(120, 50)


def test_series_know_nothing_of_each_other() -> None:
    calibration = Calibration()
    learn(calibration, 500, series=TOOLS)
    assert calibration.likely(PLAIN, 100).input_tokens == 100
    assert calibration.likely(TOOLS, 100).input_tokens == 500
    assert calibration.likely(Series("q", "m", tools=True), 100).input_tokens == 100


def test_only_the_last_calls_count() -> None:
    calibration = Calibration()
    for _ in range(CALLS_REMEMBERED):
        learn(calibration, 100)
    for _ in range(CALLS_REMEMBERED // 2 + 1):
        learn(calibration, 200)
    assert calibration.likely(PLAIN, 100).input_tokens == 200


def test_memory_is_bounded_and_what_is_in_use_is_kept() -> None:
    calibration = Calibration(series_max=2)
    one, two, three = (Series("p", name, tools=False) for name in "abc")
    for series in (one, two, one, three):
        learn(calibration, 300, series=series)
    assert [calibration.likely(series, 100).input_tokens for series in (one, two, three)] == [300, 100, 300]


@given(st.lists(st.tuples(st.integers(), st.integers(), st.integers()), min_size=1, max_size=30), st.integers(0, 10**7))
def test_whatever_is_reported_the_estimate_is_a_number_of_tokens(
    facts: list[tuple[int, int, int]], estimated: int
) -> None:
    calibration = Calibration()
    for guess, used, output in facts:
        learn(calibration, used, output, estimated=guess)
    likely = calibration.likely(PLAIN, estimated)
    assert 0 <= likely.input_tokens <= 1_000 * estimated
    assert likely.output_tokens >= 0
