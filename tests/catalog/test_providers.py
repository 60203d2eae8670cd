"""Rows of the providers, and what the settings say over them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from bursar.catalog.providers import COLUMNS, DIALECTS, Provider, known_rows, provider_row, row_of
from bursar.config import load
from bursar.wire.dialects import dialect_at

NAMES = [
    "openai", "azure", "openrouter", "anthropic", "gemini", "groq", "mistral", "deepseek", "xai", "together",
    "fireworks", "cerebras", "ollama", "vllm",
]  # fmt: skip


def test_the_rows() -> None:
    assert list(known_rows()) == NAMES
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
    assert (openrouter.records, openrouter.account) == ("/generation", "/key")
    assert provider_row("groq").base_url == "https://api.groq.com/openai/v1"
    assert not provider_row("ollama").needs_key


@pytest.mark.parametrize("row", known_rows().values(), ids=lambda row: row.name)
def test_every_row_is_whole(row: Provider) -> None:
    assert row.base_url or row.base_url_variable
    assert not row.base_url.endswith("/")
    assert row.dialects
    assert set(row.dialects) <= set(DIALECTS)
    paths = {path for path in row.prefixes if (dialect := dialect_at(path)) and dialect.name in row.dialects}
    assert paths == set(row.prefixes)
    assert bool(row.key_variable) or not row.needs_key
    assert (row.base_url or row.base_path).endswith(row.base_path)
    assert row.max_keepalive <= row.max_connections
    assert hash(row) == hash(replace(row))


def test_what_differs_from_the_others() -> None:
    """What was found out at some cost, and would be lost in a row by a slip."""
    assert provider_row("anthropic").dialects == ("anthropic_messages",)
    assert [name for name, row in known_rows().items() if row.usage_field == ""] == [
        "openrouter",
        "anthropic",
        "mistral",
    ]
    assert [name for name, row in known_rows().items() if row.reports_cost] == ["openrouter", "xai"]
    assert [name for name, row in known_rows().items() if row.cancel_stops_billing] == ["openrouter"]
    assert {name: row.prefill for name, row in known_rows().items() if row.prefill} == {
        "openrouter": "plain", "anthropic": "plain", "groq": "plain", "mistral": "prefix", "ollama": "plain",
        "vllm": "continue_final_message",
    }  # fmt: skip
    assert [name for name, row in known_rows().items() if not row.refunds] == ["openai", "azure", "cerebras"]
    assert [name for name, row in known_rows().items() if row.auth != "bearer"] == ["azure", "anthropic"]
    assert provider_row("gemini").key_variables == ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    assert provider_row("ollama").key_variables == ()


def test_dialects_are_those_of_the_wire() -> None:
    paths = ("/chat/completions", "/embeddings", "/responses", "/messages")
    assert tuple(dialect.name for path in paths if (dialect := dialect_at(path))) == DIALECTS


def test_a_name_without_a_row_is_a_compatible_server() -> None:
    assert provider_row("gpu", "http://gpu:8000/v1/") == Provider("gpu", "http://gpu:8000/v1")
    mine = provider_row("mine", "http://proxy", row="openai")
    assert (mine.name, mine.base_url, mine.limit_field) == ("mine", "http://proxy", "max_completion_tokens")


@dataclass(frozen=True)
class Said:
    """Settings that say every column otherwise than any row."""

    name: str = "mine"
    row: str = "mistral"
    base_url: str = "http://mine/v1"
    auth: str = "none"
    dialects: tuple[str, ...] = ("embeddings",)
    api_version: str = "preview"
    limit_field: str = "max_completion_tokens"
    usage_field: str = "stream_options"
    settles: str = "reserved"
    rate_headers: str = "openai"
    reports_cost: bool = True
    bills_errors: bool = True
    cancel_stops_billing: bool = True
    prefill: str = "plain"


def test_what_the_settings_say_wins_over_the_row() -> None:
    row = row_of(Said())
    assert {column: getattr(row, column) for column in COLUMNS} == {
        column: getattr(Said(), column) for column in COLUMNS
    }
    assert (row.name, row.price_provider, row.key_variable) == ("mine", "mistral", "MISTRAL_API_KEY")


def test_every_column_that_settings_may_change_is_one_of_both() -> None:
    settings = load({}, environ={}, books="memory:").providers["ollama"]
    assert set(COLUMNS) <= {field.name for field in fields(Provider)} & {field.name for field in fields(settings)}
    assert row_of(settings) == known_rows()["ollama"]
