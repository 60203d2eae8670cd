"""The most that an attempt can cost is never less than what it does cost, over everything it can reach."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.allowances import Allowance, Denial, Meter
from bursar.rules.estimate import (
    LIKELY_OUTPUT_TOKENS,
    Likely,
    Size,
    bound_pico_usd,
    demand_of,
    denied_for_input,
    floor_nano_usd,
    hinges_on_input,
    likely_nano_usd,
    squeezed_by_input,
)
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage

CHEAP = PriceCard.of({"input": 1, "output": 2}, version="cheap")
DEAR = PriceCard.of({"input": 3, "cache_write": 5, "output": 4, "audio_output": 50, "requests": 1_000}, version="dear")
TIERED = PriceCard.of({"input": 1, "output": 1}, version="tiered", tiers={1_000: {"input": 7, "output": 9}})
CARDS = st.lists(st.sampled_from([CHEAP, DEAR, TIERED]), min_size=1, max_size=3)


def size(**changes: Any) -> Size:
    fields = {
        "input_tokens_max": 1_000,
        "input_tokens_likely": 250,
        "output_limit": None,
        "output_tokens_min": 100,
        "output_tokens_max": 4_000,
        "choices": 1,
    }
    return Size(**{**fields, **changes})


@given(
    CARDS,
    st.integers(0, 5_000),
    st.integers(1, 4_000),
    st.integers(1, 5),
    st.dictionaries(
        st.sampled_from(["cached_input", "cache_write", "reasoning_output", "audio_output"]), st.integers(0, 9_999)
    ),
    st.data(),
)
def test_whatever_is_used_within_the_size_costs_no_more_than_the_bound(
    cards: list[PriceCard], input_max: int, limit: int, choices: int, parts: dict[str, int], data: st.DataObject
) -> None:
    wanted = size(input_tokens_max=input_max, output_limit=limit, choices=choices)
    demand = demand_of(wanted, cards)
    served = data.draw(st.sampled_from(cards))
    # Each choice may be billed its own input and a request's fee.
    used_input = data.draw(st.integers(0, input_max))
    used_output = data.draw(st.integers(0, limit))
    usage = Usage.of(used_input * choices, used_output * choices, {**parts, "requests": choices})
    assert demand.base_pico_usd is not None
    cost = served.cost_nano_usd(usage)
    if served is TIERED and used_input <= 1_000 < used_input * choices:
        return  # each choice is in its own tier
    assert cost is not None
    assert cost <= demand.nano_usd(limit)


def test_the_bound_is_that_of_the_dearest_model_it_can_reach() -> None:
    base, unit = bound_pico_usd(size(output_limit=10), [CHEAP, DEAR])
    assert base == 1_000 * 5_000_000 + 1_000_000_000
    assert unit == 50_000_000


def test_one_price_that_is_not_known_leaves_no_bound() -> None:
    assert bound_pico_usd(size(), [CHEAP, None]) == (None, 0)
    assert bound_pico_usd(size(), []) == (None, 0)
    only_input = PriceCard.of({"input": 1}, version="in")
    assert bound_pico_usd(size(), [only_input]) == (None, 0)
    assert demand_of(size(), [None]).nano_usd(100) == 0, "nothing is claimed of what cannot be bounded"


def test_an_embedding_needs_no_price_of_output() -> None:
    only_input = PriceCard.of({"input": 1}, version="in")
    wanted = size(output_limit=0, output_tokens_min=0, output_tokens_max=0)
    assert bound_pico_usd(wanted, [only_input]) == (10**9, 0)


def test_choices_multiply_input_output_and_fees() -> None:
    once, twice = demand_of(size(output_limit=10), [DEAR]), demand_of(size(output_limit=10, choices=2), [DEAR])
    assert twice.nano_usd(10) == 2 * once.nano_usd(10)


def test_the_callers_own_limit_is_the_whole_range() -> None:
    demand = demand_of(size(output_limit=9_999), [CHEAP])
    assert (demand.output_tokens_min, demand.output_tokens_max) == (9_999, 9_999)


def test_a_minimum_above_the_models_maximum_is_the_maximum() -> None:
    demand = demand_of(size(output_tokens_min=8_192, output_tokens_max=4_096), [CHEAP])
    assert (demand.output_tokens_min, demand.output_tokens_max) == (4_096, 4_096)


@given(st.integers(0, 20_000_000))
def test_a_cap_narrows_the_range_from_above_and_never_below_the_minimum(cap: int) -> None:
    free = demand_of(size(), [CHEAP])
    capped = demand_of(size(), [CHEAP], cap_nano_usd=cap, cap="cap")
    assert capped.output_tokens_min == free.output_tokens_min
    assert free.output_tokens_min <= capped.output_tokens_max <= free.output_tokens_max
    if floor_nano_usd(free) <= cap:
        assert capped.nano_usd(capped.output_tokens_max) <= cap
    assert capped.capped_by == ("cap" if capped.output_tokens_max < free.output_tokens_max else "")


def test_a_cap_does_not_change_a_limit_of_the_callers_own() -> None:
    assert demand_of(size(output_limit=50), [CHEAP], cap_nano_usd=1, cap="cap").output_tokens_max == 50


def test_the_likely_cost_is_that_of_a_usual_reply_at_plain_prices() -> None:
    assert likely_nano_usd(size(), CHEAP) == (250 * 1 + LIKELY_OUTPUT_TOKENS * 2) * 1_000
    assert likely_nano_usd(size(output_limit=10, choices=3), CHEAP) == (250 + 3 * 10 * 2) * 1_000
    assert likely_nano_usd(size(), None) is None
    assert likely_nano_usd(size(), PriceCard.of({"output": 1}, version="out")) is None


@pytest.mark.parametrize(("limit", "rate"), [(None, LIKELY_OUTPUT_TOKENS), (10, 10), (4_000, LIKELY_OUTPUT_TOKENS)])
def test_rate_limits_are_estimated_and_not_bounded(limit: int | None, rate: int) -> None:
    demand = demand_of(size(output_limit=limit), [CHEAP])
    assert (demand.rate_input_tokens, demand.rate_output_tokens) == (250, rate)


def test_where_the_provider_reserves_a_limit_counts_in_full_against_its_rates() -> None:
    likely = Likely(700, 20)
    for limit, choices, rate, reserved in ((4_000, 1, 4_000, 0), (50, 3, 150, 0), (None, 2, 40, 2)):
        asked = size(output_limit=limit, choices=choices)
        demand = demand_of(asked, [CHEAP], likely=likely, reserves=True)
        assert (demand.rate_input_tokens, demand.rate_output_tokens, demand.reserves) == (700, rate, reserved)
        assert demand_of(asked, [CHEAP], likely=likely).reserves == 0
        assert demand.nano_usd(50) == demand_of(asked, [CHEAP]).nano_usd(50), "which is nothing to money"


def test_a_cap_leaves_what_is_reserved_as_it_is() -> None:
    capped = demand_of(size(choices=2), [CHEAP], cap_nano_usd=4_000_000, cap="c", reserves=True)
    assert (capped.capped_by, capped.reserves) == ("c", 2)


def test_what_was_learnt_replaces_the_estimate_and_never_passes_or_moves_the_bound() -> None:
    plain = demand_of(size(output_limit=50), [CHEAP])
    learnt = demand_of(size(output_limit=50, choices=2), [CHEAP], likely=Likely(700, 20))
    assert (learnt.rate_input_tokens, learnt.rate_output_tokens) == (700, 40)
    above = demand_of(size(output_limit=50), [CHEAP], likely=Likely(10**6, 10**6))
    assert (above.rate_input_tokens, above.rate_output_tokens) == (1_000, 50)
    assert above.nano_usd(50) == plain.nano_usd(50)
    capped = demand_of(size(), [CHEAP], cap_nano_usd=2_000_000, cap="c", likely=Likely(700, 20))
    assert (capped.rate_input_tokens, capped.rate_output_tokens) == (700, 20)


# 1,000 input tokens bound at 1 USD per million, output at 2: the input costs 1,000,000 nano-USD, 100 tokens 200,000.
INPUT = 1_000_000
LIMITED = demand_of(size(output_limit=100), [CHEAP])


def test_a_claim_hinges_on_its_input_where_all_the_rest_of_it_fits() -> None:
    needed = LIMITED.nano_usd(100)
    assert needed == INPUT + 200_000
    assert hinges_on_input(LIMITED, needed, 200_000)
    assert not hinges_on_input(LIMITED, needed, 199_999)
    assert not hinges_on_input(demand_of(size(), [None]), needed, needed)


def denial(*, left: int, held: int = 0, meter: Meter = "nano_usd", **more: Any) -> Denial:
    shape = "calendar" if meter == "nano_usd" else "bucket"
    allowance = Allowance("day", meter, 10**6, shape, "day")  # type: ignore[arg-type]
    fields: dict[str, Any] = {"reason": "over", "comeback": "never", "needed": LIMITED.nano_usd(100)} | more
    return Denial(allowance, "", left=left, spent=0, held=held, limit=10**6, **fields)


def test_only_a_denial_of_money_can_turn_by_counting_and_only_where_the_output_has_room() -> None:
    assert denied_for_input(LIMITED, denial(left=200_000))
    assert denied_for_input(LIMITED, denial(left=-5, held=200_005)), "what calls in flight hold comes back"
    assert not denied_for_input(LIMITED, denial(left=100_000, held=99_999))
    assert not denied_for_input(LIMITED, denial(left=-1, held=200_000))
    assert not denied_for_input(LIMITED, denial(left=10**6, meter="tokens"))
    assert not denied_for_input(LIMITED, denial(left=10**6, reason="price"))
    assert not denied_for_input(LIMITED, denial(left=10**6, reason="missing"))


def test_output_is_squeezed_by_the_input_where_the_input_costs_as_much() -> None:
    demand = demand_of(size(), [CHEAP])
    assert squeezed_by_input(demand, 500, "day")
    assert not squeezed_by_input(demand, 501, "day")
    assert not squeezed_by_input(demand, 500, "")
    assert not squeezed_by_input(demand, 0, "day")
    assert not squeezed_by_input(demand_of(size(), [None]), 100, "day")
