"""The usage object in the names that Responses gives its fields: the same bill as in those of chat."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import TOKENS_MAX
from bursar.wire.openai_usage import CHAT, RESPONSES, read_usage

FORMS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}, {"input": 10, "output": 4}),
    (
        {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 30},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 15},
        },
        {"input": 30, "cached_input": 40, "cache_write": 30, "reasoning_output": 15, "output": 5},
    ),
    (
        {
            "input_tokens": 100,
            "input_tokens_details": {
                "cached_tokens": 10,
                "cache_write_tokens": 60,
                "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 30},
            },
            "output_tokens": 1,
        },
        {
            "input": 30,
            "cached_input": 10,
            "cache_write": 10,
            "cache_write_30m": 20,
            "cache_write_12h": 30,
            "output": 1,
        },
    ),
    (
        {
            "input_tokens": 9,
            "input_tokens_details": {"audio_tokens": 2, "image_tokens": 3, "text_tokens": 4},
            "output_tokens": 9,
            "output_tokens_details": {"audio_tokens": 2, "image_tokens": 3, "text_tokens": 4},
        },
        {"input": 4, "audio_input": 2, "image_input": 3, "output": 4, "audio_output": 2, "image_output": 3},
    ),
]


@pytest.mark.parametrize(("said", "leaves"), FORMS)
def test_forms(said: dict[str, Any], leaves: dict[str, int]) -> None:
    reading = read_usage(said, RESPONSES)
    assert reading.usage is not None
    assert (dict(reading.usage.leaves), reading.odd) == (leaves, False)


OWN_KEY = {"cost": Decimal("0.000001"), "is_byok": True}
INPUT, OUTPUT = Decimal("3.75e-06"), Decimal("2.4e-05")


@pytest.mark.parametrize(
    ("said", "upstream", "nano_usd"),
    [
        ({"cost": Decimal("2.775e-05"), "is_byok": False}, {"inference_cost": None}, 27_750),
        (OWN_KEY, {"inference_cost": Decimal("0.0003253")}, 326_300),
        (OWN_KEY, {"inference_cost": None, "inference_input_cost": INPUT, "inference_output_cost": OUTPUT}, 28_750),
        (OWN_KEY, {"inference_prompt_cost": INPUT, "inference_completions_cost": OUTPUT}, 28_750),
        (OWN_KEY, {"inference_input_cost": INPUT}, None),
        (OWN_KEY, {}, None),
        ({"cost_in_usd_ticks": 12_345_678_901}, {}, 1_234_567_891),
    ],
)
def test_reported_costs_are_exact(said: dict[str, Any], upstream: dict[str, Any], nano_usd: int | None) -> None:
    details = {f"upstream_{name}": amount for name, amount in upstream.items()}
    raw = {"input_tokens": 1, "output_tokens": 2, "cost_details": details} | said
    reading = read_usage(raw, RESPONSES)
    assert (reading.reported_nano_usd, reading.odd) == (nano_usd, False)


def test_pieces_counted_outside_the_usage_are_fees_and_no_tokens() -> None:
    said = {"input_tokens": 10, "output_tokens": 4}
    usage = read_usage(said, RESPONSES, fees={"web_searches": 2}).usage
    assert usage is not None
    assert (dict(usage.leaves), usage.total_tokens) == ({"input": 10, "output": 4, "web_searches": 2}, 14)
    both = said | {"server_tool_use_details": {"web_search_requests": 3}}
    assert [
        (reading.usage.leaves.get("web_searches") if reading.usage else None)
        for reading in (read_usage(both, RESPONSES, fees={"web_searches": count}) for count in (2, 4))
    ] == [3, 4]


COUNTS = st.integers(0, TOKENS_MAX) | st.integers() | st.text("0123456789.-", max_size=4) | st.none() | st.floats()
PARTS = st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens"]), COUNTS)


@given(st.tuples(COUNTS, COUNTS, COUNTS), PARTS, PARTS, st.floats() | st.none())
def test_both_forms_are_read_alike(
    totals: tuple[object, object, object], inner: dict[str, object], outer: dict[str, object], cost: float | None
) -> None:
    def said(form: tuple[str, str, str, str]) -> dict[str, object]:
        return dict(zip([*form, "total_tokens", "cost"], [*totals[:2], inner, outer, totals[2], cost], strict=True))

    reading = read_usage(said(RESPONSES), RESPONSES)
    assert reading == read_usage(said(CHAT), CHAT)
    usage = reading.usage
    if usage is None:
        return
    for told, counted in zip(totals[:2], (usage.input_tokens, usage.output_tokens), strict=True):
        if type(told) is int and 0 <= told <= TOKENS_MAX:
            assert counted >= told
