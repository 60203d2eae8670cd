"""Your prices beside the list, and the list beside newer ones, from a file or fetched where that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Bursar
from tests.cli.pages import serving

OPENAI = {
    "id": "openai",
    "name": "OpenAI",
    "api_pattern": "https://api\\.openai\\.com",
    "models": [
        {"id": "gpt-4o", "match": {"equals": "gpt-4o"}, "prices": {"input_mtok": "2.50", "output_mtok": "9"}},
        {"id": "gpt-9", "match": {"equals": "gpt-9"}, "prices": {"input_mtok": 1}},
    ],
}


def rows(bursar: Bursar, *arguments: str) -> Any:
    ended = bursar("prices", "diff", *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return {(row["model"], row["unit"]): (row["before"], row["after"]) for row in json.loads(ended.stdout)}


def test_a_newer_list_in_a_file(bursar: Bursar, folder: Path) -> None:
    (folder / "data.json").write_text(json.dumps([OPENAI]))
    found = rows(bursar, "data.json", "--provider", "openai")
    assert found["openai/gpt-4o", "output"] == ("10.00", "9.00")
    assert found["openai/gpt-4o", "cached_input"] == ("1.25", None)
    assert ("openai/gpt-4o", "input") not in found
    assert found["openai/gpt-9", "input"] == (None, "1.00")
    assert found["openai/o3", "input"] == ("2.00", None)
    shown = bursar("prices", "diff", "data.json", "--provider", "openai")
    assert "models differ" in shown.stderr
    assert bursar("prices", "diff", "data.json", "--provider", "opnai").exit_code == 1


def test_your_own_prices_beside_the_list(bursar: Bursar, folder: Path) -> None:
    assert "You have no prices of your own." in bursar("prices", "diff").stderr
    (folder / "bursar.yaml").write_text(
        "prices:\n"
        "  openai/gpt-4o: {input: 2.50, cached_input: 1.25, output: 11, web_searches: 10, file_searches: 2.5}\n"
        "  openai/mine: {input: 1, output: 2}\n  openai/o3: {from: 2099-01-01, input: 7}\n"
    )
    for words in ((), ("--installed",)):
        assert rows(bursar, *words) == {
            ("openai/gpt-4o", "output"): ("11.00", "10.00"),
            ("openai/mine", "input"): ("1.00", None),
            ("openai/mine", "output"): ("2.00", None),
        }


def test_of_one_provider_and_in_the_units_that_people_know(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text(
        "prices:\n  openai/gpt-4o: {input: 2.50, cached_input: 1.25, output: 10, web_searches: 12}\n  groq/x: free\n"
    )
    assert rows(bursar, "--provider", "groq") == {("groq/x", unit): ("0.00", None) for unit in ("input", "output")}
    assert {model for model, _ in rows(bursar)} == {"openai/gpt-4o", "groq/x"}
    shown = bursar("prices", "diff", "--provider", "openai")
    assert "web searches   12.00 a thousand  10.00 a thousand" in shown.stdout
    assert "1 model differs" in shown.stderr
    for other in ((), ("data.json",)):
        (folder / "data.json").write_text(json.dumps([OPENAI]))
        ended = bursar("prices", "diff", *other, "--provider", "opnai")
        assert (ended.exit_code, "did you mean openai?" in ended.stderr) == (1, True), ended.output


def test_a_provider_by_our_name_in_a_newer_list(bursar: Bursar, folder: Path) -> None:
    (folder / "data.json").write_text(json.dumps([OPENAI | {"id": "google"}]))
    assert rows(bursar, "data.json", "--provider", "gemini")["google/gpt-9", "input"] == (None, "1.00")


def test_the_newest_list_is_fetched_where_that_is_said(bursar: Bursar) -> None:
    with serving({"/data.json": json.dumps([OPENAI]).encode(), "/none.json": b"{}"}) as url:
        assert rows(bursar, "--fetch", f"{url}/data.json", "--provider", "openai")["openai/gpt-9", "input"][1] == "1.00"
        for path, said in (("/none.json", "provider array"), ("/missing.json", "404")):
            ended = bursar("prices", "diff", "--fetch", url + path)
            assert (ended.exit_code, said in ended.stderr) == (4, True), ended.output


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[{"id": 3}]', '[{"id": "a", "models": 7}]'])
def test_what_is_no_list(bursar: Bursar, folder: Path, text: str) -> None:
    (folder / "data.json").write_text(text)
    ended = bursar("prices", "diff", "data.json")
    assert (ended.exit_code, "data.json is not data of genai-prices" in ended.stderr) == (1, True), ended.output


def test_one_comparison_at_a_time(bursar: Bursar, folder: Path) -> None:
    (folder / "data.json").write_text("[]")
    assert bursar("prices", "diff", "data.json", "--installed").exit_code == 2
    assert bursar("prices", "diff", "missing.json").exit_code == 1
