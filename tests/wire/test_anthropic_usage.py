"""Usage objects of Anthropic's form: every trap that was seen, and what no server ever meant."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import TOKENS_MAX, Usage
from bursar.wire.anthropic_usage import latest_usage, read_message_usage, tier_of
from bursar.wire.lenient import decode

PLAIN = {"input_tokens": 100, "output_tokens": 20}
LIVES = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 12}

# (what is said beside PLAIN, the leaves)
FORMS: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({}, {"input": 100, "output": 20}),
    ({"cache_read_input_tokens": None, "cache_creation_input_tokens": None}, {"input": 100, "output": 20}),
    ({"cache_read_input_tokens": 900}, {"input": 100, "cached_input": 900, "output": 20}),
    ({"cache_creation_input_tokens": 42}, {"cache_write": 42, "input": 100, "output": 20}),
    (
        {"cache_creation_input_tokens": 42, "cache_creation": LIVES},
        {"cache_write_1h": 12, "cache_write": 30, "input": 100, "output": 20},
    ),
    ({"cache_creation": LIVES}, {"cache_write_1h": 12, "cache_write": 30, "input": 100, "output": 20}),
    (
        {"cache_creation_input_tokens": 0, "cache_creation": dict.fromkeys(LIVES, 0)},
        {"input": 100, "output": 20},
    ),
    ({"output_tokens_details": {"thinking_tokens": 12}}, {"input": 100, "reasoning_output": 12, "output": 8}),
    ({"output_tokens_details": None, "server_tool_use": None}, {"input": 100, "output": 20}),
    (
        {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 9}},
        {"input": 100, "output": 20, "web_searches": 3},
    ),
    ({"iterations": [{"type": "message", **PLAIN}]}, {"input": 100, "output": 20}),
    ({"iterations": []}, {"input": 100, "output": 20}),
    ({"iterations": None}, {"input": 100, "output": 20}),
]


def read(more: dict[str, Any], **known: Any) -> Usage:
    usage = read_message_usage(PLAIN | more, **known).usage
    assert usage is not None
    return usage


@pytest.mark.parametrize(("more", "leaves"), FORMS)
def test_forms(more: dict[str, Any], leaves: dict[str, int]) -> None:
    usage = read(more)
    assert dict(usage.leaves) == leaves
    assert not usage.contradictory


def test_what_compacting_cost_is_not_in_the_top_level() -> None:
    """As recorded: without the iterations this bill would be read 250 times too low."""
    compaction = {"type": "compaction", "input_tokens": 55_196, "output_tokens": 125}
    message = {"type": "message", "input_tokens": 220, "output_tokens": 8}
    raw = {"input_tokens": 220, "output_tokens": 8, "iterations": [compaction, message]}
    usage = read_message_usage(raw).usage
    assert usage == Usage.of(55_416, 133)
    # Only compacting, as its own request: the top level is all zeros.
    alone = read_message_usage({"input_tokens": 0, "output_tokens": 0, "iterations": [compaction]}).usage
    assert alone == Usage.of(55_196, 125)
    # A gateway that has it in the top level already.
    whole = {"input_tokens": 55_416, "output_tokens": 133, "iterations": [compaction, message]}
    assert read_message_usage(whole).usage == usage


def test_an_adviser_is_another_model_at_prices_of_its_own() -> None:
    """As recorded: the top level is the sum of the messages, without the adviser."""
    first = {"type": "message", "input_tokens": 1128, "output_tokens": 135}
    advice = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2543, "output_tokens": 18}
    last = {"type": "message", "input_tokens": 1283, "output_tokens": 10}
    reading = read_message_usage({"input_tokens": 2411, "output_tokens": 145, "iterations": [first, advice, last]})
    assert reading.usage == Usage.of(2411, 145)
    assert reading.apart == (("claude-opus-4-8", Usage.of(2543, 18)),)
    assert reading.served_model == ""


def test_a_model_that_declined_midway_is_billed_beside_the_one_that_stepped_in() -> None:
    declined = {"type": "message", "model": "fable", "input_tokens": 400, "output_tokens": 30}
    served = {"type": "fallback_message", "model": "opus", "input_tokens": 410, "output_tokens": 90}
    for top in ({"input_tokens": 810, "output_tokens": 120}, {"input_tokens": 410, "output_tokens": 90}):
        reading = read_message_usage(top | {"iterations": [declined, served]})
        assert reading.usage == Usage.of(410, 90)
        assert (reading.served_model, reading.apart) == ("opus", (("fable", Usage.of(400, 30)),))


def test_compacting_beside_a_fallback_fits_too_and_is_billed_to_the_model_that_replied() -> None:
    listed = [
        {"type": "message", "model": "fable", "input_tokens": 400, "output_tokens": 30},
        {"type": "compaction", "model": "fable", "input_tokens": 50, "output_tokens": 7},
        {"type": "fallback_message", "model": "opus", "input_tokens": 410, "output_tokens": 90},
    ]
    reading = read_message_usage({"input_tokens": 810, "output_tokens": 120, "iterations": listed})
    assert (reading.usage, reading.apart) == (Usage.of(460, 97), (("fable", Usage.of(400, 30)),))


def test_iterations_say_how_long_something_is_cached_where_the_top_level_does_not() -> None:
    kept = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 42}
    message = {"type": "message", "cache_creation_input_tokens": 42, "cache_creation": kept, **PLAIN}
    assert read({"cache_creation_input_tokens": 42, "iterations": [message]}) == Usage.of(
        142, 20, {"cache_write_1h": 42}
    )


@pytest.mark.parametrize("top", [(5, 5), (500, 0), (0, 500)])
def test_a_top_level_that_its_iterations_contradict_is_read_at_the_dearer(top: tuple[int, int]) -> None:
    message = {"type": "message", "input_tokens": 100, "output_tokens": 20}
    extra = {"type": "compaction", "input_tokens": 7, "output_tokens": 1}
    raw = {"input_tokens": top[0], "output_tokens": top[1], "iterations": [message, extra]}
    assert read_message_usage(raw).usage == Usage.of(max(top[0], 100) + 7, max(top[1], 20) + 1, contradictory=True)


def test_iterations_that_are_none_leave_the_top_level_in_doubt() -> None:
    assert read({"iterations": "none"}) == Usage.of(100, 20, contradictory=True)
    # One that may be billed and cannot be read makes the whole unknown.
    for item in (None, {}, {"type": "compaction"}, {"type": "message", "input_tokens": "many", "output_tokens": 1}):
        assert read_message_usage(PLAIN | {"iterations": [item]}).usage is None


def test_a_kind_of_iteration_that_nobody_knows_is_added() -> None:
    new = {"type": "reflection", "input_tokens": 50, "output_tokens": 5}
    assert read({"iterations": [{"type": "message", **PLAIN}, new]}) == Usage.of(150, 25)


def test_how_long_something_is_cached_is_never_guessed_cheaply() -> None:
    long = {"cache_write_1h": 42, "input": 100, "output": 20}
    unsaid = {"cache_creation_input_tokens": 42, "cache_creation": {"ephemeral_5m_input_tokens": 0}}
    assert dict(read(unsaid).leaves) == long
    assert read(unsaid).contradictory
    # The request settles it.
    assert read(unsaid, long_writes=False) == read({"cache_creation_input_tokens": 42})
    assert dict(read({"cache_creation_input_tokens": 42}, long_writes=True).leaves) == long
    # Parts above their total.
    more = read({"cache_creation_input_tokens": 10, "cache_creation": LIVES})
    assert (more.input_tokens, more.contradictory) == (142, True)


@pytest.mark.parametrize(
    "name", ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
)
@pytest.mark.parametrize("value", [-1, "many", TOKENS_MAX + 1, 1e300, [], {}, True, "", Decimal("NaN")])
def test_a_count_that_cannot_be_read_leaves_the_bill_unknown(name: str, value: Any) -> None:
    assert read_message_usage(PLAIN | {name: value}).usage is None


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_side_that_is_missing_leaves_the_bill_unknown(name: str) -> None:
    assert read_message_usage({key: value for key, value in PLAIN.items() if key != name}).usage is None
    assert read_message_usage(PLAIN | {name: None}).usage is None


def test_counts_that_are_too_large_together_are_not_believed() -> None:
    half = {"input_tokens": TOKENS_MAX, "cache_read_input_tokens": 1, "output_tokens": 1}
    assert read_message_usage(half).usage is None
    many = [{"type": "message", "input_tokens": TOKENS_MAX, "output_tokens": 1}] * 2
    assert read_message_usage(PLAIN | {"iterations": many}).usage is None


def test_doubtful_counts_are_read_and_marked() -> None:
    assert read_message_usage({"input_tokens": "100", "output_tokens": 20.0}).usage == Usage.of(
        100, 20, contradictory=True
    )
    thought = read({"output_tokens_details": {"thinking_tokens": 21}})
    assert (thought.output_tokens, thought.contradictory) == (20, True)
    searched = read({"server_tool_use": {"web_search_requests": "some"}})
    assert (searched.leaves.get("web_searches"), searched.contradictory) == (None, True)
    iterated = read({"iterations": [{"type": "message", "input_tokens": "100", "output_tokens": 20}]})
    assert iterated == Usage.of(100, 20, contradictory=True)
    assert read({}, odd=True).contradictory


def test_a_reported_cost() -> None:
    reading = read_message_usage(PLAIN | {"cost": Decimal("0.0123"), "is_byok": False})
    assert (reading.reported_nano_usd, reading.usage) == (12_300_000, Usage.of(100, 20))
    own_key = {"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": Decimal("0.000325")}}
    assert read_message_usage(PLAIN | own_key).reported_nano_usd == 325_000
    assert read({"cost": "free"}).contradictory
    assert read_message_usage({"cost": 1}).reported_nano_usd == 10**9


@pytest.mark.parametrize(
    ("said", "tier"),
    [
        (("standard", "standard", "global"), ""),
        ((None, None, "not_available"), ""),
        (("auto", "", None), ""),
        (("priority", None, None), "priority"),
        (("batch", "fast", "us"), "batch+fast+us"),
        ((None, "fast", "us"), "fast+us"),
        ((7, ["fast"], {}), ""),
    ],
)
def test_tiers(said: tuple[Any, Any, Any], tier: str) -> None:
    assert tier_of(*said) == tier
    words = dict(zip(("service_tier", "speed", "inference_geo"), said, strict=True))
    assert read_message_usage(PLAIN | words).tier == tier


def test_later_events_correct_earlier_ones_and_never_downwards() -> None:
    start = {"input_tokens": 2068, "output_tokens": 1, "service_tier": "standard"}
    grown, shrank = latest_usage(start, {"input_tokens": 22_397, "output_tokens": 510, "service_tier": None})
    assert (grown, shrank) == ({"input_tokens": 22_397, "output_tokens": 510, "service_tier": "standard"}, False)
    lower, shrank = latest_usage(grown, {"input_tokens": 0, "output_tokens": 511})
    assert ((lower["input_tokens"], lower["output_tokens"]), shrank) == ((22_397, 511), True)


@pytest.mark.parametrize("raw", [None, {}, [], "", 7, True, [PLAIN], {"other": 1}])
def test_what_is_no_usage(raw: Any) -> None:
    assert read_message_usage(raw).usage is None


COUNT = st.integers(0, TOKENS_MAX // 64)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(COUNT, max_size=1), st.just({})
)
NAMES = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
INNER = ["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "thinking_tokens", "web_search_requests"]


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Reports of every shape over these values."""
    inner = st.one_of(values, st.dictionaries(st.sampled_from(INNER), values))
    counts = st.dictionaries(st.sampled_from(NAMES), values)
    kinds = st.sampled_from(["message", "compaction", "advisor_message", "fallback_message", "new"])
    iteration = st.builds(
        lambda kind, model, said: {"type": kind, "model": model} | said,
        kinds,
        st.sampled_from([None, "m", "n"]),
        counts,
    )
    beside = st.fixed_dictionaries(
        {},
        optional={
            "cache_creation": inner,
            "output_tokens_details": inner,
            "server_tool_use": inner,
            "iterations": st.one_of(values, st.lists(st.one_of(iteration, values), max_size=4)),
            "cost": values,
            "service_tier": values,
        },
    )
    return st.builds(lambda first, second: first | second, counts, beside)


