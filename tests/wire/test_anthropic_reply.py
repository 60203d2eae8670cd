"""Whole Messages replies: what they say of themselves, and what is no reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.rules.usage import Usage
from bursar.wire.anthropic_reply import meter_message
from bursar.wire.dialect import Metered

REPLY: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Rhine"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 3, "service_tier": "batch", "inference_geo": "us"},
}
READ = Metered(
    Usage.of(9, 3),
    served_model="claude-x",
    reply_id="msg_1",
    service_tier="batch+us",
    finish_reason="end_turn",
)


def meter(reply: Any) -> Metered:
    return meter_message(json.dumps(reply).encode())


def test_a_reply() -> None:
    assert meter(REPLY) == READ


def test_fields_of_types_that_nobody_foresaw() -> None:
    assert meter(REPLY | {"id": 7}) == Metered(
        Usage.of(9, 3), served_model="claude-x", service_tier="batch+us", finish_reason="end_turn"
    )
    assert meter(REPLY | {"usage": None}).usage is None
    assert meter(REPLY | {"stop_reason": None}).complete


def test_numbers_that_are_no_json_do_not_hide_the_usage() -> None:
    body = json.dumps(REPLY).encode().removesuffix(b"}") + b',"score":NaN}'
    assert meter_message(body) == READ


def test_an_error_in_a_200() -> None:
    metered = meter({"type": "error", "error": {"type": "api_error", "message": "boom"}, "request_id": "req_1"})
    assert metered.error is not None
    assert (metered.error.kind, metered.error.message, metered.complete) == ("unavailable", "boom", False)
    beside = meter(REPLY | {"error": {"type": "api_error", "message": "boom"}})
    assert (beside.usage, beside.complete) == (Usage.of(9, 3), False)


@pytest.mark.parametrize("body", [b"", b"<html>", b"7", b"[]", b'{"content":"text"}', b"{}", b'{"id":7}'])
def test_what_is_no_reply(body: bytes) -> None:
    metered = meter_message(body)
    assert metered.error is not None
    assert (metered.error.kind, metered.complete, metered.usage) == ("malformed", False, None)
