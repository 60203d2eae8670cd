"""Answers that a client has begun: who goes on, how each is told, who refuses, and what is billed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.simulator import BASES, KEY
from tests.sim.client import calling

ECHO = "one two three four five [[echo]]"
FLAGS = {"continue_final_message": True, "add_generation_prompt": False}


def asked(model: str, said: str | None, *, prompt: str = ECHO, **message: Any) -> dict[str, Any]:
    turns: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    if said is not None:
        turns.append({"role": "assistant", "content": said, **message})
    return {"model": model, "messages": turns, "max_tokens": 40}


@pytest.mark.parametrize(
    ("provider", "model", "body", "text"),
    [
        ("groq", "llama-3.1-8b-instant", {}, " three four five"),
        ("openrouter", "anthropic/claude-sonnet-4.5", {}, " three four five"),
        ("openrouter", "openai/gpt-4o-mini", {}, "one two three four five"),
        ("openai", "gpt-4o-mini", {}, "one two three four five"),
        ("mistral", "mistral-small-2603", {"prefix": True}, "one two three four five"),
        ("own", "tiny-chat", {}, "one two three four five"),
        ("own", "tiny-chat", FLAGS, " three four five"),
    ],
)
async def test_who_goes_on_says_only_the_rest(provider: str, model: str, body: dict[str, Any], text: str) -> None:
    async with calling() as caller:
        plain = await caller.send("POST", BASES[provider] + "/chat/completions", asked(model, None))
        message = {name: value for name, value in body.items() if name == "prefix"}
        fields = asked(model, "one two", **message) | {name: v for name, v in body.items() if name != "prefix"}
        gone_on = await caller.send("POST", BASES[provider] + "/chat/completions", fields)
    assert gone_on.json["choices"][0]["message"]["content"] == text
    used, before = gone_on.json["usage"], plain.json["usage"]
    assert used["prompt_tokens"] > before["prompt_tokens"], "what is sent again is billed as any prompt"
    rest = 3 if body or text.startswith(" ") else 5
    assert used["completion_tokens"] == rest, "what is only repeated is not"


async def test_a_claude_goes_on_or_refuses_by_its_generation() -> None:
    async with calling() as caller:
        path = BASES["anthropic"] + "/messages"
        headers = {"anthropic-version": "2023-06-01", "x-api-key": KEY}
        said = await caller.send("POST", path, asked("claude-haiku-4-5", "one two"), headers)
        refused = await caller.send("POST", path, asked("claude-opus-5-5", "one two"), headers)
    assert said.json["content"] == [{"type": "text", "text": " three four five"}]
    assert (refused.status, "prefill" in refused.json["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("provider", "model", "fields", "words"),
    [
        ("mistral", "mistral-small-2603", {}, "Assistant with prefix True"),
        ("own", "tiny-chat", {"continue_final_message": True}, "Cannot set both"),
        ("openrouter", "anthropic/claude-opus-4.6", {}, "claude-opus-4.6"),
    ],
)
async def test_who_is_told_in_the_wrong_way_refuses(
    provider: str, model: str, fields: dict[str, Any], words: str
) -> None:
    async with calling() as caller:
        answer = await caller.send("POST", BASES[provider] + "/chat/completions", asked(model, "one") | fields)
    assert answer.status >= 400
    assert words in answer.raw.decode()


async def test_the_rest_of_an_answer_is_what_the_whole_would_have_said() -> None:
    async with calling() as caller:
        path = BASES["groq"] + "/chat/completions"
        prompt = "Tell me of rivers. [[tokens=30]]"
        whole = await caller.send("POST", path, asked("llama-3.1-8b-instant", None, prompt=prompt))
        text = whole.json["choices"][0]["message"]["content"]
        half = text[: len(text) // 2]
        rest = await caller.send("POST", path, asked("llama-3.1-8b-instant", half, prompt=prompt))
    assert half + rest.json["choices"][0]["message"]["content"] == text
