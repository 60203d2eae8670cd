"""Messages replies as people read them: whole, event by event, and put together from their events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.messages_assembly import assembled_message
from bursar.wire.messages_reply import MessagesDelta, MessagesReply

CITED = {"type": "web_search_result_location", "url": "https://x", "title": "X"}
WHOLE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "Rivers.", "signature": "c2ln"},
        {"type": "text", "text": "Rhine", "citations": [CITED]},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "rivers"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"type": "web_search_result"}]},
        {"type": "text", "text": ", Elbe"},
        {"type": "tool_use", "id": "toolu_1", "name": "length", "input": {"river": "Elbe", "in": [1.5, 10**30]}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 33, "service_tier": "standard"},
}
CALLS = [
    {
        "id": "toolu_1",
        "type": "function",
        "function": {"name": "length", "arguments": '{"river": "Elbe", "in": [1.5, 1' + 30 * "0" + "]}"},
    },
    {"id": "toolu_2", "type": "function", "function": {"name": "now", "arguments": "{}"}},
]


def pieces(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    """What a stream sends after it opened this block."""
    if block["type"] == "thinking":
        says = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        return [*says, {"type": "signature_delta", "signature": block["signature"]}]
    if block["type"] == "text":
        says = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        return [*says, *({"type": "citations_delta", "citation": one} for one in block.get("citations", []))]
    if "input" in block:
        text = json.dumps(block["input"]) if block["input"] else ""
        return [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text)]]
    return []


def opened(block: dict[str, Any]) -> dict[str, Any]:
    empty = {"thinking": "", "signature": "", "text": "", "input": {}}
    return {key: empty.get(key, value) for key, value in block.items() if key != "citations"}


def events(message: dict[str, Any] = WHOLE) -> list[dict[str, Any]]:
    head = message | {"content": [], "stop_reason": None, "usage": message["usage"] | {"output_tokens": 1}}
    listed: list[dict[str, Any]] = [{"type": "message_start", "message": head}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        listed.append({"type": "content_block_start", "index": index, "content_block": opened(block)})
        listed += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas(block)]
        listed.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    usage = {"output_tokens": message["usage"]["output_tokens"]}
    return [*listed, {"type": "message_delta", "delta": ended, "usage": usage}, {"type": "message_stop"}]


def payloads(listed: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(event).encode() for event in listed]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_reply_reads_the_same_whole_and_streamed(streamed: bool) -> None:
    reply = MessagesReply.of_chunks(payloads(events())) if streamed else MessagesReply(json.dumps(WHOLE).encode())
    assert (reply.text, reply.finish_reason, reply.tool_calls) == ("Rhine, Elbe", "tool_use", CALLS)
    assert reply.raw == WHOLE
    assert reply.body == (b"" if streamed else json.dumps(WHOLE).encode())


def test_each_event_reads_alone() -> None:
    read = [MessagesDelta(payload) for payload in payloads(events())]
    assert "".join(delta.text for delta in read) == "Rhine, Elbe"
    assert [delta.finish_reason for delta in read if delta.finish_reason] == ["tool_use"]
    fragments = [fragment for delta in read for fragment in delta.tool_calls if fragment["index"] in (5, 6)]
    assert [(one["id"], one["type"], one["function"]["name"]) for one in fragments if "id" in one] == [
        ("toolu_1", "function", "length"),
        ("toolu_2", "function", "now"),
    ]
    arguments = "".join(one["function"]["arguments"] for one in fragments if one["index"] == 5)
    assert json.loads(arguments) == WHOLE["content"][5]["input"]
    assert read[0].raw == events()[0]
    assert repr(MessagesDelta(b'{"delta":{"text":"Rhi"}}')) == "MessagesDelta('Rhi')"


def test_input_that_a_limit_cut_off_stays_text() -> None:
    cut = [event for event in events() if event.get("index") == 5][:-4]
    reply = MessagesReply.of_chunks(payloads(cut))
    (call,) = reply.tool_calls
    assert call["function"]["arguments"].startswith('{"river": "El')
    assert reply.raw["content"][0]["input"] == call["function"]["arguments"]


def test_a_block_whose_start_was_lost_is_read_as_far_as_its_deltas_tell() -> None:
    lost = [event for event in events() if event["type"] != "content_block_start"]
    message = assembled_message(lost)
    assert MessagesReply(json.dumps(message).encode()).text == "Rhine, Elbe"
    assert [block.get("type") for block in message["content"]][:2] == ["thinking", "text"]


def test_events_that_do_not_fit_are_left_out() -> None:
    placeless = [{"type": "content_block_start", "content_block": {"type": "text", "text": "?"}}]
    assert assembled_message([*placeless, *events()]) == WHOLE
    unsaid = {"type": "message_delta", "delta": None, "usage": {"input_tokens": None}}
    assert assembled_message([*events(), unsaid]) == WHOLE


def test_what_came_of_compacting() -> None:
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}}
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "So far."}}
    assert assembled_message([start, said])["content"] == [{"type": "compaction", "content": "So far."}]
    ended = {"type": "message_delta", "context_management": {"applied_edits": []}, "delta": {}}
    assert assembled_message([ended])["context_management"] == {"applied_edits": []}


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"content":7}', b'{"content":[7,{"type":"tool_use"}]}'])
def test_what_is_no_reply_reads_as_empty(body: bytes) -> None:
    reply = MessagesReply(body)
    assert (reply.text, reply.finish_reason) == ("", None)
    assert [call["function"] for call in reply.tool_calls] in ([], [{"name": None, "arguments": "{}"}])
    delta = MessagesDelta(body)
    assert (delta.text, delta.tool_calls, delta.finish_reason) == ("", [], None)


KEYS = st.sampled_from(
    ["type", "index", "delta", "content_block", "message", "text", "partial_json", "usage", "citation", "input"]
)
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "text_delta", "input_json_delta"]
)
JSON = st.recursive(
    st.one_of(st.none(), st.integers(-1, 3), KINDS, st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(KEYS, JSON, max_size=5)))
def test_no_events_raise(listed: list[dict[str, Any]]) -> None:
    reply = MessagesReply.of_chunks(payloads(listed))
    assert isinstance(reply.text, str)
    assert isinstance(reply.tool_calls, list)
    for payload in payloads(listed):
        delta = MessagesDelta(payload)
        assert isinstance(delta.text, str)
        assert isinstance(delta.tool_calls, list)
