"""Anthropic's streams over HTTP: they add up to the whole reply, and fail, stall and are billed as others do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from bursar.sim.config import SimConfig
from tests.sim.client import Answer, Caller, calling
from tests.sim.test_leaving import leave, settled
from tests.sim.wires import SEARCH, TOOL, message, named_events, rebuilt

RICH: dict[str, Any] = {
    "content": "[[tool]][[tokens=9]][[searches=2]][[compact=5000]]",
    "tools": [TOOL, SEARCH],
    "context_management": {"edits": [{"type": "compact_20260112"}]},
    "thinking": {"type": "adaptive"},
}


async def failing(caller: Caller, fault: str, *, stream: bool = True) -> tuple[Answer, int, int]:
    """The answer under a fault, what was billed for it, and what the same costs without."""
    await caller.send("POST", "/sim/reset")
    await message(caller, "[[tokens=10]]", stream=stream)
    full = (await caller.bill())["billed_nano_usd"]
    answer = await message(caller, "[[tokens=10]]", {"x-sim-fault": fault}, stream=stream)
    entry = (await caller.record())[-1]
    assert entry["fault"] == fault.partition(":")[0].partition(",")[0]
    return answer, entry["billed_nano_usd"], full


def kinds(events: list[Any]) -> list[str]:
    return [event["type"] for event in events]


@pytest.mark.parametrize("fields", [{"content": "tell me"}, {"content": "[[refuse]]"}, RICH])
async def test_a_stream_adds_up_to_the_whole_reply(fields: dict[str, Any]) -> None:
    async with calling() as caller:
        whole = (await message(caller, **fields)).json
        stream = await message(caller, **fields, stream=True)
        assert stream.headers["content-type"].startswith("text/event-stream")
        built = rebuilt(named_events(stream))
        assert built | {"id": whole["id"]} == whole
        first, second = await caller.record()
        assert first["billed_nano_usd"] == second["billed_nano_usd"] > 0
        assert (first["stream"], second["stream"], second["id"]) == (False, True, built["id"])


async def test_events_come_in_anthropics_order() -> None:
    async with calling() as caller:
        events = named_events(await message(caller, "[[tokens=2]]", stream=True))
        assert kinds(events) == [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
        silent = named_events(await message(caller, "[[refuse]]", stream=True))
        assert kinds(silent) == ["message_start", "message_delta", "message_stop"]


async def test_the_first_usage_is_a_beginning_and_the_last_is_all_of_it() -> None:
    async with calling() as caller:
        events = named_events(await message(caller, **RICH, stream=True))
        begun = events[0]["message"]["usage"]
        ended = events[-2]["usage"]
        assert begun["output_tokens"] == 1
        assert ended["input_tokens"] == begun["input_tokens"] + 2 * 2000
        assert ended["output_tokens"] > 9
        assert ended["server_tool_use"]["web_search_requests"] == 2
        assert not {"server_tool_use", "iterations", "output_tokens_details"} & begun.keys()
        assert not {"service_tier", "cache_creation", "inference_geo"} & ended.keys()
        assert ended["iterations"][0]["input_tokens"] == 5000


async def test_streams_are_cut_where_the_fault_says_and_billed_in_full() -> None:
    async with calling() as caller:
        dropped, billed, full = await failing(caller, "drop:3")
        assert (dropped.complete, billed, deltas(dropped)) == (False, full, 3)
        cut, billed, full = await failing(caller, "truncate:4")
        assert (cut.complete, billed, deltas(cut)) == (True, full, 4)
        assert kinds(named_events(cut))[-1] == "content_block_delta"
        undone, billed, full = await failing(caller, "no_done")
        assert (billed, kinds(named_events(undone))[-1]) == (full, "message_delta")
        empty, billed, full = await failing(caller, "empty")
        assert (empty.raw, billed) == (b"", full)
        plain, billed, full = await failing(caller, "wrong_content_type")
        assert (plain.headers["content-type"], billed) == ("text/plain", full)


def deltas(answer: Answer) -> int:
    return kinds(named_events(answer)).count("content_block_delta")


async def test_streams_are_bent_and_billed_in_full() -> None:
    async with calling() as caller:
        twice, billed, full = await failing(caller, "duplicate_chunks")
        assert (deltas(twice), billed) == (20, full)
        assert kinds(named_events(twice)).count("message_delta") == 2
        absent, billed, full = await failing(caller, "missing_usage")
        events = named_events(absent)
        assert ("usage" in events[0]["message"], "usage" in events[-2], billed) == (False, False, full)
        absurd, billed, full = await failing(caller, "absurd_usage:negative")
        assert (named_events(absurd)[-2]["usage"]["output_tokens"], billed) == (-5, full)
        large, billed, full = await failing(caller, "oversized:100000")
        assert (len(rebuilt(named_events(large))["content"][0]["text"]) > 100_000, billed) == (True, full)
        broken, billed, full = await failing(caller, "malformed_json")
        assert b"event: content_block_start" in broken.raw
        with pytest.raises(json.JSONDecodeError):
            named_events(broken)
        assert billed == full


@pytest.mark.parametrize(("written", "kind"), [("", "api_error"), (",status=529", "overloaded_error")])
async def test_an_error_in_a_stream_is_an_event_and_bills_what_was_sent(written: str, kind: str) -> None:
    async with calling() as caller:
        answer, billed, full = await failing(caller, f"error_in_stream:4{written}")
        last = named_events(answer)[-1]
        assert (answer.status, last["type"], last["error"]["type"]) == (200, "error", kind)
        assert last["request_id"] == answer.headers["request-id"]
        assert full - billed == 6 * 5000


async def test_whole_replies_are_bent_and_billed() -> None:
    async with calling() as caller:
        for fault in ("drop", "truncate", "malformed_json", "missing_usage", "empty", "wrong_content_type"):
            _, billed, full = await failing(caller, fault, stream=False)
            assert billed == full > 0, fault
        assert "usage" not in (await failing(caller, "missing_usage", stream=False))[0].json
        absurd = (await failing(caller, "absurd_usage:enormous", stream=False))[0]
        assert absurd.json["usage"]["input_tokens"] == 10**18
        wrong, billed, full = await failing(caller, "error_in_stream", stream=False)
        assert (wrong.json["type"], full - billed) == ("error", 10 * 5000)
        late, billed, full = await failing(caller, "stall:0.01,after_chunks=3")
        assert (deltas(late), billed) == (10, full)
        with pytest.raises(aiohttp.ClientConnectionError):
            await failing(caller, "refuse")


def raw_message(fault: str) -> bytes:
    turns = [{"role": "user", "content": "[[tokens=10]]"}]
    body = json.dumps({"model": "claude-haiku-4-5", "max_tokens": 50, "stream": True, "messages": turns}).encode()
    head = "POST /anthropic/v1/messages HTTP/1.1\r\nHost: sim\r\nx-api-key: sk-sim-1\r\nX-Client-Request-Id: gone\r\n"
    head += f"anthropic-version: 2023-06-01\r\nContent-Length: {len(body)}\r\nx-sim-fault: {fault}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("stops", [False, True])
async def test_who_leaves_is_billed_as_the_switch_says(stops: bool) -> None:
    kind = "cancel_stops_billing" if stops else "cancel_bills_in_full"
    config = SimConfig(**{kind: frozenset({"anthropic"})})  # type: ignore[arg-type]
    async with asyncio.timeout(15), calling(config) as caller:
        await leave(caller.url, raw_message("stall:60,after_chunks=4"), b"content_block_delta")
        entry = await settled(caller)
        assert entry["usage"]["completion_tokens"] == (4 if stops else 10)  # type: ignore[index]
