"""What is on offer and by which names; what a key may use of it; what an unknown name is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.simulator import KEY, Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import Running, serving

FEW: Any = {
    "routes": {"fast": ["openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"], "dear": ["openai/gpt-4o"]},
}
ANTHROPIC = {"anthropic-version": "2023-06-01"}


@pytest.fixture(scope="module")
def few(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with three providers, one of them without a key, and two routes."""
    providers = shared_sim.config()["llm"]["providers"]
    kept = {name: providers[name] for name in ("openai", "groq", "openrouter")}
    kept["openrouter"] = {**kept["openrouter"], "api_key": "${NOT_SET}"}
    config = {**FEW, "llm": {"active": "openai", "providers": kept}}
    with serving(tmp_path_factory.mktemp("few"), shared_sim, config) as running:
        yield running


def names(gateway: Running, **options: Any) -> list[str]:
    return [one["id"] for one in gateway.ask("GET", "/v1/models", **options).json["data"]]


def test_routes_and_models_with_known_prices_of_providers_that_can_be_used(few: Running) -> None:
    found = names(few)
    assert found[:2] == ["dear", "fast"]
    assert {"openai/gpt-4o-mini", "groq/llama-3.1-8b-instant", "openai/text-embedding-3-small"} <= {*found}
    assert {name.partition("/")[0] for name in found[2:]} == {"openai", "groq"}
    assert few.ask("GET", "/v1/models").json["data"][0] == {
        "id": "dear", "object": "model", "created": 0, "owned_by": "bursar",
    }  # fmt: skip


def test_a_key_sees_what_it_may_use(few: Running) -> None:
    assert names(few, key=key_of(few, models=("groq/*",))) == [name for name in names(few) if name.startswith("groq/")]
    assert names(few, key=key_of(few, models=("gpt-4o",))) == ["dear", "openai/gpt-4o"]
    assert names(few, key=key_of(few, models=("fast",))) == ["fast"]


def test_pages_in_anthropics_form(few: Running) -> None:
    everything = names(few)
    first = few.ask("GET", "/v1/models?limit=3", headers=ANTHROPIC).json
    assert [one["id"] for one in first["data"]] == everything[:3]
    assert first["has_more"]
    assert (first["first_id"], first["last_id"]) == (everything[0], everything[2])
    after = few.ask("GET", f"/v1/models?limit=2&after_id={everything[2]}", headers=ANTHROPIC).json
    assert [one["id"] for one in after["data"]] == everything[3:5]
    before = few.ask("GET", f"/v1/models?limit=2&before_id={everything[3]}", headers=ANTHROPIC).json
    assert [one["id"] for one in before["data"]] == everything[1:3]
    assert after["data"][0]["type"] == "model"
    for limit in ("0", "1001", "x"):
        answer = few.ask("GET", f"/v1/models?limit={limit}", headers=ANTHROPIC)
        assert (answer.status, answer.json["type"]) == (400, "error")


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "fast", "groq/llama-3.1-8b-instant"])
def test_one_model_by_every_name_it_has(few: Running, name: str) -> None:
    assert few.ask("GET", f"/v1/models/{name}").json["id"] == name


@pytest.mark.parametrize(
    ("name", "told"),
    [("fasst", "did you mean fast?"), ("openai/gpt-4o-mimi", "did you mean openai/gpt-4o-mini?"),
     ("nowhere/gpt-4o", "there is no model"), ("anthropic/claude-haiku-4-5", "anthropic is not configured here"),
     ("openrouter/openai/gpt-4o", "openrouter is not configured here")],
)  # fmt: skip
def test_an_unknown_model_is_told_the_nearest_and_nothing_of_secrets(
    few: Running, sim: Sim, name: str, told: str
) -> None:
    asked = [few.ask("GET", f"/v1/models/{name}")]
    if "gpt-4o-mimi" not in name and name != "fasst":  # these their providers are asked about
        asked.append(few.chat(model=name))
    for answer in asked:
        error = answer.json["error"]
        assert (answer.status, error["code"]) == (404, "model_not_found")
        assert told in error["message"]
        assert not any(word in error["message"] for word in ("API_KEY", "NOT_SET", "bursar.yaml", "environment", KEY))
    assert sim.entries() == []


