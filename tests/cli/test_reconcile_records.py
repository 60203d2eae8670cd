"""`bursar reconcile`: what is uncertain is settled by the provider's records, once, and what stays is said."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.cli.reconcile_records import LATE_MS
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.allowances import Allowance
from bursar.rules.usage import EMPTY_USAGE
from tests.cli.conftest import Bursar
from tests.cli.ledger import HOUR_MS, NOON_MS, books, call
from tests.cli.records import Provider, records

BOUND = 2_000_000


@pytest.fixture
def provider(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """OpenRouter, configured, with a key."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-test")
    with records() as found:
        (folder / "bursar.yaml").write_text(
            f"llm:\n  active: openrouter\n  providers:\n    openrouter:\n      base_url: {found.url}\n"
        )
        yield found


@pytest.fixture
def store(provider: Provider, folder: Path) -> Iterator[SqliteStore]:
    made = books(folder / "bursar.db", Allowance("all", "nano_usd", 10_000_000, "calendar", "total"))
    yield made
    made.close()


def doubt(store: SqliteStore, attempt_id: str, request_id: str, **options: Any) -> None:
    """An uncertain attempt at its bound."""
    options = {"provider": "openrouter", "model": "m", "ending": "interrupted", "usage": EMPTY_USAGE, **options}
    call(store, attempt_id, cost=None, certain=False, request_id=request_id, **options)


def spent(store: SqliteStore) -> int:
    (balance,) = store.balances(NOON_MS, names=["all"])
    assert store.check(NOON_MS) == []
    return balance.spent


def result(ended: Any) -> Any:
    return json.loads(ended.stdout)


def test_what_has_a_record_is_settled_by_it_and_only_once(
    bursar: Bursar, provider: Provider, store: SqliteStore
) -> None:
    doubt(store, "a", "gen-1")
    doubt(store, "b", "gen-2")
    call(store, "c", provider="openrouter", request_id="gen-3")
    provider.has("gen-1", 0.0003, native_tokens_cached=5)
    provider.has("gen-2", 0.0025)
    ended = bursar("reconcile", "--json")
    assert ended.exit_code == 0
    told = result(ended)
    assert (told["settled"], told["uncertain"]) == (2, 0)
    assert (told["returned_nano_usd"], told["added_nano_usd"]) == (1_700_000, 500_000)
    rows = {row.attempt_id: row for row in store.attempts()}
    a = rows["a"]
    assert (a.charged_nano_usd, a.cost_nano_usd, a.cost_source, a.certain) == (300_000, 300_000, "provider", True)
    assert (a.request_id, a.served_model, a.ending, a.bound_nano_usd) == ("gen-1", "m-2026", "interrupted", BOUND)
    assert dict(a.usage.leaves) == {"input": 4, "cached_input": 5, "output": 4}
    assert rows["b"].charged_nano_usd == 2_500_000
    assert spent(store) == 300_000 + 2_500_000 + 1_000_000
    assert provider.headers[0]["authorization"] == "Bearer sk-or-test"
    assert sorted(provider.asked) == ["gen-1", "gen-2"], "what is certain is not asked for"
    assert result(bursar("reconcile", "--json"))["settled"] == 0
    assert len(provider.asked) == 2
    assert spent(store) == 3_800_000


def test_it_says_what_came_back_and_what_was_added(bursar: Bursar, provider: Provider, store: SqliteStore) -> None:
    assert bursar("reconcile").stdout == "Nothing is uncertain.\n"
    for number in range(3):
        doubt(store, f"a{number}", f"gen-{number}")
    provider.has("gen-0", 0.0003)
    provider.has("gen-1", 0.0105)
    ended = bursar("reconcile")
    assert ended.stdout.splitlines() == [
        "2 attempts settled of 3 uncertain",
        "  $0.0017 came back",
        "  $0.0085 was charged on top of what had been set aside",
        "  budget all now stands above its limit",
        "1 attempt charged at the most they can have cost, $0.002",
        "  1 openrouter: no record: it may never have run, but only the bill can tell (bursar reconcile --bill)",
    ]
    assert "Asking openrouter for the records of 3 attempts" in ended.stderr


