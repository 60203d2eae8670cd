"""Chat without streams over HTTP: each provider's own replies, usage, errors and ids, and what each is billed."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.prices import Model, PriceCard
from tests.sim.client import CHAT, Caller, calling

PROVIDERS = list(CHAT)
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["C", "F"]}},
        },
    },
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_reply_its_usage_and_its_bill_agree(provider: str) -> None:
    async with calling() as caller:
        answer = await caller.chat(provider, "[[tokens=7]]", headers={"X-Client-Request-Id": "mine"})
        body = answer.json
        assert answer.status == 200
        assert len(body["choices"][0]["message"]["content"].split()) == body["usage"]["completion_tokens"] == 7
        assert body["choices"][0]["finish_reason"] == "stop"
        [entry] = (await caller.send("GET", "/sim/requests/mine")).json
        assert entry["id"] == body["id"]
        assert entry["model"] == CHAT[provider][1]
        assert entry["usage"]["prompt_tokens"] == body["usage"]["prompt_tokens"]
        assert entry["billed_nano_usd"] == (await caller.bill())["billed_nano_usd"]
        assert (entry["billed_nano_usd"] == 0) == (provider == "generic")
        assert (await caller.chat(provider, "[[tokens=7]]")).json["choices"] == body["choices"]


async def test_each_provider_reports_in_its_own_form() -> None:
    async with calling() as caller:
        openai = await caller.chat("openai", "[[tokens=7]][[cached=6]]")
        assert openai.headers["x-request-id"].startswith("req_")
        assert openai.json["model"] == "gpt-4o-mini-2024-07-18"
        assert openai.json["usage"]["prompt_tokens_details"]["cached_tokens"] == 6
        groq = await caller.chat("groq")
        assert {"queue_time", "total_time"} <= groq.json["usage"].keys()
        assert groq.json["x_groq"]["id"] == groq.headers["x-request-id"]
        router = await caller.chat("openrouter", "[[tokens=7]]")
        assert router.headers["x-generation-id"] == router.json["id"]
        assert router.json["provider"] == "OpenAI"
        assert router.json["usage"]["is_byok"] is False
        entry = (await caller.record())[-1]
        assert round(router.json["usage"]["cost"] * 10**9) == entry["billed_nano_usd"] > 0
        generic = await caller.chat("generic", headers={"Authorization": ""})
        assert set(generic.json["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}


async def test_cached_and_written_tokens_cost_their_own_price() -> None:
    async with calling() as caller:
        padding = "x" * 4_000
        await caller.chat("openai", f"[[tokens=1]][[cached=100]]{padding}")
        await caller.chat("openai", f"[[tokens=1]][[cached=999999]]{padding}")
        sonnet = "anthropic/claude-sonnet-4.5"
        await caller.chat("openrouter", f"[[tokens=1]][[cached=100]][[cache_write=50]]{padding}", model=sonnet)
        first, second, third = await caller.record()
    prompt = first["usage"]["prompt_tokens"]
    assert first["billed_nano_usd"] == -(-((prompt - 100) * 150_000 + 100 * 75_000 + 600_000) // 1000)
    assert second["usage"]["cached_tokens"] == second["usage"]["prompt_tokens"]
    prompt = third["usage"]["prompt_tokens"]
    assert third["usage"]["cache_write_tokens"] == 50
    pico = (prompt - 150) * 3_000_000 + 100 * 300_000 + 50 * 3_750_000 + 15_000_000
    assert third["billed_nano_usd"] == -(-pico // 1000)


async def test_choices_limits_and_reasoning_are_counted() -> None:
    async with calling() as caller:
        several = (await caller.chat("openai", "[[tokens=6]]", n=3)).json
        texts = {choice["message"]["content"] for choice in several["choices"]}
        assert (len(texts), several["usage"]["completion_tokens"]) == (3, 18)
        cut = (await caller.chat("openai", "[[tokens=60]]", max_completion_tokens=4)).json
        assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 4)
        thought = (await caller.chat("openai", "[[tokens=30]]", model="o3-mini")).json["usage"]
        assert thought["completion_tokens_details"]["reasoning_tokens"] == 10
        assert thought["completion_tokens"] == 30
        shown = (await caller.chat("groq", "[[tokens=30]]", model="openai/gpt-oss-20b")).json
        assert len(shown["choices"][0]["message"]["reasoning"].split()) == 10
        assert (await caller.chat("openai", "[[echo]] back to me")).json["choices"][0]["message"][
            "content"
        ] == "back to me"


async def test_tools_are_called_by_magic_or_demand_and_not_twice() -> None:
    async with calling() as caller:
        asked = (await caller.chat("openai", '[[tool]][[tool=weather:{"city":"Riga"}]]', tools=[WEATHER])).json
        first, second = asked["choices"][0]["message"]["tool_calls"]
        assert asked["choices"][0]["finish_reason"] == "tool_calls"
        assert first["function"] == {"name": "weather", "arguments": '{"city":"ledger","days":1,"unit":"C"}'}
        assert second["function"]["arguments"] == '{"city":"Riga"}'
        assert first["id"] != second["id"]
        demanded = await caller.chat("openai", tools=[WEATHER], tool_choice="required")
        assert demanded.json["choices"][0]["finish_reason"] == "tool_calls"
        assert "tool_calls" not in (await caller.chat("openai", "[[tool]]")).json["choices"][0]["message"]
        history = [
            {"role": "user", "content": "[[tool]]"},
            asked["choices"][0]["message"],
            {"role": "tool", "tool_call_id": first["id"], "content": "sunny"},
        ]
        after = (await caller.chat("openai", tools=[WEATHER], messages=history)).json
        assert after["choices"][0]["finish_reason"] == "stop"


ERRORS: dict[str, tuple[Any, Any, Any]] = {
    "openai": ("code", "model_not_found", "invalid_api_key"),
    "groq": ("code", "model_not_found", "invalid_api_key"),
    "openrouter": ("code", 404, 401),
    "generic": ("code", 404, None),
}


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_refusals_are_in_the_providers_form_cost_nothing_and_are_recorded(provider: str) -> None:
    field, no_model, bad_key = ERRORS[provider]
    async with calling() as caller:
        unknown = await caller.chat(provider, model="no/such-model")
        assert (unknown.status, unknown.json["error"][field]) == (404, no_model)
        wrong = await caller.chat(provider, headers={"Authorization": "Bearer sk-live-abcdefghijkl"})
        assert wrong.status == (200 if bad_key is None else 401)
        if bad_key is not None:
            assert wrong.json["error"][field] == bad_key
            assert b"abcdefgh" not in wrong.raw
            assert (await caller.chat(provider, headers={"Authorization": ""})).status == 401
        empty = await caller.chat(provider, messages=[])
        assert empty.status == 400
        bill = await caller.bill()
        assert bill["billed_nano_usd"] == 0
        assert bill["count"] == (3 if bad_key is None else 4)


async def test_strict_providers_refuse_limits_that_the_model_does_not_have() -> None:
    async with calling() as caller:
        too_large = await caller.chat("openai", max_tokens=16_385)
        assert (too_large.status, too_large.json["error"]["param"]) == (400, "max_tokens")
        wrong_field = await caller.chat("openai", model="o3-mini", max_tokens=10)
        assert wrong_field.json["error"]["code"] == "unsupported_parameter"
        options = await caller.chat("groq", stream_options={"include_usage": True})
        assert options.status == 400
        assert (await caller.chat("openrouter", max_tokens=10**6)).status == 200
        assert (await caller.chat("generic", stream_options={"include_usage": True})).status == 200
        long = await caller.chat("openai", "x" * 40_000, model="gpt-4")
        assert long.json["error"]["code"] == "context_length_exceeded"
        assert (await caller.bill())["by_model"]["openai/gpt-4"]["billed_nano_usd"] == 0
        assert all(entry["status"] == 200 or entry["billed_nano_usd"] == 0 for entry in await caller.record())


async def test_openrouter_falls_back_and_bills_the_model_that_served() -> None:
    models = ["openai/gpt-4o", "anthropic/claude-3-haiku"]
    async with calling() as caller:
        rules = [
            {"kind": "model_down", "model": "openai/gpt-4o-mini"},
            {"kind": "status", "status": 502, "model": models[0]},
        ]
        assert (await caller.send("POST", "/sim/faults", rules)).status == 200
        served = await caller.chat("openrouter", "[[tokens=4]]", models=models, session_id="s-1")
        assert served.json["model"] == models[1]
        entry = (await caller.record())[-1]
        assert (entry["model"], entry["model_asked"]) == (models[1], "openai/gpt-4o-mini")
        assert entry["preferences"] == {"models": models, "session_id": "s-1"}
        pico = entry["usage"]["prompt_tokens"] * 250_000 + 4 * 1_250_000
        assert entry["billed_nano_usd"] == -(-pico // 1000) == round(served.json["usage"]["cost"] * 10**9)
        alone = await caller.chat("openrouter")
        assert (alone.status, alone.json["error"]["code"]) == (503, 503)
        own = await caller.chat(
            "openrouter", model="openai/gpt-3.5-turbo", models=[models[1]], headers={"x-sim-fault": "model_down"}
        )
        assert own.json["model"] == models[1]
        assert (await caller.chat("openrouter", models=["no/such"])).status == 404


async def test_attribution_headers_are_recorded() -> None:
    headers = {"HTTP-Referer": "https://app.test", "X-Title": "App", "X-OpenRouter-Title": "New App"}
    async with calling() as caller:
        body = {
            "model": "openai/gpt-4o",
            "messages": [{"role": "user", "content": "hello"}],
            "provider": {"sort": "price"},
            "user": "u-1",
        }
        await caller.send("POST", "/openrouter/api/v1/chat/completions", body, headers)
        entry = (await caller.record())[-1]
    assert {name.lower(): value for name, value in headers.items()}.items() <= entry["headers"].items()
    assert entry["preferences"] == {"provider": {"sort": "price"}, "user": "u-1"}


async def test_models_are_listed_and_extra_ones_are_served() -> None:
    extra = (("generic", Model("house-7b", PriceCard(1_000_000, 2_000_000))),)
    async with calling(SimConfig(models=extra, key_prefixes=("my-",))) as caller:
        key = {"Authorization": "Bearer my-1"}
        for provider, (prefix, model) in CHAT.items():
            listed = (await caller.send("GET", f"{prefix}/models", headers=key)).json["data"]
            assert model in {row["id"] for row in listed}, provider
            assert (await caller.send("GET", f"{prefix}/models/{model}", headers=key)).json["id"] == model
            assert (await caller.send("GET", f"{prefix}/models/none", headers=key)).status == 404
            # OpenRouter shows its models to everybody, and a server of one's own asks for no key.
            unknown = await caller.send("GET", f"{prefix}/models")
            assert unknown.status == (200 if provider in ("openrouter", "generic") else 401), provider
        await caller.chat("generic", "[[tokens=2]]", model="house-7b")
        entry = (await caller.record())[-1]
        assert entry["billed_nano_usd"] == entry["usage"]["prompt_tokens"] * 1_000 + 4_000
        assert (await caller.chat("openai")).status == 401
        assert (await caller.chat("openai", headers={"Authorization": "Bearer my-1"})).status == 200
        unknown = await caller.send("POST", "/openai/v1/nothing", {})
        assert (unknown.status, unknown.json["error"]["code"]) == (404, "unknown_url")


async def test_openrouter_looks_its_generations_up() -> None:
    async with calling() as caller:
        reply = (await caller.chat("openrouter")).json
        page = await lookup(caller, reply["id"])
        assert page["data"]["total_cost"] == reply["usage"]["cost"]
        assert page["data"]["native_tokens_completion"] == reply["usage"]["completion_tokens"]
        assert (await lookup(caller, "gen-none"))["error"]["code"] == 404
        key = (await caller.send("GET", "/openrouter/api/v1/key")).json
        assert key["data"]["usage"] == reply["usage"]["cost"]
        assert (await caller.send("GET", "/openrouter/api/v1/key", headers={"Authorization": ""})).status == 401


async def lookup(caller: Caller, reply_id: str) -> Any:
    return (await caller.send("GET", f"/openrouter/api/v1/generation?id={reply_id}")).json


async def test_a_body_too_large_is_refused() -> None:
    async with calling(SimConfig(body_bytes_max=10_000)) as caller:
        assert (await caller.chat("openai", "x" * 20_000)).status == 413
        assert (await caller.chat("openai")).status == 200


async def test_embeddings_are_deterministic_unit_vectors_and_billed() -> None:
    async with calling() as caller:
        body = {"model": "text-embedding-3-small", "input": ["one text", "another"], "encoding_format": "float"}
        first = await caller.send("POST", "/openai/v1/embeddings", body)
        rows = first.json["data"]
        assert [len(row["embedding"]) for row in rows] == [1536, 1536]
        assert abs(sum(number * number for number in rows[0]["embedding"]) - 1) < 1e-6
        assert (await caller.send("POST", "/openai/v1/embeddings", body)).json["data"] == rows
        entry = (await caller.record())[-1]
        assert entry["kind"] == "embeddings"
        assert entry["billed_nano_usd"] == -(-first.json["usage"]["prompt_tokens"] * 20_000 // 1000) > 0
        packed = await caller.send(
            "POST", "/openai/v1/embeddings", {**body, "dimensions": 3, "encoding_format": "base64"}
        )
        assert [len(row["embedding"]) for row in packed.json["data"]] == [16, 16]
        tokens = await caller.send("POST", "/openai/v1/embeddings", {**body, "input": [[1, 2, 3], [4]]})
        assert tokens.json["usage"]["prompt_tokens"] == 4
        for wrong in ({"dimensions": 0}, {"dimensions": 1537}, {"model": "gpt-4o"}, {"encoding_format": "x"}):
            assert (await caller.send("POST", "/openai/v1/embeddings", {**body, **wrong})).status == 400
        chat = await caller.chat("openai", model="text-embedding-3-small")
        assert chat.status == 404
