"""`bursar estimate` needs no key, sends nothing and makes no books."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Bursar


def test_without_a_key_in_an_empty_folder(bursar: Bursar, folder: Path) -> None:
    ended = bursar("estimate", "--model", "openai/gpt-4o-mini", "--max-tokens", "100", "Name three rivers.")
    assert ended.exit_code == 0, ended.output
    rows = dict(line.rsplit("  ", 1) for line in ended.stdout.splitlines() if "  " in line)
    assert {name.strip(): value.strip() for name, value in rows.items()}["tokens out, at most"] == "100"
    assert "No budget binds this call" in ended.stderr
    assert list(folder.iterdir()) == []


def test_bare_names_find_their_maker(bursar: Bursar) -> None:
    shown = json.loads(bursar("estimate", "--json", "--model", "gpt-4o-mini", "--max-tokens", "100", "hi").stdout)
    assert shown["model"] == "openai/gpt-4o-mini"
    assert shown["most_nano_usd"] > shown["likely_nano_usd"] > 0


def test_budgets_of_the_file_are_looked_at(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("budgets: {tiny: {usd: 0.00001, per: day}, large: {usd: 5, per: day}}\n")
    ended = bursar("estimate", "--model", "openai/gpt-4o-mini", "--max-tokens", "100", "hi")
    fits = {line.split()[1]: line for line in ended.stdout.splitlines() if line.startswith("budget ")}
    assert "does not fit" in fits["tiny"]
    assert " fits: $5.00 left" in fits["large"]
    assert [path.name for path in folder.iterdir()] == ["bursar.yaml"]


def test_an_unknown_price_is_unknown(bursar: Bursar) -> None:
    ended = bursar("estimate", "--model", "openai/gpt-99", "hi")
    assert ended.exit_code == 0
    assert ended.stdout.count("unknown") == 3
    assert "$0.00" not in ended.stdout
    assert json.loads(bursar("estimate", "--json", "--model", "openai/gpt-99", "hi").stdout)["most_nano_usd"] is None


def test_an_unknown_model_is_shown_its_likes_and_half_a_price_what_it_lacks(bursar: Bursar, folder: Path) -> None:
    assert "near it: openai/gpt-4o-mini" in bursar("estimate", "--model", "openai/gpt-4o-mni", "hi").stderr
    (folder / "bursar.yaml").write_text("prices: {openai/gpt-4o: {input: 2.50}}\n")
    ended = bursar("estimate", "--model", "openai/gpt-4o", "hi")
    assert "its price in bursar.yaml has no input or no output" in ended.stderr


def test_no_model_and_no_provider(bursar: Bursar) -> None:
    assert "--model PROVIDER/MODEL" in bursar("estimate", "hi").stderr
    assert "did you mean openai?" in bursar("estimate", "--model", "opnai/gpt-4o", "hi").stderr
