"""Each fault over real sockets: what the client sees, and what is billed all the same."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.sim.client import CHAT, Answer, Caller, calling

USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
PROVIDERS = list(CHAT)


async def failing(caller: Caller, fault: str, *, stream: bool, provider: str = "openai") -> tuple[Answer, int, int]:
    """The answer under a fault, what was billed for it, and what the same costs without."""
    fields: dict[str, Any] = {"stream": True, **USAGE} if stream else {}
    await caller.send("POST", "/sim/reset")
    await caller.chat(provider, "[[tokens=10]]", **fields)
    full = (await caller.bill())["billed_nano_usd"]
    answer = await caller.chat(provider, "[[tokens=10]]", headers={"x-sim-fault": fault}, **fields)
    entry = (await caller.record())[-1]
    assert entry["fault"] == fault.partition(":")[0].partition(",")[0]
    return answer, entry["billed_nano_usd"], full


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_statuses_come_in_the_providers_form_and_cost_nothing(provider: str) -> None:
    async with calling() as caller:
        for status in (400, 402, 408, 429, 500, 502, 503, 524, 529, 418):
            answer, billed, _ = await failing(
                caller, f"status:{status},retry_after=1.5", stream=False, provider=provider
            )
            assert (answer.status, billed) == (status, 0)
            assert answer.headers["retry-after"] == "2"
            code = answer.json["error"].get("code")
            assert (code == status) == (provider in ("openrouter", "generic"))
        quota, _, _ = await failing(caller, "status:429,code=insufficient_quota", stream=True, provider=provider)
        assert "retry-after" not in quota.headers
        if provider == "openai":
            assert quota.json["error"]["type"] == "insufficient_quota"


async def test_a_status_can_be_billed_as_a_gateway_timeout_may_be() -> None:
    async with calling() as caller:
        answer, billed, full = await failing(caller, "status:504,billed=true", stream=False)
        assert (answer.status, billed) == (504, full)


@pytest.mark.parametrize("stream", [False, True])
async def test_refuse_closes_before_any_byte(stream: bool) -> None:
    async with calling() as caller:
        with pytest.raises(aiohttp.ClientConnectionError):
            await failing(caller, "refuse", stream=stream)
        entry = (await caller.record())[-1]
        assert (entry["status"], entry["billed_nano_usd"], entry["fault"]) == (0, 0, "refuse")


@pytest.mark.parametrize("stream", [False, True])
async def test_pages_and_objects_instead_of_answers(stream: bool) -> None:
    async with calling() as caller:
        page, billed, _ = await failing(caller, "html", stream=stream)
        assert (page.status, page.headers["content-type"], billed) == (502, "text/html", 0)
        assert page.raw.startswith(b"<!DOCTYPE html>")
        assert (await failing(caller, "html:200", stream=stream))[0].status == 200
        wrong, billed, _ = await failing(caller, "error_body", stream=stream)
        assert (wrong.status, billed) == (200, 0)
        assert "error" in wrong.json


async def test_whole_replies_are_bent_and_billed_in_full() -> None:
    async with calling() as caller:
        seen: dict[str, Answer] = {}
        for fault in ("drop", "truncate", "malformed_json", "missing_usage", "empty", "wrong_content_type"):
            seen[fault], billed, full = await failing(caller, fault, stream=False)
            assert billed == full > 0, fault
            assert seen[fault].status == 200
        assert (seen["drop"].raw, seen["drop"].complete) == (b"", False)
        assert (len(seen["truncate"].raw) > 100, seen["truncate"].complete) == (True, False)
        with pytest.raises(json.JSONDecodeError):
            assert seen["malformed_json"].json
        assert "usage" not in seen["missing_usage"].json
        assert seen["empty"].raw == b""
        assert seen["wrong_content_type"].headers["content-type"] == "text/plain"
        large, billed, full = await failing(caller, "oversized:100000", stream=False)
        assert len(large.raw) > 100_000
        assert billed == full
        wrong, billed, full = await failing(caller, "error_in_stream", stream=False)
        assert "error" in wrong.json
        assert 0 < billed < full


async def test_streams_are_cut_where_the_fault_says() -> None:
    async with calling() as caller:
        dropped, billed, full = await failing(caller, "drop:3", stream=True)
        assert (dropped.complete, billed) == (False, full)
        assert content_chunks(dropped) == 3
        at_once, _, _ = await failing(caller, "drop", stream=True)
        assert content_chunks(at_once) == 0
        cut, billed, full = await failing(caller, "truncate:4", stream=True)
        assert (cut.complete, billed, content_chunks(cut)) == (True, full, 4)
        assert "[DONE]" not in cut.events
        at_the_end, _, _ = await failing(caller, "truncate:99", stream=True)
        assert content_chunks(at_the_end) == 10
        assert at_the_end.events[-1]["choices"][0]["finish_reason"] is None
        undone, billed, full = await failing(caller, "no_done", stream=True)
        assert (billed, undone.events[-1]["usage"]["completion_tokens"]) == (full, 10)
        empty, billed, full = await failing(caller, "empty", stream=True)
        assert (empty.raw, billed) == (b"", full)


def content_chunks(answer: Answer) -> int:
    chunks = [event for event in answer.events if event != "[DONE]"]
    return sum(bool(choice["delta"].get("content")) for event in chunks for choice in event.get("choices", ()))


async def test_streams_are_bent_and_billed_in_full() -> None:
    async with calling() as caller:
        missing, billed, full = await failing(caller, "missing_usage", stream=True)
        assert billed == full
        assert not any(event.get("usage") for event in missing.events[:-1])
        twice, billed, full = await failing(caller, "duplicate_chunks", stream=True)
        assert (content_chunks(twice), billed) == (20, full)
        assert sum(bool(event.get("usage")) for event in twice.events if event != "[DONE]") == 2
        broken, billed, full = await failing(caller, "malformed_json:2", stream=True)
        assert billed == full
        with pytest.raises(json.JSONDecodeError):
            assert broken.events
        assert broken.raw.endswith(b"data: [DONE]\n\n")
        large, billed, full = await failing(caller, "oversized:50000,after_chunks=1", stream=True)
        assert billed == full
        assert max(len(line) for line in large.raw.split(b"\n")) > 50_000
        plain, _, _ = await failing(caller, "wrong_content_type", stream=True)
        assert plain.headers["content-type"] == "text/plain"


@pytest.mark.parametrize("stream", [False, True])
async def test_absurd_usage_is_shown_and_the_true_one_billed(stream: bool) -> None:
    shown = {"negative": -5, "strings": "many", "enormous": 10**18, "floats": 12.5, "null": None}
    async with calling() as caller:
        for variant, number in shown.items():
            answer, billed, full = await failing(caller, f"absurd_usage:{variant}", stream=stream)
            usage = answer.events[-2]["usage"] if stream else answer.json["usage"]
            assert usage["prompt_tokens"] == number
            assert billed == full


async def test_errors_inside_a_stream_bill_what_was_sent() -> None:
    async with calling() as caller:
        for provider in ("openai", "openrouter", "groq"):
            answer, billed, full = await failing(caller, "error_in_stream:3", stream=True, provider=provider)
            assert (answer.status, answer.complete, content_chunks(answer)) == (200, True, 3)
            assert 0 < billed < full
            usage = (await caller.record())[-1]["usage"]
            assert usage["completion_tokens"] == 3
            error = next(event for event in answer.events if "error" in event)
            if provider == "openrouter":
                assert (error["error"]["code"], error["choices"][0]["finish_reason"]) == (500, "error")
            if provider == "groq":
                assert b"event: error\n" in answer.raw
                assert error["error"]["status_code"] == 500


@pytest.mark.parametrize("stream", [False, True])
async def test_stalls_end_and_are_billed(stream: bool) -> None:
    async with calling() as caller:
        answer, billed, full = await failing(caller, "stall:0.02", stream=stream)
        assert (answer.complete, billed) == (True, full)
        answer, billed, full = await failing(caller, "stall:0.02,after_chunks=3", stream=stream)
        assert (answer.complete, billed) == (True, full)


async def test_faults_come_by_magic_and_by_rule_and_bad_ones_are_refused() -> None:
    async with calling() as caller:
        assert (await caller.chat("openai", "[[fault=status:503,retry_after=2]]")).status == 503
        rules = [{"kind": "status", "status": 500, "provider": "groq", "times": 1}]
        shown = await caller.send("POST", "/sim/faults", rules)
        assert shown.json[0]["fault"]["status"] == 500
        assert [(await caller.chat("groq")).status for _ in range(2)] == [500, 200]
        assert (await caller.send("GET", "/sim/faults")).json[0]["times"] == 0
        assert (await caller.send("POST", "/sim/faults", [{"kind": "no"}])).status == 400
        assert (await caller.send("POST", "/sim/faults", b"{")).status == 400
        assert (await caller.chat("openai", headers={"x-sim-fault": "silly"})).status == 400
        body = {"model": "text-embedding-3-small", "input": "x"}
        failed = await caller.send("POST", "/openai/v1/embeddings", body, {"x-sim-fault": "status:503"})
        assert failed.status == 503
        cut = await caller.send("POST", "/openai/v1/embeddings", body, {"x-sim-fault": "truncate"})
        assert not cut.complete
