"""What a row says and the file says otherwise: read, refused with the nearest word, shown as it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.catalog.providers import COLUMNS, row_of
from bursar.config import ProviderSettings, load
from bursar.errors import ConfigError

MINE = "llm:\n  providers:\n    mine:\n      base_url: http://gpu:8000/v1\n      "


def mine(tmp_path: Path, text: str) -> ProviderSettings:
    file = tmp_path / "bursar.yaml"
    file.write_text(MINE + text)
    return load(file, environ={}).providers["mine"]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("base_url", "https://r.openai.azure.com/openai/deployments/{model}", None),
        ("auth", "x-api-key", None),
        ("dialects", "[anthropic_messages, openai_chat]", ("anthropic_messages", "openai_chat")),
        ("api_version", "2024-10-21", None),
        ("limit_field", "max_completion_tokens", None),
        ("usage_field", "none", ""),
        ("settles", "reserved", None),
        ("rate_headers", "groq", None),
        ("reports_cost", "true", True),
        ("bills_errors", "true", True),
        ("cancel_stops_billing", "true", True),
        ("prefill", "continue_final_message", "continue_final_message"),
    ],
)
def test_every_column_can_be_said_otherwise(tmp_path: Path, key: str, text: str, value: Any) -> None:
    file = tmp_path / "bursar.yaml"
    beside = "" if key == "base_url" else "base_url: 'http://gpu:8000/v1'\n      "
    file.write_text(f"llm:\n  providers:\n    mine:\n      {beside}{key}: {text}\n")
    row = row_of(load(file, environ={}).providers["mine"])
    assert getattr(row, key) == (text if value is None else value)
    assert key in COLUMNS


def test_none_of_the_columns_was_left_out() -> None:
    (mark,) = test_every_column_can_be_said_otherwise.pytestmark
    assert tuple(case[0] for case in mark.args[1]) == COLUMNS


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("auth: x-api-kee", "auth", "did you mean x-api-key?"),
        ("dialects: [openai_chats]", "dialects[0]", "did you mean openai_chat?"),
        ("dialects: openai_chat", "dialects", "expected a list"),
        ("dialects: []", "dialects", "one or more of openai_chat"),
        ("dialects: [embeddings, embeddings]", "dialects", "each once"),
        ("usage_field: stream_option", "usage_field", "did you mean stream_options?"),
        ("settles: reservd", "settles", "did you mean reserved?"),
        ("rate_headers: anthropik", "rate_headers", "did you mean anthropic?"),
        ("limit_field: max_new_tokens", "limit_field", "expected max_tokens or max_completion_tokens"),
        ("reports_cost: perhaps", "reports_cost", "true or false"),
        ("api_version: 'a b'", "api_version", "a version such as"),
        ("row: azur", "row", "did you mean azure?"),
        ("deployments: [a]", "deployments", "such as {my-gpt4o: gpt-4o}"),
        ("deployments: {a: 4}", "deployments.a", "the name of a model"),
        ("anthropic_beta: a", "anthropic_beta", "expected a list"),
        ("anthropic_beta: ['a,b']", "anthropic_beta[0]", "the name of a beta"),
        ("openai_beta: 'ключ'", "openai_beta", "one line of plain characters"),
        ("app_categories: [CLI]", "app_categories[0]", "a category such as cli-agent"),
        ("setles: actual", "setles", "did you mean settles?"),
    ],
)
def test_what_cannot_stand_there_is_refused_where_it_stands(tmp_path: Path, text: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"bursar\.yaml:5: ") as refused:
        mine(tmp_path, text)
    assert refused.value.key == f"llm.providers.mine.{key}"
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://gpu/{models}", "http://gpu/{}", "http://gpu/}", "http://gpu/{", "http://gpu/{model}/{x}"]
)
def test_an_address_holds_no_other_name_in_braces(url: str) -> None:
    with pytest.raises(ConfigError, match=r"the one name in braces .* is \{model\}"):
        load({"llm": {"providers": {"mine": {"base_url": url}}}}, environ={})
