"""`bursar budget`: what stands where, what may be changed here, and what is defined elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bursar.cli.opening import now_ms
from bursar.rules.allowances import Allowance
from tests.cli.conftest import Bursar
from tests.cli.ledger import books, call

CONFIG = """\
time_zone: Europe/Berlin
budgets:
  everything: {usd: 5, per: day, alert_at: [80%]}
  teams: {usd: 2, per: month, each: team, missing: refuse}
limits:
  flight: {in_flight: 20}
"""


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "bursar.yaml"
    path.write_text(CONFIG)
    return path


def listed(bursar: Bursar, *arguments: str) -> dict[str, dict[str, object]]:
    return {
        row["name"] + row["subject"]: row for row in json.loads(bursar("budget", "list", "--json", *arguments).stdout)
    }


def test_an_empty_folder_stays_empty(bursar: Bursar, folder: Path) -> None:
    ended = bursar("budget", "list")
    assert ended.exit_code == 0
    assert "There are no budgets" in ended.stderr
    assert json.loads(bursar("budget", "list", "--json").stdout) == []
    assert bursar("budget", "show", "x").exit_code == 1
    assert bursar("budget", "top-up", "x", "--usd", "1").exit_code == 1
    assert bursar("budget", "remove", "x").exit_code == 1
    assert list(folder.iterdir()) == []


def test_what_the_file_defines_is_shown_before_the_first_call(bursar: Bursar, folder: Path, file: Path) -> None:
    ended = bursar("budget", "list")
    assert "everything  $0.00  $0.00  $5.00  $5.00  day" in ended.stdout
    assert "flight" in ended.stdout
    assert "teams: each team has $2.00 a month" in ended.stderr
    assert list(folder.iterdir()) == [file]


def test_spent_held_and_left(bursar: Bursar, folder: Path) -> None:
    store = books(folder / "bursar.db", Allowance("all", "nano_usd", 10**10, "calendar", "day"), source="a.yaml")
    call(store, "a", at_ms=now_ms())
    call(store, "b", at_ms=now_ms(), settle=False)
    row = listed(bursar)["all"]
    assert (row["spent"], row["held"], row["left"]) == (1_000_000, 2_000_000, 10**10 - 3_000_000)
    assert "all     $0.001  $0.002  $9.997  $10.00  day" in bursar("budget", "list").stdout
    store.close()


def test_set_makes_and_changes(bursar: Bursar, folder: Path) -> None:
    made = bursar(
        "budget", "set", "team", "--usd", "2", "--per", "month", "--each", "team", "--only", "provider=openai"
    )
    assert made.exit_code == 0, made.output
    assert f"Made in {folder / 'bursar.db'}" in made.stderr
    changed = bursar("budget", "set", "team", "--usd", "3", "--mode", "observe")
    assert "Changed" in changed.stderr
    shown = json.loads(bursar("budget", "show", "team", "--json").stdout)
    assert (shown["capacity"], shown["period"], shown["each"]) == (3 * 10**9, "month", "team")
    assert (shown["only"], shown["mode"], shown["source"]) == ({"provider": "openai"}, "observe", "cli")
    assert "binds       calls with provider openai" in bursar("budget", "show", "team").stdout


def test_what_was_spent_counts_in_a_new_budget(bursar: Bursar, folder: Path) -> None:
    store = books(folder / "bursar.db")
    call(store, "a", at_ms=now_ms(), cost=1_500_000)
    store.close()
    bursar("budget", "set", "late", "--usd", "1")
    assert listed(bursar)["late"]["spent"] == 1_500_000


def test_top_up_adds_to_this_window(bursar: Bursar) -> None:
    bursar("budget", "set", "all", "--usd", "2")
    bursar("budget", "set", "each", "--usd", "2", "--each", "user")
    assert bursar("budget", "top-up", "all", "--usd", "1").exit_code == 0
    assert bursar("budget", "top-up", "each", "--usd", "3", "--for", "ann").exit_code == 0
    rows = listed(bursar)
    assert (rows["all"]["limit"], rows["eachann"]["limit"]) == (3 * 10**9, 5 * 10**9)
    assert "say whose, with --for" in bursar("budget", "top-up", "each", "--usd", "1").stderr
    assert "leave --for away" in bursar("budget", "top-up", "all", "--usd", "1", "--for", "ann").stderr
    assert "did you mean all?" in bursar("budget", "top-up", "al", "--usd", "1").stderr


def test_remove(bursar: Bursar) -> None:
    bursar("budget", "set", "all", "--usd", "2")
    assert bursar("budget", "remove", "all").exit_code == 0
    assert listed(bursar) == {}
    assert bursar("budget", "remove", "all").exit_code == 1


def test_what_the_file_defines_is_read_only(bursar: Bursar, folder: Path, file: Path) -> None:
    for arguments in (("set", "everything", "--usd", "9"), ("remove", "everything")):
        ended = bursar("budget", *arguments)
        assert ended.exit_code == 1
        assert f"{file}:3 (budgets.everything): change it there" in ended.stderr
    assert list(folder.iterdir()) == [file]


def test_what_another_file_defines_is_read_only_too(bursar: Bursar, folder: Path) -> None:
    (folder / "other.yaml").write_text("")
    other = str(folder / "other.yaml")
    store = books(folder / "bursar.db", Allowance("all", "nano_usd", 10**9, "calendar", "day"), source=other)
    store.close()
    for arguments in (("set", "all", "--usd", "9"), ("remove", "all")):
        ended = bursar("budget", *arguments)
        assert (ended.exit_code, other in ended.stderr) == (1, True), ended.output


def test_show_says_where_and_what(bursar: Bursar, file: Path) -> None:
    shown = bursar("budget", "show", "teams").stdout
    assert "teams: $2.00 a month for each team" in shown
    assert "calls without a team are refused" in shown
    assert "time zone   Europe/Berlin" in shown
    assert f"defined in  {file}:4 (budgets.teams)" in shown
    assert "did you mean teams?" in bursar("budget", "show", "tems").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("new",), "needs --usd"),
        (("new", "--usd", "-1"), "cannot be negative"),
        (("new", "--usd", "1", "--per", "yer"), "is not one of"),
        (("a b", "--usd", "1"), "a name has"),
        (("new", "--usd", "1", "--each", "a b"), "is no name"),
        (("new", "--usd", "1", "--only", "provider=opnai"), "did you mean openai?"),
        (("new", "--usd", "1", "--only", "model=gpt-4o"), "takes provider/model"),
        (("new", "--usd", "1", "--missing", "refuse"), "needs --each"),
        (("new", "--usd", "1", "--rolling", "--per", "total"), "does not roll"),
    ],
)
def test_mistakes(bursar: Bursar, arguments: tuple[str, ...], said: str) -> None:
    ended = bursar("budget", "set", *arguments)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output
    assert listed(bursar) == {}


def test_it_fits_80_columns(bursar: Bursar, folder: Path) -> None:
    store = books(folder / "bursar.db")
    call(store, "a", at_ms=now_ms(), cost=123_456_789)
    store.close()
    bursar("budget", "set", "observed-budget", "--usd", "0.1", "--mode", "observe", "--per", "month")
    assert max(map(len, bursar("budget", "list").stdout.splitlines())) <= 80


def test_a_file_that_has_changed_since_is_noted(bursar: Bursar, folder: Path, file: Path) -> None:
    old = Allowance("everything", "nano_usd", 10**9, "calendar", "day", source=str(file))
    books(folder / "bursar.db", old, source=str(file)).close()
    ended = bursar("budget", "list")
    assert listed(bursar)["everything"]["limit"] == 10**9  # what calls are decided by
    assert "everything: the file says $5.00 a day; the next program that starts enters that" in ended.stderr
    assert "the file says $5.00 a day" in bursar("budget", "show", "everything").stderr
    assert "teams: the file says $2.00 a month" in ended.stderr
