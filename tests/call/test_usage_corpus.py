"""Usage objects of every provider's form, damaged in every way: nothing raises, and nothing is charged below the bill.

The oracle begins with the bill itself, leaf by leaf and priced by hand, writes it down as a provider would, and damages
what it wrote. What comes back costs at least the bill, or is unknown and stays at the bound. Damage that no reader can
see (a dearer leaf left out of the details) is not among it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.call.meter import meter
from bursar.rules.money import Cost
from bursar.rules.prices import PriceCard
from bursar.rules.usage import TOKENS_MAX
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.dialect import Dialect, Metered
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_responses import OpenAIResponses

# USD per million (thousand searches): every leaf its own price, as different from the next as can be.
USD = {
    "input": 3, "cached_input": "0.3", "cache_write": "3.75", "cache_write_1h": 6, "audio_input": 40, "output": 15,
    "reasoning_output": 15, "audio_output": 80, "web_searches": 10_000,
}  # fmt: skip
CARD = PriceCard.of(USD, version="by hand")
COUNTS = st.integers(0, 5_000)
BILLS = st.fixed_dictionaries(
    {leaf: COUNTS for leaf in USD if leaf != "web_searches"} | {"web_searches": st.integers(0, 3)}
)
Bill = Mapping[str, int]


def true_nano_usd(bill: Bill) -> Decimal:
    """The bill, priced by hand."""
    return sum((Decimal(USD[leaf]) * count * 1000 for leaf, count in bill.items()), Decimal(0))


def total(bill: Bill, *leaves: str) -> int:
    return sum(bill[leaf] for leaf in leaves)


INPUTS = ("input", "cached_input", "cache_write", "cache_write_1h", "audio_input")
OUTPUTS = ("output", "reasoning_output", "audio_output")


def as_openai(bill: Bill, input_name: str, output_name: str) -> dict[str, Any]:
    written = total(bill, "cache_write", "cache_write_1h")
    return {
        f"{input_name}_tokens": total(bill, *INPUTS),
        f"{output_name}_tokens": total(bill, *OUTPUTS),
        "total_tokens": total(bill, *INPUTS, *OUTPUTS),
        f"{input_name}_tokens_details": {
            "cached_tokens": bill["cached_input"],
            "audio_tokens": bill["audio_input"],
            "cache_write_tokens": written,
            "cache_write_tokens_details": {"ttl_1h": bill["cache_write_1h"]},
        },
        f"{output_name}_tokens_details": {
            "reasoning_tokens": bill["reasoning_output"],
            "audio_tokens": bill["audio_output"],
        },
        "server_tool_use_details": {"web_search_requests": bill["web_searches"]},
    }


def as_chat(bill: Bill) -> dict[str, Any]:
    return as_openai(bill, "prompt", "completion")


def as_responses(bill: Bill) -> dict[str, Any]:
    return as_openai(bill, "input", "output")


def as_messages(bill: Bill) -> dict[str, Any]:
    return {
        "input_tokens": total(bill, "input", "audio_input"),
        "cache_read_input_tokens": bill["cached_input"],
        "cache_creation_input_tokens": total(bill, "cache_write", "cache_write_1h"),
        "cache_creation": {
            "ephemeral_5m_input_tokens": bill["cache_write"],
            "ephemeral_1h_input_tokens": bill["cache_write_1h"],
        },
        "output_tokens": total(bill, *OUTPUTS),
        "output_tokens_details": {"thinking_tokens": bill["reasoning_output"]},
        "server_tool_use": {"web_search_requests": bill["web_searches"]},
    }


def as_gemini(bill: Bill) -> dict[str, Any]:
    """Thinking only in the total."""
    usage = as_chat(bill)
    usage["completion_tokens"] -= bill["reasoning_output"]
    usage["completion_tokens_details"] = {"audio_tokens": bill["audio_output"]}
    return usage


def as_deepseek(bill: Bill) -> dict[str, Any]:
    usage = as_chat(bill)
    hits = usage["prompt_tokens_details"].pop("cached_tokens")
    return usage | {"prompt_cache_hit_tokens": hits, "prompt_cache_miss_tokens": usage["prompt_tokens"] - hits}


def as_mistral(bill: Bill) -> dict[str, Any]:
    return as_chat(bill) | {"num_cached_tokens": bill["cached_input"]}


CHAT = {"id": "r", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "x"}}]}
MESSAGE = {"id": "r", "model": "m", "type": "message", "stop_reason": "end_turn", "content": []}
RESPONSE = {"id": "r", "model": "m", "object": "response", "status": "completed", "output": []}
FORMS: dict[str, tuple[Dialect, Mapping[str, Any], Callable[[Bill], dict[str, Any]]]] = {
    "openai": (OpenAIChat(), CHAT, as_chat),
    "gemini": (OpenAIChat(), CHAT, as_gemini),
    "deepseek": (OpenAIChat(), CHAT, as_deepseek),
    "mistral": (OpenAIChat(), CHAT, as_mistral),
    "responses": (OpenAIResponses(), RESPONSE, as_responses),
    "anthropic": (AnthropicMessages(), MESSAGE, as_messages),
}
# Forms that have no word for a leaf.
WITHOUT = {"anthropic": ("audio_input", "audio_output"), "mistral": (), "openai": ()}


def metered(form: str, usage: object) -> Metered:
    dialect, reply, _ = FORMS[form]
    return dialect.meter(json.dumps({**reply, "usage": usage}, default=str).encode())


def cost_of(form: str, usage: object) -> Cost:
    return meter(metered(form, usage), asked_model="m", price=lambda model, tier="", /: CARD)[0]


def reported(form: str, bill: Bill) -> tuple[Bill, dict[str, Any]]:
    """A bill that a form can say, and how it says it."""
    sayable = {leaf: 0 if leaf in WITHOUT.get(form, ()) else count for leaf, count in bill.items()}
    return sayable, FORMS[form][2](sayable)


@given(st.sampled_from(sorted(FORMS)), BILLS)
def test_an_undamaged_report_costs_the_bill(form: str, bill: dict[str, int]) -> None:
    said, usage = reported(form, bill)
    cost = cost_of(form, usage)
    assert cost.certain
    assert cost.nano_usd is not None
    assert 0 <= cost.nano_usd - true_nano_usd(said) < 1


def paths(value: object, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place in a report."""
    if not isinstance(value, dict):
        return [at]
    inner = [path for name, part in value.items() for path in paths(part, (*at, name))]
    return [at, *inner] if at else inner


