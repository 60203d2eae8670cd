"""A cost line by line: the lines add up to what is charged, and say whose price it is."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Bursar
from tests.cli.ledger import books, call

USAGE = "input=1000,output=50,cached_input=333,web_searches=2"


def why(bursar: Bursar, *arguments: str) -> Any:
    ended = bursar("prices", "why", *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_the_lines_add_up_and_are_rounded_up_once(bursar: Bursar, folder: Path) -> None:
    said = why(bursar, "openai/gpt-4o", "--usage", USAGE)
    assert [(line["leaf"], line["units"], line["usd_per_million"], line["usd"]) for line in said["lines"]] == [
        ("input", 1000, "2.50", "0.0025"),
        ("output", 50, "10.00", "0.0005"),
        ("cached_input", 333, "1.25", "0.00041625"),
        ("web_searches", 2, "10000.00", "0.02"),
    ]
    assert (said["sum_usd"], said["cost_nano_usd"], said["certain"]) == ("0.02341625", 23_416_250, True)
    (folder / "bursar.yaml").write_text("prices: {openai/tiny: {input: 0.0001, output: 0.0001}}\n")
    tiny = why(bursar, "openai/tiny", "--usage", "input=3,output=4")
    assert (tiny["sum_usd"], tiny["cost_nano_usd"]) == ("0.0000000007", 1)


def test_for_people(bursar: Bursar) -> None:
    for words in (("--why", "openai/gpt-4o"), ("why", "openai/gpt-4o"), ("show", "openai/gpt-4o", "--why")):
        shown = bursar("prices", *words, "--usage", USAGE)
        assert shown.exit_code == 0, shown.output
        assert "the price is that of genai-prices " in shown.stdout
        assert "cached input                     333              1.25  0.00041625" in shown.stdout
        assert "cost: $0.02341625, rounded up once to nano-USD" in shown.stdout


def test_which_price_and_why(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text(
        "llm: {providers: {openai: {discount: 12.5%}}}\n"
        "prices: {openai/own: {from: 2026-01-01, input: 4, output: 8, above: {100: {input: 6}}, tiers: {flex: "
        "{input: 2, above: {100: {input: 3}}}}}}\n"
    )
    own = why(bursar, "openai/own", "--usage", "input=101")
    assert "the price is your own: bursar.yaml 2026-01-01" in own["because"]
    assert (own["above_input_tokens"], own["sum_usd"]) == (100, "0.000606")
    assert why(bursar, "openai/own", "--usage", "input=100", "--tier", "flex")["sum_usd"] == "0.0002"
    listed = why(bursar, "openai/gpt-4o", "--usage", "input=1000000")
    assert listed["because"][-1].endswith("less 12.5% of discount")
    assert listed["sum_usd"] == "2.1875"
    at_most = why(bursar, "openai/gpt-4o", "--usage", "input=1", "--tier", "flex")
    assert not at_most["certain"]
    assert at_most["because"][-1].startswith("it is at most this")
    hour = why(bursar, "deepseek/deepseek-v4-pro", "--usage", "input=1", "--date", "2026-11-22T02:00")
    assert (hour["at"], hour["certain"]) == ("2026-11-22T02:00Z", False)
    unknown = why(bursar, "openai/own", "--usage", "web_searches=1")
    assert (unknown["lines"][0]["usd"], unknown["cost_nano_usd"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a MODEL"),
        (("openai/gpt-4o",), "--usage LEAF=COUNT"),
        (("openai/gpt-4o", "--usage", "inptu=3"), "did you mean input?"),
        (("openai/gpt-4o", "--usage", "input=many"), "a count from 0"),
        (("openai/gpt-4o", "--usage", "input=-3"), "a count from 0"),
        (("openai/gpt-4o", "--usage", "input=99999999999"), "a count from 0"),
        (("openai/gpt-4o", "--usage", "input=0"), "--usage LEAF=COUNT"),
        (("openai/gpt-4o-mni", "--usage", "input=1"), "near it: openai/gpt-4o-mini"),
        (("gpt-4o-mini", "--usage", "input=1"), "say which: openai/gpt-4o-mini, "),
        (("openai/gpt-5", "--usage", "input=1", "--tier", "prioirty"), "known: batch, flex, priority, fast"),
        (("--call", "nothing"), "there are no books"),
        (("openai/gpt-4o", "--call", "x"), "give a MODEL"),
    ],
)
def test_what_cannot_be_explained(bursar: Bursar, arguments: tuple[str, ...], said: str) -> None:
    ended = bursar("prices", "why", *arguments)
    assert ended.exit_code in (1, 2)
    assert said in ended.stderr


def test_a_call_in_the_books(bursar: Bursar, folder: Path) -> None:
    store = books(folder / "bursar.db")
    version = why(bursar, "openai/gpt-4o-mini", "--usage", "input=1")["source"]
    call(store, "listed", cost=27_000, price_version=version, served_model="gpt-4o-mini-2024-07-18")
    call(store, "flex", model="gpt-5", cost=162_500, price_version=f"{version} flex")
    call(store, "told", cost=7, price_version="", cost_source="provider")
    call(store, "older", cost=99_000, price_version="genai-prices 0.0.1")
    call(store, "gone", model="gpt-99", cost=None)
    store.close()
    [listed] = why(bursar, "--call", "listed")
    assert (listed["sum_usd"], listed["cost_nano_usd"], listed["charged_nano_usd"]) == ("0.000027", 27_000, 27_000)
    assert (listed["model"], listed["at"]) == ("openai/gpt-4o-mini-2024-07-18", "2026-11-20T12:00:00Z")
    [flex] = why(bursar, "--call", "flex")
    assert Decimal(flex["sum_usd"]) * 10**9 == flex["cost_nano_usd"]
    [told] = why(bursar, "--call", "told")
    assert "the provider reported $0.000000007, which counts before any price" in told["because"][0]
    [older] = why(bursar, "--call", "older")
    assert any("the prices at hand now differ" in reason for reason in older["because"])
    assert older["cost_nano_usd"] == 99_000
    [gone] = why(bursar, "--call", "gone")
    assert (gone["lines"], gone["cost_nano_usd"], gone["charged_nano_usd"]) == ([], None, 2_000_000)
    assert bursar("prices", "why", "--call", "nothing").exit_code == 1
    shown = bursar("prices", "--why", "--call", "listed")
    assert "charged: $0.000027 of $0.002 held" in shown.stdout