@given(st.one_of(some(ODD), some(COUNT)), st.sampled_from([None, True, False]), st.booleans())
def test_nothing_raises_or_falls_below_what_can_be_read(raw: dict[str, Any], long: bool | None, odd: bool) -> None:
    reading = read_message_usage(raw, long_writes=long, odd=odd)
    if reading.usage is None:
        return
    for _, usage in [("", reading.usage), *reading.apart]:
        assert all(0 < count <= TOKENS_MAX for count in usage.leaves.values())
    said = {name: raw.get(name) or 0 for name in NAMES}
    if all(type(count) is int for count in said.values()):
        assert reading.usage.output_tokens + sum(one.output_tokens for _, one in reading.apart) >= said["output_tokens"]
        assert reading.usage.input_tokens + sum(one.input_tokens for _, one in reading.apart) >= (
            sum(said.values()) - said["output_tokens"]
        )


def fields(tokens: tuple[int, ...]) -> dict[str, Any]:
    fresh, cached, brief, long, output = tokens
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": brief + long,
        "cache_creation": {"ephemeral_5m_input_tokens": brief, "ephemeral_1h_input_tokens": long},
        "output_tokens": output,
    }


LEAVES = ("input", "cached_input", "cache_write", "cache_write_1h", "output")
TOKENS = st.tuples(COUNT, COUNT, COUNT, COUNT, COUNT)