def damaged(usage: dict[str, Any], path: tuple[str, ...], damage: Callable[[Any], Any]) -> dict[str, Any]:
    """A copy with one place changed; `GONE` takes it away."""
    copy = json.loads(json.dumps(usage))
    place = copy
    for name in path[:-1]:
        place = place[name]
    value = damage(place[path[-1]])
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return dict(copy)


GONE = object()
# The same number in another guise: nothing may be lost by it.
GUISES: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: str(value) if isinstance(value, int) else value,
    "float": lambda value: float(value) if isinstance(value, int) else value,
}
# What makes a count say nothing.
DAMAGES: dict[str, Callable[[Any], Any]] = {
    "gone": lambda value: GONE,
    "null": lambda value: None,
    "negative": lambda value: -7,
    "enormous": lambda value: 10**40,
    "above any context": lambda value: TOKENS_MAX + 1,
    "not a number": lambda value: float("nan"),
    "a word": lambda value: "many",
    "a truth": lambda value: True,
    "a list": lambda value: [value],
}
# Places whose loss makes a bill dearer, or leaves it as it is: totals, and discounts of the input.
SAFE = {
    "prompt_tokens", "input_tokens", "completion_tokens", "output_tokens", "total_tokens", "cached_tokens",
    "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "num_cached_tokens", "cache_read_input_tokens",
    "reasoning_tokens", "thinking_tokens",
}  # fmt: skip


@given(st.sampled_from(sorted(FORMS)), BILLS, st.sampled_from(sorted(GUISES)), st.data())
def test_a_count_in_another_guise_loses_nothing(
    form: str, bill: dict[str, int], guise: str, data: st.DataObject
) -> None:
    said, usage = reported(form, bill)
    path = data.draw(st.sampled_from(paths(usage)))
    cost = cost_of(form, damaged(usage, path, GUISES[guise]))
    assert cost.nano_usd is None or cost.nano_usd >= true_nano_usd(said)


