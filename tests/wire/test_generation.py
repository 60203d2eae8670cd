"""OpenRouter's record of a request: what it charged, read with every doubt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.wire.generation import read_generation

RECORD = {
    "id": "gen-1",
    "model": "openai/gpt-4o-mini",
    "total_cost": 0.0015,
    "usage": 0.0015,
    "is_byok": False,
    "upstream_inference_cost": 0,
    "cancelled": False,
    "finish_reason": "stop",
    "service_tier": "priority",
    "tokens_prompt": 11,
    "tokens_completion": 26,
    "native_tokens_prompt": 10,
    "native_tokens_completion": 25,
    "native_tokens_reasoning": 5,
    "native_tokens_cached": 3,
    "native_tokens_completion_images": None,
}


def record(**changes: Any) -> Any:
    return read_generation(json.dumps({"data": {**RECORD, **changes}}).encode())


def test_what_a_record_says() -> None:
    read = record()
    assert (read.reply_id, read.served_model, read.reported_nano_usd) == ("gen-1", "openai/gpt-4o-mini", 1_500_000)
    assert dict(read.usage.leaves) == {"input": 7, "cached_input": 3, "output": 20, "reasoning_output": 5}
    assert (read.complete, read.finish_reason, read.service_tier) == (True, "stop", "priority")


def test_a_cancelled_one_is_not_complete_and_costs_what_it_cost() -> None:
    read = record(cancelled=True, finish_reason=None, total_cost=0.0000042)
    assert (read.complete, read.reported_nano_usd) == (False, 4_200)


def test_the_makers_bill_is_added_for_a_key_of_ones_own() -> None:
    assert record(is_byok=True, total_cost=0, upstream_inference_cost=0.0003253).reported_nano_usd == 325_300
    assert record(is_byok=True, total_cost=0.00001, upstream_inference_cost=0.0003).reported_nano_usd == 310_000


@pytest.mark.parametrize(
    "changes",
    [
        {"total_cost": None},
        {"total_cost": "0.0015"},
        {"total_cost": -0.1},
        {"total_cost": 1e9},
        {"total_cost": True},
        {"is_byok": True, "upstream_inference_cost": None},
        {"is_byok": True, "upstream_inference_cost": "much"},
    ],
)
def test_a_cost_that_is_not_said_or_not_believed_is_unknown(changes: dict[str, Any]) -> None:
    assert record(**changes).reported_nano_usd is None


def test_openrouters_own_count_stands_in_for_the_makers() -> None:
    read = record(native_tokens_prompt=None, native_tokens_completion=None)
    assert (read.usage.input_tokens, read.usage.output_tokens) == (11, 26)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b'{"data":7}', b'{"data":{}}', b"<html>", b'{"data":{"id":7}}']
)
def test_what_is_no_record_raises_nothing_and_says_nothing(body: bytes) -> None:
    read = read_generation(body)
    assert (read.reported_nano_usd, read.usage, read.reply_id) == (None, None, "")
