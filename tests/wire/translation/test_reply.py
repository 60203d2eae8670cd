"""Whole replies: each block where a reader of chat looks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import Usage
from bursar.wire.reply import ChatReply
from bursar.wire.translation.reply import chat_reply, chat_usage, finish_reason_of, refusal_of, written
from tests.wire.translation.material import MODEL, WAY, message, replied

THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}
REDACTED = {"type": "redacted_thinking", "data": "d"}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said} | fields


def choice(*content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = replied(message(*content, **fields))["choices"][0]
    return found


def test_a_reply() -> None:
    assert replied(message(text("Rhine"))) == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Rhine"}, "finish_reason": "stop"},
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_each_block_has_its_place() -> None:
    said = choice(THINKING, REDACTED, text("a"), text("b", citations=None), USE, USE | {"id": "t2", "input": {}})
    assert said["message"] == {
        "role": "assistant",
        "content": "ab",
        "reasoning_content": "hm",
        "thinking_blocks": [THINKING, REDACTED],
        "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
            {"id": "t2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ],
    }
    assert choice(USE)["message"]["content"] is None
    assert choice()["message"] == {"role": "assistant", "content": None}


def test_arguments_and_what_is_signed_keep_their_bytes() -> None:
    inner = '{"type":"tool_use","id":"t","name":"f","input":{"x" : 1.50, "y":1E5}}'
    thought = '{"type":"thinking","thinking":"\\u00e9","signature":"s","n":1.50}'
    body = f'{{"content":[{thought},{inner}],"stop_reason":"tool_use"}}'.encode()
    reply = chat_reply(body, None)
    assert ChatReply(reply).tool_calls[0]["function"]["arguments"] == '{"x" : 1.50, "y":1E5}'
    assert thought.encode() in reply


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("compaction", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, None),
        ("", None),
        ({}, None),
    ],
)
def test_why_it_ended(reason: Any, word: str | None) -> None:
    assert finish_reason_of(reason) == word
    assert choice(text("a"), stop_reason=reason)["finish_reason"] == word


def test_a_refusal_says_so() -> None:
    explained = {"type": "refusal", "category": "bio", "explanation": "no"}
    assert choice(stop_reason="refusal", stop_details=explained)["message"]["refusal"] == "no"
    assert refusal_of("refusal", {"category": "bio", "explanation": None}) == "bio"
    assert refusal_of("refusal", None) == "refused"
    assert refusal_of("end_turn", explained) is None


def test_usage_includes_what_was_cached_written_and_thought() -> None:
    parts = {"cached_input": 60, "cache_write": 10, "cache_write_1h": 20, "reasoning_output": 5}
    usage = chat_usage(Usage.of(100, 20, parts))
    assert usage["prompt_tokens_details"] == {"cached_tokens": 60, "cache_write_tokens": 30}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 5}
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (100, 20, 120)
    assert "usage" not in replied(message(text("a"), usage=None))


@pytest.mark.parametrize(
    "body",
    [b"", b"[" * 100_000, b"<html>", b"[]", b"7", b'{"error":{}}', b'{"content":"x"}', b'{"content":' + b"[" * 100_000],
)
def test_what_is_no_message_stays_as_it_came(body: bytes) -> None:
    assert WAY.reply(body) is body


def test_odd_blocks_are_read_as_far_as_they_go() -> None:
    odd = [
        7,
        None,
        {"type": "text", "text": 5},
        {"type": 3},
        {"type": "tool_use"},
        text("a"),
        {"type": "server_tool_use"},
    ]
    said = choice(*odd)["message"]  # type: ignore[arg-type]
    assert said["content"] == "a"
    assert said["tool_calls"] == [{"id": "", "type": "function", "function": {"name": "", "arguments": "{}"}}]


def test_half_a_character_and_numbers_that_are_none_do_not_hide_the_rest() -> None:
    use = b'{"type":"tool_use","id":"t","name":"f","input":{"x":NaN}}'
    body = b'{"id":"m","content":[{"type":"text","text":"a\\ud83d"},' + use + b"]}"
    reply = ChatReply(WAY.reply(body))
    assert reply.text == "a\ud83d"
    assert reply.tool_calls[0]["function"]["arguments"] == '{"x": NaN}'
    assert json.loads(written({"a": "\ud83d"})) == {"a": "\ud83d"}


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    for body in (data, b'{"content":[' + data + b"]}", b'{"content":[{"type":"text","text":"' + data + b'"}]}'):
        WAY.reply(body)
