"""Streams of chat chunks: what a caller sees, what was used, and whether the stream ended as it must."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.chat_reader import ChatReader
from bursar.wire.dialect import Metered, Request

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"


def request(**fields: Any) -> Request:
    return Request(b"{}", "openai_chat", "m", stream=True, **fields)


def chunk(content: str | None = None, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "model": "m-1", "service_tier": "default", "choices": [choice], "usage": None} | more


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks)


def read(data: bytes, **fields: Any) -> tuple[list[Any], Metered, bool]:
    """The decoded payloads, the metered, and done; the same whole and byte by byte."""
    whole, bytewise = ChatReader(request(**fields)), ChatReader(request(**fields))
    shown = whole.feed(data)
    pieces = [payload for i in range(len(data)) for payload in bytewise.feed(data[i : i + 1])]
    assert pieces == shown
    assert (bytewise.metered(), bytewise.done) == (whole.metered(), whole.done)
    return [json.loads(payload) for payload in shown], whole.metered(), whole.done


STREAM = sse(chunk(""), chunk("Rhi"), chunk("ne"), chunk(finish="stop"))
LAST = {"id": "c1", "model": "m-1", "choices": [], "usage": USAGE}


def test_the_usage_chunk_is_hidden_from_who_did_not_ask() -> None:
    shown, metered, done = read(STREAM + sse(LAST) + DONE)
    assert [one["choices"][0]["delta"] for one in shown] == [{"content": ""}, {"content": "Rhi"}, {"content": "ne"}, {}]
    assert (metered.usage and dict(metered.usage.leaves)) == {"input": 9, "output": 3}
    assert (metered.reply_id, metered.served_model, metered.service_tier) == ("c1", "m-1", "default")
    assert (metered.finish_reason, metered.error, metered.complete, done) == ("stop", None, True, True)
    asked, again, _ = read(STREAM + sse(LAST) + DONE, wants_usage=True)
    assert (asked[-1], again) == (LAST, metered)


def test_usage_in_a_chunk_with_choices_is_shown() -> None:
    shown, metered, _ = read(sse(chunk("a"), chunk(finish="stop", usage=USAGE)) + DONE)
    assert (len(shown), metered.usage is not None) == (2, True)


def test_usage_that_grows_in_every_chunk_is_its_last() -> None:
    growing = [chunk("a", usage=USAGE | {"completion_tokens": n, "total_tokens": 9 + n}) for n in (1, 2, 7)]
    _, metered, _ = read(sse(*growing, chunk(finish="stop")) + DONE)
    assert metered.usage is not None
    assert metered.usage.output_tokens == 7


def test_groq_puts_its_usage_elsewhere() -> None:
    first, last = chunk("a", x_groq={"id": "r"}), chunk(finish="stop", x_groq={"id": "r", "usage": USAGE})
    _, metered, _ = read(sse(first, last) + DONE)
    assert metered.usage is not None
    assert metered.usage.total_tokens == 12


@pytest.mark.parametrize(
    ("data", "n", "complete"),
    [
        (STREAM + DONE, 1, True),
        (STREAM, 1, True),  # some servers send no terminator
        (STREAM + b"data: ", 1, False),
        (STREAM[:-1], 1, False),
        (sse(chunk("a")) + DONE, 1, True),
        (sse(chunk("a")), 1, False),
        (b"", 1, False),
        (STREAM, 2, False),
        (STREAM + sse(chunk(finish="stop")), 2, False),  # the same choice twice
        (STREAM + sse(chunk(finish="length", index=1)), 2, True),
        (DONE, 1, True),
    ],
)
def test_complete(data: bytes, n: int, complete: bool) -> None:
    assert read(data, n=n)[1].complete is complete


def test_a_stream_cut_at_any_byte_is_complete_only_with_its_end() -> None:
    data = STREAM + sse(LAST) + DONE
    ends = len(STREAM)
    for cut in range(len(data)):
        reader = ChatReader(request())
        reader.feed(data[:cut])
        metered = reader.metered()
        between_events = cut >= ends and data[:cut].endswith(b"\n\n")
        assert metered.complete is between_events
        assert (metered.usage is not None) is (cut >= len(data) - len(DONE))


@pytest.mark.parametrize(
    ("event", "kind", "code"),
    [
        ({"error": {"message": "m", "code": "tool_use_failed", "status_code": 400}}, "rejected", "tool_use_failed"),
        (chunk(finish="error", error={"code": 502, "message": "m"}), "unavailable", "502"),
        ({"choices": [{"delta": {}, "error": {"code": 429, "message": "m"}}]}, "rate", "429"),
        ({"choices": [], "x_groq": {"error": "m"}}, "unavailable", ""),
        ({"error": "m"}, "unavailable", ""),
        ({"error": "m", "choices": "odd"}, "unavailable", ""),
    ],
)
def test_an_error_inside_a_200_ends_the_stream_and_is_not_shown(event: Any, kind: str, code: str) -> None:
    shown, metered, done = read(sse(chunk("a"), event, chunk("b")) + DONE)
    assert (len(shown), done, metered.complete) == (1, True, False)
    assert metered.error is not None
    assert (metered.error.kind, metered.error.code, metered.error.message) == (kind, code, "m")


def test_an_error_may_come_with_usage() -> None:
    _, metered, _ = read(sse(chunk("a"), {"error": {"code": 502, "message": "m"}, "choices": [], "usage": USAGE}))
    assert metered.usage is not None
    assert metered.error is not None


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"ping", b"\xff", b'{"a":1}x', b"null", b"{" * 50_000])
def test_an_event_that_is_no_object_is_malformed(payload: bytes) -> None:
    data = sse(chunk("a")) + b"data: " + payload + b"\n\n" + STREAM + DONE
    reader = ChatReader(request())
    assert len(reader.feed(data)) == 1
    assert reader.done
    metered = reader.metered()
    assert metered.error is not None
    assert (metered.error.kind, metered.complete) == ("malformed", False)


def test_an_endless_event_is_malformed() -> None:
    reader = ChatReader(request())
    for _ in range(18):
        reader.feed(b"data: " + b"x" * 2**20)
    metered = reader.metered()
    assert reader.done
    assert metered.error is not None
    assert metered.error.kind == "malformed"


def test_the_head_is_that_of_the_first_chunk_which_names_a_model() -> None:
    # Azure begins with a chunk about its filters.
    filters = {"id": "c0", "model": "", "choices": [], "prompt_filter_results": []}
    shown, metered, _ = read(sse(filters) + STREAM + DONE)
    assert (len(shown), metered.served_model, metered.reply_id) == (5, "m-1", "c1")


def test_comments_and_empty_events_are_nothing() -> None:
    shown, metered, _ = read(b": OPENROUTER PROCESSING\n\n\n\ndata: \n\ndata:   \n\n" + STREAM + DONE)
    assert (len(shown), metered.error) == (4, None)


@pytest.mark.parametrize(
    "odd",
    [
        chunk("a", model=7, id=None),
        {"choices": [{"index": "0", "delta": {"content": "a"}, "finish_reason": None}]},
        {"choices": [{"finish_reason": 3}, "x"]},
        {"choices": [7]},
        {"choices": "none"},
        {},
    ],
)
def test_fields_of_another_type_are_passed_on(odd: Any) -> None:
    shown, metered, _ = read(sse(odd) + STREAM + sse(LAST) + DONE)
    assert (shown[0], len(shown)) == (odd, 5)
    assert metered.usage is not None
    assert (metered.complete, metered.served_model) == (True, "m-1")


def test_odd_chunks_still_finish_and_still_carry_usage() -> None:
    odd_end = {"choices": [{"index": 1.5, "finish_reason": "stop"}], "usage": USAGE, "id": "c1", "model": "m-1"}
    shown, metered, _ = read(sse(chunk("a"), odd_end))
    assert (len(shown), metered.complete, metered.finish_reason) == (2, True, "stop")
    assert metered.usage is not None
    assert read(sse({"choices": [], "usage": USAGE, "x_groq": 7}) + DONE)[1].usage is not None


def test_nothing_after_the_end_is_read() -> None:
    reader = ChatReader(request())
    reader.feed(STREAM + DONE + sse(chunk("late")))
    assert reader.feed(sse(LAST)) == []
    assert reader.metered().usage is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["choices", "usage", "error", "x_groq", "finish_reason", "index", "model", "id"]), inner
        )
    ),
)


@given(st.lists(VALUES | st.dictionaries(st.sampled_from(["choices", "usage", "error", "x_groq", "model"]), VALUES)))
def test_no_chunk_raises(chunks: list[Any]) -> None:
    reader = ChatReader(request())
    reader.feed(sse(*chunks))
    reader.metered()


@given(st.lists(st.binary(max_size=40)))
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    reader = ChatReader(request())
    for piece in pieces:
        reader.feed(b"data: " + piece + b"\n\n")
        reader.metered()
