"""PerformanceMonitor: the seed's figures without its division by zero, its floats and its lists without end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from bursar.blocks import PerformanceMonitor
from bursar.errors import ProviderTimeoutError
from bursar.rules.money import UNKNOWN_COST, Cost
from bursar.rules.statistics import SUB_WINDOWS
from bursar.testing import ManualClock
from tests.blocks.threads import THREADS, TIMES, OneAtATime, in_threads


def test_nothing_recorded_is_no_error() -> None:
    assert PerformanceMonitor().get_statistics() == {
        "avg_response_time": None,
        "total_tokens": 0,
        "total_cost": Decimal(0),
        "success_rate": None,
        "count": 0,
        "p50": None,
        "p95": None,
        "p99": None,
        "errors": {},
        "unknown_costs": 0,
    }


def test_the_seeds_figures() -> None:
    monitor = PerformanceMonitor()
    monitor.record_request(1.0, 100, 0.1)
    monitor.record_request(2.0, 200, "0.2")
    monitor.record_request(0.5, 0, Cost(0, "computed", certain=True), error="rate_limited")
    monitor.record_error(ProviderTimeoutError("secret text", provider="p", model="m"))
    figures = monitor.get_statistics()
    assert figures["avg_response_time"] == pytest.approx(3.5 / 3)
    assert (figures["total_tokens"], figures["count"]) == (300, 4)
    assert figures["total_cost"] == Decimal("0.3")
    assert figures["success_rate"] == 0.5
    assert figures["errors"] == {"provider_timeout": 1, "rate_limited": 1}
    assert figures["p50"] == pytest.approx(1.0, rel=0.01)
    assert figures["p99"] == pytest.approx(2.0, rel=0.01)


def test_a_failure_can_be_said_in_four_ways() -> None:
    monitor = PerformanceMonitor()
    monitor.record_request(1.0, ok=False)
    monitor.record_request(1.0, error=KeyError("secret"))
    monitor.record_error()
    monitor.record_error("timeout")
    figures = monitor.get_statistics()
    assert figures["errors"] == {"KeyError": 1, "error": 2, "timeout": 1}
    assert figures["success_rate"] == 0.0


def test_more_errors_than_requests_leave_a_rate_between_none_and_all() -> None:
    monitor = PerformanceMonitor()
    monitor.record_request(1.0)
    for _ in range(3):
        monitor.record_error("connect")
    assert monitor.get_statistics()["success_rate"] == 0.25


def test_unknown_costs_are_counted_and_never_nothing() -> None:
    monitor = PerformanceMonitor()
    monitor.record_request(1.0, 10)
    assert (monitor.get_statistics()["total_cost"], monitor.get_statistics()["unknown_costs"]) == (None, 1)
    monitor.record_request(1.0, 10, UNKNOWN_COST)
    monitor.record_request(1.0, 10, cost_nano_usd=5)
    figures = monitor.get_statistics()
    assert (figures["total_cost"], figures["unknown_costs"]) == (Decimal("0.000000005"), 2)


def test_the_window_slides() -> None:
    clock = ManualClock()
    monitor = PerformanceMonitor(60, clock=clock)
    monitor.record_request(1.0, 10)
    clock.advance(60)
    assert monitor.get_statistics()["count"] == 1
    clock.advance(60 / SUB_WINDOWS)
    assert monitor.get_statistics()["count"] == 0


def test_without_a_window_everything_counts() -> None:
    clock = ManualClock()
    monitor = PerformanceMonitor(None, clock=clock)
    monitor.record_request(1.0, 10)
    clock.advance(10**9)
    assert monitor.get_statistics()["count"] == 1


def test_threads_lose_no_call() -> None:
    clock = OneAtATime()
    monitor = PerformanceMonitor(clock=clock)
    in_threads(lambda: monitor.record_request(0.5, 1, "0.001"))
    in_threads(monitor.record_error)
    in_threads(monitor.get_statistics)
    figures = monitor.get_statistics()
    calls = THREADS * TIMES
    assert (figures["count"], figures["total_tokens"]) == (2 * calls, calls)
    assert figures["total_cost"] == calls * Decimal("0.001")
    assert clock.collisions == 0


@pytest.mark.parametrize(
    "bad",
    [
        {"duration": -0.1},
        {"duration": float("nan")},
        {"duration": float("inf")},
        {"duration": 10**400},
        {"duration": True},
        {"duration": "1"},
        {"duration": 1, "tokens": -1},
        {"duration": 1, "tokens": 1.5},
        {"duration": 1, "cost": -1},
        {"duration": 1, "cost": float("nan")},
        {"duration": 1, "cost_nano_usd": -1},
        {"duration": 1, "cost_nano_usd": 0.5},
    ],
)
def test_what_no_call_can_have_is_refused_and_not_recorded(bad: dict[str, Any]) -> None:
    monitor = PerformanceMonitor()
    with pytest.raises(ValueError, match=r"number|negative"):
        monitor.record_request(**bad)
    assert monitor.get_statistics()["count"] == 0


@pytest.mark.parametrize("window_seconds", [0, -1, float("nan"), float("inf"), "60"])
def test_a_window_is_a_time(window_seconds: Any) -> None:
    with pytest.raises(ValueError, match=r"seconds|longer"):
        PerformanceMonitor(window_seconds)
