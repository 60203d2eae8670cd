"""Usage objects of every form that was seen, and of none that was ever meant."""

from __future__ import annotations

import json
from decimal import Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import TOKENS_MAX
from bursar.wire.lenient import decode
from bursar.wire.openai_usage import read_usage

PLAIN = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}

# (what the provider says beside PLAIN, the leaves)
FORMS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({}, {"input": 100, "output": 20}),
    (
        {"prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 0}},
        {"input": 36, "cached_input": 64, "output": 20},
    ),
    ({"prompt_tokens_details": {"cache_write_tokens": 90}}, {"cache_write": 90, "input": 10, "output": 20}),
    (
        {
            "prompt_tokens_details": {
                "cache_write_tokens": 90,
                "cache_write_tokens_details": {"ttl_30m": 50, "ttl_12h": 30},
            }
        },
        {"cache_write_12h": 30, "cache_write_30m": 50, "cache_write": 10, "input": 10, "output": 20},
    ),
    (
        {"prompt_tokens_details": {"audio_tokens": 30, "image_tokens": 20, "video_tokens": 10}},
        {"audio_input": 30, "image_input": 20, "video_input": 10, "input": 40, "output": 20},
    ),
    (
        {
            "completion_tokens_details": {
                "reasoning_tokens": 12,
                "audio_tokens": 2,
                "accepted_prediction_tokens": 3,
                "rejected_prediction_tokens": 4,
            }
        },
        {"input": 100, "audio_output": 2, "reasoning_output": 12, "rejected_prediction": 4, "output": 2},
    ),
    ({"prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60}, {"input": 60, "cached_input": 40, "output": 20}),
    (
        {"prompt_cache_hit_tokens": 40, "prompt_tokens_details": {"cached_tokens": 40}},
        {"input": 60, "cached_input": 40, "output": 20},
    ),
    ({"num_cached_tokens": 48}, {"input": 52, "cached_input": 48, "output": 20}),
    # Gemini and xAI: thinking is in the total alone.
    ({"total_tokens": 182}, {"input": 100, "reasoning_output": 62, "output": 20}),
    (
        {"total_tokens": 182, "completion_tokens_details": {"reasoning_tokens": 50}},
        {"input": 100, "reasoning_output": 50, "output": 32},
    ),
    ({"server_tool_use_details": {"web_search_requests": 2}}, {"input": 100, "output": 20, "web_searches": 2}),
    ({"server_tool_use": {"web_search_requests": 3}}, {"input": 100, "output": 20, "web_searches": 3}),
    ({"server_tool_use_details": {"web_search_requests": 0}, "server_tool_use": None}, {"input": 100, "output": 20}),
    # Mistral bills audio by the second, beside its tokens.
    ({"prompt_audio_seconds": 12}, {"input": 100, "output": 20, "audio_seconds": 12}),
    ({"prompt_audio_seconds": None}, {"input": 100, "output": 20}),
    # Proxies of Anthropic's models.
    (
        {
            "cache_creation_input_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 50, "cache_creation_tokens": 30},
        },
        {"cache_write": 30, "input": 20, "cached_input": 50, "output": 20},
    ),
    (
        {"prompt_tokens_details": {"cache_write_tokens": 90}, "cache_write_tokens_details": {"ttl_1h": 90}},
        {"cache_write_1h": 90, "input": 10, "output": 20},
    ),
    # Cached audio and images are counted as cached and again as audio and images.
    (
        {
            "prompt_tokens_details": {
                "cached_tokens": 60,
                "audio_tokens": 50,
                "image_tokens": 10,
                "cached_tokens_details": {"text_tokens": 15, "audio_tokens": 40, "image_tokens": 5},
            }
        },
        {
            "audio_input": 10,
            "image_input": 5,
            "input": 25,
            "cached_audio_input": 40,
            "cached_image_input": 5,
            "cached_input": 15,
            "output": 20,
        },
    ),
    ({"prompt_tokens_details": None, "completion_tokens_details": None}, {"input": 100, "output": 20}),
    ({"queue_time": 0.1, "prompt_time": 1.5e-05, "service_tier": "x"}, {"input": 100, "output": 20}),
    ({"prompt_tokens": 100.0}, {"input": 100, "output": 20}),
]


@pytest.mark.parametrize(("said", "leaves"), FORMS, ids=[json.dumps(said)[:60] for said, _ in FORMS])
def test_forms(said: dict[str, Any], leaves: dict[str, int]) -> None:
    reading = read_usage(decode(json.dumps(PLAIN | said).encode()))
    assert reading.usage is not None
    assert dict(reading.usage.leaves) == leaves
    assert not reading.odd
    assert not reading.usage.contradictory


# (what the provider says beside PLAIN, the leaves of the dearest thing it can mean)
CONTRADICTIONS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"total_tokens": 7}, {"input": 100, "output": 20}),
    ({"prompt_tokens_details": {"cached_tokens": 101}}, {"input": 100, "output": 20}),
    # OpenRouter: everything both read from and written to the cache.
    (
        {
            "prompt_tokens": 2168,
            "total_tokens": 2188,
            "prompt_tokens_details": {"cached_tokens": 2161, "cache_write_tokens": 2161},
        },
        {"cache_write": 2161, "input": 7, "output": 20},
    ),
    # OpenRouter: more reasoning than output, in a total that confirms the output.
    ({"completion_tokens_details": {"reasoning_tokens": 21}}, {"input": 100, "reasoning_output": 20}),
    # Where no total confirms a side, what does not fit into it may stand beside it.
    (
        {"total_tokens": None, "completion_tokens_details": {"reasoning_tokens": 21}},
        {"input": 100, "reasoning_output": 21, "output": 20},
    ),
    (
        {"total_tokens": "?", "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 7}},
        {"cache_write": 7, "input": 100, "cached_input": 400, "output": 20},
    ),
    # Audio that is cached and not audio.
    (
        {"prompt_tokens_details": {"cached_tokens": 9, "cached_tokens_details": {"audio_tokens": 5}}},
        {"input": 91, "cached_input": 9, "output": 20},
    ),
    ({"prompt_audio_seconds": -1}, {"input": 100, "output": 20}),
    ({"prompt_tokens": "100"}, {"input": 100, "output": 20}),
    ({"prompt_tokens": 99.5}, {"input": 100, "output": 20}),
    ({"prompt_tokens": 0.5}, {"input": 100, "output": 20}),  # and not 99 tokens of output that nobody had
    ({"prompt_audio_seconds": 2.5}, {"input": 100, "output": 20, "audio_seconds": 3}),
    ({"prompt_tokens": -1}, {"input": 100, "output": 20}),  # from the total
    ({"completion_tokens": -5}, {"input": 100, "output": 20}),
    ({"completion_tokens": TOKENS_MAX + 1}, {"input": 100, "output": 20}),
    ({"completion_tokens": True}, {"input": 100, "output": 20}),
    ({"total_tokens": "many"}, {"input": 100, "output": 20}),
    ({"prompt_tokens_details": {"cached_tokens": -3}}, {"input": 100, "output": 20}),
    ({"prompt_tokens_details": [1]}, {"input": 100, "output": 20}),
    (
        {"prompt_cache_hit_tokens": 40, "prompt_tokens_details": {"cached_tokens": 10}},
        {"input": 90, "cached_input": 10, "output": 20},
    ),
]


