"""What can be continued of a reply, and the request that asks for it, in every way that providers have."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bursar.wire.continuing import SAID_CHARS_MAX, Said, prefilled, said_of
from bursar.wire.dialects import dialect_named

CHAT, MESSAGES = "openai_chat", "anthropic_messages"


def chunk(delta: Any, **choice: Any) -> bytes:
    return msgspec.json.encode({"id": "c", "choices": [{"index": 0, "delta": delta, **choice}]})


def event(kind: str, **fields: Any) -> bytes:
    return msgspec.json.encode({"type": kind, **fields})


def opens(index: int, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block={"type": "text", "text": "", **block})


def says(text: str, index: int = 0) -> bytes:
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})


def test_what_a_chat_said_is_its_text_and_pieces() -> None:
    usual = {"refusal": None, "tool_calls": [], "reasoning": "", "function_call": None}
    payloads = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Rhi", **usual}, finish_reason=None, logprobs=None),
        chunk({"content": "ne"}),
        b'{"choices":[]}',
    ]
    assert said_of(CHAT, payloads) == Said("Rhine", 2)
    assert said_of("chat_over_messages", payloads) == Said("Rhine", 2)


@pytest.mark.parametrize(
    "payload",
    [
        chunk({"tool_calls": [{"index": 0}]}),
        chunk({"reasoning": "hm"}),
        chunk({"reasoning_content": "hm"}),
        chunk({"refusal": "no"}),
        chunk({"audio": {"data": ""}}),
        chunk({"content": [{"type": "text", "text": "x"}]}),
        chunk({"content": "x"}, index=1),
        chunk({}, finish_reason="stop"),
        b'{"choices":[{"index":0,"delta":{"content":"x"}},{"index":1,"delta":{"content":"y"}}]}',
        b'{"choices":[7]}',
        b'{"choices":{"a":1}}',
        chunk({"content": "x" * SAID_CHARS_MAX}),
    ],
)
def test_what_a_chat_did_beside_talking_is_not_continued(payload: bytes) -> None:
    assert said_of(CHAT, [chunk({"content": "Rhine"}), payload]) is None


@pytest.mark.parametrize("payloads", [[], [chunk({"content": " \n"})], [b"no json"]])
def test_where_nothing_was_said_there_is_nothing_to_go_on_from(payloads: list[bytes]) -> None:
    assert said_of(CHAT, payloads) is None


def test_messages_are_told_by_their_blocks() -> None:
    begun = [event("message_start", message={}), opens(0), event("ping"), says("Rhi"), says("ne")]
    assert said_of(MESSAGES, begun) == Said("Rhine", 2, 0, opened=True)
    closed = [*begun, event("content_block_stop", index=0)]
    assert said_of(MESSAGES, closed) == Said("Rhine", 2, 0, opened=False)
    assert said_of(MESSAGES, [*closed, opens(1, text=","), says(" Nile", 1)]) == Said("Rhine, Nile", 4, 1)


@pytest.mark.parametrize(
    "payload",
    [
        opens(1, type="tool_use", id="t", name="look", input={}),
        opens(1, type="thinking", thinking=""),
        opens(1, citations=[{"type": "char_location"}]),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}}),
        event("message_delta", delta={"stop_reason": "end_turn"}),
        event("message_stop"),
        event("something_new"),
    ],
)
def test_messages_that_did_more_than_talk_are_not_continued(payload: bytes) -> None:
    assert said_of(MESSAGES, [opens(0), says("Rhine"), payload]) is None


def test_other_formats_are_not_continued() -> None:
    assert said_of("openai_responses", [b'{"type":"response.output_text.delta","delta":"Rhine"}']) is None


def asked(dialect: str, way: Any, said: Said | None = None, **fields: Any) -> Any:
    """The body that goes on, decoded; None where there is none."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Rivers?"}], "max_tokens": 50, **fields}
    spoken = dialect_named(dialect)
    assert spoken is not None
    made = prefilled(spoken.parse(msgspec.json.encode(body)), said or Said("Rhine, ", 3), way)
    return None if made is None else msgspec.json.decode(made)


def test_each_way_to_ask_for_the_rest() -> None:
    plain = asked(CHAT, "plain", temperature=0.5)
    assert plain["messages"][-1] == {"role": "assistant", "content": "Rhine,"}
    assert (plain["max_tokens"], plain["temperature"]) == (47, 0.5)
    assert asked(CHAT, "prefix")["messages"][-1] == {"role": "assistant", "content": "Rhine,", "prefix": True}
    flagged = asked(CHAT, "continue_final_message")
    assert (flagged["continue_final_message"], flagged["add_generation_prompt"]) == (True, False)
    assert asked(MESSAGES, "plain")["messages"][-1] == {"role": "assistant", "content": "Rhine,"}
    assert asked("chat_over_messages", "plain")["messages"][-1]["role"] == "assistant"


def test_a_limit_is_for_the_whole_reply_and_leaves_one_token_at_least() -> None:
    assert asked(CHAT, "plain", max_completion_tokens=2)["max_completion_tokens"] == 1
    assert asked(CHAT, "plain", max_tokens=None)["max_tokens"] is None


@pytest.mark.parametrize(
    ("dialect", "way", "fields"),
    [
        (CHAT, "", {}),
        (MESSAGES, "prefix", {}),
        (MESSAGES, "continue_final_message", {}),
        ("chat_over_messages", "prefix", {}),
        (CHAT, "plain", {"n": 2}),
        (CHAT, "plain", {"response_format": {"type": "json_schema"}}),
        (CHAT, "plain", {"reasoning_effort": "low"}),
        (CHAT, "plain", {"reasoning": {"effort": "low"}}),
        (CHAT, "plain", {"thinking": {"type": "enabled"}}),
        (CHAT, "plain", {"modalities": ["text", "audio"]}),
        (CHAT, "plain", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}),
        (CHAT, "plain", {"messages": []}),
        (MESSAGES, "plain", {"thinking": {"type": "adaptive"}}),
        (MESSAGES, "plain", {"output_config": {"format": {"type": "json_schema"}}}),
        (MESSAGES, "plain", {"output_format": {"type": "json_schema"}}),
    ],
)
def test_what_cannot_be_asked_for_is_not(dialect: str, way: Any, fields: dict[str, Any]) -> None:
    assert asked(dialect, way, **fields) is None


@pytest.mark.parametrize(
    "fields",
    [{"n": 1}, {"response_format": {"type": "text"}}, {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}],
)
def test_what_says_only_the_usual_can_be(fields: dict[str, Any]) -> None:
    assert asked(CHAT, "plain", **fields) is not None
