"""What is counted of calls: each event in its series, and never more series than there are places."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from bursar.call.events import (
    AlertRaised,
    AttemptFailed,
    BreakerChanged,
    BudgetOverdrawn,
    CallEnded,
    CallFailed,
    CallRefused,
    CostWarned,
    Event,
    HoldsExpired,
)
from bursar.errors import ProviderUnavailableError, QueueFullError
from bursar.rules.usage import EMPTY_USAGE
from bursar.telemetry.counting import OTHERS, WORDS_MAX, CallMetrics
from bursar.telemetry.prometheus import text_of
from tests.telemetry.exposition import read, value_of
from tests.telemetry.facts import fact_of

GPT = {"provider": "openai", "model": "gpt-4o"}


def page(*events: Event, **settings: Any) -> str:
    metrics = CallMetrics(**settings)
    for event in events:
        metrics(event)
    return text_of(metrics.families())


def counted(name: str, *events: Event, **settings: Any) -> dict[tuple[str, ...], int]:
    """The samples of a family, by the values of their labels in order of the labels' names."""
    samples = read(page(*events, **settings))
    return {tuple(value for _, value in labels): int(n) for (series, labels), n in samples.items() if series == name}


def refused(model: str = "gpt-4o", code: str = "") -> CallRefused:
    error = QueueFullError("full")
    if code:
        error = type("Refused", (QueueFullError,), {"code": code})("no")
    return CallRefused("call", "openai", model, error, 40)


def test_a_call_that_went_well() -> None:
    told = page(CallEnded(fact_of(wait_ms=60)), CallEnded(fact_of(stream=True)))
    assert value_of(told, "bursar_calls_total", **GPT, outcome="answered") == 2
    assert value_of(told, "bursar_attempts_total", **GPT, ending="ok") == 2
    assert value_of(told, "bursar_tokens_total", **GPT, direction="input") == 200
    assert value_of(told, "bursar_tokens_total", **GPT, direction="output") == 40
    assert value_of(told, "bursar_cost_usd_total", **GPT, certain="true") == Decimal("0.000084")
    assert value_of(told, "bursar_duration_seconds_sum", **GPT) == 3
    assert value_of(told, "bursar_duration_seconds_bucket", **GPT, le="1") == 0
    assert value_of(told, "bursar_duration_seconds_bucket", **GPT, le="2.5") == 2
    assert value_of(told, "bursar_first_token_seconds_bucket", **GPT, le="0.2") == 0
    assert value_of(told, "bursar_first_token_seconds_bucket", **GPT, le="0.3") == 2, "an end belongs to its bucket"
    assert value_of(told, "bursar_wait_seconds_bucket", provider="openai", le="0.001") == 1
    assert value_of(told, "bursar_wait_seconds_sum", provider="openai") == Decimal("0.06")


def test_what_is_uncertain_and_what_is_not_known_stand_apart() -> None:
    told = page(CallEnded(fact_of(certain=False, cost_nano_usd=None, charged_nano_usd=90_000, ending="interrupted")))
    assert value_of(told, "bursar_cost_usd_total", **GPT, certain="false") == Decimal("0.00009")
    assert value_of(told, "bursar_unknown_costs_total", **GPT) == 1
    assert not [
        labels for name, labels in read(told) if name == "bursar_cost_usd_total" and ("certain", "true") in labels
    ]


def test_what_was_not_sent_took_no_time_and_cost_nothing() -> None:
    told = page(CallEnded(fact_of(ending="not_sent", charged_nano_usd=0, usage=EMPTY_USAGE)))
    assert value_of(told, "bursar_attempts_total", **GPT, ending="not_sent") == 1
    assert value_of(told, "bursar_duration_seconds_count", **GPT) == 0
    assert "bursar_cost_usd_total{" not in told


def test_each_call_has_one_outcome_however_many_attempts_it_had() -> None:
    failed = fact_of(ending="error", error_code="server_error")
    went_on = [CallEnded(failed), AttemptFailed(failed, "openai", "gpt-4o", 5), CallEnded(fact_of())]
    error = ProviderUnavailableError("no", provider="openai", model="o3")
    gave_up = [CallEnded(failed), AttemptFailed(failed, "openai", "o3", 0), CallFailed("c", "openai", "gpt-4o", error)]
    left = [CallEnded(fact_of(ending="aborted"))]
    assert counted("bursar_calls_total", *went_on, *gave_up, *left, refused()) == {
        ("gpt-4o", "answered", "openai"): 1,
        ("gpt-4o", "failed", "openai"): 1,
        ("gpt-4o", "aborted", "openai"): 1,
        ("gpt-4o", "refused", "openai"): 1,
    }
    assert counted("bursar_retries_total", *went_on, *gave_up) == {
        ("same", "gpt-4o", "openai"): 1,
        ("other", "gpt-4o", "openai"): 1,
    }


