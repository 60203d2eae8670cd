"""What OpenRouter publishes, fetched and kept with its date; a simulator, and pages that go wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bursar.sim.process import SimProcess
from tests.cli.conftest import Bursar
from tests.cli.pages import serving

FILE = "bursar.db-prices-openrouter.jsonl"


def model(name: str, prompt: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "pricing": {"prompt": prompt, "completion": "0.00001", **more}}


def page(*models: Mapping[str, Any]) -> dict[str, bytes]:
    return {"/api/v1/models": json.dumps({"data": models}).encode()}


def configure(folder: Path, url: str, more: str = "") -> None:
    (folder / "bursar.yaml").write_text(
        f"llm: {{providers: {{openrouter: {{base_url: {url}/api/v1, api_key: sk-secret{more}}}}}}}\n"
    )


def update(bursar: Bursar) -> Any:
    ended = bursar("prices", "update", "--provider", "openrouter", "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_prices_are_kept_with_their_date_and_hold_between_your_own_and_the_list(bursar: Bursar, folder: Path) -> None:
    asked: list[dict[str, str]] = []
    with serving(page(model("openai/gpt-4o", "0.000009"), model("new/one", "0.000001", discount=0.0)), asked) as url:
        configure(folder, url)
        first = update(bursar)
        again = update(bursar)
    assert (first["models"], first["new"], first["changed"], first["gone"]) == (2, 2, 0, 0)
    assert (again["models"], again["new"], again["changed"], again["gone"]) == (2, 0, 0, 0)
    assert asked[0]["Authorization"] == "Bearer sk-secret"
    with serving(page(model("openai/gpt-4o", "0.000008"))) as url:
        configure(folder, url)
        said = bursar("prices", "update")
        assert "openrouter: 1 model; 0 new, 1 changed, 1 gone" in said.stdout
    lines = [json.loads(line) for line in (folder / FILE).read_bytes().splitlines()]
    assert [len(line["models"]) for line in lines] == [2, 0, 2]
    assert lines[2]["models"]["new/one"] is None
    [row] = json.loads(bursar("prices", "show", "openrouter/openai/gpt-4o", "--date", "2030-01-01", "--json").stdout)
    assert row["usd_per_million"]["input"] == "8.00"
    assert row["source"] == f"openrouter {lines[2]['at'][:10]}"
    assert "openrouter: newest price of" in bursar("prices").stdout
    # Of a day before it was fetched, the list still holds.
    [old] = json.loads(bursar("prices", "show", "openrouter/openai/gpt-4o", "--date", "2026-01-01", "--json").stdout)
    assert old["source"].startswith("genai-prices")


def test_a_line_that_was_cut_short_stays_by_itself(bursar: Bursar, folder: Path) -> None:
    with serving(page(model("a/b", "0.000009"))) as url:
        configure(folder, url)
        update(bursar)
        whole = (folder / FILE).read_bytes()
        (folder / FILE).write_bytes(whole + whole[:30])
        assert update(bursar)["new"] == 0
        assert json.loads((folder / FILE).read_bytes().splitlines()[-1])["models"] == {}


@pytest.mark.parametrize(
    ("pages", "code", "said"),
    [
        ({}, 4, "answered with status 404"),
        ({"/api/v1/models": b"<html>"}, 4, "something else than a list of models"),
        ({"/api/v1/models": b"[" * 100_000}, 4, "something else than a list of models"),
        ({"/api/v1/models": b'{"data": {}}'}, 4, "something else than a list of models"),
        ({"/api/v1/models": b'{"data": []}'}, 1, "lists no model with a price"),
        ({"/api/v1/models": b'{"data": [1, {"id": 3}]}'}, 1, "lists no model with a price"),
    ],
)
def test_what_is_no_list_is_not_kept(
    bursar: Bursar, folder: Path, pages: dict[str, bytes], code: int, said: str
) -> None:
    with serving(pages) as url:
        configure(folder, url)
        ended = bursar("prices", "update")
    assert (ended.exit_code, said in ended.stderr, (folder / FILE).exists()) == (code, True, False), ended.output


def test_nobody_answers(bursar: Bursar, folder: Path) -> None:
    configure(folder, "http://127.0.0.1:1")
    assert bursar("prices", "update").exit_code == 4


def test_who_publishes_nothing(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("books: 'memory:'\nllm: {providers: {openai: {}, openrouter: {api_key: k}}}\n")
    for name, said in (
        ("openai", "publishes no prices"),
        ("groq", "is not configured here"),
        ("opnrouter", "did you mean openrouter?"),
        ("openrouter", "the books are in memory"),
    ):
        ended = bursar("prices", "update", "--provider", name)
        assert (ended.exit_code, said in ended.stderr) == (1, True), ended.output


def test_the_simulators_prices(bursar: Bursar, folder: Path, sim: SimProcess) -> None:
    (folder / "bursar.yaml").write_text(
        f"llm: {{providers: {{openrouter: {{base_url: {sim.url}/openrouter/api/v1, api_key: sk-sim-x}}}}}}\n"
    )
    assert update(bursar)["models"] >= 5
    [row] = json.loads(bursar("prices", "show", "openrouter/anthropic/claude-sonnet-4.5", "--json").stdout)
    assert row["source"].startswith("openrouter ")
    assert (row["usd_per_million"]["input"], row["usd_per_million"]["output"]) == ("3.00", "15.00")
    assert [(tier["above_input_tokens"], tier["usd_per_million"]["input"]) for tier in row["tiers"]] == [
        (200_000, "6.00")
    ]
