"""Dialects by name and by path, and the one that a request goes out in."""

from __future__ import annotations

import pytest

from bursar.wire.dialects import dialect_at, dialect_named, translation

NAMES = ("openai_chat", "openai_responses", "anthropic_messages", "embeddings", "chat_over_messages")


@pytest.mark.parametrize("name", NAMES)
def test_each_dialect_is_found_by_its_name(name: str) -> None:
    assert getattr(dialect_named(name), "name", None) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai_chat"),
        ("chat/completions/", "openai_chat"),
        ("/openai/v1/chat/completions?a=b", "openai_chat"),
        ("/chat/completions#x", "openai_chat"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/messages", "anthropic_messages"),
        ("/v1/responses", "openai_responses"),
        ("/v1/messages/count_tokens", None),
        ("/v1/chat/completions/x", None),
        ("", None),
        ("/", None),
    ],
)
def test_each_format_is_found_by_its_path(path: str, name: str | None) -> None:
    assert getattr(dialect_at(path), "name", None) == name


def test_a_name_that_there_is_not() -> None:
    assert dialect_named("telepathy") is None


@pytest.mark.parametrize(
    ("asked", "spoken", "name"),
    [
        ("openai_chat", ("openai_chat", "embeddings"), "openai_chat"),
        ("openai_chat", ("anthropic_messages",), "chat_over_messages"),
        ("openai_chat", ("anthropic_messages", "openai_chat"), "openai_chat"),
        ("anthropic_messages", ("anthropic_messages",), "anthropic_messages"),
        ("openai_responses", ("anthropic_messages",), None),
        ("anthropic_messages", ("openai_chat",), None),
        ("embeddings", ("anthropic_messages",), None),
        ("openai_chat", (), None),
    ],
)
def test_what_a_request_goes_out_in(asked: str, spoken: tuple[str, ...], name: str | None) -> None:
    assert getattr(translation(asked, spoken), "name", None) == name
