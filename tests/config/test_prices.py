"""The user's own prices: what they come to, with tiers, long inputs and pieces, and where fetched ones are kept."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from bursar.config import load, price_book
from bursar.config.prices import fetched_file
from bursar.config.showing import show
from bursar.errors import ConfigError
from bursar.rules.usage import Usage

DAY = date(2026, 11, 22)
YAML = """
books: books.db
llm: {providers: {openai: {discount: 50%}}}
prices:
  openai/mine:
    - {from: 2026-01-01, input: 1, output: 2}
    - from: 2026-06-01
      input: 4
      output: 8
      cache_write_1h: 9
      web_searches: 10
      above: {200_000: {input: 5}, 400000: {output: 20}}
      tiers:
        flex: {input: 2, above: {200000: {input: 3}}}
        batch+us: {output: 1, above: {100: {output: 1.5}}}
"""


def loaded(folder: Path, text: str = YAML) -> Any:
    (folder / "bursar.yaml").write_text(text)
    return load(folder / "bursar.yaml", environ={"OPENAI_API_KEY": "k"})


def test_tiers_lengths_and_pieces(tmp_path: Path) -> None:
    book = price_book(loaded(tmp_path))

    def cost(tier: str, *usage: Any, day: date = DAY) -> int | None:
        found = book.card("openai", "mine", day, tier)
        return found.cost_nano_usd(Usage.of(*usage)) if found else None

    assert cost("", 100, 10) == 480_000
    assert cost("", 100, 10, day=date(2026, 5, 31)) == 120_000
    assert cost("", 100, 0, {"cache_write_1h": 100, "web_searches": 3}) == 900_000 + 30_000_000
    assert cost("", 200_000, 1) == 800_008_000
    assert cost("", 200_001, 1) == 1_000_005_000 + 8_000
    assert cost("", 400_001, 1) == 2_000_005_000 + 20_000
    # A tier begins with the model's own prices, and has its own ones above a length.
    assert cost("flex", 100, 10) == 280_000
    assert cost("flex", 200_001, 1) == 600_003_000 + 8_000
    assert cost("batch+us", 100, 10) == 410_000
    assert cost("batch+us", 101, 10) == 404_000 + 15_000
    assert cost("priority", 1, 1) is None
    for tier in ("", "flex", "batch+us"):
        found = book.card("openai", "mine", DAY, tier)
        assert found is not None
        assert (found.version, found.listed) == (f"bursar.yaml 2026-06-01 {tier}".rstrip(), False)


def test_what_is_shown_reads_back_as_the_same(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    again = loaded(tmp_path, show(settings).replace("# api_key", "#"))
    assert again.prices == settings.prices
    assert "web_searches: 10" in show(settings)


def test_fetched_prices_stand_beside_the_books(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "books: kept/my.db\nllm: {providers: {openrouter: {api_key: k}}}\n")
    file = fetched_file(settings, "openrouter")
    assert file == tmp_path / "kept" / "my.db-prices-openrouter.jsonl"
    book = price_book(settings)
    before = book.card("openrouter", "openai/gpt-4o", DAY)
    assert before is not None
    assert before.version.startswith("genai-prices")
    file.parent.mkdir()
    models = {"openai/gpt-4o": {"prompt": "1e-6", "completion": "2e-6"}}
    line = json.dumps({"provider": "openrouter", "at": "2026-11-20T00:00:00+00:00", "models": models}).encode()
    file.write_bytes(line + b"\n")
    after = price_book(settings).card("openrouter", "openai/gpt-4o", DAY)
    assert after is not None
    assert (after.version, after.pico_usd["output"]) == ("openrouter 2026-11-20", 2_000_000)
    assert fetched_file(loaded(tmp_path, "books: 'memory:'\n"), "openrouter") is None
    assert price_book(loaded(tmp_path, "books: 'memory:'\n")).card("openrouter", "openai/gpt-4o", DAY) == before


def test_a_file_of_prices_that_cannot_be_read_is_an_error_and_not_the_list(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    file = fetched_file(settings, "openrouter")
    assert file is not None
    file.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        price_book(settings).card("openrouter", "openai/gpt-4o", DAY)
