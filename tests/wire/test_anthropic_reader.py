"""Streams of Messages events: what a caller sees, what was used, and whether the stream ended as it must."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import Usage
from bursar.wire.anthropic_reader import MessagesReader
from bursar.wire.dialect import Metered, Request

USAGE = {"input_tokens": 2068, "cache_read_input_tokens": 0, "output_tokens": 1, "service_tier": "standard"}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "usage": USAGE},
}
OPEN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
SAYS = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 'say "usage"'}}
CLOSE = {"type": "content_block_stop", "index": 0}
STOP = {"type": "message_stop"}
PING = {"type": "ping"}


def ends(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def sse(*events: Any, blanks: bool = False) -> bytes:
    """Events as Anthropic frames them, with the blanks that it pads some with."""
    separators = None if blanks else (",", ":")
    lines = []
    for event in events:
        payload = json.dumps(event, separators=separators) + ("    " if blanks else "")
        lines.append(f"event: {event.get('type')}\ndata: {payload}\n\n")
    return "".join(lines).encode()


def read(data: bytes, body: bytes = b"{}") -> tuple[list[Any], Metered, bool]:
    """The decoded payloads, the metered, and done; the same whole, byte by byte, and with trailing data."""
    request = Request(body, "anthropic_messages", "m", stream=True)
    whole, bytewise = MessagesReader(request), MessagesReader(request)
    shown = whole.feed(data)
    assert [payload for i in range(len(data)) for payload in bytewise.feed(data[i : i + 1])] == shown
    assert (bytewise.metered(), bytewise.done) == (whole.metered(), whole.done)
    if whole.done:
        before = whole.metered()
        assert whole.feed(sse(ends("late", output_tokens=9)) + b"junk") == []
        assert whole.metered() == before
    return [json.loads(payload) for payload in shown], whole.metered(), whole.done


WHOLE = [START, OPEN, PING, SAYS, SAYS, CLOSE, ends(input_tokens=2068, output_tokens=25), STOP]


@pytest.mark.parametrize("blanks", [False, True])
def test_every_event_is_shown_and_the_last_usage_holds(blanks: bool) -> None:
    shown, metered, done = read(sse(*WHOLE, blanks=blanks))
    assert shown == WHOLE
    assert metered == Metered(
        Usage.of(2068, 25), served_model="claude-x", reply_id="msg_1", finish_reason="end_turn", complete=True
    )
    assert done


def test_later_usage_corrects_the_input() -> None:
    """As recorded: what a search found enters the input after the stream began."""
    tools = {"web_search_requests": 1, "web_fetch_requests": 0}
    _, metered, _ = read(sse(START, ends(input_tokens=22_397, output_tokens=510, server_tool_use=tools), STOP))
    assert metered.usage == Usage.of(22_397, 510, {"web_searches": 1})


def test_usage_is_cumulative_over_many_deltas_and_never_goes_down() -> None:
    growing = [ends(None, output_tokens=n) for n in (5, 9)]
    _, metered, _ = read(sse(START, *growing, ends(output_tokens=12), STOP))
    assert metered.usage == Usage.of(2068, 12)
    _, metered, _ = read(sse(START, *growing, ends(output_tokens=3), STOP))
    assert metered.usage == Usage.of(2068, 9, contradictory=True)


def test_the_placeholder_is_no_count() -> None:
    _, metered, _ = read(sse(START, ends("refusal", output_tokens=0), STOP))
    assert metered.usage == Usage.of(2068, 0)


@pytest.mark.parametrize("events", [[START], [START, OPEN, SAYS], [START, OPEN, SAYS, CLOSE, ends(None)]])
def test_a_stream_that_is_cut_before_its_usage_is_known_in_its_input_alone(events: list[Any]) -> None:
    _, metered, done = read(sse(*events))
    assert (metered.complete, done) == (False, False)
    assert metered.usage == Usage.of(2068, 1, contradictory=True)


def test_a_stream_is_complete_once_it_gave_its_final_usage() -> None:
    _, metered, done = read(sse(*WHOLE[:-1]))
    assert (metered.complete, done) == (True, False)
    _, metered, _ = read(sse(*WHOLE[:-1]) + b"event: message_stop\nda")
    assert not metered.complete


def test_an_end_without_final_usage_is_doubted() -> None:
    _, metered, done = read(sse(START, OPEN, SAYS, CLOSE, STOP))
    assert (metered.complete, done) == (True, True)
    assert metered.usage == Usage.of(2068, 1, contradictory=True)


def test_a_stream_cut_at_any_byte_is_complete_only_with_its_usage() -> None:
    data = sse(*WHOLE)
    counted = data.index(b"event: message_stop")
    for end in range(len(data)):
        reader = MessagesReader(Request(b"{}", "anthropic_messages", "m", stream=True))
        reader.feed(data[:end])
        metered = reader.metered()
        assert metered.complete <= (end >= counted)
        if metered.complete:
            assert metered.usage == Usage.of(2068, 25)
        # Nothing is known to be missing between two events; within one, something is.
        assert metered.complete or end != counted


def test_an_error_in_the_stream_ends_it_and_is_not_shown() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
    shown, metered, done = read(sse(START, OPEN, SAYS, error, ends(output_tokens=5), STOP))
    assert (shown, done) == ([START, OPEN, SAYS], True)
    assert metered.error is not None
    assert (metered.error.kind, metered.error.code, metered.complete) == ("unavailable", "overloaded_error", False)
    assert metered.usage == Usage.of(2068, 1, contradictory=True)
    _, metered, done = read(sse(START, {"type": "error"}))
    assert (metered.error is not None, done) == (True, True)
    # OpenRouter's form, without a type.
    _, metered, _ = read(sse(START, {"error": {"code": 429, "message": "slow"}}))
    assert metered.error is not None
    assert metered.error.kind == "rate"


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 7\n\n", b"data: []\n\n", b"event: x\ndata: nonsense\n\n"])
def test_an_event_that_is_no_object_is_an_error(data: bytes) -> None:
    shown, metered, done = read(sse(START) + data + sse(STOP))
    assert (shown, done, metered.complete) == ([START], True, False)
    assert metered.error is not None
    assert metered.error.kind == "malformed"


def test_an_event_without_end_is_an_error() -> None:
    reader = MessagesReader(Request(b"{}", "anthropic_messages", "m", stream=True))
    for _ in range(20):
        reader.feed(b"data: " + b"x" * 2**20)
    error = reader.metered().error
    assert (reader.done, error and error.kind) == (True, "malformed")


def test_events_that_nobody_knows_are_shown() -> None:
    new = {"type": "content_hint", "hint": 1}
    shown, _, _ = read(sse(START, new) + b"data: \n\n: comment\n\n" + sse(STOP))
    assert shown == [START, new, STOP]


def test_openais_terminator_ends_a_stream_and_is_not_shown() -> None:
    shown, metered, done = read(sse(START, ends(output_tokens=4)) + b"data: [DONE]\n\n")
    assert (len(shown), metered.complete, done) == (2, True, True)


def test_usage_is_found_wherever_an_event_carries_it() -> None:
    """Not where the format says, but not lost either."""
    odd = SAYS | {"usage": {"output_tokens": 7, "input_tokens": 2069}}
    shown, metered, _ = read(sse(START, odd, ends(output_tokens=8), STOP))
    assert shown[1] == odd
    assert metered.usage == Usage.of(2069, 8)


def test_content_that_speaks_of_usage_is_content() -> None:
    opened = OPEN | {"content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {"usage": {"a": 1}}}}
    shown, metered, _ = read(sse(START, opened, SAYS, ends(output_tokens=4), STOP))
    assert shown[1] == opened
    assert metered.usage == Usage.of(2068, 4)


def test_content_passes_without_being_decoded() -> None:
    """Told by how it begins: what is no JSON further on is not found out here."""
    reader = MessagesReader(Request(b"{}", "anthropic_messages", "m", stream=True))
    broken = b'{"type":"content_block_delta","index":0,"delta":{'
    assert reader.feed(b"data: " + broken + b"\n\n") == [broken]


def test_what_a_stream_caches_is_for_an_hour_only_where_the_request_asked_for_it() -> None:
    kept = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    start = {**START, "message": {**START["message"], "usage": USAGE | {"cache_creation": kept}}}
    data = sse(start, ends(output_tokens=4, cache_creation_input_tokens=50), STOP)
    _, metered, _ = read(data, b'{"system":[{"cache_control":{"type":"ephemeral"}}]}')
    assert metered.usage == Usage.of(2118, 4, {"cache_write": 50})
    _, metered, _ = read(data, b'{"system":[{"cache_control":{"type":"ephemeral","ttl":"1h"}}]}')
    assert metered.usage == Usage.of(2118, 4, {"cache_write_1h": 50}, contradictory=True)


def test_the_tier_of_the_first_event_and_the_iterations_of_the_last() -> None:
    words = {"service_tier": "standard", "speed": "fast", "inference_geo": "us"}
    start = {**START, "message": {**START["message"], "usage": USAGE | words}}
    served = {"type": "fallback_message", "model": "claude-y", "input_tokens": 2068, "output_tokens": 6}
    advice = {"type": "advisor_message", "model": "claude-z", "input_tokens": 30, "output_tokens": 2}
    last = ends(input_tokens=2068, output_tokens=6, iterations=[advice, served])
    _, metered, _ = read(sse(start, last, STOP))
    assert (metered.service_tier, metered.served_model) == ("fast+us", "claude-y")
    assert metered.apart == (("claude-z", Usage.of(30, 2)),)


EVENTS = st.sampled_from([*WHOLE, ends(None), {"type": 7}, {}, {"type": "message_start"}, {"type": "message_delta"}])


@given(st.lists(EVENTS), st.lists(st.binary(max_size=4)), st.booleans())
def test_any_order_of_events_is_read_alike_however_it_is_cut(
    events: list[Any], junk: list[bytes], blanks: bool
) -> None:
    read(sse(*events, blanks=blanks) + b"".join(junk))