@pytest.mark.parametrize("name", ["openai/", "/", "/gpt-4o-mini", "gpt 4o"])
def test_what_is_no_name_is_the_callers_fault_and_no_trouble_of_the_operators(
    few: Running, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = few.chat(model=name)
    assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_mistyped_model_is_not_found_where_a_budget_asks_for_its_price(gateway: Running, sim: Sim) -> None:
    key = key_of(gateway, usd=1)
    for headers in ({}, {"idempotency-key": "mistyped"}):
        answer = gateway.chat(model="openai/gpt-4o-mimi", key=key, headers=headers)
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
        assert "did you mean openai/gpt-4o-mini?" in answer.json["error"]["message"]
    unlisted = gateway.chat(model="own/some-model", key=key)
    assert (unlisted.status, unlisted.json["error"]["code"]) == (400, "price_unknown")
    tier = gateway.chat(service_tier="nowhere", key=key)
    assert (tier.status, tier.json["error"]["code"]) == (400, "price_unknown")
    assert sim.entries() == []


class TestAllowed:
    """Models that a key may not use, by whatever name and by whatever way."""

    @pytest.mark.parametrize(
        ("models", "asked", "status"),
        [
            (("openai/gpt-4o-mini",), "gpt-4o-mini", 200),
            (("gpt-4o-mini",), "openai/gpt-4o-mini", 200),
            (("openai/*",), "gpt-4o-mini", 200),
            (("openai/*", "groq/*"), "fast", 200),
            (("openai/*",), "fast", 403),
            (("fast",), "fast", 200),
            (("fast",), "openai/gpt-4o-mini", 403),
            (("openai/gpt-4o-mini",), "openai/gpt-4o", 403),
            (("openai/gpt-4o-mini",), "dear", 403),
            (("groq/*",), "gpt-4o-mini", 403),
            (("groq/*",), "nowhere/x", 403),
        ],
    )
    def test_a_call(self, few: Running, sim: Sim, models: tuple[str, ...], asked: str, status: int) -> None:
        answer = few.chat(model=asked, key=key_of(few, models=models))
        assert answer.status == status, answer.body
        assert len(sim.entries()) == (status == 200)

    def test_what_the_body_lets_the_provider_choose(self, gateway: Running, sim: Sim) -> None:
        mini, dear = "openrouter/openai/gpt-4o-mini", "openai/gpt-4o"
        key = key_of(gateway, models=(mini,))
        assert gateway.chat(model=mini, models=["openai/gpt-4o-mini"], key=key).status == 200
        assert gateway.chat(model=mini, models=["openai/gpt-4o-mini", dear], key=key).status == 403

    @pytest.mark.parametrize(
        ("path", "fields", "told"),
        [
            ("/v1/chat/completions", {"preset": "dear"}, "preset"),
            ("/v1/chat/completions", {"fallbacks": ["openai/gpt-4o"]}, "fallbacks"),
            ("/v1/chat/completions", {"plugins": [{"id": "auto-router", "allowed_models": ["x/dear"]}]}, "x/dear"),
            ("/v1/responses", {"tools": [{"type": "image_generation", "model": "gpt-image-1"}]}, "gpt-image-1"),
            ("/v1/messages", {"fallbacks": "default"}, "fallbacks"),
            ("/v1/messages", {"fallbacks": [{"model": "claude-opus-4-5"}]}, "claude-opus-4-5"),
            ("/v1/messages", {"tools": [{"type": "advisor_20260301", "model": "claude-opus-4-5"}]}, "claude-opus-4-5"),
        ],
    )
    def test_what_else_of_the_body_brings_in_another_model(
        self, gateway: Running, sim: Sim, path: str, fields: dict[str, Any], told: str
    ) -> None:
        model = "openrouter/openai/gpt-4o-mini" if "chat" in path else "openai/gpt-4o-mini"
        model = "anthropic/claude-haiku-4-5" if "messages" in path else model
        body = {"model": model, "max_tokens": 9, **fields}
        body |= {"input": "x"} if "responses" in path else {"messages": [{"role": "user", "content": "x"}]}
        answer = gateway.ask("POST", path, body, key=key_of(gateway, models=(model,)))
        assert (answer.status, told in answer.json["error"]["message"]) == (403, True), answer.body
        assert sim.entries() == []

    def test_counting_and_showing(self, gateway: Running) -> None:
        key = key_of(gateway, models=("openai/*",))
        body = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "x"}]}
        answer = gateway.ask("POST", "/v1/messages/count_tokens", body, key=key)
        assert (answer.status, answer.json["error"]["type"]) == (403, "permission_error")
        assert gateway.ask("GET", "/v1/models/claude-haiku-4-5", key=key).status == 403
