"""Streams of Responses events: what a caller sees, what was used, and whether the stream ended as it must."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.dialect import Metered
from bursar.wire.responses_reader import ResponsesReader

USAGE = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "model": "m-1",
    "status": "in_progress",
    "service_tier": "auto",
    "error": None,
    "incomplete_details": None,
    "output": [],
    "usage": None,
}
ENDED = RESPONSE | {"status": "completed", "service_tier": "default", "usage": USAGE}


def event(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind} | more


def text(delta: str) -> dict[str, Any]:
    return event("response.output_text.delta", output_index=0, content_index=0, delta=delta)


def sse(*events: Any) -> bytes:
    lines = (f"event: {one.get('type') if isinstance(one, dict) else ''}\ndata: {json.dumps(one)}" for one in events)
    return "".join(f"{line}\n\n" for line in lines).encode()


def read(data: bytes) -> tuple[list[Any], Metered, bool]:
    """The decoded payloads, the metered, and done; the same whole and byte by byte."""
    whole, bytewise = ResponsesReader(), ResponsesReader()
    shown = whole.feed(data)
    pieces = [payload for i in range(len(data)) for payload in bytewise.feed(data[i : i + 1])]
    assert pieces == shown
    assert (bytewise.metered(), bytewise.done) == (whole.metered(), whole.done)
    return [json.loads(payload) for payload in shown], whole.metered(), whole.done


OPEN = [event("response.created", response=RESPONSE), event("response.in_progress", response=RESPONSE)]
STREAM = [*OPEN, text("Rhi"), text("ne")]
END = event("response.completed", response=ENDED)


@pytest.mark.parametrize("trailing", [b"", DONE, sse(text("late")), b"data: {"])
def test_every_event_is_shown_and_the_last_has_the_usage(trailing: bytes) -> None:
    shown, metered, done = read(sse(*STREAM, END) + trailing)
    assert shown == [*STREAM, END]
    assert (metered.usage and dict(metered.usage.leaves)) == {"input": 9, "output": 3}
    assert (metered.reply_id, metered.served_model, metered.service_tier) == ("resp_1", "m-1", "default")
    assert (metered.finish_reason, metered.error, metered.complete, done) == ("completed", None, True, True)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (event("response.done", response=ENDED), "completed"),
        (
            event(
                "response.incomplete",
                response=ENDED | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            ),
            "max_output_tokens",
        ),
        (event("response.completed", response=ENDED | {"model": 7}), "completed"),
        (event("response.completed", response=ENDED | {"output": "odd"}), "completed"),
    ],
)
def test_ends(end: Any, reason: str) -> None:
    shown, metered, done = read(sse(*STREAM, end))
    assert shown[-1] == end
    assert (metered.finish_reason, metered.complete, done, metered.error) == (reason, True, True, None)
    assert metered.usage is not None


@pytest.mark.parametrize("data", [b"", sse(*OPEN), sse(*STREAM), sse(*STREAM) + DONE, sse(*STREAM, END)[:-1], DONE])
def test_without_the_finished_response_a_stream_is_not_complete(data: bytes) -> None:
    _, metered, done = read(data)
    assert (metered.complete, metered.usage, metered.error, metered.finish_reason) == (False, None, None, "")
    assert done is data.endswith(DONE)


def test_a_stream_cut_at_any_byte_is_complete_only_with_its_end() -> None:
    data = sse(*STREAM, END) + DONE
    for cut in range(len(data)):
        reader = ResponsesReader()
        reader.feed(data[:cut])
        metered = reader.metered()
        assert metered.complete is reader.done is (cut >= len(data) - len(DONE))
        assert (metered.usage is not None) is metered.complete


def test_a_stream_that_was_cut_still_names_its_reply() -> None:
    # The text is a word that the reader looks for, so that this event is read, too; it holds no response.
    for data in (sse(OPEN[0]), sse(*OPEN, text("error"))):
        metered = read(data)[1]
        assert (metered.reply_id, metered.served_model) == ("resp_1", "m-1")


FAILED = RESPONSE | {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "m"}}


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [
        (
            event("error", code="server_error", message="m", param=None),
            "unavailable",
            "server_error",
        ),
        (event("error", code=None, message="m"), "unavailable", ""),
        (
            event("error", error={"type": "invalid_request_error", "code": "context_length_exceeded", "message": "m"}),
            "context",
            "context_length_exceeded",
        ),
        (event("error", error="m"), "unavailable", ""),
        ({"error": {"code": 429, "message": "m"}}, "rate", "429"),
        (event("response.failed", response=FAILED), "rate", "rate_limit_exceeded"),
        (event("response.failed", response=FAILED | {"model": 7}), "rate", "rate_limit_exceeded"),
        (event("response.done", response=FAILED), "rate", "rate_limit_exceeded"),
        ({"type": 7, "error": "m"}, "unavailable", ""),
        (event("error", message="m", response=7), "unavailable", ""),
    ],
)
def test_an_error_inside_a_200_ends_the_stream_and_is_not_shown(failure: Any, kind: str, code: str) -> None:
    shown, metered, done = read(sse(*STREAM, failure, text("late"), END) + DONE)
    assert (shown, done, metered.complete) == (STREAM, True, False)
    assert metered.error is not None
    assert (metered.error.kind, metered.error.code, metered.error.message) == (kind, code, "m")


@pytest.mark.parametrize("response", [None, RESPONSE | {"status": "failed"}, RESPONSE, "odd"])
def test_a_stream_may_fail_without_saying_why(response: Any) -> None:
    shown, metered, _ = read(sse(*STREAM, event("response.failed", response=response)))
    assert metered.error is not None
    assert (shown, metered.error.code, metered.complete) == (STREAM, "response_failed", False)


def test_a_failed_response_keeps_its_usage() -> None:
    metered = read(sse(event("response.failed", response=FAILED | {"usage": USAGE})))[1]
    assert metered.usage is not None
    assert (metered.usage.total_tokens, metered.complete) == (12, False)


@pytest.mark.parametrize("payload", [b"{", b"[1]", b"ping", b"\xff", b'{"a":1}x', b"x}", b"null", b"[" * 50_000])
def test_an_event_that_is_no_object_is_malformed(payload: bytes) -> None:
    reader = ResponsesReader()
    assert len(reader.feed(sse(*OPEN) + b"data: " + payload + b"\n\n" + sse(END))) == 2
    metered = reader.metered()
    assert reader.done
    assert metered.error is not None
    assert (metered.error.kind, metered.complete) == ("malformed", False)


def test_an_endless_event_is_malformed() -> None:
    reader = ResponsesReader()
    for _ in range(18):
        reader.feed(b"data: " + b"x" * 2**20)
    metered = reader.metered()
    assert reader.done
    assert metered.error is not None
    assert metered.error.kind == "malformed"


def test_comments_and_empty_events_are_nothing() -> None:
    shown, metered, _ = read(b": OPENROUTER PROCESSING\n\n\n\ndata: \n\ndata:   \n\n" + sse(*STREAM, END))
    assert (shown, metered.error, metered.complete) == ([*STREAM, END], None, True)


@pytest.mark.parametrize("said", ['"usage"', '"response"', '"error":{"message":"m"}', "response", "error"])
def test_what_a_text_says_is_not_what_the_stream_says(said: str) -> None:
    shown, metered, _ = read(sse(*OPEN, text(said), END))
    assert shown[2]["delta"] == said
    assert (metered.error, metered.complete) == (None, True)


def test_a_delta_passes_undecoded() -> None:
    # What would be malformed if it were read is shown as it came: the fast path never decoded it.
    reader = ResponsesReader()
    delta = b'{"type":"response.output_text.delta","delta":"a" "b"}'
    assert reader.feed(b"data: " + delta + b"\n\n") == [delta]
    assert reader.metered().error is None


@pytest.mark.parametrize(
    "odd",
    [
        event("response.created", response=RESPONSE | {"id": 7}),
        event("response.created", response=RESPONSE, error=None),
        event("response.created", response="odd"),
        event("response.created", response=None),
        event("response.output_text.delta", delta="x", response=7),
        {"type": ["response.completed"], "response": RESPONSE},
        {"type": None, "response": None},
        {},
    ],
)
def test_fields_of_another_type_are_passed_on(odd: Any) -> None:
    shown, metered, _ = read(sse(odd, *STREAM, END))
    assert (shown[0], len(shown)) == (odd, 6)
    assert (metered.complete, metered.served_model, metered.error) == (True, "m-1", None)


def test_searches_of_a_stream_are_counted() -> None:
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}
    metered = read(sse(*OPEN, event("response.completed", response=ENDED | {"output": [search]})))[1]
    assert metered.usage is not None
    assert metered.usage.leaves["web_searches"] == 1


def test_nothing_after_the_end_is_read() -> None:
    reader = ResponsesReader()
    reader.feed(sse(*STREAM, END))
    assert reader.feed(sse(event("error", message="late"))) == []
    assert reader.metered().error is None


KEYS = st.sampled_from(["type", "response", "error", "usage", "status", "model", "id", "output", "code", "message"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["response.completed", "error"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4) | VALUES, max_size=6))
def test_no_event_raises(events: list[Any]) -> None:
    reader = ResponsesReader()
    reader.feed(sse(*events))
    reader.metered()


@given(st.lists(st.binary(max_size=40)))
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    reader = ResponsesReader()
    for piece in pieces:
        reader.feed(b"data: " + piece + b'"response"\n\n')
        reader.metered()
