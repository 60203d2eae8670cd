"""`bursar prices show`: prices with their source; names that several providers have, or none."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.conftest import Bursar


def test_source_and_date(bursar: Bursar) -> None:
    shown = bursar("prices", "show", "openai/gpt-4o-mini", "--date", "2026-11-01")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("openai/gpt-4o-mini on 2026-11-01, USD per million tokens\n  input ")
    assert "source: genai-prices " in shown.stdout
    assert "https://" in shown.stdout


def test_a_bare_name_is_everybody_s(bursar: Bursar) -> None:
    names = [row["model"] for row in json.loads(bursar("prices", "show", "gpt-4o-mini", "--json").stdout)]
    assert names == ["openai/gpt-4o-mini", "azure/gpt-4o-mini", "openrouter/openai/gpt-4o-mini"]


def test_an_override_says_so(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("prices: {openai/gpt-4o: {from: 2026-06-01, input: 1, output: 2}}\n")
    [row] = json.loads(bursar("prices", "show", "openai/gpt-4o", "--date", "2026-06-02", "--json").stdout)
    assert (row["source"], row["url"], row["usd_per_million"]["output"]) == ("bursar.yaml 2026-06-01", "", "2.00")
    [row] = json.loads(bursar("prices", "show", "openai/gpt-4o", "--date", "2026-05-31", "--json").stdout)
    assert row["source"].startswith("genai-prices")


def test_long_prompts_have_prices_of_their_own(bursar: Bursar) -> None:
    shown = bursar("prices", "show", "openrouter/anthropic/claude-sonnet-4.5")
    assert "above 200,000 tokens of input, all of it:" in shown.stdout


def test_a_free_provider_does_not_match_every_name(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text('llm: {providers: {local: {base_url: "http://localhost:1/v1", price: free}}}\n')
    assert bursar("prices", "show", "gpt-99").exit_code == 1
    [row] = json.loads(bursar("prices", "show", "local/qwen3", "--json").stdout)
    assert (row["source"], row["usd_per_million"]["input"]) == ("price: free", "0.00")


def test_the_unknown_is_an_error_with_what_is_near(bursar: Bursar) -> None:
    for name, said in [
        ("openai/gpt-4o-mni", "near it: openai/gpt-4o-mini"),
        ("openai/gpt-4o-mni", "prices:\n  openai/gpt-4o-mni: {input: 0.00, output: 0.00}"),
        ("gpt-4o-mni", "openai/gpt-4o-mini"),
        ("opnai/gpt-4o", "did you mean openai?"),
        ("openai/xyzzy", "bursar models --provider openai"),
        ("xyzzy", "bursar models"),
    ]:
        ended = bursar("prices", "show", name)
        assert (ended.exit_code, said in ended.stderr) == (1, True), ended.output


def test_tiers_and_hours(bursar: Bursar) -> None:
    shown = bursar("prices", "show", "openai/gpt-5").stdout
    for tier, usd in (("batch", "5.00"), ("flex", "5.00"), ("priority", "20.00"), ("fast", "20.00")):
        assert f"  tier {tier}:\n    input" in shown
        assert f"output                {usd}" in shown.partition(f"tier {tier}:")[2]
    [row] = json.loads(bursar("prices", "show", "openai/gpt-5", "--json").stdout)
    assert row["service_tiers"]["flex"]["usd_per_million"]["output"] == "5.00"
    outputs = []
    for date in ("2026-11-23", "2026-11-23T02:00", "2026-11-23 12:00"):
        [row] = json.loads(bursar("prices", "show", "deepseek/deepseek-v4-pro", "--date", date, "--json").stdout)
        outputs.append((row["usd_per_million"]["output"], row["at_most"]))
    assert (
        outputs == [("3.96", True), ("3.96", False), ("1.32", False)] or outputs[0][0] == outputs[1][0] > outputs[2][0]
    )
    assert "at most" in bursar("prices", "show", "deepseek/deepseek-v4-pro", "--date", "2026-11-23").stdout


def test_how_old_they_are(bursar: Bursar, folder: Path) -> None:
    assert re.search(
        r"^genai-prices [\d.]+: newest price of \d{4}-\d\d-\d\d, \d+ days? old$", bursar("prices").stdout, re.MULTILINE
    )
    (folder / "bursar.yaml").write_text("prices: {openai/gpt-4o: {input: 1, output: 2}, openai/x: free}\n")
    assert "your own: 2 prices in " in bursar("prices").stdout
    said = json.loads(bursar("prices", "--json").stdout)
    assert (said["overrides"], len(said["lists"])) == (2, 1)
    assert "newest price of" in bursar("prices", "show", "openai/gpt-5").stdout
