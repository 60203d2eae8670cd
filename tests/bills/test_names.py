"""One model under its names."""

from __future__ import annotations

import pytest

from bursar.bills.names import Names, stem_of


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-4-0613", "gpt-4"),
        ("GPT-4o", "gpt-4o"),
        ("chatgpt-4o-latest", "chatgpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("openai/gpt-4o:nitro", "openai/gpt-4o"),
        ("llama-3.1-8b-instant", "llama-3.1-8b-instant"),
        ("text-embedding-3-small", "text-embedding-3-small"),
    ],
)
def test_stems(name: str, stem: str) -> None:
    assert stem_of(name) == stem


def test_the_same_name_wins_over_the_same_stem() -> None:
    names = Names([("gpt-4o-2024-08-06", ""), ("gpt-4o", ""), ("gpt-4o-2024-11-20", "")])
    assert names.of("gpt-4o") == "gpt-4o"
    assert names.of("gpt-4o-2024-08-06") == "gpt-4o-2024-08-06"
    assert names.of("GPT-4o-2024-08-06") == "gpt-4o-2024-08-06"


def test_another_name_of_the_same_line() -> None:
    names = Names([("anthropic/claude-4.5-sonnet-20250929", "anthropic/claude-sonnet-4.5")])
    assert names.of("anthropic/claude-sonnet-4.5") == "anthropic/claude-4.5-sonnet-20250929"
    assert names.of("anthropic/claude-sonnet-4.5:floor") == "anthropic/claude-4.5-sonnet-20250929"


def test_what_the_bill_does_not_know_keeps_its_name() -> None:
    assert Names([("gpt-4o", "")]).of("gpt-4o-mini") == "gpt-4o-mini"
    assert Names([]).of("Mine") == "Mine"
