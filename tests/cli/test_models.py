"""`bursar models`: names, prices and output maxima."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bursar.config.explaining import usd_per_million
from tests.cli.conftest import Bursar


def test_one_provider_and_part_of_a_name(bursar: Bursar) -> None:
    rows = {
        row["model"]: row for row in json.loads(bursar("models", "4o-mini", "--provider", "openai", "--json").stdout)
    }
    assert rows["openai/gpt-4o-mini"]["output_tokens_max"] == 16_384
    assert rows["openai/gpt-4o-mini"]["usd_per_million"]["output"] == "0.60"
    assert all(name.startswith("openai/") and "4o-mini" in name for name in rows)


def test_those_that_can_be_called_come_without_asking(bursar: Bursar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert {row["model"].split("/")[0] for row in json.loads(bursar("models", "--json").stdout)} == {"groq"}


def test_overrides_are_models_too(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("prices: {openai/own: {input: 1.5, output: 2}}\n")
    assert "openai/own   1.50            2.00" in " ".join(
        bursar("models", "own", "--provider", "openai").stdout.split("\n")
    )


def test_a_table_of_80_columns_and_nobody_s_models(bursar: Bursar) -> None:
    assert max(map(len, bursar("models", "gpt-4o").stdout.splitlines())) <= 80
    assert "No models with 'zzz'" in bursar("models", "zzz").stderr
    assert "did you mean openai?" in bursar("models", "--provider", "opnai").stderr


def test_prices_are_exact() -> None:
    assert usd_per_million(1) == "0.000001"
    assert usd_per_million(15_000_000) == "15.00"