def test_a_stream_that_broke_while_its_caller_left_is_no_answer() -> None:
    assert counted("bursar_calls_total", CallEnded(fact_of(ending="aborted", error_code="interrupted"))) == {}


def test_refusals_by_code() -> None:
    codes = counted("bursar_refusals_total", refused(), refused(), refused(code="budget_exhausted"))
    assert codes == {("queue_full", "openai"): 2, ("budget_exhausted", "openai"): 1}


def test_alarms_are_counted() -> None:
    told = page(
        BudgetOverdrawn("call", ("a", "b")), HoldsExpired((("x", 1), ("y", 2))), CostWarned(fact_of(), 1),
        CallEnded(fact_of(), settled=False), AlertRaised("alert_1", "budget", "info", 0, "all", "Half is gone."),
    )  # fmt: skip
    assert value_of(told, "bursar_budgets_overdrawn_total") == 1
    assert value_of(told, "bursar_expired_holds_total") == 2
    assert value_of(told, "bursar_cost_warnings_total", provider="openai") == 1
    assert value_of(told, "bursar_unsettled_attempts_total") == 1
    assert value_of(told, "bursar_alerts_total", kind="budget") == 1


def test_breakers_have_a_state_and_count_how_often_they_opened() -> None:
    states = ("open", "half_open", "open", "half_open")
    told = page(*(BreakerChanged("openai", "gpt-4o", state, 0) for state in states))
    assert value_of(told, "bursar_breaker_state", **GPT) == 1
    assert value_of(told, "bursar_breaker_opened_total", **GPT) == 2
    assert value_of(page(BreakerChanged("openai", "gpt-4o", "closed", 0)), "bursar_breaker_state", **GPT) == 0


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    told = page(CallEnded(fact_of(duration_ms=-5, wait_ms=-5)))
    assert value_of(told, "bursar_duration_seconds_sum", **GPT) == 0
    assert value_of(told, "bursar_duration_seconds_bucket", **GPT, le="0.05") == 1


def test_models_beyond_the_bound_share_a_series_and_those_that_answer_come_first() -> None:
    wrong = [CallEnded(fact_of(model=f"wrong-{n}", ending="error")) for n in range(50)]
    right = [CallEnded(fact_of(model=f"right-{n}")) for n in range(50)]
    told = counted("bursar_attempts_total", *wrong, *right, models_max=10)
    models = [model for _, model, _ in told]
    assert [model for model in models if model.startswith("wrong")] == [f"wrong-{n}" for n in range(5)]
    assert [model for model in models if model.startswith("right")] == [f"right-{n}" for n in range(4)]
    assert sum(told.values()) == 100
    assert told["ok", OTHERS, "openai"] == 46


def test_names_that_nobody_serves_take_no_place() -> None:
    flood = [refused(f"made up {n}") for n in range(500)]
    told = counted("bursar_calls_total", *flood, CallEnded(fact_of()), models_max=10)
    assert told == {(OTHERS, "refused", "openai"): 500, ("gpt-4o", "answered", "openai"): 1}


def test_providers_and_codes_are_bounded_too() -> None:
    events: list[Event] = [refused(code=f"code_{n}") for n in range(WORDS_MAX + 50)]
    events += [CallEnded(fact_of(provider=f"p{n}", model=f"m{n}")) for n in range(500)]
    metrics = CallMetrics(models_max=10)
    for event in events:
        metrics(event)
    families = {family.name: len(family.samples) for family in metrics.families()}
    assert families["bursar_refusals_total"] == WORDS_MAX
    assert families["bursar_attempts_total"] <= 21
    assert families["bursar_wait_seconds"] <= 11


@pytest.mark.parametrize("name", ["x" * 10_000, "x" * 9_999 + "y", "line\nbreak", "\ud800"])
def test_names_that_look_alike_share_a_series(name: str) -> None:
    told = page(CallEnded(fact_of(model=name)), CallEnded(fact_of(model="x" * 10_000)), CallEnded(fact_of(model=name)))
    assert sum(n for (series, _), n in read(told).items() if series == "bursar_attempts_total") == 3


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_lose_no_count(impatient: None) -> None:
    metrics = CallMetrics()

    def count() -> None:
        for number in range(500):
            metrics(CallEnded(fact_of(model=f"m{number % 3}")))
            if number % 100 == 0:
                read(text_of(metrics.families()))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples = read(text_of(metrics.families()))
    assert sum(n for (series, _), n in samples.items() if series == "bursar_attempts_total") == 2_000
    assert sum(n for (series, _), n in samples.items() if series == "bursar_tokens_total") == 2_000 * 120


def test_no_key_user_or_tag_is_a_label() -> None:
    told = page(CallEnded(fact_of()), refused())
    assert "deadbeef" not in told
    assert "ann" not in told.replace("channel", "")
