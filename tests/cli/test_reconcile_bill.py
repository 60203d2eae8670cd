"""`bursar reconcile --bill`: the books beside a provider's export, line by line, with what explains a difference."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.usage import EMPTY_USAGE
from tests.bills.test_openai import FRIDAY, SATURDAY, bucket, cost, page, used
from tests.bills.test_openrouter import HEAD
from tests.cli.conftest import Bursar
from tests.cli.ledger import HOUR_MS, NOON_MS, books, call

MINI = "gpt-4o-mini-2024-07-18"
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStore]:
    """Friday: two certain calls and one at its bound of $0.002; Saturday: one; a call of another provider."""
    made = books(folder / "bursar.db")
    call(made, "a", served_model=MINI)
    call(made, "b", served_model=MINI, cost=500_001, price_version="genai-prices 0.2.3")
    call(made, "c", cost=None, certain=False, ending="expired", usage=EMPTY_USAGE)
    call(made, "d", served_model=MINI, at_ms=NOON_MS + DAY_MS)
    call(made, "e", provider="groq", cost=7)
    yield made
    made.close()


def write(folder: Path, name: str, value: Any) -> str:
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
    return name


def compare(bursar: Bursar, file: str, *options: str, provider: str = "openai") -> Any:
    """The comparison as JSON, with its exit code."""
    ended = bursar("reconcile", "--bill", file, "--provider", provider, "--json", *options)
    told = json.loads(ended.stdout)
    assert ended.exit_code == (0 if told["agrees"] else 1), ended.output
    return told


def costs(friday: Any, saturday: Any) -> Any:
    """Two days of one model, in two line items each."""
    return page(
        bucket(FRIDAY, cost(friday, f"{MINI}, input"), cost(0, f"{MINI}, output")),
        bucket(SATURDAY, cost(saturday, f"{MINI}, input")),
    )


def test_books_that_agree(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    told = compare(bursar, write(folder, "costs.json", costs("0.0035000005", "0.001")))
    assert (told["agrees"], told["format"], told["first_day"], told["last_day"]) == (
        True,
        "openai-costs",
        "2026-11-20",
        "2026-11-21",
    )
    assert [(line["day"], line["model"], line["drift_nano_usd"]) for line in told["lines"]] == [
        ("2026-11-20", MINI, 1),
        ("2026-11-21", MINI, 0),
    ]
    shown = bursar("reconcile", "--bill", "costs.json", "--provider", "openai")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines()[-1] == "Books and bill agree on 2 lines."


def test_a_difference_is_shown_with_what_explains_it(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    file = write(folder, "costs.json", costs("0.0016", "0.001"))
    told = compare(bursar, file)
    friday, saturday = told["lines"]
    assert (friday["agrees"], friday["drift_nano_usd"], saturday["agrees"]) == (False, 1_900_001, True)
    why = {reason["code"]: reason for reason in friday["reasons"]}
    assert (why["uncertain"]["ids"], why["uncertain"]["nano_usd"]) == (["c"], 2_000_000)
    assert why["other_name"]["ids"] == ["a", "b"] or why["other_name"]["ids"] == ["b", "a"]
    assert why["price"]["nano_usd"] == 500_001
    assert saturday["reasons"] == []
    shown = bursar("reconcile", "--bill", file, "--provider", "openai")
    assert shown.exit_code == 1
    lines = shown.stdout.splitlines()
    cells = {line.split()[0]: line.split()[-4:] for line in lines if line.strip()}
    assert lines[2].split()[-4:] == ["$0.003500001", "$0.001600000", "$0.001900001", "3"]
    assert cells["total"] == ["$0.004500001", "$0.002600000", "$0.001900001", "4"]
    assert f"2026-11-20 {MINI}: ours is $0.001900001 more" in lines
    assert "  1 call charged at the most they can have cost, $0.002" in lines
    assert lines[-1] == "Books and bill differ on 1 of 2 lines; --json has the ids."
    assert max(map(len, lines)) <= 80


def test_what_only_one_of_them_has(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    call(store, "f", model="gpt-4.1", served_model="gpt-4.1-2025-04-14", cost=9)
    bill = costs("0.003500001", "0.001")
    bill["data"][1]["results"].append(cost("0.025", "web search tool calls"))
    told = compare(bursar, write(folder, "costs.json", bill))
    differing = [(line["model"], line["reasons"][0]["code"]) for line in told["lines"] if not line["agrees"]]
    assert differing == [("gpt-4.1-2025-04-14", "books_only"), ("web search tool calls", "bill_only")]


def test_a_bill_without_models_is_compared_by_day(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    told = compare(bursar, write(folder, "costs.json", page(bucket(FRIDAY, cost("0.003500001")))))
    assert [(line["model"], line["ours_nano_usd"], line["agrees"]) for line in told["lines"]] == [
        (None, 3_500_001, True)
    ]


def test_usage_is_compared_by_its_tokens(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    right = used(MINI, input_tokens=200, output_tokens=40, num_model_requests=3)
    told = compare(bursar, write(folder, "usage.json", page(bucket(FRIDAY, right))))
    assert (told["agrees"], told["lines"][0]["drift_nano_usd"], told["lines"][0]["ours_calls"]) == (True, None, 3)
    wrong = write(folder, "usage.json", page(bucket(FRIDAY, {**right, "output_tokens": 41})))
    shown = bursar("reconcile", "--bill", wrong, "--provider", "openai")
    assert (shown.exit_code, shown.stdout.splitlines()[2].split()) == (
        1,
        ["2026-11-20", MINI, "200", "200", "40", "41", "3", "3"],
    )
    assert f"2026-11-20 {MINI}: ours is 1 tokens less" in shown.stdout


def test_any_table_with_its_columns_named(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    table = "Tag;Modell;USD\n20.11.2026;gpt-4o-mini;0,003500001\n21.11.2026;gpt-4o-mini;0,001\nTotal;;0,004500001\n"
    options = ("--columns", "date=Tag,model=Modell,cost=USD")
    told = compare(bursar, write(folder, "bill.csv", table), *options)
    assert told["agrees"]
    assert told["notes"] == ["1 of its rows have no date, and were taken for sums of the others"]


def test_the_days_of_a_table_are_those_of_its_zone(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    table = "date,cost\n2026-11-20,0.003500001\n2026-11-21,0.001\n"
    assert compare(bursar, write(folder, "bill.csv", table), "--format", "csv")["agrees"]
    told = compare(bursar, "bill.csv", "--format", "csv", "--day-zone", "Pacific/Kiritimati")
    assert [line["ours_nano_usd"] for line in told["lines"]] == [0, 3_500_001]


def test_within_a_tolerance_lines_agree(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    table = write(folder, "bill.csv", "date,cost\n2026-11-20,$0.00\n2026-11-21,$0.00\n")
    assert not compare(bursar, table, "--format", "csv", "--tolerance", "0.003")["agrees"]
    assert compare(bursar, table, "--format", "csv", "--tolerance", "0.005")["agrees"]


def test_a_span_cuts_the_bill(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    file = write(folder, "costs.json", costs("9", "0.001"))
    assert compare(bursar, file, "--since", "2026-11-21")["agrees"]
    assert not compare(bursar, file, "--until", "2026-11-20")["agrees"]
    ended = bursar("reconcile", "--bill", file, "--provider", "openai", "--since", "2026-12-01")
    assert (ended.exit_code, "the bill is of 2026-11-20 to 2026-11-21" in ended.stderr) == (2, True)


def line_of(request_id: str, usd: str, *, at: str = "2026-11-20 12:00:00.713") -> str:
    return f"{request_id},{at},{usd},,0,100,20,vendor/m-20261101,Vendor,standard,false\n"


@pytest.fixture
def routed(store: SqliteStore) -> SqliteStore:
    """Calls of OpenRouter that its export lists: one at its bound, one a moment before midnight."""
    midnight_ms = NOON_MS + DAY_MS // 2
    options: dict[str, Any] = {"provider": "openrouter", "model": "vendor/m", "served_model": "vendor/m"}
    call(store, "r1", request_id="gen-1", **options)
    call(store, "r2", request_id="gen-2", cost=None, certain=False, ending="aborted", **options)
    call(store, "r3", request_id="gen-3", at_ms=midnight_ms - 5, **options)
    return store


def test_calls_are_matched_by_their_ids(bursar: Bursar, routed: SqliteStore, folder: Path) -> None:
    after = line_of("gen-3", "0.001", at="2026-11-21 00:00:00.100")
    file = write(folder, "activity.csv", HEAD + line_of("gen-1", "0.001") + line_of("gen-2", "0.002") + after)
    told = compare(bursar, file, provider="openrouter")
    assert [(line["day"], line["agrees"]) for line in told["lines"]] == [("2026-11-20", True), ("2026-11-21", True)]
    alone = write(folder, "next.csv", HEAD + after)
    assert compare(bursar, alone, provider="openrouter")["agrees"], "it is the bill that says on which day it was"


def test_calls_that_differ_are_named(bursar: Bursar, routed: SqliteStore, folder: Path) -> None:
    listed = line_of("gen-1", "0.001") + line_of("gen-2", "0.0004") + line_of("gen-9", "0.5")
    told = compare(bursar, write(folder, "activity.csv", HEAD + listed), provider="openrouter")
    (line,) = told["lines"]
    why = {reason["code"]: reason["ids"] for reason in line["reasons"]}
    assert why["calls_bill_only"] == ["gen-9"]
    assert why["calls_books_only"] == ["r3"]
    assert why["calls_differ"] == why["uncertain"] == ["r2"]


def test_ids_of_another_kind_are_no_ids(bursar: Bursar, routed: SqliteStore, folder: Path) -> None:
    listed = line_of("req-1", "0.001") + line_of("req-2", "0.002") + line_of("req-3", "0.001")
    told = compare(bursar, write(folder, "activity.csv", HEAD + listed), provider="openrouter")
    assert told["agrees"]
    assert told["notes"] == ["none of the ids of its calls is in the books: compared by day and model"]


def test_as_csv(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    file = write(folder, "costs.json", costs("0.0016", "0.001"))
    ended = bursar("reconcile", "--bill", file, "--provider", "openai", "--csv")
    friday, saturday = csv.DictReader(ended.stdout.splitlines())
    assert (ended.exit_code, friday["agrees"], saturday["agrees"]) == (1, "false", "true")
    assert (friday["drift_nano_usd"], friday["theirs_calls"]) == ("1900001", "")
    assert "1 call charged at the most" in friday["reasons"]


def test_a_page_of_several_is_said_to_be_one(bursar: Bursar, store: SqliteStore, folder: Path) -> None:
    file = write(folder, "costs.json", page(bucket(FRIDAY, cost("0.003500001")), has_more=True))
    shown = bursar("reconcile", "--bill", file, "--provider", "openai")
    assert (shown.exit_code, "the rest is missing" in shown.stderr) == (0, True)


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("{", (), "bill, line 1: this is no JSON"),
        ("day,usd\n2026-11-20,1\n", (), "bill, line 1: which columns are these?"),
        ("date,cost\n2026-11-20,1\n2026-11-21,much\n", ("--format", "csv"), "bill, line 3: expected an amount"),
        ("date,cost\n", ("--columns", "date=date,cost=usd"), "bill, line 1: there is no column 'usd'"),
        (
            "date,cost\n2026-11-20,1\n",
            ("--format", "csv", "--day-zone", "Mars"),
            "--day-zone: there is no time zone 'Mars'",
        ),
        (json.dumps(costs(1, 1)), ("--day-zone", "Asia/Tokyo"), "its days are UTC"),
    ],
)
@pytest.mark.usefixtures("store")
def test_a_bill_that_cannot_be_read_is_one_clear_error(
    bursar: Bursar, folder: Path, text: str, options: tuple[str, ...], said: str
) -> None:
    file = write(folder, "bill", text)
    ended = bursar("reconcile", "--bill", file, "--provider", "openai", *options)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output
    assert len(ended.stderr.strip().splitlines()) <= 4


@pytest.mark.usefixtures("store")
def test_an_unknown_provider_is_no_empty_book(bursar: Bursar, folder: Path) -> None:
    file = write(folder, "costs.json", costs(1, 1))
    ended = bursar("reconcile", "--bill", file, "--provider", "opnai")
    assert (ended.exit_code, "there is no provider 'opnai'; did you mean openai?" in ended.stderr) == (2, True)


def test_without_books_there_is_nothing_to_compare(bursar: Bursar, folder: Path) -> None:
    file = write(folder, "costs.json", costs(1, 1))
    ended = bursar("reconcile", "--bill", file, "--provider", "openai")
    assert (ended.exit_code, "there are no books" in ended.stderr) == (1, True)
