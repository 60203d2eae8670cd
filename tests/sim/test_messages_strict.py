"""What Anthropic refuses, by name and place: a translation that is loose anywhere is found out here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.client import Answer, calling
from tests.sim.wires import SEARCH, TOOL, VERSIONED, message

USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "fair"}
TEXT = {"type": "text", "text": "hello"}
THINKING = {"type": "enabled", "budget_tokens": 1024}
MARKED = TEXT | {"cache_control": {"type": "ephemeral"}}
HOUR = TEXT | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def said(*turns: Any) -> list[Any]:
    """Turns in which user and assistant take their turns."""
    return [{"role": ("user", "assistant")[number % 2], "content": turn} for number, turn in enumerate(turns)]


def refused(answer: Answer) -> str:
    assert answer.status == 400, answer.raw
    body = answer.json
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert answer.headers["x-should-retry"] == "false"
    return str(body["error"]["message"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"messages": ...}, "messages: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater"),
        ({"max_tokens": 64_001}, "max_tokens: 64001 > 64000"),
        ({"n": 2}, "n: Extra inputs are not permitted"),
        ({"stop": ["x"]}, "stop: Extra inputs are not permitted"),
        ({"max_completion_tokens": 5}, "max_completion_tokens: Extra inputs are not permitted"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"top_p": 2}, "top_p: range"),
        ({"stop_sequences": [" "]}, "stop_sequences.0"),
        ({"inference_geo": "eu"}, "inference_geo: Input should be 'global' or 'us'"),
        ({"inference_geo": "us"}, "inference_geo is not supported for model claude-haiku-4-5"),
        ({"speed": "fast"}, "speed: 'fast' is not supported"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "user", "content": "x", "name": "ann"}]}, "messages.0.name: Extra inputs"),
        ({"messages": [{"role": "system", "content": "x"}]}, 'Unexpected role "system"'),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
        ({"messages": said("")}, "non-empty content"),
        ({"messages": said([TEXT | {"text": " "}])}, "text content blocks must be non-empty"),
        ({"messages": said("x", "y ")}, "trailing whitespace"),
        ({"messages": said([{"type": "image_url", "image_url": {"url": "x"}}])}, "image_url"),
        ({"messages": said([{"type": "image", "source": {"type": "data"}}])}, "image.source"),
        ({"messages": said([{"type": "image", "source": {"type": "base64", "media_type": "a/b"}}])}, "media_type"),
        ({"messages": said([USE])}, "messages.0.content.0: blocks of this type may only appear in assistant"),
        ({"messages": said("x", [RESULT])}, "may not appear in assistant messages"),
        ({"messages": said("x", [USE])}, "`tool_use` ids were found without `tool_result` blocks"),
        ({"messages": said("x", [USE], "y")}, "messages.1: `tool_use` ids were found without"),
        ({"messages": said("x", [USE], [TEXT, RESULT])}, "messages.1: `tool_use` ids were found without"),
        ({"messages": said([RESULT])}, "messages.0.content.0: unexpected `tool_use_id`"),
        ({"messages": said("x", "y", [RESULT])}, "messages.2.content.0: unexpected `tool_use_id`"),
        ({"messages": said("x", [USE], [RESULT, RESULT])}, "single result"),
        ({"messages": said("x", [USE, USE], [RESULT])}, "`tool_use` ids must be unique"),
        ({"messages": said("x", [USE | {"id": "a b"}], "y")}, "tool_use.id"),
        ({"messages": said("x", [USE | {"input": "{}"}], [RESULT])}, "messages.1.content.0.input"),
        ({"messages": said("x", [{"type": "thinking", "thinking": "y", "signature": "z"}])}, "Invalid `signature`"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.custom.input_schema.type"),
        ({"tools": [TOOL | {"name": "a b"}]}, "tools.0.custom.name"),
        ({"tools": [TOOL | {"parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
        ({"tools": [TOOL, TOOL]}, "must be unique"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.tool.name: Field required"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}}, "Tool 'f' not found"),
        ({"thinking": {"type": "enabled"}, "max_tokens": 2000}, "budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "budget_tokens: Input should be greater"),
        ({"thinking": THINKING, "max_tokens": 1024}, "`max_tokens` must be greater than `thinking.budget_tokens`"),
        ({"thinking": THINKING, "max_tokens": 2000, "temperature": 0.5}, "`temperature` may only be set to 1"),
        ({"thinking": THINKING, "max_tokens": 2000, "messages": said("x", "y")}, "final message"),
        (
            {"thinking": THINKING, "max_tokens": 2000, "tools": [TOOL], "tool_choice": {"type": "any"}},
            "Thinking may not be enabled when tool_choice forces tool use",
        ),
        (
            {"thinking": THINKING, "max_tokens": 2000, "messages": said("x", [USE], [RESULT])},
            "messages.1.content.0.type: Expected `thinking`",
        ),
        ({"messages": said([MARKED] * 5)}, "A maximum of 4 blocks with cache_control"),
        ({"messages": said([MARKED, HOUR])}, "ttl='1h'"),
        ({"messages": said([TEXT | {"cache_control": {"type": "ephemeral", "ttl": "2h"}}])}, "cache_control"),
    ],
)
async def test_what_anthropic_would_not_take_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    async with calling() as caller:
        assert words in refused(await message(caller, **fields))
        assert (await caller.bill())["billed_nano_usd"] == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": said("x", [USE], [RESULT, TEXT])},
        {"messages": [*said("x"), *said("y", "z")]},
        {"messages": said("x", "The answer is")},
        {"messages": said("x", "")},
        {"messages": said([TEXT, {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}])},
        {"system": [MARKED], "tools": [TOOL, SEARCH], "tool_choice": {"type": "auto"}},
        {"thinking": {"type": "adaptive"}, "temperature": 1},
        {"thinking": {"type": "disabled"}, "temperature": 0, "top_k": 5},
        {"messages": said([HOUR, MARKED])},
        {"stop_sequences": ["END"], "top_p": 0.9, "stream": False, "service_tier": "auto"},
    ],
)
async def test_what_anthropic_takes_is_answered(fields: dict[str, Any]) -> None:
    async with calling() as caller:
        answer = await message(caller, **fields)
        assert answer.status == 200, answer.raw


async def test_a_body_that_is_no_json_is_refused() -> None:
    async with calling() as caller:
        answer = await caller.send("POST", "/anthropic/v1/messages", b"{", VERSIONED)
        assert "not valid JSON" in refused(answer)


async def test_keys_and_versions_are_asked_for_in_anthropics_way() -> None:
    async with calling() as caller:
        caller.headers = {}
        missing = await message(caller, headers={"x-api-key": ""})
        assert (missing.status, missing.json["error"]["type"]) == (401, "authentication_error")
        assert missing.json["error"]["message"] == "x-api-key header is required"
        wrong = await message(caller, headers={"x-api-key": "wrong"})
        assert (wrong.status, wrong.json["error"]["message"]) == (401, "invalid x-api-key")
        bearer = await message(caller, headers={"x-api-key": "", "Authorization": "Bearer sk-sim-test"})
        assert bearer.status == 401
        body = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": said("x")}
        unversioned = await caller.send("POST", "/anthropic/v1/messages", body, {"x-api-key": "sk-sim-1"})
        assert refused(unversioned) == "anthropic-version: header is required"
        assert "not a valid version" in refused(await message(caller, headers={"anthropic-version": "2099-01-01"}))


async def test_an_unknown_model_and_a_prompt_too_long_are_refused() -> None:
    async with calling() as caller:
        unknown = await message(caller, model="gpt-4o-mini")
        assert (unknown.status, unknown.json["error"]["type"]) == (404, "not_found_error")
        assert unknown.json["error"]["message"] == "model: gpt-4o-mini"
        assert "prompt is too long" in refused(await message(caller, "x" * 800_004))
        near = await message(caller, "x" * 799_000 + "[[tokens=900]]")
        assert near.json["stop_reason"] == "model_context_window_exceeded"


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (400, "invalid_request_error", "false"),
        (403, "permission_error", "false"),
        (413, "request_too_large", "false"),
        (429, "rate_limit_error", "true"),
        (500, "api_error", "true"),
        (504, "timeout_error", "true"),
        (529, "overloaded_error", "true"),
    ],
)
async def test_statuses_come_in_anthropics_form(status: int, kind: str, again: str) -> None:
    async with calling() as caller:
        answer = await message(caller, headers={"x-sim-fault": f"status:{status},retry_after=1.5"})
        assert (answer.status, answer.json["error"]["type"]) == (status, kind)
        assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == (again, "2")
        assert answer.json["request_id"] == answer.headers["request-id"]
        spent = "status:429,code=enforced_spend_limit_reached"
        over = await message(caller, headers={"x-sim-fault": spent})
        assert over.json["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}
        assert (over.headers["x-should-retry"], "retry-after" in over.headers) == ("false", False)