def test_a_dry_run_asks_and_changes_nothing(bursar: Bursar, provider: Provider, store: SqliteStore) -> None:
    doubt(store, "a", "gen-1")
    provider.has("gen-1", 0.0003)
    ended = bursar("reconcile", "--dry-run")
    assert ended.stdout.splitlines() == ["1 attempt would be settled of 1 uncertain", "  $0.0017 would come back"]
    assert spent(store) == BOUND
    assert result(bursar("reconcile", "--dry-run", "--json"))["settled"] == 1


def test_the_makers_bill_is_added_for_ones_own_key(bursar: Bursar, provider: Provider, store: SqliteStore) -> None:
    doubt(store, "a", "gen-1")
    provider.has("gen-1", 0.00001, is_byok=True, upstream_inference_cost=0.0003)
    bursar("reconcile")
    assert spent(store) == 310_000


def test_a_record_that_is_not_there_yet_is_asked_for_again(
    bursar: Bursar, provider: Provider, store: SqliteStore
) -> None:
    now_ms = time.time_ns() // 1_000_000
    doubt(store, "young", "gen-1", at_ms=now_ms - 60_000, ended_ms=now_ms - 59_000)
    doubt(store, "old", "gen-2", at_ms=now_ms - LATE_MS - 60_000, ended_ms=now_ms - LATE_MS - 59_000)
    told = result(bursar("reconcile", "--json"))
    assert {one["attempt_id"]: one["reason"] for one in told["attempts"]} == {"young": "not_yet", "old": "no_record"}
    assert told["uncertain_nano_usd"] == 2 * BOUND
    provider.has("gen-1", 0.001)
    assert result(bursar("reconcile", "--json"))["settled"] == 1


def test_what_cannot_be_asked_for_says_why(bursar: Bursar, provider: Provider, store: SqliteStore) -> None:
    doubt(store, "a", "")
    doubt(store, "b", "gen-2")
    provider.has("gen-2", None)
    doubt(store, "c", "gen-3")
    provider.has("gen-3", 0.1, id="gen-4")
    doubt(store, "d", "req-1", provider="openai")
    doubt(store, "e", "req-2", provider="gone")
    told = result(bursar("reconcile", "--json"))
    assert {one["attempt_id"]: one["reason"] for one in told["attempts"]} == {
        "a": "no_id",
        "b": "no_cost",
        "c": "no_cost",
        "d": "no_records",
        "e": "not_configured",
    }
    assert (told["settled"], spent(store)) == (0, 5 * BOUND)


