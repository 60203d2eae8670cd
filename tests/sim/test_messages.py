"""Anthropic Messages over HTTP: what is answered, why it stops, what it uses and what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.limits import RateLimit
from tests.sim.client import Caller, calling
from tests.sim.wires import SEARCH, TOOL, VERSIONED, message

COMPACTS = {"edits": [{"type": "compact_20260112"}]}


async def billed(caller: Caller) -> int:
    return int((await caller.record())[-1]["billed_nano_usd"])


async def test_a_reply_its_usage_and_its_bill_agree() -> None:
    async with calling() as caller:
        answer = await message(caller, "[[tokens=7]]", {"X-Client-Request-Id": "mine"}, metadata={"user_id": "ann"})
        body = answer.json
        assert answer.status == 200
        assert (body["type"], body["role"], body["model"]) == ("message", "assistant", "claude-haiku-4-5-20251001")
        assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
        [block] = body["content"]
        assert (block["type"], len(block["text"].split())) == ("text", 7)
        usage = body["usage"]
        assert (usage["output_tokens"], usage["service_tier"]) == (7, "standard")
        [entry] = (await caller.send("GET", "/sim/requests/mine")).json
        assert (entry["id"], entry["provider"], entry["kind"]) == (body["id"], "anthropic", "messages")
        assert entry["usage"]["prompt_tokens"] == usage["input_tokens"]
        assert entry["billed_nano_usd"] == usage["input_tokens"] * 1000 + 7 * 5000
        assert entry["preferences"]["user"] == "ann"
        assert entry["headers"]["anthropic-version"] == "2023-06-01"
        assert (await message(caller, "[[tokens=7]]")).json["content"] == body["content"]


async def test_the_limit_cuts_and_says_so() -> None:
    async with calling() as caller:
        cut = (await message(caller, "[[tokens=50]]", max_tokens=10)).json
        assert (cut["stop_reason"], cut["usage"]["output_tokens"]) == ("max_tokens", 10)
        tool = (await message(caller, "[[tool]]", max_tokens=2, tools=[TOOL])).json
        assert (tool["stop_reason"], tool["usage"]["output_tokens"]) == ("max_tokens", 2)
        assert tool["content"][0]["input"] == {}
        thought = (
            await message(
                caller,
                "[[tokens=9000]][[reasoning=1500]]",
                max_tokens=1100,
                thinking={"type": "enabled", "budget_tokens": 1024},
            )
        ).json
        assert (thought["stop_reason"], thought["usage"]["output_tokens"]) == ("max_tokens", 1100)
        assert thought["usage"]["output_tokens_details"] == {"thinking_tokens": 1024}
        whole = (await message(caller, "[[tokens=50]]", max_tokens=50)).json
        assert whole["stop_reason"] == "end_turn"


async def test_a_stop_sequence_ends_what_is_said() -> None:
    async with calling() as caller:
        echo = "[[echo]]one two three four"
        body = (await message(caller, echo, stop_sequences=["three", "four"])).json
        assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "three")
        assert body["content"][0]["text"] == "one two "
        assert body["usage"]["output_tokens"] == 2
        assert (await message(caller, echo, stop_sequences=["five"])).json["stop_reason"] == "end_turn"


async def test_a_refusal_is_billed_for_what_it_said() -> None:
    async with calling() as caller:
        silent = (await message(caller, "[[refuse]]")).json
        assert (silent["stop_reason"], silent["content"], silent["usage"]["output_tokens"]) == ("refusal", [], 0)
        assert silent["stop_details"]["type"] == "refusal"
        partial = (await message(caller, "[[refuse]][[tokens=3]]")).json
        assert (partial["stop_reason"], partial["usage"]["output_tokens"]) == ("refusal", 3)
        assert await billed(caller) == partial["usage"]["input_tokens"] * 1000 + 3 * 5000


async def test_tools_are_used_by_wish_or_by_choice_and_results_go_back() -> None:
    async with calling() as caller:
        both = (await message(caller, "[[tool]][[tool=weather:{}]][[tokens=3]]", tools=[TOOL])).json
        assert [block["type"] for block in both["content"]] == ["text", "tool_use", "tool_use"]
        assert both["stop_reason"] == "tool_use"
        assert both["content"][1]["input"] == {"city": "ledger"}
        assert both["content"][1]["id"].startswith("toolu_")
        one = {"type": "auto", "disable_parallel_tool_use": True}
        single = (await message(caller, "[[tool]][[tool]]", tools=[TOOL], tool_choice=one)).json
        assert len(single["content"]) == 1
        for choice in ({"type": "any"}, {"type": "tool", "name": "weather"}):
            forced = (await message(caller, "hello", tools=[TOOL], tool_choice=choice)).json
            assert forced["stop_reason"] == "tool_use"
        turns: list[Any] = [{"role": "user", "content": "[[tool]][[tool]]"}, {"role": "assistant"}, {"role": "user"}]
        turns[1]["content"] = both["content"]
        turns[2]["content"] = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "fair"} for block in both["content"][1:]
        ]
        ended = (await message(caller, messages=turns, tools=[TOOL])).json
        assert ended["stop_reason"] == "end_turn"
        none = (await message(caller, "[[tool]]", tools=[TOOL], tool_choice={"type": "none"})).json
        assert none["stop_reason"] == "end_turn"


async def test_tools_add_a_hidden_prompt_to_what_is_billed() -> None:
    async with calling() as caller:
        plain = (await message(caller, "hello")).json["usage"]["input_tokens"]
        tooled = (await message(caller, "hello", tools=[TOOL])).json["usage"]["input_tokens"]
        assert tooled - plain > 346


async def test_thought_is_shown_signed_counted_and_billed_as_output() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    async with calling() as caller:
        body = (await message(caller, "[[tokens=9]]", max_tokens=2000, thinking=thinking)).json
        assert [block["type"] for block in body["content"]] == ["thinking", "text"]
        assert body["usage"]["output_tokens"] == 9
        assert body["usage"]["output_tokens_details"] == {"thinking_tokens": 3}
        assert await billed(caller) == body["usage"]["input_tokens"] * 1000 + 9 * 5000
        turns = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": body["content"]},
            {"role": "user", "content": "and now"},
        ]
        assert (await message(caller, messages=turns, max_tokens=2000, thinking=thinking)).status == 200
        turns[1]["content"] = [body["content"][0] | {"thinking": "Something else."}, body["content"][1]]
        changed = await message(caller, messages=turns)
        assert (changed.status, "Invalid `signature`" in changed.json["error"]["message"]) == (400, True)


async def test_searches_are_billed_each_and_so_is_what_they_find() -> None:
    async with calling() as caller:
        none = (await message(caller, "[[tokens=5]][[searches=2]]")).json
        assert "server_tool_use" not in none["usage"]
        body = (await message(caller, "[[tokens=5]][[searches=2]]", tools=[SEARCH])).json
        kinds = ["server_tool_use", "web_search_tool_result"]
        assert [block["type"] for block in body["content"]] == [*kinds, *kinds, "text"]
        usage = body["usage"]
        assert usage["server_tool_use"]["web_search_requests"] == 2
        assert usage["input_tokens"] > 4000
        assert await billed(caller) == usage["input_tokens"] * 1000 + usage["output_tokens"] * 5000 + 2 * 10_000_000
        turns = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": body["content"]},
            {"role": "user", "content": "more"},
        ]
        assert (await message(caller, messages=turns, tools=[SEARCH])).status == 200
        within = (await message(caller, "[[tokens=50]][[searches=9]]", tools=[SEARCH], max_tokens=30)).json["usage"]
        assert (within["server_tool_use"]["web_search_requests"], within["output_tokens"]) == (2, 30)
        once = await message(caller, "hello", tools=[SEARCH])
        assert once.json["usage"]["server_tool_use"]["web_search_requests"] == 1


async def test_a_compaction_is_billed_though_it_stands_in_the_iterations_only() -> None:
    async with calling() as caller:
        without = (await message(caller, "[[tokens=5]][[compact=50000]]")).json
        assert "iterations" not in without["usage"]
        body = (await message(caller, "[[tokens=5]][[compact=50000]]", context_management=COMPACTS)).json
        usage = body["usage"]
        assert body["content"][0]["type"] == "compaction"
        summed, said = usage["iterations"]
        assert (summed["type"], summed["input_tokens"], said["type"]) == ("compaction", 50_000, "message")
        assert (usage["input_tokens"], usage["output_tokens"]) == (said["input_tokens"], said["output_tokens"])
        assert usage["input_tokens"] == without["usage"]["input_tokens"]
        into = summed["input_tokens"] + said["input_tokens"]
        out = summed["output_tokens"] + said["output_tokens"]
        assert await billed(caller) == into * 1000 + out * 5000


@pytest.mark.parametrize(
    ("content", "fields", "percent", "shown"),
    [
        ("[[tier=batch]]", {}, 50, {"service_tier": "batch", "inference_geo": "global"}),
        ("[[tier=priority]]", {}, 100, {"service_tier": "priority"}),
        ("[[tier=priority]]", {"service_tier": "standard_only"}, 100, {"service_tier": "standard"}),
        ("hello", {"inference_geo": "us"}, 110, {"inference_geo": "us", "service_tier": "standard"}),
        ("hello", {"speed": "fast"}, 200, {"speed": "fast"}),
        ("hello", {"speed": "standard"}, 100, {"speed": "standard"}),
        ("[[tier=batch]]", {"speed": "fast", "inference_geo": "us"}, 110, {"speed": "fast", "inference_geo": "us"}),
    ],
)
async def test_tier_place_and_speed_multiply_the_price(
    content: str, fields: dict[str, Any], percent: int, shown: dict[str, Any]
) -> None:
    async with calling() as caller:
        body = (await message(caller, "[[tokens=10]]" + content, model="claude-opus-5-5", **fields)).json
        usage = body["usage"]
        assert shown.items() <= usage.items()
        full = usage["input_tokens"] * 4000 + 10 * 20_000
        assert await billed(caller) == -(-full * percent // 100)
        assert (await caller.record())[-1]["tier"] == usage["service_tier"]


async def test_a_long_prompt_costs_the_long_price() -> None:
    async with calling() as caller:
        long = "x" * 801_000
        usage = (await message(caller, f"[[tokens=1]]{long}", model="claude-sonnet-4-5")).json["usage"]
        assert usage["input_tokens"] > 200_000
        assert await billed(caller) == -(-(usage["input_tokens"] * 6_000_000 + 22_500_000) // 1000)


async def test_tokens_are_counted_for_nothing() -> None:
    async with calling() as caller:
        used = (await message(caller, "hello there", tools=[TOOL], system="Be brief.")).json["usage"]["input_tokens"]
        fields = {
            "model": "claude-haiku-4-5",
            "messages": [{"role": "user", "content": "hello there"}],
            "tools": [TOOL],
            "system": "Be brief.",
        }
        path = "/anthropic/v1/messages/count_tokens"
        assert (await caller.send("POST", path, fields, VERSIONED)).json == {"input_tokens": used}
        assert await billed(caller) == 0
        refused = await caller.send("POST", path, fields | {"max_tokens": 5}, VERSIONED)
        assert refused.json["error"]["message"] == "max_tokens: Extra inputs are not permitted"


async def test_headers_show_ids_and_limits_in_anthropics_form() -> None:
    async with calling(SimConfig(limits={"anthropic": RateLimit(requests=2, tokens=10_000)})) as caller:
        first = await message(caller, "[[tokens=5]]", max_tokens=5)
        assert first.headers["request-id"].startswith("req_")
        assert first.headers["anthropic-ratelimit-requests-remaining"] == "1"
        for name in ("tokens", "input-tokens", "output-tokens"):
            assert first.headers[f"anthropic-ratelimit-{name}-limit"] == "10000"
            assert first.headers[f"anthropic-ratelimit-{name}-reset"].endswith("Z")
        assert first.headers["retry-after"] == "30"
        failed = await message(caller, headers={"x-sim-fault": "status:500"})
        assert "retry-after" not in failed.headers
        await message(caller, "[[tokens=5]]", max_tokens=5)
        third = await message(caller, "[[tokens=5]]", max_tokens=5)
        assert (third.status, third.json["error"]["type"]) == (429, "rate_limit_error")
        assert (third.headers["retry-after"], third.headers["x-should-retry"]) == ("30", "true")
        assert third.json["request_id"] == third.headers["request-id"]
        assert await billed(caller) == 0
    async with calling() as caller:
        assert "retry-after" not in (await message(caller)).headers


async def test_models_are_listed_in_anthropics_form() -> None:
    async with calling() as caller:
        key = {"x-api-key": "sk-sim-1"}
        page = (await caller.send("GET", "/anthropic/v1/models", headers=key)).json
        assert page["first_id"] == "claude-haiku-4-5-20251001"
        assert (await caller.send("GET", "/anthropic/v1/models/claude-sonnet-5", headers=key)).json["type"] == "model"
        assert (await caller.send("GET", "/anthropic/v1/models")).status == 401
        lost = await caller.send("POST", "/anthropic/v1/chat/completions", {})
        assert (lost.status, lost.json["error"]["type"]) == (404, "not_found_error")
