"""What models can do, by the names they go by."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from bursar.catalog.models import context_window, is_reasoning, maker_name, output_max, server_tools
from bursar.wire.dialect import CONTEXT_TOKENS_MAX

MODELS = [
    ("openai", "gpt-4o", 16_384, False),
    ("openai", "gpt-4o-2024-05-13", 4_096, False),
    ("openai", "gpt-4o-mini-2024-07-18", 16_384, False),
    ("openai", "ft:gpt-4o-mini-2024-07-18:acme::1", 16_384, False),
    ("openai", "gpt-4.1-nano", 32_768, False),
    ("openai", "gpt-4-turbo-2024-04-09", 4_096, False),
    ("openai", "gpt-4", 8_192, False),
    ("openai", "gpt-4-0613", 8_192, False),
    ("openai", "gpt-4-0125-preview", 4_096, False),
    ("openai", "gpt-3.5-turbo", 4_096, False),
    ("openai", "o1-mini", 65_536, True),
    ("openai", "o1", 100_000, True),
    ("openai", "o4-mini", 100_000, True),
    ("openai", "gpt-5.6-sol", 128_000, True),
    ("openai", "gpt-5-chat-latest", 16_384, False),
    ("openai", "text-embedding-3-small", 0, False),
    ("openrouter", "anthropic/claude-3-haiku", 4_096, False),
    ("openrouter", "anthropic/claude-3.5-sonnet", 8_192, False),
    ("openrouter", "anthropic/claude-3.7-sonnet:thinking", 64_000, True),
    ("openrouter", "anthropic/claude-opus-4.1", 32_000, True),
    ("openrouter", "anthropic/claude-4.5-sonnet-20250929", 64_000, True),
    ("openrouter", "anthropic/claude-sonnet-4-5", 64_000, True),
    ("openrouter", "anthropic/claude-4.6-sonnet-20260217", 128_000, True),
    ("openrouter", "anthropic/claude-opus-4.8", 128_000, True),
    ("openrouter", "anthropic/claude-opus-5", 128_000, True),
    ("openrouter", "google/gemini-2.5-flash", 65_536, True),
    ("openrouter", "meta-llama/llama-3.1-8b-instruct:free", 8_192, False),
    ("groq", "llama-3.3-70b-versatile", 32_768, False),
    ("groq", "openai/gpt-oss-120b", 32_768, True),
    ("ollama", "qwen3:4b", 8_192, True),
    ("local", "mine", 4_096, False),
    ("local", "", 4_096, False),
]


@pytest.mark.parametrize(("provider", "model", "output", "reasoning"), MODELS)
def test_output_and_reasoning(provider: str, model: str, output: int, reasoning: bool) -> None:
    assert output_max(provider, model) == output
    assert is_reasoning(provider, model) is reasoning


def test_context_windows_are_never_too_small() -> None:
    from genai_prices.data import providers

    # Llama 4 Scout is said to read ten million tokens; nobody who speaks this dialect serves it with more than one.
    for provider in providers:
        for model in provider.models:
            known = min(model.context_window or 0, CONTEXT_TOKENS_MAX)
            assert context_window(provider.id, model.id) >= known, model.id
    assert context_window("local", "mine") == CONTEXT_TOKENS_MAX


def test_models_that_search_by_themselves_are_named() -> None:
    for model in ("gpt-4o-search-preview", "compound-beta", "groq/compound", "perplexity/sonar-pro", "x/y:online"):
        assert server_tools("any", model) == (f"model {model}",)
    assert server_tools("openai", "gpt-4o") == ()


def test_names() -> None:
    assert maker_name("openrouter/OpenAI/GPT-4o:nitro") == "gpt-4o"


def test_no_pattern_is_hidden_behind_another() -> None:
    catalog = tomllib.loads(files("bursar.catalog").joinpath("models.toml").read_text("utf-8"))
    patterns = [pattern for entry in catalog["model"] for pattern in entry["match"]]
    assert len(patterns) == len(set(patterns))
