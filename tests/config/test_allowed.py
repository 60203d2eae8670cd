"""Budgets and limits as the file says them, and the allowances that they become."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.config import load
from bursar.rules.allowances import Allowance


def budget(**given: Any) -> Allowance:
    return load({"budgets": {"a": {"usd": 1, "per": "day"} | given}}, environ={}, books="memory:").allowances[0]


def limit(**given: Any) -> Allowance:
    return load({"limits": {"a": given}}, environ={}, books="memory:").allowances[0]


@pytest.mark.parametrize("per", ["hour", "day", "week", "month", "total"])
def test_a_budget_has_a_calendar_window(per: str) -> None:
    made = budget(per=per)
    assert (made.name, made.meter, made.capacity, made.shape, made.period) == ("a", "nano_usd", 10**9, "calendar", per)
    assert (made.each, made.only, made.missing, made.mode, made.alert_at) == (None, (), "pool", "enforce", ())


def test_a_budget_may_roll_bind_one_value_or_each_and_observe() -> None:
    assert budget(rolling=True).shape == "rolling"
    assert budget(rolling=False).shape == "calendar"
    assert budget(each="project").each == "project"
    assert budget(each="user", missing="refuse").missing == "refuse"
    assert budget(mode="observe").mode == "observe"
    assert budget(alert_at=["80%", 50, "80%"]).alert_at == (50, 80)
    made = budget(only={"team": "search", "provider": "openai", "model": "openai/gpt-4o"})
    assert made.only == (("model", "openai/gpt-4o"), ("provider", "openai"), ("team", "search"))


def test_the_value_of_only_is_taken_as_written() -> None:
    assert budget(only={"team": "007"}).only == (("team", "007"),)
    text = load({"budgets": {"a": {"usd": 1, "per": "day", "only": {"team": "${TEAM}"}}}}, environ={"TEAM": "x"})
    assert text.allowances[0].only == (("team", "x"),)
    assert budget(only={"live": True}).only == (("live", "true"),)


@pytest.mark.parametrize(
    ("usd", "nano_usd"), [("0.10", 10**8), ("$5", 5 * 10**9), (0, 0), (0.1, 10**8), ("1_000", 10**12)]
)
def test_money_is_read_exactly(usd: Any, nano_usd: int) -> None:
    assert budget(usd=usd).capacity == nano_usd


@pytest.mark.parametrize("meter", ["requests", "tokens", "input_tokens", "output_tokens"])
@pytest.mark.parametrize("per", ["second", "minute", "hour", "day"])
def test_a_limit_refills_unless_it_asks_for_a_window(meter: str, per: str) -> None:
    made = limit(**{meter: 10, "per": per})
    assert (made.meter, made.capacity, made.shape, made.period) == (meter, 10, "bucket", per)
    assert limit(**{meter: 10, "per": per, "window": True}).shape == "calendar"


def test_a_limit_may_count_a_month_or_all_time_in_a_window() -> None:
    assert limit(requests=10, per="month", window=True).period == "month"
    assert limit(requests=10, per="total", window=True).period == "total"
    assert limit(tokens=10**12, per="day", window=True).capacity == 10**12


def test_calls_in_flight_are_a_gauge() -> None:
    made = limit(in_flight=3, each="key")
    assert (made.meter, made.capacity, made.shape, made.period, made.each) == ("in_flight", 3, "gauge", None, "key")


def test_a_providers_own_limits_bind_it_alone() -> None:
    given = {
        "requests_per_minute": 1, "tokens_per_minute": 2, "requests_per_day": 3, "tokens_per_day": 4,
        "concurrent_requests": 5, "daily_cost_limit": 6,
    }  # fmt: skip
    settings = load(
        {"time_zone": "Asia/Tokyo", "llm": {"providers": {"groq": given}}}, environ={}, books="memory:", budget_usd=1
    )
    made = {allowance.name: allowance for allowance in settings.allowances}
    assert set(made) == {f"groq.{key}" for key in given} | {"client"}
    assert all(allowance.only == (("provider", "groq"),) for name, allowance in made.items() if name != "client")
    assert {allowance.time_zone for allowance in made.values()} == {"Asia/Tokyo"}
    day = made["groq.tokens_per_day"]
    assert (day.meter, day.capacity, day.shape, day.period) == ("tokens", 4, "bucket", "day")
    assert made["groq.concurrent_requests"].shape == "gauge"
    assert made["groq.daily_cost_limit"].capacity == 6 * 10**9
