"""`bursar usage` adds up the ledger, and says unknown where it is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bursar.rules.allowances import Allowance
from tests.cli.conftest import Bursar
from tests.cli.ledger import HOUR_MS, books, call


@pytest.fixture
def ledger(folder: Path) -> Path:
    watch = Allowance("watch", "nano_usd", 2_500_000, "calendar", "day", mode="observe")
    store = books(folder / "bursar.db", watch)
    call(store, "a", tags={"team": "search", "user": "ann"})
    call(store, "b", tags={"team": "ads"}, at_ms=1_795_176_000_000 + 24 * HOUR_MS)
    call(store, "c", model="gpt-4o", tags={"team": "search"}, cost=2_000_000)
    call(store, "d", model="gpt-99", cost=None, bound=None)
    call(store, "e", model="gpt-4o", cost=None, certain=False, ending="aborted")
    store.close()
    return folder


@pytest.mark.usefixtures("ledger")
def test_by_model_with_what_is_unknown(bursar: Bursar) -> None:
    shown = bursar("usage")
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line.strip()}
    assert rows["openai/gpt-4o-mini"][1:6] == ["2", "0", "200", "40", "$0.002"]
    assert rows["openai/gpt-4o"][5:] == ["$0.004", "1", "1"]
    assert rows["openai/gpt-99"][5] == "unknown"
    assert rows["total"][1:6] == ["5", "0", "500", "100", "$0.006"]
    assert "no cost: 2 calls whose cost is unknown" in shown.stderr
    assert "$0.00 " not in shown.stdout


@pytest.mark.usefixtures("ledger")
def test_json_is_whole(bursar: Bursar) -> None:
    rows = {row["group"]["model"]: row for row in json.loads(bursar("usage", "--json").stdout)}
    assert rows["openai/gpt-99"]["unknown_cost_calls"] == 1
    assert rows["openai/gpt-4o"]["charged_nano_usd"] == 4_000_000
    assert rows["openai/gpt-4o"]["certain_nano_usd"] == 2_000_000


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("by", [("--by", "tag", "team"), ("--by", "team"), ("--by", "tag:team")])
def test_by_tag(bursar: Bursar, by: tuple[str, ...]) -> None:
    rows = json.loads(bursar("usage", *by, "--json").stdout)
    assert {row["group"]["team"]: row["calls"] for row in rows} == {"": 2, "ads": 1, "search": 2}


@pytest.mark.usefixtures("ledger")
def test_by_several_as_csv(bursar: Bursar) -> None:
    text = bursar("usage", "--by", "provider,day", "--by", "user", "--csv").stdout
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["provider"], row["day"], row["user"], row["calls"]) for row in rows] == [
        ("openai", "2026-11-20", "", "3"),
        ("openai", "2026-11-20", "ann", "1"),
        ("openai", "2026-11-21", "", "1"),
    ]
    unknown = next(
        row for row in csv.DictReader(bursar("usage", "--csv").stdout.splitlines()) if row["model"] == "openai/gpt-99"
    )
    assert unknown["charged_nano_usd"] == ""


@pytest.mark.usefixtures("ledger")
def test_spans_and_selections(bursar: Bursar) -> None:
    def calls(*arguments: str) -> int:
        return sum(row["calls"] for row in json.loads(bursar("usage", "--json", *arguments).stdout))

    assert calls("--since", "2026-11-20", "--until", "2026-11-20") == 4
    assert calls("--since", "2026-11-21") == 1
    assert calls("--only", "team=search") == 2
    assert calls("--only", "team=search", "--only", "user=ann") == 1
    assert calls("--since", "2026-12-24") == 0
    assert "No calls in this selection." in bursar("usage", "--since", "2026-12-24").stderr


@pytest.mark.usefixtures("ledger")
def test_what_would_have_been_refused(bursar: Bursar) -> None:
    shown = bursar("usage", "--would-refuse")
    # An unknown price fits no budget.
    refused = [line.split() for line in shown.stdout.splitlines()[2:]]
    assert refused == [["openai/gpt-4o", "2", "2", "by", "watch"], ["openai/gpt-99", "1", "1", "by", "watch"]]
    rows = {
        row["group"]["model"]: row["would_refuse"]
        for row in json.loads(bursar("usage", "--would-refuse", "--json").stdout)
    }
    assert rows["openai/gpt-4o"] == {"watch": 2}


@pytest.mark.usefixtures("ledger")
def test_it_fits_80_columns(bursar: Bursar) -> None:
    for by in ("model", "model,key,day"):
        assert max(map(len, bursar("usage", "--by", by).stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "modle"), "did you mean model? For a tag of that name: --by tag:modle"),
        (("--by", "tag"), "needs the tag's name"),
        (("--by", "model,day,user,key"), "at most 3"),
        (("--json", "--csv"), "not both"),
        (("--only", "team"), "NAME=VALUE"),
    ],
)
def test_mistakes(bursar: Bursar, folder: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = bursar("usage", *arguments)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output
    assert list(folder.iterdir()) == []


def test_without_books_it_says_how_they_come_to_be(bursar: Bursar, folder: Path) -> None:
    ended = bursar("usage", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, [])
    assert "There are no books yet" in ended.stderr
    assert bursar("usage", "--books", "typo.db").exit_code == 1
    assert "in memory" in bursar("usage", "--books", "memory:").stderr
    assert list(folder.iterdir()) == []
