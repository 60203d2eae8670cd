"""Streams of Responses over HTTP: numbered events that add up to the whole, and fail and are billed as others do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bursar.sim.config import SimConfig
from tests.sim.client import Answer, Caller, calling
from tests.sim.test_leaving import leave, settled
from tests.sim.wires import FUNCTION, named_events, respond

PROVIDERS = ["openai", "openrouter"]
WEB = {"type": "web_search"}
THINKER = {"openai": "gpt-5-mini", "openrouter": "openai/gpt-5-mini"}


def texts(events: list[Any], name: str = "output_text") -> str:
    return "".join(event["delta"] for event in events if event["type"] == f"response.{name}.delta")


async def failing(caller: Caller, fault: str, provider: str = "openai") -> tuple[Answer, int, int]:
    """The stream under a fault, what was billed for it, and what the same costs without."""
    await caller.send("POST", "/sim/reset")
    await respond(caller, "[[tokens=10]]", provider=provider, stream=True)
    full = (await caller.bill())["billed_nano_usd"]
    answer = await respond(caller, "[[tokens=10]]", {"x-sim-fault": fault}, provider, stream=True)
    return answer, (await caller.record())[-1]["billed_nano_usd"], full


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ("tell me", {}),
        ("[[tokens=9]][[searches=2]]", {"tools": [WEB]}),
        ("[[tool]][[tool]]", {"tools": [FUNCTION]}),
        ("[[tokens=5]][[refuse]]", {}),
        ("[[tokens=90]]", {"max_output_tokens": 16}),
    ],
)
async def test_a_stream_adds_up_to_the_whole_response(provider: str, content: str, fields: dict[str, Any]) -> None:
    fields = {**fields, "model": THINKER[provider]}
    async with calling() as caller:
        whole = (await respond(caller, content, provider=provider, **fields)).json
        stream = await respond(caller, content, provider=provider, stream=True, **fields)
        events = named_events(stream)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        last = events[-1]["response"]
        assert events[-1]["type"] == f"response.{last['status']}" == f"response.{whole['status']}"
        assert without_ids(last) == without_ids(whole)
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
        assert (done, added) == (last["output"], list(range(len(done))))
        for item in done:
            if item["type"] == "message":
                [part] = item["content"]
                assert texts(events, part["type"]) == part.get("text", part.get("refusal"))
        arguments = "".join(item.get("arguments", "") for item in done)
        assert texts(events, "function_call_arguments") == arguments
        first, second = await caller.record()
        assert first["billed_nano_usd"] == second["billed_nano_usd"] > 0
        assert second["id"] == last["id"]
        assert stream.raw.endswith(b"data: [DONE]\n\n") == (provider == "openrouter")


def without_ids(response: Any) -> Any:
    items = [{name: value for name, value in item.items() if name != "id"} for item in response["output"]]
    return response | {"id": "", "output": items, "created_at": 0, "completed_at": 0}


async def test_nothing_but_the_last_event_carries_usage() -> None:
    async with calling() as caller:
        events = named_events(await respond(caller, "[[tokens=3]]", stream=True))
        assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
        assert [event["response"]["usage"] for event in events[:2]] == [None, None]
        assert events[-1]["response"]["usage"]["output_tokens"] == 3


async def test_streams_are_cut_bent_and_billed_in_full() -> None:
    async with calling() as caller:
        dropped, billed, full = await failing(caller, "drop:3")
        assert (dropped.complete, billed, len(texts(named_events(dropped)).split())) == (False, full, 3)
        cut, billed, full = await failing(caller, "truncate:4")
        assert (cut.complete, billed, len(texts(named_events(cut)).split())) == (True, full, 4)
        undone, billed, full = await failing(caller, "no_done")
        assert (named_events(undone)[-1]["type"], billed) == ("response.output_item.done", full)
        routed, billed, full = await failing(caller, "no_done", "openrouter")
        assert (named_events(routed)[-1]["type"], b"[DONE]" in routed.raw) == ("response.completed", False)
        absent, billed, full = await failing(caller, "missing_usage")
        assert (named_events(absent)[-1]["response"]["usage"], billed) == (None, full)
        absurd, billed, full = await failing(caller, "absurd_usage:strings")
        assert (named_events(absurd)[-1]["response"]["usage"]["input_tokens"], billed) == ("many", full)
        large, billed, full = await failing(caller, "oversized:100000")
        assert (len(texts(named_events(large))) > 100_000, billed) == (True, full)
        assert "response.content_part.added" in [event["type"] for event in named_events(large)]
        broken, billed, full = await failing(caller, "malformed_json:2")
        with pytest.raises(json.JSONDecodeError):
            named_events(broken)
        assert billed == full


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_failed_stream_says_so_twice_and_bills_what_was_sent(provider: str) -> None:
    async with calling() as caller:
        answer, billed, full = await failing(caller, "error_in_stream:4", provider)
        error, failed = named_events(answer)[-2:]
        assert (error["type"], error["code"]) == ("error", "server_error")
        response = failed["response"]
        assert (failed["type"], response["status"]) == ("response.failed", "failed")
        assert (response["error"]["code"], response["usage"]["output_tokens"]) == ("server_error", 4)
        assert [event["sequence_number"] for event in named_events(answer)][-1] == len(named_events(answer)) - 1
        assert full - billed == 6 * 600
        unbilled, billed, _ = await failing(caller, "error_in_stream:4,billed=false", provider)
        assert (named_events(unbilled)[-1]["response"]["usage"], billed) == (None, 0)


def raw_response(provider: str, fault: str) -> bytes:
    prefix = {"openai": "/openai/v1", "openrouter": "/openrouter/api/v1"}[provider]
    body = json.dumps({"model": THINKER[provider], "input": "[[tokens=12]]", "stream": True}).encode()
    head = f"POST {prefix}/responses HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer sk-sim-1\r\n"
    head += f"X-Client-Request-Id: gone\r\nContent-Length: {len(body)}\r\nx-sim-fault: {fault}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("provider", "stops", "chunks", "billed"),
    [("openai", False, 3, 12), ("openai", True, 3, 4 + 3), ("openrouter", True, 7, 7), ("openrouter", False, 7, 12)],
)
async def test_who_leaves_is_billed_as_the_switch_says(provider: str, stops: bool, chunks: int, billed: int) -> None:
    async with asyncio.timeout(15), calling(SimConfig()) as caller:
        await caller.send("POST", "/sim/cancel", {provider: stops})
        await leave(caller.url, raw_response(provider, f"stall:60,after_chunks={chunks}"), b"output_text.delta")
        entry = await settled(caller)
        assert entry["usage"]["completion_tokens"] == billed  # type: ignore[index]
        assert entry["usage"]["reasoning_tokens"] == 4  # type: ignore[index]
