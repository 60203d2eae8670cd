"""Every recorded Messages reply is metered to the provider's own totals, however it is fed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.dialect import Metered, Request
from bursar.wire.messages_reply import MessagesDelta, MessagesReply

DIALECT = AnthropicMessages()
REQUEST = Request(b"{}", DIALECT.name, "m", stream=True)


def recorded(folder: Path) -> Iterator[tuple[str, bytes, list[Any]]]:
    """The id of each recorded reply of this form, whoever gave it, its body, and its events or itself, decoded."""
    for file in sorted(folder.glob("*/*.json")):
        recording = json.loads(file.read_text("utf-8"))
        response = recording["response"]
        if not recording["path"].partition("#")[0].endswith(DIALECT.path) or response["status"] >= 400:
            continue
        lines = response["body"].replace("\r\n", "\n").split("\n")
        said = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
        yield recording["id"], response["body"].encode(), said or [json.loads(response["body"])]


def totals(said: list[Any]) -> tuple[int, int, int, dict[str, tuple[int, int]]]:
    """(input, output, searches, and what other models used), found by a reader that shares nothing with ours."""
    usage: dict[str, Any] = {}
    for one in said:
        usage |= one.get("usage") or (one.get("message") or {}).get("usage") or {}
    used = [usage, *(one for one in usage.get("iterations", []) if one["type"] == "compaction")]
    names = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    advised = {
        one["model"]: (one["input_tokens"], one["output_tokens"])
        for one in usage.get("iterations", [])
        if one["type"] == "advisor_message"
    }
    return (
        sum(one.get(name) or 0 for one in used for name in names),
        sum(one["output_tokens"] for one in used),
        (usage.get("server_tool_use") or {}).get("web_search_requests", 0),
        advised,
    )


def metered(body: bytes) -> Metered:
    """The metered; for a stream the same whole, byte by byte, and with trailing data."""
    if body.startswith(b"{"):
        return DIALECT.meter(body)
    whole, bytewise, tailed = (DIALECT.reader(REQUEST) for _ in range(3))
    shown = whole.feed(body)
    assert [payload for i in range(len(body)) for payload in bytewise.feed(body[i : i + 1])] == shown
    assert tailed.feed(body + b"data: more\n\n") == shown
    assert bytewise.metered() == tailed.metered() == whole.metered()
    return whole.metered()


def test_every_recording_gives_its_providers_totals(recordings: Path) -> None:
    compared = 0
    for name, body, said in recorded(recordings):
        read = metered(body)
        usage = read.usage
        assert usage is not None, name
        assert (read.complete, read.error, usage.contradictory, bool(read.finish_reason)) == (True, None, False, True)
        apart = {model: (one.input_tokens, one.output_tokens) for model, one in read.apart}
        searches = usage.leaves.get("web_searches", 0)
        assert (usage.input_tokens, usage.output_tokens, searches, apart) == totals(said), name
        compared += 1
    assert compared >= 98


def test_a_stream_cut_anywhere_never_claims_to_be_whole_without_its_usage(recordings: Path) -> None:
    streams = 0
    for name, body, said in recorded(recordings):
        if body.startswith(b"{"):
            continue
        for end in range(0, len(body), 101):
            reader = DIALECT.reader(REQUEST)
            reader.feed(body[:end])
            read = reader.metered()
            assert not read.complete or (read.usage and read.usage.output_tokens) == totals(said)[1], name
        streams += 1
    assert streams >= 4


def test_every_recorded_reply_can_be_read(recordings: Path) -> None:
    for name, body, said in recorded(recordings):
        if body.startswith(b"{"):
            reply = MessagesReply(body)
        else:
            payloads = DIALECT.reader(REQUEST).feed(body)
            assert [json.loads(payload) for payload in payloads] == said
            reply = MessagesReply.of_chunks(payloads)
            assert "".join(MessagesDelta(payload).text for payload in payloads) == reply.text
            assert reply.raw["usage"] == (said[0]["message"]["usage"] | said[-2]["usage"])
        assert reply.text or reply.tool_calls or reply.raw["content"], name
        assert (reply.finish_reason == "tool_use") == bool(reply.tool_calls), name
        for call in reply.tool_calls:
            assert (call["type"], bool(call["id"]), bool(call["function"]["name"])) == ("function", True, True)
            json.loads(call["function"]["arguments"])
