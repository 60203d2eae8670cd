"""Statistics from events: by provider and model, bounded in series, and blaming a provider for what it did alone."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bursar.blocks import PerformanceMonitor
from bursar.call.events import (
    AttemptFailed,
    BreakerChanged,
    BudgetOverdrawn,
    CallEnded,
    CallRefused,
    CostWarned,
    HoldsExpired,
)
from bursar.errors import QueueFullError
from bursar.rules.usage import EMPTY_USAGE
from bursar.telemetry.stats import OTHERS, REFUSALS_MAX, CallStatistics
from tests.telemetry.facts import fact_of


def told(*events: Any, **settings: Any) -> dict[str, dict[str, Any]]:
    statistics = CallStatistics(PerformanceMonitor, **settings)
    for event in events:
        statistics(event)
    return statistics.snapshot()


def test_a_call_counts_for_its_provider_and_its_model() -> None:
    snapshot = told(
        CallEnded(fact_of()),
        CallEnded(fact_of(model="gpt-4o-mini", duration_ms=500, cost_nano_usd=None)),
        CallEnded(fact_of(provider="groq")),
    )
    assert set(snapshot["providers"]) == {"openai", "groq"}
    assert set(snapshot["models"]) == {"openai/gpt-4o", "openai/gpt-4o-mini", "groq/gpt-4o"}
    openai = snapshot["providers"]["openai"]
    assert (openai["count"], openai["total_tokens"], openai["success_rate"]) == (2, 240, 1.0)
    assert (openai["total_cost"], openai["unknown_costs"]) == (Decimal("0.000042"), 1)
    assert openai["avg_response_time"] == 1.0


def test_providers_that_are_not_measured_have_no_series() -> None:
    refused = CallRefused("call", "groq", "m", QueueFullError("full"), 0)
    snapshot = told(CallEnded(fact_of(provider="groq")), refused, providers={"openai"})
    assert snapshot == {"providers": {}, "models": {}, "refused": {}, "went_on": {}, "breakers": {}}


@pytest.mark.parametrize(
    ("ending", "code", "errors"),
    [
        ("ok", "", {}),
        ("aborted", "", {}),
        ("cancelled", "cancelled", {}),
        ("error", "rate_limit_exceeded", {"rate_limit_exceeded": 1}),
        ("interrupted", "", {"interrupted": 1}),
        ("not_sent", "connect", {"connect": 1}),
    ],
)
def test_what_is_a_failure_of_the_provider(ending: str, code: str, errors: dict[str, int]) -> None:
    snapshot = told(CallEnded(fact_of(ending=ending, error_code=code)))
    figures = snapshot["providers"]["openai"]
    assert figures["errors"] == errors
    assert figures["success_rate"] == (0.0 if errors else 1.0)


def test_what_was_never_sent_has_no_time_and_no_cost() -> None:
    fact = fact_of(ending="not_sent", error_code="connect", usage=EMPTY_USAGE, cost_nano_usd=0)
    figures = told(CallEnded(fact))["providers"]["openai"]
    assert (figures["avg_response_time"], figures["unknown_costs"], figures["count"]) == (None, 0, 1)


def test_refusals_are_counted_by_code_and_are_no_failures() -> None:
    refused = CallRefused("call", "openai", "gpt-4o", QueueFullError("full"), 0)
    snapshot = told(refused, refused)
    assert snapshot == {
        "providers": {},
        "models": {},
        "refused": {"openai": {"queue_full": 2}},
        "went_on": {},
        "breakers": {},
    }


def test_series_are_bounded_and_further_models_share_one() -> None:
    events = [CallEnded(fact_of(model=f"model-{number}")) for number in range(20)]
    models = told(*events, *events, series_max=5)["models"]
    assert len(models) == 6
    assert models["openai/model-4"]["count"] == 2
    assert models[f"openai/{OTHERS}"]["count"] == 30


def test_refusals_are_bounded() -> None:
    events = [CallRefused("call", f"p{number}", "m", QueueFullError("full"), 0) for number in range(REFUSALS_MAX + 9)]
    assert len(told(*events)["refused"]) == REFUSALS_MAX


def test_other_events_are_none_of_its_business() -> None:
    events = (BudgetOverdrawn("call", ("b",)), CostWarned(fact_of(), 1), HoldsExpired((("a", 1),)))
    assert told(*events) == {"providers": {}, "models": {}, "refused": {}, "went_on": {}, "breakers": {}}


def test_threads_lose_no_call() -> None:
    statistics = CallStatistics(PerformanceMonitor)

    def tell(number: int) -> None:
        for _ in range(300):
            statistics(CallEnded(fact_of(model=f"m{number % 2}")))

    threads = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statistics.snapshot()["providers"]["openai"]["count"] == 1_200
    assert statistics.snapshot()["models"]["openai/m0"]["count"] == 600


def test_breakers_are_shown_as_they_last_changed() -> None:
    opened = BreakerChanged("openai", "gpt-4o", "open", 60_000, 0, "5 failures in a row", 1)
    closed = BreakerChanged("openai", "o3", "closed", 0, 0, "", 2)
    assert told(replace(opened, opened=0), closed, opened)["breakers"] == {
        "openai/gpt-4o": {"state": "open", "opened": 1, "why": "5 failures in a row", "until_ms": 60_000},
        "openai/o3": {"state": "closed", "opened": 2, "why": "", "until_ms": 0},
    }
    assert told(opened, providers={"groq"})["breakers"] == {}
    assert list(told(opened, closed, replace(opened, opened=3), series_max=1)["breakers"]) == ["openai/gpt-4o"]


def test_what_came_after_failed_attempts_is_counted_by_who_failed() -> None:
    failed = fact_of(ending="error", error_code="server_error")
    again, other = AttemptFailed(failed, "openai", "gpt-4o", 500), AttemptFailed(failed, "groq", "m", 0)
    sibling = AttemptFailed(failed, "openai", "gpt-4o-mini", 0)
    assert told(again, again, other, sibling)["went_on"] == {"openai/gpt-4o": {"retries": 2, "fallbacks": 2}}
    assert told(again, providers={"groq"})["went_on"] == {}


def test_who_failed_is_counted_in_a_bounded_number_of_series() -> None:
    events = [AttemptFailed(fact_of(model=f"m{number}"), "openai", f"m{number}", 0) for number in range(9)]
    went_on = told(*events, series_max=3)["went_on"]
    assert set(went_on) == {"openai/m0", "openai/m1", "openai/m2", f"openai/{OTHERS}"}
    assert went_on[f"openai/{OTHERS}"] == {"retries": 6, "fallbacks": 0}