@given(st.sampled_from(sorted(FORMS)), BILLS, st.sampled_from(sorted(DAMAGES)), st.data())
def test_a_lost_count_is_never_to_the_users_favour(
    form: str, bill: dict[str, int], damage: str, data: st.DataObject
) -> None:
    said, usage = reported(form, bill)
    # What Anthropic does not say of its cache, it did not use: nobody can see that the count was lost.
    unsaid = {"cache_read_input_tokens"} if damage in ("gone", "null") else set()
    path = data.draw(st.sampled_from([path for path in paths(usage) if path[-1] in SAFE - unsaid]))
    cost = cost_of(form, damaged(usage, path, DAMAGES[damage]))
    if form == "gemini" and path[-1] == "prompt_tokens":
        # Thinking is in the total alone, as the input then is: they cannot be told apart, and the bound stays charged.
        assert not cost.certain
    elif form != "gemini" or path[-1] != "total_tokens":
        assert cost.nano_usd is None or cost.nano_usd >= true_nano_usd(said), (path, damage, usage)


@given(st.sampled_from(sorted(FORMS)), BILLS, st.data())
def test_two_reports_that_differ_are_read_at_the_dearer(form: str, bill: dict[str, int], data: st.DataObject) -> None:
    said, usage = reported(form, bill)
    names = [path for path in paths(usage) if path[-1] in ("num_cached_tokens", "prompt_cache_hit_tokens")]
    if names:
        more = data.draw(st.integers(1, 9_000))
        usage.setdefault("prompt_tokens_details", {})["cached_tokens"] = said["cached_input"]
        cost = cost_of(form, damaged(usage, names[0], lambda value: value + more))
        assert cost.nano_usd is not None
        assert not cost.certain
        assert cost.nano_usd >= true_nano_usd(said)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
    | st.sampled_from(["12", 10**50, -1, TOKENS_MAX, 2**63, 0.5]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(st.sampled_from(sorted(FORMS)), BILLS, st.lists(st.tuples(st.integers(0, 40), JSON), max_size=4), JSON)
def test_nothing_raises(form: str, bill: dict[str, int], changes: list[tuple[int, Any]], other: Any) -> None:
    _, usage = reported(form, bill)
    for at, value in changes:
        places = paths(usage)
        usage = damaged(usage, places[at % len(places)], lambda _, value=value: value)
    for report in (usage, other, {"usage": other}, [usage]):
        cost = cost_of(form, report)
        assert cost.nano_usd is None or 0 <= cost.nano_usd < 2**63


# Reports as they were once seen, or feared: (form, usage, what it costs at least, certain)
CORPUS: list[tuple[str, dict[str, Any], int | None, bool]] = [
    ("openai", {"prompt_tokens": 10, "completion_tokens": 5}, 105_000, True),
    # Gemini, recorded: 35 + 12 of 109.
    ("gemini", {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, 105_000 + 74 * 15_000, True),
    # OpenRouter, recorded: more reasoning than output.
    ("openai", {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19,
                "completion_tokens_details": {"reasoning_tokens": 11}}, 177_000, False),
    # OpenRouter, recorded: all of the prompt read from the cache, and written to it.
    ("openai", {"prompt_tokens": 2168, "completion_tokens": 0, "total_tokens": 2168,
                "prompt_tokens_details": {"cached_tokens": 2161, "cache_write_tokens": 2161}}, 8_124_750, False),
    # The dearest of what does not fit: audio at 40 before what is written at 3.75.
    ("openai", {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100,
                "prompt_tokens_details": {"audio_tokens": 80, "cache_write_tokens": 80}}, 3_275_000, False),
    ("anthropic", {"input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 5,
                   "cache_creation": {"ephemeral_1h_input_tokens": 9}}, 30_000 + 15_000 + 9 * 6_000, False),
    # Compaction is billed, and not in the top level.
    ("anthropic", {"input_tokens": 220, "output_tokens": 8, "iterations": [
        {"type": "compaction", "input_tokens": 55_196, "output_tokens": 125},
        {"type": "message", "input_tokens": 220, "output_tokens": 8},
    ]}, 55_416 * 3_000 + 133 * 15_000, True),
    ("openai", {}, None, False),
    ("openai", {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}, None, False),
    ("responses", {"input_tokens": -1, "output_tokens": -1, "total_tokens": -1}, None, False),
    ("anthropic", {"input_tokens": 10**30, "output_tokens": 1}, None, False),
]  # fmt: skip


@pytest.mark.parametrize(("form", "usage", "nano_usd", "certain"), CORPUS)
def test_the_corpus(form: str, usage: dict[str, Any], nano_usd: int | None, certain: bool) -> None:
    cost = cost_of(form, usage)
    assert (cost.nano_usd, cost.certain) == (nano_usd, certain)
