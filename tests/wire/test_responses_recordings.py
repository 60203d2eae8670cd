"""Every recorded exchange of Responses: the provider's own totals, its reported cost, its text, however it is fed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from bursar.wire.dialect import Metered, Request
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.responses_reader import ResponsesReader
from bursar.wire.responses_reply import ResponsesDelta, ResponsesReply

DIALECT = OpenAIResponses()
ASKED = Request(b"{}", DIALECT.name, "", stream=True)


def recorded(folder: Path) -> Iterator[tuple[str, bool, str]]:
    """(id, whether it was streamed, the body) of each recording."""
    for file in sorted(folder.glob("*/*.json")):
        recording = json.loads(file.read_text("utf-8"))
        if recording["path"].endswith(DIALECT.path) and recording["response"]["status"] < 400:
            streamed = "event-stream" in recording["response"]["content_type"]
            yield recording["id"], streamed, recording["response"]["body"]


def objects(text: str) -> list[Any]:
    """Every JSON object in a body, found by a reader that shares nothing with ours."""
    decoder, at, found = json.JSONDecoder(parse_float=Decimal), 0, []
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def framed(body: str) -> bytes:
    """A stream as it was sent; some recorders kept only the data of its events, one after the other."""
    if not body.startswith("{"):
        return body.encode()
    decoder, at, events = json.JSONDecoder(), 0, []
    while at < len(body):
        _, end = decoder.raw_decode(body, at)
        events.append(f"data: {body[at:end]}\n\n")
        at = end
    return "".join(events).encode()


def read(streamed: bool, body: str) -> Metered:
    if not streamed:
        return DIALECT.meter(body.encode())
    reader = DIALECT.reader(ASKED)
    reader.feed(framed(body))
    return reader.metered()


def own_response(streamed: bool, body: str) -> Any:
    return objects(body)[-1]["response"] if streamed else json.loads(body, parse_float=Decimal)


def test_usage_and_cost_are_the_providers_own(recordings: Path) -> None:
    totals = costs = searches = 0
    for name, streamed, body in recorded(recordings):
        metered, own = read(streamed, body), own_response(streamed, body)
        assert metered.error is None, name
        assert (metered.reply_id, metered.served_model) == (own["id"], own["model"])
        assert metered.service_tier == (own.get("service_tier") or "")
        if own.get("usage") is None:
            assert (metered.usage, metered.complete, own["status"]) == (None, False, "queued"), name
            continue
        used, usage = own["usage"], metered.usage
        assert usage is not None
        assert (metered.complete, usage.contradictory) == (True, False), name
        assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (
            used["input_tokens"],
            used["output_tokens"],
            used["total_tokens"],
        )
        cached = used["input_tokens_details"]
        assert usage.leaves.get("cached_input", 0) == cached["cached_tokens"]
        assert usage.leaves.get("cache_write", 0) == cached.get("cache_write_tokens", 0)
        assert usage.leaves.get("reasoning_output", 0) == used["output_tokens_details"]["reasoning_tokens"]
        totals += 1
        searched = [item["action"]["type"] for item in own["output"] if item["type"] == "web_search_call"]
        assert usage.leaves.get("web_searches", 0) == searched.count("search")
        searches += len(searched)
        reported = used.get("cost")
        nano_usd = None if reported is None else int((reported * 10**9).to_integral_value(ROUND_CEILING))
        assert metered.reported_nano_usd == nano_usd, name
        costs += reported is not None
    assert totals >= 87
    assert searches >= 7
    assert costs >= 1


def test_streams_are_the_same_however_they_are_cut(recordings: Path) -> None:
    streams = 0
    for name, streamed, body in recorded(recordings):
        if not streamed:
            continue
        data = framed(body)
        whole, bytewise, trailed = ResponsesReader(), ResponsesReader(), ResponsesReader()
        shown = whole.feed(data)
        assert [payload for i in range(len(data)) for payload in bytewise.feed(data[i : i + 1])] == shown
        assert trailed.feed(data + b'data: [DONE]\n\ndata: {"type":"error","message":"m"}\n\n') == shown
        assert bytewise.metered() == whole.metered() == trailed.metered(), name
        assert (whole.done, whole.metered().complete) == (True, True)
        assert not cut_after(data, len(shown) - 1).complete
        streams += 1
    assert streams >= 9


def cut_after(data: bytes, events: int) -> Metered:
    """A stream of which only so many events came."""
    reader = ResponsesReader()
    reader.feed(b"\n\n".join(data.split(b"\n\n")[:events]) + b"\n\n")
    return reader.metered()


def test_replies_say_what_their_events_say(recordings: Path) -> None:
    texts = calls = 0
    for name, streamed, body in recorded(recordings):
        if not streamed:
            reply = ResponsesReply(body.encode())
        else:
            shown = ResponsesReader().feed(framed(body))
            reply, cut = ResponsesReply.of_chunks(shown), ResponsesReply.of_chunks(shown[:-1])
            assert (cut.text, cut.tool_calls) == (reply.text, reply.tool_calls), name
            assert "".join(ResponsesDelta(payload).text for payload in shown) == reply.text, name
            assert ResponsesDelta(shown[-1]).finish_reason == reply.finish_reason == "completed"
        own = own_response(streamed, body)
        parts = [part for item in own["output"] for part in item.get("content") or ()]
        assert reply.text == "".join(part["text"] for part in parts if part["type"] == "output_text"), name
        named = [item["name"] for item in own["output"] if item["type"] == "function_call"]
        assert [call["function"]["name"] for call in reply.tool_calls] == named, name
        texts += bool(reply.text)
        calls += len(named)
    assert texts >= 60
    assert calls >= 20
