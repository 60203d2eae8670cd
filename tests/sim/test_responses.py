"""Responses over HTTP, as OpenAI and OpenRouter answer: items, limits, state, tiers, fees and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.sim.failures import RefusedRequestError
from bursar.sim.stored import STORED_MAX, StoredResponses
from tests.sim.client import Caller, calling
from tests.sim.wires import FUNCTION, respond

PROVIDERS = ["openai", "openrouter"]
WEB = {"type": "web_search"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "fair"}
USER = {"role": "user", "content": "hello"}


async def billed(caller: Caller) -> int:
    return int((await caller.record())[-1]["billed_nano_usd"])


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_response_its_usage_and_its_bill_agree_with_chat(provider: str) -> None:
    async with calling() as caller:
        body = (await respond(caller, "[[tokens=7]]", {"X-Client-Request-Id": "mine"}, provider)).json
        assert (body["object"], body["status"], body["error"]) == ("response", "completed", None)
        [item] = body["output"]
        [part] = item["content"]
        assert (item["type"], item["status"], part["type"]) == ("message", "completed", "output_text")
        usage = body["usage"]
        assert (len(part["text"].split()), usage["output_tokens"]) == (7, 7)
        assert usage["total_tokens"] == usage["input_tokens"] + 7
        [entry] = (await caller.send("GET", "/sim/requests/mine")).json
        assert (entry["id"], entry["kind"]) == (body["id"], "responses")
        chat = (await caller.chat(provider, "[[tokens=7]]")).json
        assert chat["choices"][0]["message"]["content"] == part["text"]
        assert chat["usage"]["prompt_tokens"] == usage["input_tokens"]
        assert await billed(caller) == entry["billed_nano_usd"] > 0


async def test_ids_and_costs_are_each_providers_own() -> None:
    async with calling() as caller:
        ours = await respond(caller)
        assert ours.json["id"].startswith("resp_")
        assert (ours.json["model"], "cost" in ours.json["usage"]) == ("gpt-4o-mini-2024-07-18", False)
        routed = await respond(caller, "[[searches=2]]", provider="openrouter", tools=[WEB])
        assert routed.json["id"] == routed.headers["x-generation-id"]
        usage = routed.json["usage"]
        assert round(usage["cost"] * 10**9) == await billed(caller)
        assert usage["cost_details"]["upstream_inference_input_cost"] > 0
        assert usage["cost_details"]["server_tool_cost"] == 0.02
        page = await caller.send("GET", f"/openrouter/api/v1/generation?id={routed.json['id']}")
        assert round(page.json["data"]["total_cost"] * 10**9) == await billed(caller)
        own = await respond(caller, "hello", {"Authorization": "Bearer sk-sim-byok-1"}, "openrouter")
        assert (own.json["usage"]["cost"], own.json["usage"]["is_byok"]) == (0, True)


async def test_thought_is_hidden_at_openai_shown_at_openrouter_and_counted_at_both() -> None:
    async with calling() as caller:
        fields: dict[str, Any] = {"model": "gpt-5-mini", "include": ["reasoning.encrypted_content"]}
        hidden = (await respond(caller, "[[tokens=9]]", **fields)).json
        thought, said = hidden["output"]
        assert (thought["type"], thought["summary"], said["type"]) == ("reasoning", [], "message")
        assert "encrypted_content" in thought
        assert hidden["usage"]["output_tokens_details"] == {"reasoning_tokens": 3}
        assert await billed(caller) == hidden["usage"]["input_tokens"] * 250 + 9 * 2000
        shown = (await respond(caller, "[[tokens=9]]", provider="openrouter", model="openai/gpt-5-mini")).json
        assert len(shown["output"][0]["summary"][0]["text"].split()) == 3


async def test_the_limit_cuts_and_the_response_is_incomplete() -> None:
    async with calling() as caller:
        body = (await respond(caller, "[[tokens=50]]", max_output_tokens=16)).json
        assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert (body["output"][0]["status"], body["usage"]["output_tokens"]) == ("incomplete", 16)
        assert (await caller.record())[-1]["output_limit"] == 16
        small = await respond(caller, "[[tokens=50]]", provider="openrouter", max_output_tokens=3)
        assert small.json["usage"]["output_tokens"] == 3


async def test_functions_are_called_and_their_outputs_go_back() -> None:
    async with calling() as caller:
        body = (await respond(caller, "[[tool]][[tool=weather:{}]]", tools=[FUNCTION])).json
        first, second = body["output"]
        assert (first["type"], first["name"], first["arguments"]) == ("function_call", "weather", '{"city":"ledger"}')
        outputs = [OUTPUT | {"call_id": call["call_id"]} for call in (first, second)]
        items = [{"role": "user", "content": "[[tool]]"}, first, second, *outputs]
        ended = (await respond(caller, items, tools=[FUNCTION])).json
        assert [item["type"] for item in ended["output"]] == ["message"]
        forced = await respond(caller, tools=[FUNCTION], tool_choice={"type": "function", "name": "weather"})
        assert forced.json["output"][0]["type"] == "function_call"
        none = await respond(caller, "[[tool]]", tools=[FUNCTION], tool_choice="none")
        assert none.json["output"][0]["type"] == "message"


async def test_each_search_is_an_item_and_a_fee() -> None:
    async with calling() as caller:
        body = (await respond(caller, "[[tokens=5]][[searches=3]]", tools=[WEB])).json
        assert [item["type"] for item in body["output"]] == ["web_search_call"] * 3 + ["message"]
        tokens = body["usage"]["input_tokens"] * 150 + 5 * 600
        assert await billed(caller) == tokens + 3 * 10_000_000
        without = (await respond(caller, "[[tokens=5]][[searches=3]]")).json
        assert [item["type"] for item in without["output"]] == ["message"]


async def test_a_refusal_is_a_part_of_its_own() -> None:
    async with calling() as caller:
        body = (await respond(caller, "[[tokens=5]][[refuse]]")).json
        [part] = body["output"][0]["content"]
        assert (part["type"], len(part["refusal"].split())) == ("refusal", 5)


async def test_tiers_are_echoed_and_billed() -> None:
    async with calling() as caller:
        plain = (await respond(caller, "[[tokens=10]]")).json
        full = await billed(caller)
        assert plain["service_tier"] == "default"
        for tier, reported, percent in (("flex", "flex", 50), ("fast", "priority", 200), ("auto", "default", 100)):
            body = (await respond(caller, "[[tokens=10]]", service_tier=tier)).json
            assert body["service_tier"] == reported
            assert await billed(caller) == full * percent // 100
        assert (await respond(caller, service_tier="swift")).status == 400


async def test_what_is_stored_is_gone_on_with_and_billed_again() -> None:
    async with calling() as caller:
        first = (await respond(caller, "[[tokens=200]]", instructions="Be brief.")).json
        second = (await respond(caller, "[[tokens=5]]", previous_response_id=first["id"])).json
        alone = (await respond(caller, "[[tokens=5]]")).json
        grown = second["usage"]["input_tokens"] - alone["usage"]["input_tokens"]
        assert grown > 200
        assert second["previous_response_id"] == first["id"]
        third = (await respond(caller, "[[tokens=5]]", previous_response_id=second["id"])).json
        assert third["usage"]["input_tokens"] > second["usage"]["input_tokens"]
        unstored = (await respond(caller, "hello", store=False)).json
        for response_id in (unstored["id"], "resp_none"):
            lost = await respond(caller, "hello", previous_response_id=response_id)
            assert (lost.status, lost.json["error"]["code"]) == (400, "previous_response_not_found")
        routed = (await respond(caller, provider="openrouter")).json
        stateless = await respond(caller, provider="openrouter", previous_response_id=routed["id"])
        assert (stateless.status, "keeps no state" in stateless.json["error"]["message"]) == (400, True)
        call = (await respond(caller, "[[tool]]", tools=[FUNCTION])).json
        output = OUTPUT | {"call_id": call["output"][0]["call_id"]}
        answer = await respond(caller, [output], previous_response_id=call["id"])
        assert answer.status == 200


def test_the_oldest_conversations_are_forgotten() -> None:
    stored = StoredResponses()
    for number in range(STORED_MAX + 1):
        stored.keep(f"resp_{number}", ())
    assert stored.find(f"resp_{STORED_MAX}") == ()
    with pytest.raises(RefusedRequestError):
        stored.find("resp_0")


async def test_openrouter_falls_back_and_keeps_preferences() -> None:
    async with calling() as caller:
        models = ["openai/gpt-4o-mini", "anthropic/claude-3-haiku"]
        body = (
            await respond(
                caller,
                "[[fault=model_down]]",
                provider="openrouter",
                models=models,
                session_id="s1",
            )
        ).json
        assert body["model"] == "anthropic/claude-3-haiku"
        entry = (await caller.record())[-1]
        assert (entry["model"], entry["preferences"]["session_id"]) == ("anthropic/claude-3-haiku", "s1")


@pytest.mark.parametrize(
    ("content", "fields", "param"),
    [
        ("hello", {"messages": []}, "messages"),
        ("hello", {"max_tokens": 50}, "max_tokens"),
        ("hello", {"max_completion_tokens": 50}, "max_completion_tokens"),
        ("hello", {"n": 2}, "n"),
        ("hello", {"response_format": {"type": "text"}}, "response_format"),
        ("hello", {"max_output_tokens": 15}, "max_output_tokens"),
        ("hello", {"max_output_tokens": 16_385}, "max_tokens"),
        ("hello", {"background": True}, "background"),
        ("hello", {"model": ""}, None),
        ("", {}, "input"),
        ([], {}, "input"),
        ("hello", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
        ([{"role": "tool", "content": "x"}], {}, "input[0].role"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], {}, "input[0].content[0]"),
        ([{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}], {}, "input[0].content[0]"),
        ([USER, CALL], {}, "input"),
        ([USER, OUTPUT], {}, "input"),
        ([USER, CALL | {"call_id": ""}], {}, "input[1].call_id"),
    ],
)
async def test_what_openai_would_not_take_is_refused_by_name(
    content: Any, fields: dict[str, Any], param: str | None
) -> None:
    async with calling() as caller:
        answer = await respond(caller, content, **fields)
        assert (answer.status, answer.json["error"]["param"]) == (400, param), answer.raw
        assert await billed(caller) == 0


async def test_items_of_every_kind_are_read() -> None:
    items = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "id": "msg_1", "content": [{"type": "output_text", "text": "So."}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        CALL,
        OUTPUT | {"output": [{"type": "input_text", "text": "fair"}]},
    ]
    async with calling() as caller:
        answer = await respond(caller, items)
        assert answer.status == 200, answer.raw
        assert answer.json["usage"]["input_tokens"] > 85


async def test_keys_are_asked_for() -> None:
    async with calling() as caller:
        answer = await respond(caller, headers={"Authorization": ""})
        assert answer.status == 401
        chat_only = await caller.send("POST", "/groq/openai/v1/responses", {"model": "x", "input": "y"})
        assert chat_only.status == 404
