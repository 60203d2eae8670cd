"""CostTracker: the seed's sums in exact money, what is unknown kept apart from what is free, and limits that hold."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.blocks import CostTracker
from bursar.rules.usage import TOKENS_MAX, Usage
from bursar.testing import ManualClock
from tests.blocks.threads import THREADS, TIMES, OneAtATime, in_threads

# The seed's own table, USD per thousand tokens.
SEED = {"input": 0.005, "output": 0.015}
DAY_SECONDS = 86_400
TOKENS = st.integers(0, 10**7)


def seed_tracker(**options: Any) -> CostTracker:
    return CostTracker("openai", "gpt-4o", prices=SEED, per=1_000, **options)


def unpriced(**options: Any) -> CostTracker:
    return CostTracker("openai", "gpt-99-never-made", **options)


@given(TOKENS, TOKENS)
def test_an_estimate_is_the_seeds_sum_exactly(input_tokens: int, output_tokens: int) -> None:
    exact = Decimal(input_tokens) / 1_000 * Decimal("0.005") + Decimal(output_tokens) / 1_000 * Decimal("0.015")
    estimate = seed_tracker().estimate_cost(input_tokens, output_tokens)
    assert isinstance(estimate, Decimal)
    assert estimate == exact


def test_prices_are_the_same_by_the_token_the_thousand_and_the_million() -> None:
    per_million = CostTracker("openai", "gpt-4o", prices={"input": 5, "output": "15"})
    per_token = CostTracker("openai", "gpt-4o", prices={"input": "0.000005", "output": "0.000015"}, per=1)
    assert seed_tracker().pricing == per_million.pricing == per_token.pricing
    pricing = seed_tracker().pricing
    assert pricing is not None
    assert (pricing["input"], pricing["output"]) == (Decimal(5), Decimal(15))


def test_the_price_list_knows_what_the_seed_knew_and_openrouter_is_not_free() -> None:
    for provider, model in (("openai", "gpt-4o-mini"), ("openrouter", "openai/gpt-4o-mini")):
        tracker = CostTracker(provider, model)
        assert tracker.card is not None
        assert tracker.estimate_cost(1_000_000, 0) == (tracker.pricing or {})["input"] > 0


def test_an_unknown_price_is_none_and_never_nothing() -> None:
    tracker = unpriced()
    assert (tracker.card, tracker.pricing, tracker.estimate_cost(1_000, 10)) == (None, None, None)
    cost = tracker.record(input_tokens=1_000, output_tokens=10)
    assert (cost.nano_usd, cost.usd, cost.source, cost.certain) == (None, None, "unknown", False)
    assert (tracker.unknown_costs, tracker.spent_usd) == (1, 0)


def test_a_side_without_a_price_is_unknown_only_where_it_is_used() -> None:
    embeddings = CostTracker("own", "vectors", prices={"input": "0.02"}, daily_limit_usd=1)
    assert embeddings.estimate_cost(1_000_000) == Decimal("0.02")
    assert embeddings.estimate_cost(1_000, 1) is None
    assert embeddings.check_budget(1_000, output_tokens=0)
    assert not embeddings.check_budget(1_000)


def test_what_is_said_to_be_free_costs_nothing() -> None:
    tracker = CostTracker("local", "qwen3", prices="free", daily_limit_usd=0)
    assert tracker.estimate_cost(1_000, 1_000) == 0
    assert tracker.record(input_tokens=5, output_tokens=5).usd == 0
    assert tracker.check_budget(10**6)


@pytest.mark.parametrize(
    ("usage", "usd", "source"),
    [
        ({"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500}, "0.0125", "computed"),
        ({"prompt_tokens": 1_000, "completion_tokens": 500, "cost": 0.0042}, "0.0042", "provider"),
        (Usage.of(1_000, 500), "0.0125", "computed"),
    ],
)
def test_a_usage_is_priced_and_a_reported_cost_believed(usage: Any, usd: str, source: str) -> None:
    tracker = seed_tracker()
    cost = tracker.record(usage)
    assert (cost.usd, cost.source, cost.certain) == (Decimal(usd), source, True)
    assert tracker.spent_usd == Decimal(usd)


def test_a_usage_object_of_the_sdk_is_read() -> None:
    class CompletionUsage:
        def model_dump(self) -> dict[str, Any]:
            return {"prompt_tokens": 1_000, "completion_tokens": 500, "prompt_tokens_details": None}

    assert seed_tracker().record(CompletionUsage()).usd == Decimal("0.0125")


def test_the_cost_that_a_caller_reports_comes_before_everything() -> None:
    tracker = unpriced()
    assert tracker.record({"prompt_tokens": 1, "completion_tokens": 1, "cost": 5}, cost_usd="0.01").usd == Decimal(
        "0.01"
    )
    assert tracker.record(cost_usd=0.02).usd == Decimal("0.02")
    assert tracker.record(cost_usd="0.0000000001").nano_usd == 1
    assert tracker.spent_usd == Decimal("0.030000001")


def test_a_usage_that_cannot_be_read_is_an_unknown_cost() -> None:
    tracker = seed_tracker(daily_limit_usd=1)
    assert tracker.record({"tokens": "many"}).nano_usd is None
    assert (tracker.unknown_costs, tracker.left_usd) == (1, 1)


def test_the_daily_limit_holds_to_the_last_nano() -> None:
    tracker = seed_tracker(daily_limit_usd="0.015")
    assert tracker.check_budget(1_000)
    tracker.record(cost_usd="0.000000001")
    assert not tracker.check_budget(1_000)
    assert tracker.check_budget(999)
    assert tracker.left_usd == Decimal("0.014999999")


def test_tokens_are_priced_at_the_dearest_they_can_be() -> None:
    tracker = seed_tracker(daily_limit_usd="0.0125")
    assert not tracker.check_budget(1_500)
    assert tracker.check_budget(1_500, output_tokens=500)
    assert not tracker.check_budget(1_500, output_tokens=501)


def test_input_can_be_the_dearer_side() -> None:
    tracker = CostTracker("own", "reader", prices={"input": 15, "output": 5}, daily_limit_usd="0.015")
    assert tracker.check_budget(1_000)
    assert not tracker.check_budget(1_001)


def test_a_cap_on_one_request_holds_whatever_is_left_of_the_day() -> None:
    tracker = seed_tracker(daily_limit_usd=50, max_per_request_usd="0.0125")
    assert tracker.check_budget(1_500, output_tokens=500)
    assert not tracker.check_budget(1_501, output_tokens=501)
    assert not unpriced(max_per_request_usd=1).check_budget(1)


def test_what_is_unknown_fits_no_limit_and_everything_fits_none() -> None:
    assert not unpriced(daily_limit_usd=50).check_budget(1)
    assert unpriced().check_budget(TOKENS_MAX)
    assert seed_tracker().check_budget(TOKENS_MAX)
    assert seed_tracker().left_usd is None


def test_a_limit_that_was_passed_shows_below_nothing() -> None:
    tracker = seed_tracker(daily_limit_usd=1)
    tracker.record(cost_usd=3)
    assert tracker.left_usd == -2
    assert not tracker.check_budget(1, output_tokens=0)


def test_the_day_ends_at_midnight_of_the_zone() -> None:
    # 2026-03-29 has 23 hours in Berlin and began at 23:00 UTC of the day before.
    clock = ManualClock(int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp() * 1000))
    tracker = unpriced(daily_limit_usd=1, time_zone="Europe/Berlin", clock=clock)
    tracker.record(cost_usd="0.75")
    tracker.record(input_tokens=1)
    clock.advance(23 * 3_600 - 1)
    assert (tracker.spent_usd, tracker.unknown_costs) == (Decimal("0.75"), 1)
    clock.advance(1)
    assert (tracker.spent_usd, tracker.unknown_costs, tracker.left_usd) == (0, 0, 1)


def test_a_clock_that_goes_back_over_midnight_forgets_nothing() -> None:
    clock = ManualClock()
    tracker = seed_tracker(daily_limit_usd=1, clock=clock)
    tracker.record(cost_usd="0.75")
    clock.advance(-1)
    assert tracker.spent_usd == Decimal("0.75")
    clock.advance(1 + DAY_SECONDS)
    assert tracker.spent_usd == 0


def test_threads_lose_no_cent() -> None:
    clock = OneAtATime()
    tracker = seed_tracker(daily_limit_usd=1_000, clock=clock)
    in_threads(lambda: tracker.record(input_tokens=1_000))
    in_threads(lambda: (tracker.check_budget(1), tracker.spent_usd, tracker.left_usd, tracker.unknown_costs))
    assert tracker.spent_usd == THREADS * TIMES * Decimal("0.005")
    assert clock.collisions == 0


def test_a_dear_call_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    tracker = seed_tracker(warn_usd="0.01")
    with caplog.at_level(logging.INFO, logger="bursar"):
        tracker.record(cost_usd="0.009999999")
        assert caplog.records == []
        tracker.record(cost_usd="0.01")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "cost_warned provider=openai model=gpt-4o cost_usd=0.010000000 threshold_usd=0.010000000"
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prices": {"inputs": 1}}, "unknown unit 'inputs'"),
        ({"prices": {"input": -1}}, "cannot be negative"),
        ({"prices": {"input": "cheap"}}, "price of input: expected a number"),
        ({"prices": {"input": float("nan")}}, "price of input: expected a finite number"),
        ({"prices": "gratis"}, "or 'free'"),
        ({"prices": SEED, "per": 100}, "per 1, 1000, 1000000 units, not per 100"),
        ({"daily_limit_usd": -1}, "daily_limit_usd: .* negative"),
        ({"daily_limit_usd": float("inf")}, "daily_limit_usd: .* finite"),
        ({"max_per_request_usd": "lots"}, "max_per_request_usd"),
        ({"warn_usd": 10**12}, "warn_usd: .* exceed"),
        ({"time_zone": "Europe/Atlantis"}, "no time zone 'Europe/Atlantis'"),
        ({"time_zone": "../etc"}, "no time zone"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CostTracker("openai", "gpt-4o", **options)


@pytest.mark.parametrize("tokens", [-1, 1.5, True, "10", None, TOKENS_MAX + 1])
def test_no_call_has_such_a_count_of_tokens(tokens: Any) -> None:
    tracker = seed_tracker()
    for ask in (
        lambda: tracker.estimate_cost(tokens),
        lambda: tracker.estimate_cost(0, tokens),
        lambda: tracker.check_budget(tokens),
        lambda: tracker.record(input_tokens=1, output_tokens=tokens) if tokens is not None else tracker.record(),
    ):
        with pytest.raises(ValueError, match=r"whole number|give the usage"):
            ask()
    assert tracker.spent_usd == 0


def test_what_was_given_must_make_sense() -> None:
    tracker = seed_tracker()
    with pytest.raises(ValueError, match="give the usage, the tokens or the cost"):
        tracker.record()
    with pytest.raises(ValueError, match="not both"):
        tracker.record(Usage.of(1, 1), input_tokens=1)
    with pytest.raises(ValueError, match=r"cost_usd: .* negative"):
        tracker.record(cost_usd=-1)
    with pytest.raises(ValueError, match="are among the tokens"):
        tracker.check_budget(10, output_tokens=11)


def test_a_programs_own_precision_of_decimals_changes_no_money() -> None:
    with localcontext() as context:
        context.prec = 3
        tracker = CostTracker("openai", "gpt-4o", prices={"input": "0.0012345", "output": 1}, per=1_000)
        assert (tracker.pricing or {})["input"] == Decimal("1.2345")
        assert tracker.estimate_cost(1_000_000) == Decimal("1.2345")
