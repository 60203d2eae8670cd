"""The other providers over HTTP: each in its own place, with its own usage, ends of streams, errors and headers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.limits import RateLimit
from tests.sim.client import OTHERS, Answer, calling

KEYS = {"azure": {"Authorization": "", "api-key": "sk-sim-1"}}
ALWAYS_SHOW_USAGE = ("mistral", "deepseek", "xai", "together", "fireworks", "cerebras")
PROMPT = "[[tokens=30]][[reasoning=10]][[cached=4]]"


def usages(answer: Answer) -> list[Any]:
    chunks = [event for event in answer.events if event != "[DONE]"]
    return [chunk["usage"] for chunk in chunks if chunk.get("usage")]


@pytest.mark.parametrize("provider", list(OTHERS))
async def test_each_answers_at_its_place_streams_the_same_and_bills_what_it_reports(provider: str) -> None:
    options = {} if provider == "mistral" else {"stream_options": {"include_usage": True}}
    async with calling() as caller:
        whole = await caller.chat(provider, PROMPT, KEYS.get(provider))
        stream = await caller.chat(provider, PROMPT, KEYS.get(provider), stream=True, **options)
        plain = await caller.chat(provider, PROMPT, KEYS.get(provider), stream=True)
        entries = await caller.record()
        listed = await caller.send("GET", f"{OTHERS[provider][0]}/models")
        mixed_up = await caller.chat(provider, PROMPT, {"Authorization": "", "x-api-key": "sk-sim-1"})
    assert (whole.status, stream.status, plain.status, mixed_up.status) == (200, 200, 200, 401)
    assert OTHERS[provider][1] in {row["id"] for row in listed.json["data"]}
    assert stream.events[-1] == "[DONE]"
    text = whole.json["choices"][0]["message"]["content"]
    assert "".join(c["delta"].get("content") or "" for e in stream.events[:-1] for c in e["choices"]) == text
    assert usages(stream) == [whole.json["usage"]]
    assert usages(plain) == ([whole.json["usage"]] if provider in ALWAYS_SHOW_USAGE else [])
    assert len({entry["billed_nano_usd"] for entry in entries}) == 1
    assert entries[0]["billed_nano_usd"] > 0
    assert entries[0]["usage"]["completion_tokens"] == 30
    assert entries[0]["usage"]["reasoning_tokens"] == 10


async def test_usage_has_each_providers_own_traps() -> None:
    async with calling() as caller:
        usage = {name: (await caller.chat(name, PROMPT, KEYS.get(name))).json["usage"] for name in OTHERS}
        entries = {entry["provider"]: entry for entry in await caller.record()}
    prompt = {name: entry["usage"]["prompt_tokens"] for name, entry in entries.items()}
    assert usage["deepseek"]["prompt_cache_hit_tokens"] == usage["deepseek"]["prompt_tokens_details"]["cached_tokens"]
    assert usage["deepseek"]["prompt_cache_miss_tokens"] == prompt["deepseek"] - 4
    assert usage["mistral"]["num_cached_tokens"] == 4
    assert "prompt_tokens_details" not in usage["mistral"]
    assert usage["gemini"] == {
        "prompt_tokens": prompt["gemini"],
        "completion_tokens": 20,
        "total_tokens": prompt["gemini"] + 30,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert usage["xai"]["completion_tokens"] == 20
    assert usage["xai"]["completion_tokens_details"]["reasoning_tokens"] == 10
    assert usage["xai"]["cost_in_usd_ticks"] == entries["xai"]["billed_nano_usd"] * 10
    assert usage["cerebras"]["completion_tokens_details"]["reasoning_tokens"] == 10
    assert usage["azure"]["prompt_tokens_details"]["cached_tokens"] == 4
    for name in ("together", "fireworks", "azure", "cerebras", "deepseek"):
        assert usage[name]["completion_tokens"] == 30, name


async def test_mistral_refuses_to_be_asked_for_usage() -> None:
    async with calling() as caller:
        refused = await caller.chat("mistral", stream=True, stream_options={"include_usage": True})
        assert await caller.bill() == {**await caller.bill(), "billed_nano_usd": 0}
    assert refused.status == 422
    [detail] = refused.json["message"]["detail"]
    assert (detail["type"], detail["loc"]) == ("extra_forbidden", ["body", "stream_options", "include_usage"])


async def test_deepseek_keeps_connections_alive_with_comments_and_empty_lines() -> None:
    async with calling() as caller:
        whole = await caller.chat("deepseek")
        stream = await caller.chat("deepseek", stream=True)
    assert whole.raw.startswith(b"\n\n\n{")
    assert json.loads(whole.raw)["usage"]
    assert stream.raw.startswith(b": keep-alive\n\n")


async def test_azure_takes_its_own_header_or_a_token_and_begins_streams_without_a_choice() -> None:
    async with calling() as caller:
        assert (await caller.chat("azure")).status == 200
        stream = await caller.chat("azure", headers=KEYS["azure"], stream=True)
        wrong = await caller.chat("azure", headers={"Authorization": "", "api-key": "other"})
        assert (await caller.chat("azure", headers={"Authorization": "Basic sk-sim-1"})).status == 401
        asked = await caller.chat("azure", stream=True, stream_options={"include_usage": True})
    assert stream.events[0]["choices"] == []
    assert stream.events[0]["prompt_filter_results"]
    assert {chunk["usage"] for chunk in asked.events[1:-2]} == {None}
    assert "usage" not in stream.events[1]
    assert stream.headers["apim-request-id"].startswith("req_")
    assert (wrong.status, wrong.json["error"]["code"]) == (401, "401")


ERRORS: dict[str, Any] = {
    "azure": lambda body: body["error"]["code"] == "model_not_found",
    "gemini": lambda body: body[0]["error"]["status"] == "NOT_FOUND",
    "mistral": lambda body: body["object"] == "error" and body["code"] == "model_not_found",
    "deepseek": lambda body: body["error"]["code"] == "model_not_found",
    "xai": lambda body: body["code"] == "model_not_found" and isinstance(body["error"], str),
    "together": lambda body: body["error"]["code"] == "model_not_found",
    "fireworks": lambda body: body["error"]["code"] == "model_not_found",
    "cerebras": lambda body: body["code"] == "model_not_found",
}


@pytest.mark.parametrize("provider", list(OTHERS))
async def test_errors_are_in_the_providers_form_and_in_streams_too(provider: str) -> None:
    async with calling() as caller:
        unknown = await caller.chat(provider, model="none")
        fault = {"x-sim-fault": "error_in_stream:2,status=503"}
        broken = await caller.chat(provider, "[[tokens=9]]", fault, stream=True)
        whole = await caller.chat(provider, "[[tokens=9]]", fault)
    assert unknown.status == 404
    assert ERRORS[provider](unknown.json)
    assert broken.status == whole.status == 200
    assert broken.events[-1] != "[DONE]"
    assert "choices" not in broken.events[-1]
    assert "choices" not in whole.json


async def test_rate_limits_are_shown_and_refused_in_the_providers_way() -> None:
    limits = {name: RateLimit(requests=1, tokens=1000) for name in ("azure", "cerebras", "mistral", "gemini")}
    async with calling(SimConfig(limits=limits)) as caller:
        answers = {name: [await caller.chat(name) for _ in range(2)] for name in limits}
    served = {name: pair[0].headers for name, pair in answers.items()}
    refused = {name: pair[1] for name, pair in answers.items()}
    assert {answer.status for answer in refused.values()} == {429}
    assert served["cerebras"]["x-ratelimit-limit-requests-day"] == "1"
    assert served["cerebras"]["x-ratelimit-remaining-requests-day"] == "0"
    assert float(served["cerebras"]["x-ratelimit-reset-tokens-minute"]) > 0
    assert served["azure"]["x-ratelimit-reset-tokens"].isdecimal()
    assert int(refused["azure"].headers["retry-after-ms"]) > 0
    assert served["mistral"]["x-ratelimit-limit-req-minute"] == "1"
    assert not any(name.startswith("x-ratelimit") for name in served["gemini"])
    [error] = refused["gemini"].json
    assert error["error"]["details"][0]["retryDelay"].endswith("s")
    assert "retry-after" not in refused["gemini"].headers