@pytest.mark.parametrize(("said", "leaves"), CONTRADICTIONS, ids=[json.dumps(said)[:60] for said, _ in CONTRADICTIONS])
def test_contradictions_are_read_at_their_dearest_and_marked(said: dict[str, Any], leaves: dict[str, int]) -> None:
    reading = read_usage(PLAIN | said)
    assert reading.usage is not None
    assert dict(reading.usage.leaves) == leaves
    assert reading.odd
    assert reading.usage.contradictory


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {},
        [],
        "usage",
        7,
        {"prompt_tokens": 5},
        {"completion_tokens": 5},
        {"total_tokens": 5},
        {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
        {"prompt_tokens": -1, "completion_tokens": 5},
        {"prompt_tokens": TOKENS_MAX + 1, "completion_tokens": 5},
        {"prompt_tokens": Decimal("NaN"), "completion_tokens": 5},
        {"prompt_tokens": Decimal("1e999999"), "completion_tokens": 5},
        {"prompt_tokens": 10**400, "completion_tokens": 5},
    ],
)
def test_no_usable_side_is_no_usage(raw: object) -> None:
    assert read_usage(raw).usage is None


def test_embeddings_have_no_output() -> None:
    for raw in ({"prompt_tokens": 8, "total_tokens": 8}, {"prompt_tokens": 8}):
        reading = read_usage(raw, output_expected=False)
        assert reading.usage is not None
        assert (dict(reading.usage.leaves), reading.odd) == ({"input": 8}, False)
    only_total = read_usage({"total_tokens": 8}, output_expected=False)
    assert only_total.usage is not None
    assert (only_total.usage.input_tokens, only_total.odd) == (8, True)


