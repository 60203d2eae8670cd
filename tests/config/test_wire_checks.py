"""Keys that a provider never sees, or not as they are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_checks import PROVIDER, findings

MINE = "llm:\n  providers:\n    "
CASES = [
    (PROVIDER + "app_categories: [cli-agent]", "openai.app_categories", 4, "only OpenRouter"),
    (PROVIDER + "limit_route_price: true", "openai.limit_route_price", 4, "only OpenRouter"),
    (PROVIDER + "anthropic_beta: [a]", "openai.anthropic_beta", 4, "only Anthropic"),
    (MINE + "groq: {openai_beta: a}", "groq.openai_beta", 3, "only OpenAI"),
    (PROVIDER + "openai_beta: assistants=v2", "openai.openai_beta", 4, "closed in August 2026"),
    (PROVIDER + "app_name: Müller", "openai.app_name", 4, "plain ASCII"),
    (PROVIDER + "api_key: ${KEY}\n      auth: none", "openai.auth", 5, "the api_key is not sent"),
    (
        MINE + "azure: {base_url: 'https://r.openai.azure.com'}",
        "azure.base_url",
        3,
        "the API of azure is below /openai/v1: https://r.openai.azure.com/openai/v1",
    ),
    (
        MINE + "azure: {base_url: 'https://r.openai.azure.com/openai/deployments/{model}'}",
        "azure.base_url",
        3,
        "need api_version",
    ),
    (PROVIDER + "on_abort: cancel", "openai.on_abort", 4, "openai bills the whole reply: streams that callers leave"),
    (
        MINE + "openrouter: {cancel_stops_billing: false, on_abort: cancel}",
        "openrouter.on_abort",
        3,
        "openrouter bills the whole reply",
    ),
    (PROVIDER + "on_abort: counted", "openai.on_abort", 4, "for a part of it is too little"),
    (
        PROVIDER + "cancel_stops_billing: true\n      on_abort: cancel",
        "openai.on_abort",
        5,
        "openai keeps no record of what it came to",
    ),
]


@pytest.mark.parametrize(("text", "key", "line", "words"), CASES, ids=[case[3] for case in CASES])
def test_it_is_found_where_it_stands(tmp_path: Path, text: str, key: str, line: int, words: str) -> None:
    found = [one for one in findings(tmp_path, text, {"KEY": "k"}) if words in one.message]
    assert [(one.level, one.key, one.line) for one in found] == [("warning", f"llm.providers.{key}", line)]


@pytest.mark.parametrize(
    "text",
    [
        MINE + "openrouter: {app_categories: [cli-agent], limit_route_price: true, app_url: 'https://a.example'}",
        MINE + "anthropic: {anthropic_beta: [a]}",
        MINE + "deepseek: {anthropic_beta: [a]}",
        MINE + "mine: {base_url: 'http://gpu/v1', dialects: [anthropic_messages], anthropic_beta: [a]}",
        PROVIDER + "openai_beta: realtime=v1",
        PROVIDER + "on_abort: drain",
        MINE + "openrouter: {on_abort: cancel}",
        MINE + "openrouter: {on_abort: counted}",
        MINE + "azure: {base_url: 'https://r.openai.azure.com/openai/v1'}",
        MINE + "azure: {base_url: 'https://r.openai.azure.com/openai/deployments/{model}', api_version: 2024-10-21}",
        MINE + "eu: {row: openai, base_url: 'https://eu.api.openai.com/v1', organization: a}",
    ],
)
def test_what_can_be_meant_is_not_found(tmp_path: Path, text: str) -> None:
    assert findings(tmp_path, text) == []


def test_a_deployment_without_a_price_says_how_to_name_its_model(tmp_path: Path) -> None:
    text = (
        "budgets: {all: {usd: 5, per: day}}\n" + MINE + "azure:\n      base_url: https://r.openai.azure.com/openai/v1"
        "\n      model: my-gpt4o"
    )
    (found,) = findings(tmp_path, text)
    assert (found.key, found.line) == ("llm.providers.azure.model", 6)
    assert "which model it is a deployment of, deployments: {my-gpt4o: gpt-4o}" in found.message
    assert findings(tmp_path, text + "\n      deployments: {my-gpt4o: gpt-4o}") == []
