"""What is configured about a provider reaches the wire, and the price of a deployment is its model's."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import bursar
from bursar.errors import PriceUnknownError
from tests.client.raw_server import RawServer, answer, configured, raw_server

MESSAGES_REPLY = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{"type":"text","text":"Po"}],'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":4}}'
)


def chatting(server: RawServer, model: str, config: dict[str, Any], **asked: Any) -> bursar.Reply:
    with bursar.Client(config, books="memory:", budget_usd=1, per="total") as llm:
        return llm.chat("Name two rivers.", model=model, max_tokens=50, **asked)


def test_azure_has_the_deployment_in_the_path_where_it_is_asked_to() -> None:
    with raw_server() as server:
        keys = {
            "base_url": server.url.removesuffix("/v1") + "/openai/deployments/{model}",
            "api_version": "2024-10-21",
            "deployments": {"my gpt": "gpt-4o-mini"},
        }
        reply = chatting(server, "azure/my gpt", configured(server, "azure", **keys))
        (received,) = server.received
    assert received.path == "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
    assert received.headers["api-key"] == "sk-sim-raw"
    assert "authorization" not in received.headers
    assert received.json["max_completion_tokens"] == 50
    assert reply.cost.nano_usd == 9 * 150 + 4 * 600


def test_a_token_of_entra_goes_as_bearer() -> None:
    with raw_server() as server:
        chatting(server, "azure/gpt-4o-mini", configured(server, "azure", api_key="eyJ0eXAi.x"))
        (received,) = server.received
    assert (received.headers["authorization"], received.path) == ("Bearer eyJ0eXAi.x", "/v1/chat/completions")
    assert "api-key" not in received.headers


def test_a_deployment_whose_model_nobody_names_is_refused_with_what_to_add() -> None:
    with raw_server() as server:
        with pytest.raises(PriceUnknownError, match=r"`deployments: \{mine: gpt-4o\}` at llm\.providers\.azure"):
            chatting(server, "azure/mine", configured(server, "azure"))
        with pytest.raises(PriceUnknownError) as elsewhere:
            chatting(server, "openai/mine", configured(server))
        assert server.received == []
    assert "deployment" not in str(elsewhere.value)


def test_columns_that_are_said_otherwise_are_sent_otherwise() -> None:
    with raw_server() as server:
        keys = {"auth": "x-api-key", "limit_field": "max_completion_tokens", "price": "free"}
        chatting(server, "mine/m", configured(server, "mine", **keys))
        (received,) = server.received
    assert received.headers["x-api-key"] == "sk-sim-raw"
    assert (received.json.get("max_tokens"), received.json["max_completion_tokens"]) == (None, 50)


def test_deepseek_has_anthropics_form_below_a_path_of_its_own() -> None:
    with raw_server(answer(MESSAGES_REPLY)) as server:
        keys = {"base_url": server.url.removesuffix("/v1"), "dialects": ["anthropic_messages"]}
        chatting(server, "deepseek/deepseek-chat", configured(server, "deepseek", **keys))
        (received,) = server.received
    assert received.path == "/anthropic/v1/messages"
    assert received.headers["anthropic-version"] == "2023-06-01"


def test_betas_of_the_file_and_of_the_call_both_arrive() -> None:
    with raw_server(answer(MESSAGES_REPLY)) as server:
        config = configured(server, "anthropic", anthropic_beta=["a-1", "b-2"])
        chatting(server, "anthropic/claude-haiku-4-5", config, extra_headers={"Anthropic-Beta": "c-3,a-1"})
        (received,) = server.received
    assert received.headers["anthropic-beta"] == "a-1,b-2,c-3"
    assert received.headers["x-api-key"] == "sk-sim-raw"


def test_openrouter_is_told_what_a_route_may_cost() -> None:
    with raw_server() as server:
        keys = {"fallback_models": ["openai/gpt-4o"], "limit_route_price": True, "provider_preferences": {"zdr": True}}
        config = configured(server, "openrouter", **keys)
        chatting(server, "openrouter/openai/gpt-4o-mini:nitro", config)
        chatting(server, "openrouter/openai/gpt-4o-mini", config, extra_body={"provider": {"sort": "price"}})
        limited, own = server.received
    assert limited.json["model"] == "openai/gpt-4o-mini:nitro"
    assert limited.json["models"] == ["openai/gpt-4o-mini:nitro", "openai/gpt-4o"]
    assert limited.json["provider"] == {"zdr": True, "max_price": {"prompt": "2.5", "completion": "10"}}
    assert own.json["provider"] == {"sort": "price"}


def test_a_preference_that_is_not_known_is_sent_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with raw_server() as server, caplog.at_level(logging.WARNING, "bursar"):
        config = configured(server, "openrouter", provider_preferences={"zdr": True, "sorted": "price"})
        with bursar.Client(config, books="memory:", budget_usd=1, per="total") as llm:
            for _ in range(2):
                llm.chat("Hi", model="openrouter/openai/gpt-4o-mini", max_tokens=5)
        assert [one.json["provider"] for one in server.received] == [{"zdr": True, "sorted": "price"}] * 2
    (line,) = [one.getMessage() for one in caplog.records if "preference" in one.getMessage()]
    assert line.startswith("llm.providers.openrouter.provider_preferences.sorted: ")
    assert line.endswith("did you mean sort?")
