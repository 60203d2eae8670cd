"""Replies as a caller reads them, whole and in chunks."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.reply import ChatReply, Delta, EmbeddingsReply

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    return dumped({"id": "c", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]} | more)


def test_a_delta() -> None:
    delta = Delta(chunk({"content": "Rhine"}))
    assert (delta.text, delta.finish_reason, delta.tool_calls) == ("Rhine", None, [])
    assert delta.raw["id"] == "c"
    last = Delta(chunk({}, "stop"))
    assert (last.text, last.finish_reason) == ("", "stop")
    assert Delta(chunk({"tool_calls": [{"index": 0}]})).tool_calls == [{"index": 0}]
    assert Delta(chunk({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}]})).text == "a"


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"[]", b"{}", b'{"choices":[]}', b'{"choices":7}', chunk({"content": 7})]
)
def test_a_delta_of_nothing_is_empty(payload: bytes) -> None:
    delta = Delta(payload)
    assert (delta.text, delta.finish_reason, delta.tool_calls) == ("", None, [])


def test_a_whole_reply() -> None:
    message = {"role": "assistant", "content": "Rhine", "tool_calls": [CALL, "odd"]}
    reply = ChatReply(dumped({"choices": [{"message": message, "finish_reason": "stop"}], "x": 1.5}))
    assert (reply.text, reply.finish_reason, reply.tool_calls, reply.raw["x"]) == ("Rhine", "stop", [CALL], 1.5)
    parts = [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert ChatReply(dumped({"choices": [{"message": {"content": parts}}]})).text == "ab"


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b"{}", b'{"choices":7}', b'{"choices":[7]}', b'{"choices":[{"message":7}]}']
)
def test_a_reply_of_nothing_is_empty(body: bytes) -> None:
    reply = ChatReply(body)
    assert (reply.text, reply.finish_reason, reply.tool_calls) == ("", None, [])


def test_a_stream_put_together() -> None:
    reply = ChatReply.of_chunks(
        [
            chunk({"role": "assistant", "content": ""}, model="m"),
            chunk({"content": "Rhi", "reasoning": "riv"}),
            chunk({"content": "ne", "reasoning": "ers"}),
            chunk({}, "stop"),
            dumped({"choices": [], "usage": {"total_tokens": 3}}),
        ]
    )
    assert (reply.text, reply.finish_reason) == ("Rhine", "stop")
    assert reply.raw == {
        "id": "c",
        "model": "m",
        "object": "chat.completion",
        "usage": {"total_tokens": 3},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Rhine", "reasoning": "rivers"},
                "finish_reason": "stop",
            }
        ],
    }


def test_fragments_of_tool_calls_are_merged_by_index() -> None:
    reply = ChatReply.of_chunks(
        [
            chunk({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g"}}]}),
            chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
                    ]
                }
            ),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
            chunk({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, "tool_calls"),
        ]
    )
    assert reply.tool_calls == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    assert (reply.text, reply.finish_reason) == ("", "tool_calls")


def test_calls_without_an_index_are_whole() -> None:
    assert ChatReply.of_chunks([chunk({"tool_calls": [CALL, CALL]})]).tool_calls == [CALL, CALL]


@pytest.mark.parametrize("arguments", [7, None, {"a": 1}, ["x"]])
def test_arguments_that_are_no_text_are_left_out(arguments: Any) -> None:
    calls = [{"index": 0, "function": {"name": "f", "arguments": arguments}}, {"index": 0, "function": "odd"}]
    reply = ChatReply.of_chunks(
        [chunk({"tool_calls": calls}), chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})]
    )
    assert reply.tool_calls == [{"function": {"name": "f", "arguments": "{}"}}]


def test_choices_are_kept_apart() -> None:
    reply = ChatReply.of_chunks(
        [chunk({"content": "b"}, index=1), chunk({"content": "a"}), chunk({"content": "B"}, index=1)]
    )
    assert [choice["message"]["content"] for choice in reply.raw["choices"]] == ["a", "bB"]


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "index",
                    "name",
                    "finish_reason",
                    "type",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
DELTAS = st.dictionaries(st.sampled_from(["content", "tool_calls", "role", "reasoning"]), JSON)


@given(st.lists(JSON | DELTAS.map(lambda delta: {"choices": [{"index": 0, "delta": delta}]}), max_size=5))
def test_no_chunks_raise(values: list[Any]) -> None:
    payloads = [dumped(value) for value in values]
    whole = ChatReply.of_chunks(payloads)
    assert isinstance(whole.text, str)
    assert isinstance(whole.tool_calls, list)
    json.dumps(whole.raw)
    for payload in payloads:
        assert isinstance(Delta(payload).text, str)
        assert isinstance(ChatReply(payload).text, str)


def test_vectors_are_in_the_order_of_the_inputs() -> None:
    data = [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1.0, 2.0]}]
    assert EmbeddingsReply(dumped({"data": data})).vectors == [[1.0, 2.0], [3.0, 4.5]]


def test_vectors_in_base64_come_out_as_floats() -> None:
    text = base64.b64encode(struct.pack("<3f", 0.5, -2.0, 1.25)).decode()
    assert EmbeddingsReply(dumped({"data": [{"index": 0, "embedding": text}]})).vectors == [[0.5, -2.0, 1.25]]


@pytest.mark.parametrize("embedding", ["!!", "AAA=", "AA==", 7, None, {}])
def test_what_is_no_vector_is_empty(embedding: Any) -> None:
    assert EmbeddingsReply(dumped({"data": [{"embedding": embedding}]})).vectors == [[]]
    assert EmbeddingsReply(dumped({"data": 7})).vectors == []
    assert EmbeddingsReply(b"x").vectors == []
