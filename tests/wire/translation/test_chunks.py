"""Streams: the chunks put together are what the whole reply would have been, however the bytes come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.assembly import assembled
from bursar.wire.dialect import Request
from bursar.wire.translation import chunks as chunks_module
from tests.wire.translation.material import USAGE, WAY, events, message, parsed, replied
from tests.wire.translation.test_reply import REDACTED, THINKING, USE, text

ASKED = parsed(stream=True)
METERED = parsed(stream=True, stream_options={"include_usage": True})
COMPACTED = {"type": "compaction", "content": "so far"}

texts = st.text(max_size=20)
inputs = st.dictionaries(texts, st.integers(-(2**53), 2**53) | texts | st.floats(-1e9, 1e9), max_size=3)
blocks = st.lists(
    st.one_of(
        st.builds(lambda said: {"type": "text", "text": said}, texts),
        st.builds(lambda thought, by: {"type": "thinking", "thinking": thought, "signature": by}, texts, texts),
        st.builds(lambda data: {"type": "redacted_thinking", "data": data}, texts),
        st.builds(lambda given: {"type": "tool_use", "id": "t", "name": "f", "input": given}, inputs),
    ),
    max_size=6,
)
REASONS = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"])


def shown(stream: bytes, request: Request = ASKED, *, size: int = 0) -> list[dict[str, Any]]:
    """The chunks that a caller sees, with the stream fed in pieces of `size` bytes, or whole."""
    reader = WAY.reader(request)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)] if size else [stream]
    return [json.loads(chunk) for piece in pieces for chunk in reader.feed(piece)]


def whole(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply translated as one, arguments decoded: how a stream spaces its JSON is its own."""
    return _plain(replied(reply))


def _plain(reply: dict[str, Any]) -> dict[str, Any]:
    for choice in reply["choices"]:
        for call in choice["message"].get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return reply


def test_the_chunks_of_a_stream() -> None:
    said = shown(events(message(text("Rhine"), USE, stop_reason="tool_use"), 100), METERED)
    deltas = [(chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in said[:-1]]
    begun = {"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert deltas == [
        ({"role": "assistant"}, None),
        ({"content": "Rhine"}, None),
        ({"tool_calls": [begun]}, None),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"x": 1}'}}]}, None),
        ({}, "tool_calls"),
    ]
    assert {(one["id"], one["object"], one["created"]) for one in said} == {("msg_1", "chat.completion.chunk", 0)}
    assert (said[-1]["choices"], said[-1]["usage"]["total_tokens"]) == ([], 120)


def test_usage_is_shown_to_who_asked_and_metered_all_the_same() -> None:
    stream = events(message(text("a")))
    assert [chunk for chunk in shown(stream) if "usage" in chunk] == []
    assert len([chunk for chunk in shown(stream, METERED, size=1) if "usage" in chunk]) == 1
    readers = WAY.reader(ASKED), WAY.reader(METERED), AnthropicMessages().reader(ASKED)
    for reader in readers:
        reader.feed(stream)
        assert reader.feed(stream) == []
        assert reader.done
    assert readers[0].metered() == readers[1].metered() == readers[2].metered()
    assert readers[0].metered().complete


@pytest.mark.parametrize(
    "content",
    [
        [],
        [text("a"), text("b")],
        [text("")],
        [THINKING, REDACTED, text("a"), USE, USE | {"id": "t2", "input": {}}],
        [COMPACTED, THINKING, text("a")],
        [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, text("a")],
    ],
)
def test_streamed_is_what_whole_would_have_been(content: list[dict[str, Any]]) -> None:
    reply = message(*content, stop_reason="end_turn")
    assert _plain(assembled(shown(events(reply), METERED))) == whole(reply)