@given(st.lists(TOKENS, min_size=1, max_size=4), st.lists(TOKENS, max_size=3), st.lists(TOKENS, max_size=3))
def test_a_report_that_adds_up_is_read_to_the_token(
    messages: list[tuple[int, int, int, int, int]],
    compactions: list[tuple[int, int, int, int, int]],
    advice: list[tuple[int, int, int, int, int]],
) -> None:
    """Against the plainest oracle: the sum over all entries."""
    listed: list[tuple[str, str | None, tuple[int, ...]]] = [("message", None, one) for one in messages]
    listed += [("compaction", None, one) for one in compactions]
    listed += [("advisor_message", "opus", one) for one in advice]
    top = tuple(map(sum, zip(*messages, strict=True)))
    raw = fields(top)
    raw["iterations"] = [fields(one) | {"type": kind, "model": model} for kind, model, one in listed]
    reading = read_message_usage(decode(json.dumps(raw).encode()))
    assert reading.usage is not None
    own = tuple(map(sum, zip(*messages, *compactions, strict=True)))
    assert {leaf: count for leaf, count in zip(LEAVES, own, strict=True) if count} == dict(reading.usage.leaves)
    assert not reading.usage.contradictory
    advised = tuple(map(sum, zip(*advice, strict=True)))
    for _, usage in reading.apart:
        assert {leaf: count for leaf, count in zip(LEAVES, advised, strict=True) if count} == dict(usage.leaves)
    assert len(reading.apart) == bool(advice)
