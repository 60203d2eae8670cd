"""Calls in the forms that are not chat, for the simulator's tests."""

from __future__ import annotations

import json
from typing import Any

from tests.sim.client import Answer, Caller

VERSIONED = {"x-api-key": "sk-sim-test", "anthropic-version": "2023-06-01"}
TOOL = {
    "name": "weather",
    "description": "The weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
FUNCTION = {"type": "function", "name": "weather", "parameters": TOOL["input_schema"], "strict": True}


async def message(
    caller: Caller, content: Any = "hello", headers: dict[str, str] | None = None, **fields: Any
) -> Answer:
    """POST messages: one user turn, unless the fields say otherwise. A field of `...` is left out."""
    turns = [{"role": "user", "content": content}]
    body = {"model": "claude-haiku-4-5", "max_tokens": 1000, "messages": turns, **fields}
    body = {name: value for name, value in body.items() if value is not ...}
    return await caller.send("POST", "/anthropic/v1/messages", body, {**VERSIONED, **(headers or {})})


async def respond(
    caller: Caller,
    content: Any = "hello",
    headers: dict[str, str] | None = None,
    provider: str = "openai",
    **fields: Any,
) -> Answer:
    """POST responses at OpenAI or OpenRouter."""
    prefix, model = {
        "openai": ("/openai/v1", "gpt-4o-mini"),
        "openrouter": ("/openrouter/api/v1", "openai/gpt-4o-mini"),
    }[provider]
    return await caller.send("POST", f"{prefix}/responses", {"model": model, "input": content, **fields}, headers)


def named_events(answer: Answer) -> list[Any]:
    """The JSON of each event of a stream, after holding that its name is the type within."""
    found = []
    for block in answer.raw.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines or lines == ["data: [DONE]"]:
            continue
        name, data = lines
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def rebuilt(events: list[Any]) -> Any:
    """The message that a messages stream adds up to."""
    start = next(event for event in events if event["type"] == "message_start")
    built = dict(start["message"])
    blocks: list[Any] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(dict(event["content_block"]))
            if blocks[-1]["type"] in ("tool_use", "server_tool_use"):
                blocks[-1]["input"] = ""
        elif event["type"] == "content_block_delta":
            add(blocks[event["index"]], event["delta"])
        elif event["type"] == "message_delta":
            built |= event["delta"]
            built["usage"] = built["usage"] | event["usage"]
    for block in blocks:
        if block["type"] in ("tool_use", "server_tool_use"):
            block["input"] = json.loads(block["input"] or "{}")
    return built | {"content": blocks}


def add(block: Any, delta: Any) -> None:
    names = {
        "text_delta": ("text", "text"),
        "thinking_delta": ("thinking", "thinking"),
        "signature_delta": ("signature", "signature"),
        "input_json_delta": ("input", "partial_json"),
        "compaction_delta": ("content", "content"),
    }
    name, source = names[delta["type"]]
    block[name] = (block[name] or "") + delta[source]
