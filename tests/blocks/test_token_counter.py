"""TokenCounter and TokenCostEstimator: the seed's calls, on odd shapes too."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.blocks import CostTracker, TokenCostEstimator, TokenCounter
from bursar.catalog import tokens

PRICES = {"input": 0.005, "output": 0.015}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name three rivers."}]


def estimator(**options: Any) -> TokenCostEstimator:
    return TokenCostEstimator(TokenCounter(), CostTracker("openai", "gpt-4o", prices=PRICES, per=1_000, **options))


def test_counts_are_those_of_the_catalog() -> None:
    counter = TokenCounter("gpt-4")
    assert counter.count_text("Name three rivers.") == tokens.count_text("Name three rivers.", "cl100k_base")
    assert counter.count_messages(MESSAGES) == tokens.count_messages(MESSAGES, "gpt-4")
    tools = [{"type": "function", "function": {"name": "now"}}]
    assert counter.count_messages(MESSAGES, tools=tools) > counter.count_messages(MESSAGES)


def test_it_says_whether_the_vocabulary_is_the_models_own() -> None:
    assert TokenCounter().exact
    assert not TokenCounter("anthropic/claude-sonnet-4.5").exact


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "name", "tool_calls", "type", "text"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(JSON)
def test_no_shape_makes_it_raise(odd: object) -> None:
    counter = TokenCounter()
    assert counter.count_text(odd) >= 0
    assert counter.count_messages(odd) >= 0


def test_shapes_that_are_no_json_are_counted_all_the_same() -> None:
    circle: dict[str, Any] = {"role": "user"}
    circle["content"] = [circle]
    counter = TokenCounter()
    for odd in (circle, object(), {1: 2}, "\ud800", {"content": "<|endoftext|>"}, None):
        assert counter.count_text(odd) >= 0
        assert counter.count_messages([odd]) > 0
    assert counter.count_text(None) == counter.count_text("") == 0


def test_the_estimate_has_the_seeds_keys_and_exact_money() -> None:
    estimate = estimator().estimate_request_cost(MESSAGES, 500)
    input_tokens = TokenCounter().count_messages(MESSAGES)
    assert estimate == {
        "input_tokens": input_tokens,
        "estimated_output_tokens": 500,
        "estimated_cost": (input_tokens * Decimal("0.005") + 500 * Decimal("0.015")) / 1_000,
        "within_budget": True,
    }
    assert isinstance(estimate["estimated_cost"], Decimal)


def test_an_estimate_that_costs_the_limit_exactly_is_within_it() -> None:
    cost = estimator().estimate_request_cost(MESSAGES, 500)["estimated_cost"]
    assert estimator(max_per_request_usd=cost).estimate_request_cost(MESSAGES, 500)["within_budget"]
    less = cost - Decimal("0.000000001")
    assert not estimator(max_per_request_usd=less).estimate_request_cost(MESSAGES, 500)["within_budget"]
    assert not estimator(daily_limit_usd=less).estimate_request_cost(MESSAGES, 500)["within_budget"]


def test_an_unknown_price_has_no_cost_and_fits_no_limit() -> None:
    for options, within in (({}, True), ({"daily_limit_usd": 50}, False), ({"max_per_request_usd": 1}, False)):
        tracker = CostTracker("openai", "gpt-99-never-made", **options)
        estimate = TokenCostEstimator(TokenCounter(), tracker).estimate_request_cost(MESSAGES, 10)
        assert (estimate["estimated_cost"], estimate["within_budget"]) == (None, within)


@pytest.mark.parametrize("max_tokens", [-1, None, "500", 1.5])
def test_an_output_limit_is_a_count(max_tokens: Any) -> None:
    with pytest.raises(ValueError, match="max_tokens must be a whole number"):
        estimator().estimate_request_cost(MESSAGES, max_tokens)
