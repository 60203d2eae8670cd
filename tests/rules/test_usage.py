"""No token is billed twice and none is lost: the leaves of a side add up to the side's total, whatever was reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import EMPTY_USAGE, FEE_LEAVES, INPUT_LEAVES, LEAVES, OUTPUT_LEAVES, Usage

TOKENS = st.integers(0, 2**30)
PARTS = st.dictionaries(st.sampled_from([leaf for leaf in LEAVES if leaf not in ("input", "output")]), TOKENS)


@given(TOKENS, TOKENS, PARTS)
def test_the_leaves_of_a_side_add_up_to_its_total(input_tokens: int, output_tokens: int, parts: dict[str, int]) -> None:
    usage = Usage.of(input_tokens, output_tokens, parts)
    assert usage.input_tokens == input_tokens
    assert usage.output_tokens == output_tokens
    assert usage.total_tokens == input_tokens + output_tokens
    assert sum(usage.leaves.get(leaf, 0) for leaf in INPUT_LEAVES) == input_tokens
    assert sum(usage.leaves.get(leaf, 0) for leaf in OUTPUT_LEAVES) == output_tokens


@given(TOKENS, TOKENS, PARTS)
def test_a_leaf_is_never_more_than_was_claimed_and_never_empty(
    input_tokens: int, output_tokens: int, parts: dict[str, int]
) -> None:
    usage = Usage.of(input_tokens, output_tokens, parts)
    assert all(count > 0 for count in usage.leaves.values())
    for leaf, count in usage.leaves.items():
        if leaf not in ("input", "output"):
            assert count <= parts[leaf]


@given(TOKENS, TOKENS, PARTS)
def test_a_report_contradicts_itself_exactly_when_a_side_claims_more_than_its_total(
    input_tokens: int, output_tokens: int, parts: dict[str, int]
) -> None:
    inputs = sum(parts.get(leaf, 0) for leaf in INPUT_LEAVES)
    outputs = sum(parts.get(leaf, 0) for leaf in OUTPUT_LEAVES)
    usage = Usage.of(input_tokens, output_tokens, parts)
    assert usage.contradictory == (inputs > input_tokens or outputs > output_tokens)


def test_a_report_that_fits_keeps_every_claim() -> None:
    usage = Usage.of(100, 50, {"cached_input": 30, "cache_write": 20, "audio_input": 5, "reasoning_output": 40})
    assert dict(usage.leaves) == {
        "cache_write": 20, "audio_input": 5, "input": 45, "cached_input": 30, "reasoning_output": 40, "output": 10
    }  # fmt: skip
    assert not usage.contradictory


@pytest.mark.parametrize(
    ("parts", "leaves"),
    [
        ({"cached_input": 40}, {"input": 10}),
        ({"cache_write": 8, "cached_input": 40}, {"cache_write": 8, "input": 2}),
        ({"cache_write": 80}, {"cache_write": 10}),
        ({"cache_write_1h": 6, "cache_write": 6}, {"cache_write_1h": 6, "cache_write": 4}),
    ],
)
def test_a_contradictory_report_is_read_as_the_dearest_it_can_mean(
    parts: dict[str, int], leaves: dict[str, int]
) -> None:
    usage = Usage.of(10, 0, parts)
    assert dict(usage.leaves) == leaves
    assert usage.contradictory


def test_fees_are_counted_in_pieces_and_enter_no_total() -> None:
    usage = Usage.of(10, 5, {"web_searches": 3, "requests": 1})
    assert usage.total_tokens == 15
    assert [usage.leaves.get(leaf) for leaf in FEE_LEAVES] == [1, 3, None, None]


def test_a_doubt_of_the_reader_stays() -> None:
    assert Usage.of(10, 5, contradictory=True).contradictory
    assert Usage.of(10, 5, {"cached_input": 1}, contradictory=True).contradictory


def test_nothing_is_nothing() -> None:
    assert Usage.of(0, 0) == EMPTY_USAGE
    assert EMPTY_USAGE.total_tokens == 0


def test_usage_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Usage.of(1, 1).leaves["input"] = 2  # type: ignore[index]


def test_what_was_claimed_in_vain_is_kept_to_be_shared_out_at_a_models_own_prices() -> None:
    fits, does_not = Usage.of(10, 5, {"cached_input": 4}), Usage.of(10, 5, {"cached_input": 40, "web_searches": 2})
    assert (dict(fits.claims), fits.dearest({"cached_input": 9})) == ({}, fits)
    assert dict(does_not.claims) == {"cached_input": 40, "web_searches": 2}
    assert dict(does_not.dearest({"cached_input": 9, "input": 1}).leaves) == {
        "cached_input": 10, "output": 5, "web_searches": 2
    }  # fmt: skip