def test_a_tool_that_comes_with_its_arguments_in_its_opening() -> None:
    reply = message(USE, text("a"))
    stream = events(reply)
    opened = json.dumps(USE | {"input": {}}).encode()
    assert opened in stream
    lines = [line for line in stream.split(b"\n\n") if b"input_json_delta" not in line]
    stream = b"\n\n".join(lines).replace(opened, json.dumps(USE | {"input": {"x": 1.5}}).encode())
    call = assembled(shown(stream))["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"x": 1.5}


@given(blocks, REASONS, st.integers(1, 9))
def test_any_reply_streamed_is_what_it_would_have_been(content: list[Any], reason: str, piece_characters: int) -> None:
    reply = message(*content, stop_reason=reason)
    stream = events(reply, piece_characters)
    said = shown(stream, METERED)
    assert shown(stream, METERED, size=7) == said
    assert _plain(assembled(said)) == whole(reply)


def test_a_refusal_is_streamed() -> None:
    reply = message(text("I"), stop_reason="refusal", stop_details={"type": "refusal", "explanation": "no"})
    choice = assembled(shown(events(reply)))["choices"][0]
    assert (choice["message"]["refusal"], choice["finish_reason"]) == ("no", "content_filter")


def test_byte_by_byte() -> None:
    stream = events(message(THINKING, text("é" * 9), USE))
    assert shown(stream, METERED, size=1) == shown(stream, METERED)


def test_a_stream_that_is_cut_or_fails_shows_what_came_and_no_usage() -> None:
    stream = events(message(text("Rhine"), USE))
    for end in range(len(stream) - 30):
        assert not any("usage" in chunk for chunk in shown(stream[:end], METERED))
    failed = (
        stream[: stream.index(b"event: message_delta")]
        + b'data: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
    )
    said = shown(failed + stream, METERED)
    assert assembled(said)["choices"][0]["message"]["content"] == "Rhine"
    reader = WAY.reader(METERED)
    reader.feed(failed)
    assert reader.done
    ended = stream[: stream.index(b"event: message_stop")] + failed[failed.index(b'data: {"type":"error"') :]
    assert not any("usage" in chunk for chunk in shown(ended, METERED))
    error = reader.metered().error
    assert error is not None
    assert error.kind == "unavailable"


def test_thinking_beyond_any_reply_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks_module, "HELD_CHARACTERS_MAX", 50)
    held = {"type": "thinking", "thinking": "x" * 40, "signature": "s"}
    said = assembled(shown(events(message(held, held, text("a")))))["choices"][0]["message"]
    assert said["thinking_blocks"] == [held]
    assert said["content"] == "a"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta"},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": 5}},
        {"type": "content_block_start", "content_block": {"type": "text", "text": 5}},
        {"type": "content_block_start", "content_block": 5},
        {"type": "content_block_stop"},
        {"type": "message_delta", "delta": {"stop_reason": None}},
        {"type": "something_new", "delta": {"text": "x"}},
    ],
)
def test_odd_events_become_nothing(event: dict[str, Any]) -> None:
    assert shown(b"data: " + json.dumps(event).encode() + b"\n\n") == []


@pytest.mark.parametrize("opened", [THINKING, {"type": "server_tool_use", "id": "s", "name": "f", "input": {}}])
def test_arguments_outside_a_call_become_nothing(opened: dict[str, Any]) -> None:
    found = [
        {"type": "content_block_start", "content_block": USE},
        {"type": "content_block_start", "content_block": opened},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}},
    ]
    said = shown(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in found))
    calls = [chunk for chunk in said if "tool_calls" in chunk["choices"][0]["delta"]]
    assert len(calls) == 1


def test_every_recorded_stream_and_reply_is_translated(recordings: Path) -> None:
    streams = replies = 0
    for file in sorted((recordings / "anthropic").glob("messages.*.200.*.json")):
        recording = json.loads(file.read_text("utf-8"))
        response = recording["response"]
        body = response["body"].encode()
        if not recording["path"].endswith("/messages"):
            continue
        if "event-stream" not in response["content_type"]:
            reply = json.loads(body)
            chat = whole(reply)["choices"][0]
            said = [block["text"] for block in reply["content"] if block["type"] == "text"]
            used = [(block["id"], block["input"]) for block in reply["content"] if block["type"] == "tool_use"]
            assert (chat["message"]["content"] or "") == "".join(said)
            calls = chat["message"].get("tool_calls", ())
            assert [(call["id"], call["function"]["arguments"]) for call in calls] == used
            assert _plain(assembled(shown(events(reply), METERED))) == whole(reply) or "iterations" in reply["usage"]
            replies += 1
            continue
        found = [json.loads(line[5:]) for line in body.splitlines() if line.startswith(b"data:")]
        said = [event["delta"]["text"] for event in found if event.get("delta", {}).get("type") == "text_delta"]
        put_together = assembled(shown(body, METERED))
        assert shown(body, METERED, size=1) == shown(body, METERED)
        assert put_together["choices"][0]["message"]["content"] == "".join(said)
        assert put_together["choices"][0]["finish_reason"] == "stop"
        assert put_together["usage"]["completion_tokens"] > 0
        streams += 1
    assert (streams, replies) >= (4, 90)


def test_the_usage_of_the_material_is_what_the_tests_say() -> None:
    assert sum(USAGE.values()) == 120