@pytest.mark.parametrize(
    ("said", "nano_usd"),
    [
        ('{"cost": 0.00183}', 1_830_000),
        ('{"cost": 1.56e-05}', 15_600),
        ('{"cost": 0.0076509169000000005}', 7_650_917),  # rounded up, once
        ('{"cost": 0}', 0),
        ('{"cost": 2}', 2_000_000_000),
        ('{"cost": 0.001, "is_byok": false, "cost_details": {"upstream_inference_cost": 0.5}}', 1_000_000),
        ('{"cost": 0, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.0003253}}', 325_300),
        ('{"cost": 0.00000000011, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.00000000012}}', 1),
        ('{"cost_in_usd_ticks": 37756000}', 3_775_600),
        ('{"cost_in_usd_ticks": 1}', 1),
    ],
)
def test_reported_costs_are_exact(said: str, nano_usd: int) -> None:
    reading = read_usage(decode(said.encode()))
    assert (reading.reported_nano_usd, reading.odd) == (nano_usd, False)


@pytest.mark.parametrize(
    "said",
    [
        '{"cost": -0.01}',
        '{"cost": NaN}',
        '{"cost": Infinity}',
        '{"cost": 1e400}',
        '{"cost": 1e999999999999999999999}',
        '{"cost": 10000.01}',
        '{"cost": "0.01"}',
        '{"cost": true}',
        '{"cost": [0.01]}',
        '{"cost_in_usd_ticks": -1}',
        '{"cost": 0.1, "is_byok": true, "cost_details": {"upstream_inference_cost": -1}}',
    ],
)
def test_costs_that_cannot_be_are_ignored_and_marked(said: str) -> None:
    reading = read_usage(decode(said.encode()) | PLAIN)
    assert (reading.reported_nano_usd, reading.odd) == (None, True)
    assert reading.usage is not None
    assert reading.usage.contradictory


def test_own_keys_without_the_makers_bill_have_no_reported_cost() -> None:
    for details in (None, {}, {"upstream_inference_cost": None}):
        reading = read_usage({"cost": 0, "is_byok": True, "cost_details": details})
        assert (reading.reported_nano_usd, reading.odd) == (None, False)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.decimals()
    | st.sampled_from(["12", 10**50, -1, Decimal("1e-999999"), Decimal("1e999999"), TOKENS_MAX]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(
    [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cost",
        "is_byok",
        "cost_in_usd_ticks",
        "num_cached_tokens",
        "prompt_cache_hit_tokens",
    ]
)
DETAILS = st.dictionaries(
    st.sampled_from(
        ["cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens", "upstream_inference_cost"]
    ),
    JSON,
)
USAGES = st.builds(
    lambda plain, inner: plain | inner,
    st.dictionaries(NAMES, JSON),
    st.dictionaries(
        st.sampled_from(
            ["prompt_tokens_details", "completion_tokens_details", "cost_details", "server_tool_use_details"]
        ),
        DETAILS | JSON,
    ),
)


@given(USAGES | JSON, st.booleans())
def test_no_report_raises_or_loses_what_it_can_say(raw: object, output_expected: bool) -> None:
    reading = read_usage(raw, output_expected=output_expected)
    usage = reading.usage
    if usage is not None and isinstance(raw, dict):
        assert all(0 < count <= 2 * TOKENS_MAX for count in usage.leaves.values())
        for name, counted in (("prompt_tokens", usage.input_tokens), ("completion_tokens", usage.output_tokens)):
            if type(raw.get(name)) is int and 0 <= raw[name] <= TOKENS_MAX:
                assert counted >= raw[name]
    assert reading.reported_nano_usd is None or 0 <= reading.reported_nano_usd <= 2 * 10**13


def test_a_reported_cost_is_exact_whatever_precision_a_program_sets_for_its_own_decimals() -> None:
    usage = {**PLAIN, "cost": Decimal("1.23456789"), "is_byok": True}
    both = {**usage, "cost_details": {"upstream_inference_cost": Decimal("0.000123456")}}
    with localcontext(Context(prec=3)):
        assert read_usage(both, output_expected=True).reported_nano_usd == 1_234_691_346
        assert read_usage({**PLAIN, "cost_in_usd_ticks": 12_345_678_901}, output_expected=True).reported_nano_usd == (
            1_234_567_891
        )
