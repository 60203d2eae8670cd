"""Responses as a caller reads them: in the words of chat, decoded only when they are read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.reply import ChatReply, Delta
from bursar.wire.responses_reply import ResponsesDelta, ResponsesReply

OUTPUT: list[dict[str, Any]] = [
    {"type": "reasoning", "content": [{"type": "text", "text": "hm"}], "summary": []},
    {"type": "message", "content": [{"type": "output_text", "text": "Rhi"}, {"type": "refusal", "refusal": "no"}]},
    {"type": "message", "content": [{"type": "output_text", "text": "ne"}]},
    {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
    {"type": "custom_tool_call", "id": "ctc", "call_id": "c2", "name": "g", "input": "text"},
    {"type": "web_search_call", "id": "ws", "status": "completed"},
]
CALLS = [
    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
    {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "text"}},
]
RESPONSE: dict[str, Any] = {"id": "r", "status": "completed", "incomplete_details": None, "output": OUTPUT}


def reply(value: Any) -> ResponsesReply:
    return ResponsesReply(json.dumps(value).encode())


def delta(kind: str, **more: Any) -> ResponsesDelta:
    return ResponsesDelta(json.dumps({"type": kind} | more).encode())


def test_a_reply() -> None:
    read = reply(RESPONSE)
    assert (read.text, read.tool_calls, read.finish_reason) == ("Rhine", CALLS, "completed")
    assert read.raw == RESPONSE
    assert read.raw is read.raw
    assert json.loads(read.body) == RESPONSE


def test_what_made_it_incomplete_is_why_it_finished() -> None:
    cut = RESPONSE | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert reply(cut).finish_reason == "max_output_tokens"
    assert reply(RESPONSE | {"status": "in_progress"}).finish_reason is None


@pytest.mark.parametrize("value", [None, [], "x", {}, {"output": "x"}, {"output": ["x", None]}, {"output": [{}]}])
def test_a_reply_of_another_form_reads_as_empty(value: Any) -> None:
    read = reply(value)
    assert (read.text, read.tool_calls, read.finish_reason) == ("", [], None)


def test_calls_without_their_fields_are_calls() -> None:
    assert reply({"output": [{"type": "function_call", "name": 7}]}).tool_calls == [
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    ]
    assert reply({"output": [{"type": "message", "content": "x"}, {"type": "message"}]}).text == ""


EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": RESPONSE | {"status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Rhi"},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "ne"},
    {"type": "response.output_item.added", "output_index": 1, "item": OUTPUT[3] | {"arguments": ""}},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a"'},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": ":1}"},
    {"type": "response.output_item.done", "output_index": 1, "item": OUTPUT[3]},
    {"type": "response.output_item.added", "output_index": 2, "item": OUTPUT[4] | {"input": ""}},
    {"type": "response.custom_tool_call_input.delta", "output_index": 2, "delta": "text"},
]
PAYLOADS = [json.dumps(event).encode() for event in EVENTS]
END = json.dumps({"type": "response.completed", "response": RESPONSE}).encode()


def test_a_stream_adds_up_to_the_reply() -> None:
    whole, cut = ResponsesReply.of_chunks([*PAYLOADS, END]), ResponsesReply.of_chunks(PAYLOADS)
    assert (whole.raw, whole.finish_reason) == (RESPONSE, "completed")
    assert (cut.text, cut.tool_calls, cut.finish_reason) == ("Rhine", CALLS, None)
    assert ResponsesReply.of_chunks([]).text == ""
    assert ResponsesReply.of_chunks([b"{", b"[]", *PAYLOADS]).text == "Rhine"


def test_deltas() -> None:
    deltas = [ResponsesDelta(payload) for payload in [*PAYLOADS, END]]
    assert [one.text for one in deltas] == ["", "", "Rhi", "ne", "", "", "", "", "", "", ""]
    assert [one.finish_reason for one in deltas] == [None] * 10 + ["completed"]
    assert [call for one in deltas for call in one.tool_calls] == [
        {"index": 1, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "function": {"arguments": '{"a"'}},
        {"index": 1, "function": {"arguments": ":1}"}},
        {"index": 2, "id": "c2", "type": "custom", "custom": {"name": "g", "input": ""}},
        {"index": 2, "custom": {"input": "text"}},
    ]
    assert deltas[2].raw == EVENTS[2]
    assert repr(deltas[2]) == "ResponsesDelta('Rhi')"


def test_only_what_is_said_is_text() -> None:
    for kind in ("response.refusal.delta", "response.reasoning_text.delta", "response.reasoning_summary_text.delta"):
        assert delta(kind, delta="x").text == ""


def test_the_event_that_ends_a_stream_says_why() -> None:
    details = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    assert delta("response.incomplete", response=details).finish_reason == "content_filter"
    assert delta("response.completed", response=None).finish_reason is None


@pytest.mark.parametrize(
    "odd",
    [
        {"type": 7},
        {"type": "response.output_text.delta", "delta": {"x": 1}},
        {"type": "response.output_text.delta"},
        {"type": "response.output_item.added", "item": "x"},
        {"type": "response.output_item.added"},
        {"type": "response.completed", "response": "x"},
        [],
        b'{"x":' + b"[" * 50_000,
    ],
    ids=lambda odd: repr(odd)[:60],
)
def test_an_event_of_another_form_reads_as_empty(odd: Any) -> None:
    read = ResponsesDelta(odd if isinstance(odd, bytes) else json.dumps(odd).encode())
    assert (read.text, read.tool_calls, read.finish_reason) == ("", [], None)


def test_both_read_like_those_of_chat() -> None:
    for ours, theirs in ((ResponsesReply, ChatReply), (ResponsesDelta, Delta)):
        assert {name for name in dir(theirs) if name[0] != "_"} <= set(dir(ours))


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    for piece in (data, b'{"type":"response.output_text.delta","delta":' + data + b"}"):
        one, read, streamed = ResponsesDelta(piece), ResponsesReply(piece), ResponsesReply.of_chunks([piece, piece])
        for each in (one, read, streamed):
            assert isinstance(each.text, str)
            assert isinstance(each.tool_calls, list)
            assert each.finish_reason is None or isinstance(each.finish_reason, str)
