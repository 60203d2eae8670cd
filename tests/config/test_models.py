"""What the name of a model stands for."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.config import Settings, candidates, load, resolve_model
from bursar.errors import ConfigError

ROUTER = {"OPENROUTER_API_KEY": "k"}
BOTH = ROUTER | {"OPENAI_API_KEY": "k"}


def settings(environ: dict[str, str] | None = None, **config: Any) -> Settings:
    return load(config, environ=environ or {}, books="memory:")


@pytest.mark.parametrize(
    ("environ", "name", "means"),
    [
        (BOTH, "openai/gpt-4o", ("openai", "gpt-4o")),
        (BOTH, "openrouter/anthropic/claude-sonnet-4.5", ("openrouter", "anthropic/claude-sonnet-4.5")),
        (BOTH, "openrouter/openai/gpt-4o:floor", ("openrouter", "openai/gpt-4o:floor")),
        (BOTH, "openrouter/openai/gpt-4o:nitro", ("openrouter", "openai/gpt-4o:nitro")),
        (BOTH, "openrouter/openai/gpt-4o:exacto", ("openrouter", "openai/gpt-4o:exacto")),
        (BOTH, "openrouter/deepseek/deepseek-r1:free", ("openrouter", "deepseek/deepseek-r1:free")),
        (ROUTER, "claude-haiku-4.5:nitro", ("openrouter", "anthropic/claude-haiku-4.5:nitro")),
        ({"GOOGLE_API_KEY": "k"}, "gemini-3-flash", ("gemini", "gemini-3-flash")),
        ({"ANTHROPIC_API_KEY": "k"} | ROUTER, "claude-haiku-4.5", ("anthropic", "claude-haiku-4.5")),
        (BOTH, "ollama/qwen3:8b", ("ollama", "qwen3:8b")),
        (BOTH, "gpt-4o-mini", ("openai", "gpt-4o-mini")),
        (BOTH, "o3", ("openai", "o3")),
        (BOTH, "o4-mini", ("openai", "o4-mini")),
        (BOTH, "text-embedding-3-small", ("openai", "text-embedding-3-small")),
        (BOTH, "claude-haiku-4.5", ("openrouter", "anthropic/claude-haiku-4.5")),
        (ROUTER, "gpt-4o", ("openrouter", "openai/gpt-4o")),
        (ROUTER, "gemini-3-flash", ("openrouter", "google/gemini-3-flash")),
        (ROUTER, "unheard-of", ("openrouter", "unheard-of")),
        ({"GROQ_API_KEY": "k"}, "llama-3.3-70b", ("groq", "llama-3.3-70b")),
    ],
)
def test_names(environ: dict[str, str], name: str, means: tuple[str, str]) -> None:
    assert resolve_model(settings(environ), name) == means


def test_a_bare_name_is_a_route_then_the_active_providers() -> None:
    llm = {"active": "openrouter", "providers": {"openrouter": {"model": "x/y"}}}
    made = settings(BOTH, llm=llm, routes={"fast": ["openai/a", "ollama/b"]})
    assert candidates(made, "fast") == (("openai", "a"), ("ollama", "b"))
    assert resolve_model(made, "fast") == ("openai", "a")
    assert resolve_model(made, "gpt-4o") == ("openrouter", "gpt-4o")
    assert resolve_model(made) == ("openrouter", "x/y")


def test_the_only_provider_of_the_file_is_meant_by_bare_names() -> None:
    made = settings(BOTH, llm={"providers": {"local": {"base_url": "http://gpu:8000/v1", "model": "qwen3"}}})
    assert resolve_model(made, "llama") == ("local", "llama")
    assert resolve_model(made) == ("local", "qwen3")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("opnai/gpt-4o", "did you mean openai?"),
        ("groq/llama", "groq has no API key: set GROQ_API_KEY"),
        ("anthropic/claude-haiku", "through OpenRouter it is openrouter/anthropic/claude-haiku"),
        ("xai/grok-4", "through OpenRouter it is openrouter/x-ai/grok-4"),
        ("azure/mine", "azure has no address: set AZURE_OPENAI_ENDPOINT"),
        ("mine/x", r"add llm\.providers\.mine: \{base_url: \.\.\.\}"),
        ("unheard-of", "say provider/model"),
        ("openai/", "a model is provider/model"),
        ("/gpt-4o", "a model is provider/model"),
        ("", "a word such as"),
        ("a b", "a word such as"),
        ("x" * 300, "a word such as"),
        (None, "no model was named"),
    ],
)
def test_a_name_that_stands_for_nothing_says_what_to_add(name: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve_model(settings(BOTH), name)


def test_without_any_key_the_error_names_the_variable() -> None:
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        resolve_model(settings(), "gpt-4o-mini")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        resolve_model(settings(), "openai/gpt-4o-mini")


def test_a_provider_without_a_default_model_says_which_key_to_set() -> None:
    with pytest.raises(ConfigError, match=r"set llm\.providers\.openai\.model"):
        resolve_model(settings({"OPENAI_API_KEY": "k"}))


def test_an_active_provider_without_a_key_is_an_error_when_it_is_used() -> None:
    made = settings(llm={"active": "groq"})
    assert resolve_model(made, "llama") == ("groq", "llama")
    with pytest.raises(ConfigError, match="GROQ_API_KEY"):
        made.providers["groq"].require_key()
    with pytest.raises(ConfigError, match=r"vllm needs llm\.providers\.vllm\.base_url"):
        settings(llm={"active": "vllm"})
