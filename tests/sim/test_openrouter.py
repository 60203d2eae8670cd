"""What OpenRouter has of its own: records, keys, credits, prices, preferences, callers' own keys, cancelled streams."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.wallclock import parse_moment
from tests.sim.client import Answer, Caller, calling

ROOT = "/openrouter/api/v1"
OWN_KEY = {"Authorization": "Bearer sk-sim-byok-1"}
MANAGER = {"Authorization": "Bearer sk-sim-mgmt-1"}


async def generation(caller: Caller, reply_id: str) -> Answer:
    return await caller.send("GET", f"{ROOT}/generation?id={reply_id}")


async def leave_midway(caller: Caller, model: str) -> dict[str, Any]:
    """Begin a stream that stalls after four tokens of ten, hang up, and wait for its entry."""
    fields = {"model": model, "stream": True, "messages": [{"role": "user", "content": "[[tokens=10]]"}]}
    body = json.dumps(fields).encode()
    head = f"POST {ROOT}/chat/completions HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer sk-sim-1\r\n"
    head += f"Content-Length: {len(body)}\r\nX-Client-Request-Id: gone\r\nx-sim-fault: stall:60,after_chunks=4\r\n\r\n"
    host, port = caller.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head.encode() + body)
    await asyncio.wait_for(reader.readuntil(b'"delta":{"content":"'), 10)
    writer.transport.abort()
    async with asyncio.timeout(10):
        while True:
            found = (await caller.send("GET", "/sim/requests/gone")).json
            if found:
                return dict(found[-1])
            await asyncio.sleep(0.01)


async def test_a_cancelled_stream_is_billed_up_to_there_and_its_record_says_so() -> None:
    async with calling() as caller:
        entry = await leave_midway(caller, "openai/gpt-4o-mini")
        assert (entry["usage"]["completion_tokens"], entry["aborted"]) == (4, True)
        page = (await generation(caller, entry["id"])).json["data"]
    assert page["cancelled"] is page["streamed"] is True
    assert page["native_tokens_completion"] == 4
    assert page["finish_reason"] is None
    assert round(page["total_cost"] * 10**9) == round(page["usage"] * 10**9) == entry["billed_nano_usd"] > 0


async def test_some_providers_behind_it_bill_a_cancelled_stream_in_full() -> None:
    async with calling() as caller:
        entry = await leave_midway(caller, "google/gemini-2.5-flash")
        page = (await generation(caller, entry["id"])).json["data"]
    assert (entry["usage"]["completion_tokens"], page["native_tokens_completion"]) == (10, 10)
    assert page["provider_name"] == "Google"


async def test_a_switch_decides_whether_cancelling_stops_the_bill() -> None:
    async with calling(SimConfig(cancel_bills_in_full=frozenset({"openrouter"}))) as caller:
        assert (await leave_midway(caller, "openai/gpt-4o-mini"))["usage"]["completion_tokens"] == 10
        assert (await caller.send("POST", "/sim/cancel", {"openrouter": True})).json == {"openrouter": True}
        await caller.send("POST", "/sim/faults", [])
    async with calling() as caller:
        assert (await caller.send("POST", "/sim/cancel", {"openrouter": False, "openai": True})).status == 200
        assert (await leave_midway(caller, "openai/gpt-4o-mini"))["usage"]["completion_tokens"] == 10
        assert (await caller.send("POST", "/sim/cancel", {"nobody": True})).status == 400
        assert (await caller.send("POST", "/sim/cancel", {"openai": "no"})).status == 400
        await caller.send("POST", "/sim/reset")
        assert (await caller.send("GET", "/sim/cancel")).json == {}
        assert (await leave_midway(caller, "openai/gpt-4o-mini"))["usage"]["completion_tokens"] == 4


async def test_a_record_may_come_late() -> None:
    async with calling() as caller:
        reply = await caller.chat("openrouter", "[[late=30]][[tokens=3]]")
        missing = await generation(caller, reply.json["id"])
        assert (missing.status, missing.json["error"]["code"]) == (404, 404)
        await caller.send("POST", "/sim/clock", {"advance_seconds": 31})
        found = await generation(caller, reply.json["id"])
        assert (found.status, found.json["data"]["total_cost"]) == (200, reply.json["usage"]["cost"])


async def test_a_record_has_what_is_needed_to_settle_by_and_needs_a_key() -> None:
    headers = {"HTTP-Referer": "https://app.test"}
    async with calling(SimConfig(now_ms=parse_moment("2026-11-22T10:00"))) as caller:
        content = "[[tokens=9]][[cached=2]]"
        reply = await caller.chat("openrouter", content, headers, service_tier="flex", user="u")
        page = (await generation(caller, reply.json["id"])).json["data"]
        other = await caller.chat("openai")
        assert (await generation(caller, other.json["id"])).status == 404
        refused = await caller.chat("openrouter", model="none")
        assert (await generation(caller, refused.headers["x-generation-id"])).status == 404
        keyless = await caller.send("GET", f"{ROOT}/generation?id={page['id']}", headers={"Authorization": ""})
        assert keyless.status == 401
    assert page["id"] == reply.headers["x-generation-id"]
    assert page["created_at"].startswith("2026-11-22T10:00:0")
    assert page["service_tier"] == "flex"
    assert page["native_tokens_prompt"] == reply.json["usage"]["prompt_tokens"]
    assert (page["native_tokens_completion"], page["native_tokens_cached"]) == (9, 2)
    assert (page["is_byok"], page["cancelled"], page["streamed"]) == (False, False, False)
    assert (page["router"], page["provider_name"], page["finish_reason"]) == (None, "OpenAI", "stop")
    assert (page["origin"], page["external_user"]) == ("https://app.test", "u")
    assert page["request_id"]


async def test_the_generation_id_comes_with_every_answer() -> None:
    async with calling() as caller:
        answers = [
            await caller.chat("openrouter"),
            await caller.chat("openrouter", stream=True),
            await caller.chat("openrouter", model="none"),
            await caller.chat("openrouter", headers={"x-sim-fault": "status:502"}),
        ]
    assert all(answer.headers["x-generation-id"].startswith("gen-") for answer in answers)


async def test_a_callers_own_key_costs_nothing_here_and_says_what_it_cost_there() -> None:
    async with calling() as caller:
        plain = (await caller.chat("openrouter", "[[tokens=9]]")).json["usage"]
        own = (await caller.chat("openrouter", "[[tokens=9]]", OWN_KEY)).json
        entry = (await caller.record())[-1]
        page = (await generation(caller, own["id"])).json["data"]
        key = (await caller.send("GET", f"{ROOT}/key")).json["data"]
        assert (await caller.chat("openai", "[[tokens=9]]", OWN_KEY)).status == 200
        assert (await caller.record())[-1]["billed_nano_usd"] > 0
    assert (own["usage"]["cost"], own["usage"]["is_byok"]) == (0, True)
    assert own["usage"]["cost_details"]["upstream_inference_cost"] == plain["cost"] > 0
    assert (plain["is_byok"], plain["cost_details"]["upstream_inference_cost"]) == (False, None)
    assert (entry["billed_nano_usd"], entry["upstream_nano_usd"]) == (0, round(plain["cost"] * 10**9))
    assert (page["total_cost"], page["upstream_inference_cost"], page["is_byok"]) == (0, plain["cost"], True)
    assert (key["usage"], key["byok_usage"]) == (plain["cost"], plain["cost"])


async def test_the_key_the_credits_and_the_activity_say_what_was_used() -> None:
    async with calling(SimConfig(now_ms=parse_moment("2026-11-20T12:00"))) as caller:
        cost = (await caller.chat("openrouter", "[[tokens=9]]")).json["usage"]["cost"]
        free = await caller.chat("openrouter", model="meta-llama/llama-3.3-70b-instruct:free")
        key = (await caller.send("GET", f"{ROOT}/key")).json["data"]
        assert (key["usage"], key["usage_daily"], key["limit"], key["limit_remaining"]) == (cost, cost, None, None)
        assert key["free_model_daily_requests"] == {"limit": 1000, "used": 1, "remaining": 999}
        for page in ("credits", "activity"):
            assert (await caller.send("GET", f"{ROOT}/{page}")).status == 403
            assert (await caller.send("GET", f"{ROOT}/{page}", headers={"Authorization": ""})).status == 401
        shown = (await caller.send("GET", f"{ROOT}/credits", headers=MANAGER)).json["data"]
        assert shown == {"total_credits": 1000, "total_usage": cost}
        assert (await caller.send("GET", f"{ROOT}/activity", headers=MANAGER)).json == {"data": []}
        await caller.send("POST", "/sim/clock", {"advance_seconds": 86_400})
        key = (await caller.send("GET", f"{ROOT}/key")).json["data"]
        assert (key["usage"], key["usage_daily"], key["usage_weekly"]) == (cost, 0, cost)
        rows = (await caller.send("GET", f"{ROOT}/activity", headers=MANAGER)).json["data"]
        assert {row["date"] for row in rows} == {"2026-11-20"}
        assert sum(row["usage"] for row in rows) == cost
        none = await caller.send("GET", f"{ROOT}/activity?date=2026-11-19", headers=MANAGER)
        assert none.json == {"data": []}
        await caller.send("POST", "/sim/clock", {"advance_seconds": 40 * 86_400})
        assert (await caller.send("GET", f"{ROOT}/activity", headers=MANAGER)).json == {"data": []}
    assert free.json["usage"]["cost"] == 0


async def test_the_list_of_models_shows_every_price_it_charges() -> None:
    async with calling() as caller:
        rows = (await caller.send("GET", f"{ROOT}/models")).json["data"]
        pricing = {row["id"]: row["pricing"] for row in rows}
        for variant in ("nitro", "floor", "exacto"):
            assert (await caller.chat("openrouter", model=f"openai/gpt-4o:{variant}")).status == 200
        assert (await caller.chat("openrouter", model="openai/gpt-4o:free")).status == 404
    assert not any(name.endswith((":nitro", ":floor", ":exacto")) for name in pricing)
    free = pricing["meta-llama/llama-3.3-70b-instruct:free"]
    assert {Decimal(price) for price in free.values()} == {0}
    assert pricing["openai/gpt-4o-mini"] == {
        "prompt": "0.00000015",
        "completion": "0.0000006",
        "request": "0",
        "image": "0",
        "web_search": "0.01",
        "internal_reasoning": "0",
        "input_cache_read": "0.000000075",
    }
    assert pricing["anthropic/claude-sonnet-4.5"]["input_cache_write"] == "0.00000375"
    [long] = pricing["anthropic/claude-sonnet-4.5"]["overrides"]
    assert (long["min_prompt_tokens"], long["prompt"], long["completion"]) == (200_001, "0.000006", "0.0000225")
    tide = pricing["sim/tides"]["overrides"][0]
    assert (tide["utc_start"], tide["utc_end"], tide["prompt"]) == ("16:30", "00:30", "0.0000005")
    assert pricing["sim/fees"]["request"] == "0.005"
    assert pricing["sim/thinker"]["internal_reasoning"] == "0.000006"
    assert (pricing["sim/ears"]["audio"], pricing["sim/ears"]["image_token"]) == ("0.000008", "0.000003")


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_come_with_their_cost_once_it_is_final(stream: bool) -> None:
    body = {
        "model": "anthropic/claude-sonnet-4.5",
        "max_tokens": 50,
        "stream": stream,
        "messages": [{"role": "user", "content": "[[tokens=9]]"}],
    }
    async with calling() as caller:
        answer = await caller.send("POST", f"{ROOT}/messages", body)
        entry = (await caller.record())[-1]
        page = (await generation(caller, answer.headers["x-generation-id"])).json["data"]
        own = await caller.send("POST", f"{ROOT}/messages", {**body, "stream": False}, OWN_KEY)
        keyless = await caller.send("POST", f"{ROOT}/messages", body, {"Authorization": ""})
    usage = answer.json["usage"] if not stream else answer.events[-2]["usage"]
    if stream:
        assert "cost" not in answer.events[0]["message"]["usage"]
    assert usage["output_tokens"] == 9
    assert round(usage["cost"] * 10**9) == round(page["total_cost"] * 10**9) == entry["billed_nano_usd"] > 0
    assert (entry["provider"], entry["kind"], entry["id"][:4]) == ("openrouter", "messages", "gen-")
    assert (own.json["usage"]["cost"], own.json["usage"]["is_byok"]) == (0, True)
    assert own.json["usage"]["cost_details"]["upstream_inference_cost"] == usage["cost"]
    assert (keyless.status, keyless.json["type"]) == (401, "error")


GOOD_PREFERENCES: list[dict[str, Any]] = [
    {"order": ["openai"], "allow_fallbacks": False, "require_parameters": True, "data_collection": "deny"},
    {"only": ["openai", "azure"], "ignore": ["google"], "quantizations": ["fp8", "unknown"], "zdr": True},
    {"sort": "price", "max_price": {"prompt": "0.15", "completion": 0.6, "request": 0}},
    {"sort": {"by": "throughput", "partition": "none"}, "preferred_max_latency": {"p90": 2}},
    {"preferred_min_throughput": 50, "enforce_distillable_text": False, "options": {"openai": {"x": 1}}},
]
BAD_PREFERENCES: list[tuple[int, Any]] = [
    (400, {"allow_fallback": True}),
    (400, {"data_collection": "maybe"}),
    (400, {"quantizations": ["int3"]}),
    (400, {"sort": "cheapest"}),
    (400, {"sort": {"by": "price", "how": 1}}),
    (400, {"max_price": {"prompt": "cheap"}}),
    (400, {"max_price": {"token": 1}}),
    (400, {"order": "openai"}),
    (400, ["openai"]),
    (404, {"only": ["anthropic"]}),
    (404, {"ignore": ["openai"]}),
    (404, {"max_price": {"prompt": 0.1}}),
]


async def test_preferences_are_checked_as_the_schema_does() -> None:
    async with calling() as caller:
        for preferences in GOOD_PREFERENCES:
            assert (await caller.chat("openrouter", provider=preferences)).status == 200, preferences
            assert (await caller.record())[-1]["preferences"]["provider"] == preferences
        for status, wrong in BAD_PREFERENCES:
            refused = await caller.chat("openrouter", provider=wrong)
            assert (refused.status, refused.json["error"]["code"]) == (status, status), wrong
        assert (await caller.chat("openai", provider={"any": 1})).status == 200


async def test_preferences_leave_the_models_that_they_allow() -> None:
    models = ["anthropic/claude-3-haiku"]
    async with calling() as caller:
        served = await caller.chat("openrouter", models=models, provider={"only": ["anthropic"]})
        assert served.json["model"] == models[0]
        dear = await caller.chat(
            "openrouter", model="openai/gpt-4o", models=models, provider={"max_price": {"prompt": 1}}
        )
        assert dear.json["model"] == models[0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cost_covers_everything_it_is_made_of(stream: bool) -> None:
    async with calling() as caller:
        answer = await caller.chat("openrouter", "[[tokens=9]]", plugins=[{"id": "web"}], stream=stream)
        usage = answer.events[-2]["usage"] if stream else answer.json["usage"]
        entry = (await caller.record())[-1]
    details = usage["cost_details"]
    parts = ("upstream_inference_prompt_cost", "upstream_inference_completions_cost", "server_tool_cost")
    assert round(usage["cost"] * 10**9) == entry["billed_nano_usd"]
    assert abs(sum(details[part] for part in parts) - usage["cost"]) < 2e-9
