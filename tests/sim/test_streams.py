"""Streams over HTTP: what each provider sends, in which order, and that it adds up to the reply without a stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.client import CHAT, calling

USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize("provider", list(CHAT))
async def test_a_stream_says_what_the_reply_says(provider: str) -> None:
    async with calling() as caller:
        whole = (await caller.chat(provider, "tell me")).json
        stream = await caller.chat(provider, "tell me", stream=True, **USAGE)
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.streamed_text == whole["choices"][0]["message"]["content"]
        events = stream.events
        assert events[-1] == "[DONE]"
        assert events[0]["choices"][0]["delta"]["role"] == "assistant"
        usage = events[-2]["usage"]
        assert usage == whole["usage"]
        assert {event["id"] for event in events[:-1]} == {events[0]["id"]}
        first, second = await caller.record()
        assert first["billed_nano_usd"] == second["billed_nano_usd"]
        assert (first["stream"], second["stream"]) == (False, True)


async def test_usage_comes_where_each_provider_puts_it() -> None:
    async with calling() as caller:
        for provider in ("openai", "generic"):
            without = (await caller.chat(provider, stream=True)).events
            assert not any("usage" in event for event in without[:-1])
            asked = (await caller.chat(provider, stream=True, **USAGE)).events
            assert asked[-2]["choices"] == []
            assert [event["usage"] for event in asked[:-2]] == [None] * (len(asked) - 2)
        groq = (await caller.chat("groq", stream=True)).events
        assert groq[-2]["choices"][0]["finish_reason"] == "stop"
        assert groq[-2]["x_groq"]["usage"]["completion_tokens"] > 0
        asked = (await caller.chat("groq", stream=True, **USAGE)).events
        assert asked[-2]["usage"] == asked[-3]["x_groq"]["usage"]
        router = await caller.chat("openrouter", stream=True)
        assert router.raw.startswith(b": OPENROUTER PROCESSING\n\n")
        assert router.events[-2]["usage"]["cost"] > 0
        assert router.events[-2]["choices"][0]["finish_reason"] is None


async def test_several_choices_come_mixed_and_each_finishes() -> None:
    async with calling() as caller:
        events = (await caller.chat("openai", "[[tokens=5]]", n=2, stream=True)).events[:-1]
        order = [event["choices"][0]["index"] for event in events]
        assert order == [0, 1] * 7
        assert [event["choices"][0]["finish_reason"] for event in events[-2:]] == ["stop", "stop"]


async def test_tool_calls_stream_in_pieces() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}}
    async with calling() as caller:
        whole = (await caller.chat("openai", "[[tool]]", tools=[tool])).json
        stream = (await caller.chat("openai", "[[tool]]", tools=[tool], stream=True, **USAGE)).events
        calls = [call for event in stream[:-1] for c in event["choices"] for call in c["delta"].get("tool_calls", ())]
        assert calls[0]["function"]["name"] == "f"
        wanted = whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
        assert "".join(call["function"]["arguments"] for call in calls) == wanted
        assert stream[-3]["choices"][0]["finish_reason"] == "tool_calls"
        assert stream[-2]["usage"] == whole["usage"]


async def test_reasoning_is_shown_or_hidden_and_always_counted() -> None:
    async with calling() as caller:
        shown = (await caller.chat("groq", "[[tokens=9]]", model="openai/gpt-oss-20b", stream=True)).events
        assert sum("reasoning" in event["choices"][0]["delta"] for event in shown[:-1]) == 3
        hidden = (await caller.chat("openai", "[[tokens=9]]", model="o3-mini", stream=True, **USAGE)).events
        assert sum(bool(c["delta"].get("content")) for event in hidden[:-1] for c in event["choices"]) == 6
        assert hidden[-2]["usage"]["completion_tokens_details"]["reasoning_tokens"] == 3
