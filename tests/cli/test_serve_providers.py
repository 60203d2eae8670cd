"""What is looked at before a gateway serves: a provider that can be asked, and none that is the gateway itself."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.cli.ending import EndedError
from bursar.cli.serve_providers import check_not_itself, hint_of
from bursar.config import Settings, load


def settings_of(config: dict[str, Any] | None = None, **environ: str) -> Settings:
    return load(config or {}, environ=environ)


def at(url: str) -> Settings:
    return settings_of(OPENAI_API_KEY="k", OPENAI_BASE_URL=url)


def test_a_hint_names_the_variables_that_are_missing() -> None:
    assert "OPENAI_API_KEY" in hint_of(settings_of())
    named = {"llm": {"active": "groq", "providers": {"groq": {"api_key": "${GROQ_API_KEY}"}}}}
    assert "set GROQ_API_KEY, and start again" in hint_of(settings_of(named))


@pytest.mark.parametrize(
    ("config", "environ"),
    [
        ({}, {"OPENAI_API_KEY": "k"}),
        ({"llm": {"providers": {"local": {"base_url": "http://gpu:8000/v1", "price": "free"}}}}, {}),
        ({"llm": {"active": "ollama"}}, {}),
    ],
)
def test_nothing_is_said_where_a_provider_can_be_asked(config: dict[str, Any], environ: dict[str, str]) -> None:
    assert hint_of(settings_of(config, **environ)) == ""


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8000/v1", "127.0.0.1"),
        ("http://localhost:8000/v1", "127.0.0.1"),
        ("http://localhost:8000/v1", "0.0.0.0"),
        ("http://[::1]:8000/v1", "::1"),
        ("http://gateway.example:8000/v1", "gateway.example"),
    ],
)
def test_a_gateway_that_would_ask_itself_is_not_started(url: str, host: str) -> None:
    with pytest.raises(EndedError, match=r"openai is at http://.*which is this gateway"):
        check_not_itself(at(url), host, 8000)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8001/v1", "http://gpu:8000/v1", "https://api.openai.com/v1", "http://10.0.0.9:8000/v1"]
)
def test_other_servers_are_no_loop(url: str) -> None:
    check_not_itself(at(url), "127.0.0.1", 8000)


def test_a_server_that_nobody_named_is_no_loop() -> None:
    settings = settings_of(OPENAI_API_KEY="k")
    ollama = settings.providers["ollama"]
    check_not_itself(settings, "127.0.0.1", int(ollama.base_url.split(":")[2].partition("/")[0]))
