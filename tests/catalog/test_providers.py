"""Rows of the providers, and what of them goes into a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bursar.catalog.providers import Provider, headers_of, known_rows, provider_row, target_of
from bursar.errors import ConfigError
from bursar.wire.dialect import Request

CHAT = Request(b"{}", "openai_chat", "m")


@dataclass(frozen=True)
class Given:
    """Settings of a user, as far as a request needs them."""

    name: str = "openrouter"
    app_name: str | None = None
    app_url: str | None = None
    organization: str | None = None
    project: str | None = None
    extra_headers: Mapping[str, str] = field(default_factory=dict)
    enable_fallbacks: bool = True
    fallback_models: tuple[str, ...] = ()
    provider_preferences: Mapping[str, Any] = field(default_factory=dict)


def test_the_rows() -> None:
    assert list(known_rows()) == ["openai", "openrouter", "groq", "ollama", "vllm"]
    openai, openrouter = provider_row("openai"), provider_row("openrouter")
    assert (openai.max_connections, openai.max_keepalive, openai.keepalive_expiry) == (100, 20, 5.0)
    assert (openrouter.max_connections, openrouter.max_keepalive, openrouter.keepalive_expiry) == (50, 10, 10.0)
    assert (openai.connect_timeout, openai.read_timeout, openai.write_timeout, openai.pool_timeout) == (10, 60, 10, 10)
    assert (openai.limit_field, openai.refunds, openai.key_variable) == (
        "max_completion_tokens",
        False,
        "OPENAI_API_KEY",
    )
    assert (openrouter.limit_field, openrouter.refunds, openrouter.reports_cost) == ("max_tokens", True, True)
    assert provider_row("groq").base_url == "https://api.groq.com/openai/v1"
    assert not provider_row("ollama").needs_key


def test_a_name_without_a_row_is_a_compatible_server() -> None:
    assert provider_row("gpu", "http://gpu:8000/v1/") == Provider("gpu", "http://gpu:8000/v1")
    mine = provider_row("mine", "http://proxy", row="openai")
    assert (mine.name, mine.base_url, mine.limit_field) == ("mine", "http://proxy", "max_completion_tokens")


def test_openrouter_hears_which_app_asks() -> None:
    row = provider_row("openrouter")
    headers = headers_of(row, "key", Given(app_name="MCP Platform", app_url="https://localhost:8000"))
    assert headers == {
        "Content-Type": "application/json",
        "User-Agent": headers["User-Agent"],
        "Authorization": "Bearer key",
        "HTTP-Referer": "https://localhost:8000",
        "X-OpenRouter-Title": "MCP Platform",
        "X-Title": "MCP Platform",
    }
    assert headers["User-Agent"].startswith("MCP-Platform bursar/")


def test_openai_hears_organization_and_project() -> None:
    given = Given(name="openai", organization="org", project="proj", app_name="a", app_url="u")
    headers = headers_of(provider_row("openai"), "key", given)
    assert (headers["OpenAI-Organization"], headers["OpenAI-Project"]) == ("org", "proj")
    assert not {"HTTP-Referer", "X-Title", "OpenAI-Beta"} & headers.keys()
    assert "OpenAI-Organization" not in headers_of(provider_row("groq"), "key", given)


def test_a_server_without_a_key_gets_none_and_own_headers_win() -> None:
    given = Given(name="ollama", extra_headers={"user-agent": "mine", "X-Team": "a"})
    headers = headers_of(provider_row("ollama"), "", given)
    assert headers == {"Content-Type": "application/json", "user-agent": "mine", "X-Team": "a"}


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX: y", "ключ", "a" * 9_000, "a\x00"])
def test_a_value_that_cannot_be_a_header_is_refused_and_not_shown(value: str) -> None:
    for key, given in ((value, Given()), ("key", Given(app_url=value)), ("key", Given(extra_headers={"X-A": value}))):
        with pytest.raises(ConfigError, match="one line of plain ASCII") as refused:
            headers_of(provider_row("openrouter"), key, given)
        assert value not in str(refused.value)


def test_fallbacks_and_preferences_reach_openrouter() -> None:
    given = Given(
        fallback_models=("openai/gpt-4o-mini", "a/b", "a/b"), provider_preferences={"data_collection": "deny"}
    )
    target = target_of(provider_row("openrouter"), "openai/gpt-4o-mini", given, CHAT)
    assert target.extra == {"models": ["openai/gpt-4o-mini", "a/b"], "provider": {"data_collection": "deny"}}
    assert target.reaches == ("a/b",)
    assert (target.limit_field, target.usage_field) == ("max_tokens", "")


def test_fallbacks_can_be_turned_off_and_go_nowhere_else() -> None:
    given = Given(fallback_models=("a/b",), enable_fallbacks=False)
    assert target_of(provider_row("openrouter"), "m", given, CHAT).extra == {}
    reaching = Given(fallback_models=("a/b",), provider_preferences={"sort": "price"})
    assert target_of(provider_row("openai"), "m", reaching, CHAT).extra == {}
    embedding = Request(b"{}", "embeddings", "m")
    assert target_of(provider_row("openrouter"), "m", reaching, embedding).reaches == ()