def test_a_provider_that_is_no_longer_configured_is_not_asked(
    bursar: Bursar, provider: Provider, store: SqliteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt(store, "a", "gen-1")
    monkeypatch.delenv("OPENROUTER_API_KEY")
    (folder / "bursar.yaml").write_text("llm: {providers: {local: {base_url: 'http://localhost:1'}}}\n")
    assert result(bursar("reconcile", "--json"))["attempts"][0]["reason"] == "not_configured"


def test_a_provider_whose_costs_are_not_tracked_is_not_asked(
    bursar: Bursar, provider: Provider, store: SqliteStore, folder: Path
) -> None:
    doubt(store, "a", "gen-1")
    settings = folder / "bursar.yaml"
    settings.write_text(settings.read_text() + "      enable_cost_tracking: false\n")
    assert result(bursar("reconcile", "--json"))["attempts"][0]["reason"] == "not_tracked"
    assert provider.asked == []


def test_a_provider_in_trouble_is_asked_again_and_then_left(
    bursar: Bursar, provider: Provider, store: SqliteStore
) -> None:
    doubt(store, "a", "gen-1", at_ms=NOON_MS + 2)
    doubt(store, "b", "gen-2", at_ms=NOON_MS + 1)
    doubt(store, "c", "gen-3")
    provider.has("gen-1", 0.0003)
    provider.answers["gen-1"] = [(503, {}), *provider.answers["gen-1"]]
    provider.answers["gen-2"] = [(500, {"error": {"message": "it broke"}})]
    ended = bursar("reconcile", "--json")
    assert ended.exit_code == 4
    told = result(ended)
    assert told["stopped"] == {"openrouter": "it broke (500)"}
    assert {one["attempt_id"]: one["reason"] for one in told["attempts"]} == {
        "a": None,
        "b": "not_asked",
        "c": "not_asked",
    }
    assert provider.asked == ["gen-1", "gen-1", *["gen-2"] * 4], "what was settled stays so, and nobody is pestered"
    provider.has("gen-2", 0.0004)
    provider.has("gen-3", 0.0005)
    assert result(bursar("reconcile", "--json"))["settled"] == 2
    assert spent(store) == 1_200_000


def test_a_key_that_is_refused_ends_the_run(bursar: Bursar, provider: Provider, store: SqliteStore) -> None:
    doubt(store, "a", "gen-1")
    provider.answers["gen-1"] = [(401, {"error": {"message": "No auth credentials found", "code": 401}})]
    ended = bursar("reconcile")
    assert ended.exit_code == 4
    assert "openrouter did not say: No auth credentials found (401)" in ended.stderr
    assert len(provider.asked) == 1


def test_a_missing_key_is_said_before_anything_is_asked(
    bursar: Bursar, provider: Provider, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt(store, "a", "gen-1")
    monkeypatch.delenv("OPENROUTER_API_KEY")
    ended = bursar("reconcile")
    assert (ended.exit_code, provider.asked) == (1, [])
    assert "OPENROUTER_API_KEY" in ended.stderr


def test_spans_and_providers(bursar: Bursar, provider: Provider, store: SqliteStore) -> None:
    doubt(store, "a", "gen-1")
    doubt(store, "b", "gen-2", at_ms=NOON_MS + 24 * HOUR_MS)
    for number in (1, 2):
        provider.has(f"gen-{number}", 0.0003)
    assert result(bursar("reconcile", "--provider", "openai", "--json"))["attempts"] == []
    told = result(bursar("reconcile", "--since", "2026-11-21", "--json"))
    assert [one["attempt_id"] for one in told["attempts"]] == ["b"]
    told = result(bursar("reconcile", "--until", "2026-11-20", "--provider", "openrouter", "--json"))
    assert [one["attempt_id"] for one in told["attempts"]] == ["a"]


@pytest.mark.usefixtures("provider", "store")
def test_a_provider_that_nobody_knows_is_a_mistake(bursar: Bursar) -> None:
    ended = bursar("reconcile", "--provider", "opnrouter")
    assert (ended.exit_code, "did you mean openrouter?" in ended.stderr) == (2, True), ended.output


def test_what_somebody_else_settled_meanwhile_counts_once(
    bursar: Bursar, provider: Provider, store: SqliteStore
) -> None:
    from bursar.call.evidence import adjustment
    from bursar.wire.dialect import Metered

    doubt(store, "a", "gen-1")
    provider.has("gen-1", 0.0003)
    (fact,) = store.attempts(uncertain=True)
    adjust = adjustment(fact, Metered(None, 300_000, "", "gen-1"), "/generation")
    assert adjust is not None
    answer = provider.answer

    def meanwhile(request_id: str) -> tuple[int, Any]:
        store.transact([adjust], lambda: NOON_MS)
        return answer(request_id)

    provider.answer = meanwhile  # type: ignore[method-assign]
    told = result(bursar("reconcile", "--json"))
    assert (told["settled"], told["returned_nano_usd"]) == (0, 0)
    assert spent(store) == 300_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "csv"), "--format is about a bill: name it with --bill"),
        (("--columns", "date=a,cost=b"), "--columns is about a bill"),
        (("--csv",), "--csv is about a bill"),
        (("--bill", "bursar.yaml"), "--bill needs --provider"),
        (("--bill", "bursar.yaml", "--provider", "openrouter", "--dry-run"), "changes nothing anyway"),
        (("--bill", "bursar.yaml", "--provider", "openrouter", "--csv", "--json"), "not both"),
        (("--bill", "nowhere.json", "--provider", "openrouter"), "there is no file nowhere.json"),
        (("--columns", "date"), "NAME=VALUE"),
        (("--columns", "cost=a,cost=b"), "cost is given twice"),
        (("--last", "7d", "--since", "2026-11-01"), "give one"),
    ],
)
@pytest.mark.usefixtures("store")
def test_mistakes(bursar: Bursar, arguments: tuple[str, ...], said: str) -> None:
    ended = bursar("reconcile", *arguments)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output


def test_without_books_there_is_nothing_to_settle(bursar: Bursar, folder: Path) -> None:
    ended = bursar("reconcile", "--json")
    assert (ended.exit_code, result(ended)["settled"]) == (0, 0)
    assert "There are no books yet" in ended.stderr
    assert list(folder.iterdir()) == []
