"""`bursar keys` and `bursar teams`: a key is printed once, may do what was said, and errors name the nearest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bursar.cli.opening import now_ms
from bursar.edges.stores.sqlite import SqliteStore
from bursar.gateway.auth import Doorkeeper
from bursar.gateway.secret import secret_of
from bursar.rules.keys import CallerKey, looks_like
from tests.cli.conftest import Bursar

DAY_MS = 86_400_000


def made(bursar: Bursar, *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    ended = bursar(*arguments, "--json")
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def failed(bursar: Bursar, *arguments: str) -> dict[str, Any]:
    """The error that a command prints as JSON."""
    ended = bursar(*arguments, "--json")
    assert ended.exit_code == 1, ended.output
    error: dict[str, Any] = json.loads(ended.stdout)["error"]
    return error


def who(folder: Path, text: str) -> CallerKey:
    """Whose key it is, by the books in the folder."""
    store = SqliteStore(folder / "bursar.db")
    try:
        secret = secret_of(folder / "bursar.db", {})
        return Doorkeeper(store.keyring, secret, now_ms).who({b"x-api-key": text.encode()})
    finally:
        store.close()


def test_a_key_is_printed_alone_so_that_a_shell_can_keep_it(bursar: Bursar, folder: Path) -> None:
    ended = bursar("keys", "create", "--name", "ci")
    assert ended.exit_code == 0
    text = ended.stdout.removesuffix("\n")
    assert looks_like(text)
    assert "not shown again" in ended.stderr
    assert text not in ended.stderr
    assert who(folder, text).name == "ci"
    for shown in (bursar("keys", "list"), bursar("keys", "show", "ci"), bursar("keys", "show", "ci", "--json")):
        assert shown.exit_code == 0
        assert text not in shown.output


def test_as_json_it_is_one_object_with_key_and_id(bursar: Bursar, folder: Path) -> None:
    bursar("teams", "create", "search", "--organisation", "acme")
    key = made(
        bursar, "keys", "create", "--name", "ann", "--user", "ann", "--team", "search", "--models", "openai/*, fast",
        "--models", "local/qwen3", "--tag", "feature=answers", "--role", "view", "--expires", "30d",
        "--budget-usd", "5", "--per", "month", "--limit", "requests=600/minute", "--limit", "in_flight=20",
    )  # fmt: skip
    assert looks_like(key["key"])
    kept = who(folder, key["key"])
    assert kept.id == key["id"]
    assert abs((kept.expires_ms or 0) - now_ms() - 30 * DAY_MS) < DAY_MS
    del key["key"], key["id"], key["created_at"], key["expires_at"]
    assert key == {
        "name": "ann", "role": "view", "state": "active", "user": "ann", "team": "search", "organisation": "acme",
        "models": ["openai/*", "fast", "local/qwen3"], "tags": {"feature": "answers"}, "revoked_at": None,
        "rotated_until": None, "budget": {"usd": "5.00", "per": "month"},
        "limits": {"requests": "600/minute", "in_flight": "20"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--name'"),
        (["--name", "x", "--per", "day"], "it needs --budget-usd"),
        (["--name", "x", "--budget-usd", "-5"], "--budget-usd"),
        (["--name", "x", "--limit", "reqests=5/minute"], "did you mean requests?"),
        (["--name", "x", "--limit", "requests=5"], "per second, minute, hour or day"),
        (["--name", "x", "--role", "root"], "'call', 'view', 'admin'"),
        (["--name", "x", "--expires", "soon"], "expected a span"),
        (["--name", "x", "--tag", "team"], "expected NAME=VALUE"),
    ],
)
def test_a_wrong_line_says_what_is_wrong_and_makes_no_books(
    bursar: Bursar, folder: Path, arguments: list[str], said: str
) -> None:
    ended = bursar("keys", "create", *arguments)
    assert ended.exit_code == 2
    assert said in " ".join(ended.stderr.split())
    assert list(folder.iterdir()) == []


def test_names_that_nobody_has_are_answered_with_the_nearest(bursar: Bursar) -> None:
    bursar("teams", "create", "search")
    bursar("keys", "create", "--name", "build", "--team", "search")
    assert failed(bursar, "keys", "create", "--name", "x", "--team", "serach")["code"] == "not_found"
    assert "did you mean search?" in bursar("teams", "budget", "serach", "--budget-usd", "5").stderr
    for command in (["show"], ["revoke"], ["rotate"], ["change", "--role", "view"]):
        assert "there is no key 'biuld'; did you mean build?" in bursar("keys", *command, "biuld").stderr
    assert failed(bursar, "keys", "create", "--name", "build")["code"] == "name_taken"


def test_a_change_names_what_changes(bursar: Bursar, folder: Path) -> None:
    bursar("teams", "create", "search")
    text = made(
        bursar, "keys", "create", "--name", "ci", "--user", "ann", "--team", "search", "--models", "fast",
        "--tag", "a=1", "--tag", "b=2", "--expires", "2099-01-31", "--budget-usd", "5", "--limit", "requests=5/minute",
    )["key"]  # fmt: skip
    after = made(
        bursar, "keys", "change", "ci", "--user", "", "--models", "", "--tag", "c=3", "--no-tag", "a",
        "--per", "month", "--limit", "requests=0", "--limit", "tokens=9/day",
    )  # fmt: skip
    assert (after["user"], after["models"], after["team"], after["tags"]) == ("", [], "search", {"b": "2", "c": "3"})
    assert (after["budget"], after["limits"]) == ({"usd": "5.00", "per": "month"}, {"tokens": "9/day"})
    assert after["expires_at"] == "2099-01-31T00:00:00Z"
    after = made(bursar, "keys", "change", after["id"], "--no-budget", "--expires", "never", "--team", "")
    assert (after["budget"], after["expires_at"], after["team"]) == (None, None, "")
    assert who(folder, text).tags == {"b": "2", "c": "3"}
    assert bursar("keys", "change", "ci").exit_code == 2
    assert "a key has a budget, or none" in bursar("keys", "change", "ci", "--no-budget", "--budget-usd", "5").stderr


def test_a_rotated_key_counts_with_both_texts_for_a_day(bursar: Bursar, folder: Path) -> None:
    old = made(bursar, "keys", "create", "--name", "ci")["key"]
    ended = bursar("keys", "rotate", "ci")
    new = ended.stdout.removesuffix("\n")
    assert "The old one counts until" in ended.stderr
    assert who(folder, old) == who(folder, new)
    assert made(bursar, "keys", "show", "ci")["rotated_until"] is not None
    assert "its old text counts until" in bursar("keys", "show", "ci").stdout
    newest = made(bursar, "keys", "rotate", "ci", "--overlap", "0")
    assert newest["rotated_until"] is None
    assert who(folder, newest["key"]).name == "ci"
    assert len({old, new, newest["key"]}) == 3


def test_a_revoked_key_is_shown_only_where_all_are(bursar: Bursar) -> None:
    bursar("keys", "create", "--name", "ci", "--budget-usd", "5")
    bursar("keys", "create", "--name", "other")
    assert made(bursar, "keys", "revoke", "ci")["state"] == "revoked"
    assert [key["name"] for key in json.loads(bursar("keys", "list", "--json").stdout)] == ["other"]
    assert "ci" not in bursar("keys").stdout
    lines = bursar("keys", "list", "--all").stdout.splitlines()
    assert "revoked" in next(line for line in lines if line.startswith("ci"))
    assert "make another one" in bursar("keys", "rotate", "ci").stderr
    bursar("keys", "revoke", "other")
    assert "No key counts any more" in bursar("keys", "list").stderr


def test_what_binds_a_key_is_shown_with_where_it_stands(bursar: Bursar) -> None:
    bursar("teams", "create", "search", "--organisation", "acme", "--budget-usd", "2000", "--per", "month")
    bursar("budget", "set", "people", "--usd", "3", "--each", "user")
    bursar("budget", "set", "runs", "--usd", "2", "--each", "session")
    bursar("budget", "set", "others", "--usd", "2", "--only", "team=ads")
    bursar("keys", "create", "--name", "ci", "--budget-usd", "5", "--team", "search", "--user", "ann")
    shown = bursar("keys", "show", "ci").stdout
    assert [name for name in ("key:ci", "team:search", "people ann", "runs", "others") if name in shown] == [
        "key:ci", "team:search",
    ]  # fmt: skip
    binding = made(bursar, "keys", "show", "ci")["binding"]
    assert {one["name"]: one["limit"] for one in binding} == {"key:ci": 5 * 10**9, "team:search": 2000 * 10**9}
    assert "bursar keys change ci" in bursar("budget", "show", "key:ci").stdout
    assert "bursar teams budget search" in bursar("budget", "show", "team:search").stdout
    bursar("keys", "create", "--name", "free")
    assert "No budget binds its calls" in bursar("keys", "show", "free").stdout


def test_tables_fit_a_terminal(bursar: Bursar) -> None:
    bursar("teams", "create", "a-team-with-a-rather-long-name", "--organisation", "an organisation with a long name")
    name = "a-key-whose-name-is-as-long-as-the-name-of-a-key-can-ever-be-64"
    bursar(
        "keys", "create", "--name", name, "--team", "a-team-with-a-rather-long-name", "--budget-usd", "123456.78",
        "--per", "month", "--expires", "30d",
    )  # fmt: skip
    for command in ("keys", "teams"):
        printed = bursar(command).stdout
        assert "a-team" in printed
        assert [line for line in printed.splitlines() if len(line) > 80] == []


def test_a_team_is_made_given_a_budget_and_forgotten(bursar: Bursar) -> None:
    team = made(bursar, "teams", "create", "search", "--organisation", "acme", "--limit", "tokens=9/day")
    assert (team["organisation"], team["budget"], team["limits"]) == ("acme", None, {"tokens": "9/day"})
    assert "already" in failed(bursar, "teams", "create", "search")["message"]
    team = made(bursar, "teams", "budget", "search", "--budget-usd", "20", "--per", "month", "--limit", "tokens=0")
    assert (team["budget"], team["limits"]) == ({"usd": "20.00", "per": "month"}, {})
    assert made(bursar, "teams", "budget", "search", "--budget-usd", "30")["budget"]["per"] == "month"
    bursar("keys", "create", "--name", "ci", "--team", "search")
    (row,) = json.loads(bursar("teams", "list", "--json").stdout)
    assert (row["name"], row["keys"]) == ("search", 1)
    assert "has keys that count (ci)" in bursar("teams", "remove", "search").stderr
    assert made(bursar, "teams", "budget", "search", "--no-budget")["budget"] is None
    bursar("keys", "revoke", "ci")
    assert made(bursar, "teams", "remove", "search") == {"removed": "search"}
    assert json.loads(bursar("teams", "list", "--json").stdout) == []
    assert bursar("teams", "budget", "x").exit_code == 1
    assert bursar("teams", "create", "x", "--per", "day").exit_code == 2


def test_reading_makes_no_books(bursar: Bursar, folder: Path) -> None:
    for command in ("keys", "teams"):
        assert json.loads(bursar(command, "list", "--json").stdout) == []
        assert bursar(command).exit_code == 0
    for arguments in (
        ["keys", "show", "x"],
        ["keys", "revoke", "x"],
        ["keys", "rotate", "x"],
        ["teams", "remove", "x"],
    ):
        assert "there are no books" in bursar(*arguments).stderr
    assert list(folder.iterdir()) == []


def test_without_keys_it_says_how_to_make_one(bursar: Bursar, folder: Path) -> None:
    SqliteStore(folder / "bursar.db").close()
    assert "bursar keys create --name NAME" in bursar("keys").stderr
    assert "bursar teams create NAME" in bursar("teams").stderr


def test_books_in_memory_have_no_keys_to_make(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("books: 'memory:'\n")
    assert "name a file with --books" in bursar("keys", "create", "--name", "ci").stderr
    assert [file.name for file in folder.iterdir()] == ["bursar.yaml"]


def test_the_configuration_says_how_budgets_count(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("mode: observe\ntime_zone: Europe/Berlin\n")
    bursar("keys", "create", "--name", "ci", "--budget-usd", "5")
    shown = bursar("budget", "show", "key:ci").stdout
    assert "observe" in shown
    assert "Europe/Berlin" in shown


def test_a_command_without_the_gateways_secret_makes_no_key(
    bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BURSAR_SECRET", "the secret that the gateway has, too")
    bursar("keys", "create", "--name", "ci")
    monkeypatch.delenv("BURSAR_SECRET")
    for arguments in (["create", "--name", "x"], ["rotate", "ci"]):
        assert "made under another secret" in failed(bursar, "keys", *arguments)["message"]
    text = made(bursar, "keys", "rotate", "ci", "--new-secret")["key"]
    assert who(folder, text).name == "ci"
