"""Prices: compiled into integers, rounded up and never down, unknown and never nothing, cliffs as providers bill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.prices import PARENTS, PriceCard, free_card
from bursar.rules.usage import FEE_LEAVES, INPUT_LEAVES, LEAVES, OUTPUT_LEAVES, Usage

USD = st.decimals(0, 100_000, allow_nan=False, allow_infinity=False, places=9)
TOKENS = st.integers(0, 2**24)


def card(**usd_per_million: Any) -> PriceCard:
    return PriceCard.of(usd_per_million, version="test")


@given(USD, USD, TOKENS, TOKENS)
def test_a_cost_is_the_exact_product_rounded_up_once(
    input_usd: Decimal, output_usd: Decimal, input_tokens: int, output_tokens: int
) -> None:
    compiled = card(input=input_usd, output=output_usd)
    cost = compiled.cost_nano_usd(Usage.of(input_tokens, output_tokens))
    assert cost is not None
    exact = (input_usd * input_tokens + output_usd * output_tokens) * 1000  # nano-USD
    # A unit price is rounded up to a pico-dollar, so each token may add less than that; the sum is rounded up once.
    assert exact <= cost < exact + Decimal(input_tokens + output_tokens) / 1000 + 1


def test_a_price_of_whole_pico_dollars_is_exact() -> None:
    assert card(input="0.15", output="0.60").cost_nano_usd(Usage.of(1, 1)) == 750
    assert card(input="0.000001", output="0").cost_nano_usd(Usage.of(1, 0)) == 1, "1 pico-USD rounds up to 1 nano-USD"
    assert card(input="0.000001", output="0").cost_nano_usd(Usage.of(1001, 0)) == 2
    assert card(input="0.0000000001", output="0").pico_usd["input"] == 1, "a price is never rounded to nothing"


@given(st.dictionaries(st.sampled_from([*INPUT_LEAVES, *OUTPUT_LEAVES]), USD, min_size=1))
def test_every_leaf_with_a_priced_ancestor_has_its_price(prices: dict[str, Decimal]) -> None:
    compiled = PriceCard.of(prices, version="test")
    for leaf in LEAVES:
        nearest = leaf
        while nearest not in prices and nearest in PARENTS:
            nearest = PARENTS[nearest]
        if nearest in prices:
            assert compiled.pico_usd[leaf] == compiled.pico_usd[nearest]
        elif leaf != "requests":
            assert leaf not in compiled.pico_usd


def test_what_was_used_and_has_no_price_makes_the_cost_unknown() -> None:
    only_input = card(input=1)
    assert only_input.cost_nano_usd(Usage.of(10, 0)) == 10_000
    assert only_input.cost_nano_usd(Usage.of(10, 1)) is None
    assert only_input.dearest_output_pico_usd() is None
    searched = Usage.of(10, 0, {"web_searches": 1})
    assert card(input=1, output=1).cost_nano_usd(searched) is None
    assert card(input=1, output=1, web_searches=10_000).cost_nano_usd(searched) == 10_000 + 10_000_000


@given(st.integers(0, 400_000))
def test_a_tier_prices_the_whole_attempt_once_its_input_is_above_it(input_tokens: int) -> None:
    tiered = PriceCard.of(
        {"input": 1, "output": 2}, version="test", tiers={200_000: {"input": 10, "output": 20}, 100_000: {"input": 5}}
    )
    unit = 10 if input_tokens > 200_000 else 5 if input_tokens > 100_000 else 1
    output = 20 if input_tokens > 200_000 else 2
    assert tiered.cost_nano_usd(Usage.of(input_tokens, 7)) == (input_tokens * unit + 7 * output) * 1000


def test_a_tier_counts_cached_input_too() -> None:
    tiered = PriceCard.of({"input": 1, "output": 1}, version="test", tiers={100: {"input": 2}})
    assert tiered.cost_nano_usd(Usage.of(101, 0, {"cached_input": 101})) == 202_000


@given(
    st.dictionaries(st.sampled_from(sorted(LEAVES)), USD),
    st.dictionaries(st.integers(0, 10_000), st.dictionaries(st.sampled_from(sorted(LEAVES)), USD), max_size=3),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
    st.dictionaries(st.sampled_from(sorted({*LEAVES} - {"input", "output", *FEE_LEAVES})), TOKENS),
)
def test_no_usage_costs_more_than_the_dearest_leaves_say(
    prices: dict[str, Decimal],
    tiers: dict[int, dict[str, Decimal]],
    input_tokens: int,
    output_tokens: int,
    parts: dict[str, int],
) -> None:
    compiled = PriceCard.of({"input": 1, "output": 1, **prices}, version="test", tiers=tiers)
    dearest_input, dearest_output = compiled.dearest_input_pico_usd(), compiled.dearest_output_pico_usd()
    assert dearest_input is not None
    assert dearest_output is not None
    cost = compiled.cost_nano_usd(Usage.of(input_tokens, output_tokens, parts))
    assert cost is not None
    assert cost * 1000 - 1000 < input_tokens * dearest_input + output_tokens * dearest_output


@pytest.mark.parametrize("discount", ["0", "0.1", "0.5", "0.999"])
def test_a_discount_is_taken_off_and_still_rounds_up(discount: str) -> None:
    compiled = PriceCard.of({"input": "0.000003"}, version="test", discount=Decimal(discount))
    exact = Decimal(3) * (1 - Decimal(discount))
    assert exact <= compiled.pico_usd["input"] < exact + 1


@pytest.mark.parametrize(
    ("leaf", "usd", "said"),
    [
        ("inputs", 1, "unknown unit 'inputs'"),
        ("input", -1, "price of input: a price cannot be negative"),
        ("output", "nan", "price of output: expected a finite number"),
        ("output", "cheap", "price of output: expected a number"),
        ("output", True, "price of output"),
        ("input", "1e10", "price of input: 1e10 USD per million is absurd"),
    ],
)
def test_an_absurd_price_is_refused_by_name(leaf: str, usd: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PriceCard.of({leaf: usd}, version="test")


def test_free_is_free_in_every_unit_and_nothing_else_is() -> None:
    card_of_nothing = free_card("said")
    assert card_of_nothing.free
    assert card_of_nothing.cost_nano_usd(Usage.of(10, 10, {"cached_input": 3, "web_searches": 2, "requests": 1})) == 0
    assert not card(input=0, output="0.000001").free
    assert not PriceCard.of({"input": 0, "output": 0}, version="test", tiers={10: {"input": 1}}).free


def test_a_price_of_a_request_is_a_fee() -> None:
    assert card(input=1, output=1).fees_pico_usd() == 0
    assert card(input=1, output=1, requests=5_000).fees_pico_usd() == 5_000_000_000


def test_the_lines_of_a_bill_add_up_to_it() -> None:
    tiered = PriceCard.of({"input": 1, "output": 2}, version="test", tiers={100: {"input": "0.000001"}})
    for usage in (Usage.of(7, 3, {"cached_input": 2}), Usage.of(1001, 1), Usage.of(10, 0, {"cache_write": 80})):
        lines = tiered.lines(usage)
        cost = tiered.cost_nano_usd(usage)
        assert cost == -(-sum(line.amount_pico_usd or 0 for line in lines) // 1000)
        assert all(line.amount_pico_usd == line.units * (line.pico_usd or 0) for line in lines)
    [searched] = card(input=1).lines(Usage.of(0, 0, {"web_searches": 2}))
    assert searched == ("web_searches", 2, None, None)


LEAF_PRICES = st.dictionaries(st.sampled_from(sorted({*LEAVES} - {*FEE_LEAVES})), st.integers(0, 40))
CLAIMS = st.dictionaries(st.sampled_from(sorted({*INPUT_LEAVES} - {"input"})), st.integers(0, 6), max_size=3)


@given(LEAF_PRICES, CLAIMS, st.integers(0, 8))
def test_a_contradictory_report_costs_the_most_that_it_can_mean(
    prices: dict[str, int], claims: dict[str, int], total: int
) -> None:
    compiled = PriceCard.of({"input": 1, "output": 1, **prices}, version="test")
    usage = Usage.of(total, 0, claims)
    names = sorted(claims)

    def dearest(at: int, left: int) -> int:
        """Every way to share the total out, tried."""
        if at == len(names):
            return left * compiled.pico_usd["input"]
        unit = compiled.pico_usd[names[at]]
        return max(count * unit + dearest(at + 1, left - count) for count in range(min(left, claims[names[at]]) + 1))

    if usage.contradictory:
        assert compiled.cost_nano_usd(usage) == -(-dearest(0, total) // 1000)


def test_a_geography_multiplies_tokens_and_not_pieces() -> None:
    tiered = PriceCard.of(
        {"input": "0.000003", "output": 15, "web_searches": 10_000}, version="v", tiers={9: {"output": 30}}, listed=True
    ).times(Decimal("1.1"), "v us")
    assert (tiered.version, tiered.listed) == ("v us", True)
    assert (tiered.pico_usd["input"], tiered.pico_usd["output"]) == (4, 16_500_000)
    assert tiered.tiers[0].pico_usd["output"] == 33_000_000
    assert tiered.pico_usd["web_searches"] == 10_000_000_000
