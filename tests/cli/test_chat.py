"""`bursar chat` against the simulator: the answer on stdout, the money on stderr, and nothing left by a mistake."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from bursar.edges.stores.sqlite import SqliteStore
from bursar.sim.process import SimProcess
from tests.cli.conftest import Bursar

MODEL = ("--model", "openai/gpt-4o-mini", "--max-tokens", "8")


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("how", ["--stream", "--no-stream"])
def test_the_answer_is_data_and_the_receipt_is_not(bursar: Bursar, how: str) -> None:
    ended = bursar("chat", *MODEL, "--budget", "1/month", how, "Name", "three rivers.")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.strip()
    assert ended.stdout.count("\n") == 1
    first, held, budget = [line for line in ended.stderr.splitlines() if line.startswith("- ")]
    assert first.startswith("- openai/gpt-4o-mini-2024-07-18: ")
    assert held.startswith("- held $0.0000")
    assert budget.startswith("- budget client: $0.99")


@pytest.mark.usefixtures("key")
def test_an_answer_that_begins_again_says_so_and_not_in_the_answer(
    bursar: Bursar, folder: Path, sim: SimProcess
) -> None:
    (folder / "bursar.yaml").write_text(
        "llm: {providers: {openai: {retry_base_seconds: 0.01}}}\n"
        "routes: {again: {candidates: [openai/gpt-4o-mini], after_first_token: restart}}\n"
    )
    asked = urllib.request.Request(f"{sim.url}/sim/faults", b'["truncate:2,times=1"]', method="POST")
    urllib.request.urlopen(asked).close()
    ended = bursar("chat", "--model", "again", "--stream", "one two three [[echo]]")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == "one two\none two three\n"
    assert "it begins again" in ended.stderr


@pytest.mark.usefixtures("key")
def test_quiet_says_only_the_answer(bursar: Bursar) -> None:
    ended = bursar("chat", *MODEL, "--quiet", "--budget", "1", "hello")
    assert (ended.exit_code, ended.stderr) == (0, "")


@pytest.mark.usefixtures("key")
def test_json_has_answer_usage_cost_and_receipt(bursar: Bursar, folder: Path) -> None:
    ended = bursar(
        "chat", *MODEL, "--json", "--tag", "team=search", "--user", "ann", "--session", "s1", "--system", "Be brief.",
        "--budget", "1", "-", stdin="from stdin",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    shown = json.loads(ended.stdout)
    assert shown["text"]
    assert shown["usage"]["output_tokens"] == shown["usage"]["output"]
    assert shown["cost"]["source"] == "computed"
    assert shown["receipt"]["charged_nano_usd"] == shown["cost"]["nano_usd"]
    assert shown["receipt"]["budgets"][0]["spent"] == shown["cost"]["nano_usd"]
    store = SqliteStore(folder / "bursar.db")
    [row] = store.attempts(call_id=shown["call_id"])
    store.close()
    assert {**row.scopes}.items() >= {"team": "search", "user": "ann", "session": "s1"}.items()


@pytest.mark.usefixtures("key")
def test_a_refusal_is_3_and_a_failing_provider_is_4(bursar: Bursar, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = bursar("chat", *MODEL, "--max-cost", "0.000000001", "hi")
    assert refused.exit_code == 3
    assert "allows $0.000000001" in refused.stderr
    monkeypatch.setenv("OPENAI_API_KEY", "wrong-key")
    failed = bursar("chat", *MODEL, "--json", "hi")
    assert failed.exit_code == 4
    assert json.loads(failed.stdout)["error"]["code"] == "provider_auth"
    assert "wrong-key" not in failed.output


def test_a_mistake_leaves_no_books(bursar: Bursar, folder: Path) -> None:
    for arguments, code, said in [
        (("chat", "hi"), 1, "--model PROVIDER/MODEL"),
        (("chat", *MODEL, "hi"), 1, "set OPENAI_API_KEY"),
        (("chat", "--model", "opnai/gpt-4o", "hi"), 1, "did you mean openai?"),
        (("chat", *MODEL), 2, "there is no prompt"),
        (("chat", *MODEL, "-", "-"), 2, "only once"),
        (("chat", *MODEL, "--tag", "team", "hi"), 2, "NAME=VALUE"),
        (("chat", *MODEL, "--config", "none.yaml", "hi"), 1, "no such file"),
    ]:
        ended = bursar(*arguments)
        assert (ended.exit_code, said in ended.stderr) == (code, True), ended.output
    assert list(folder.iterdir()) == []


def test_a_key_is_missed_even_if_the_provider_is_known(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("llm: {active: openai, providers: {openai: {model: gpt-4o-mini}}}\n")
    ended = bursar("chat", "hi")
    assert (ended.exit_code, "openai has no API key" in ended.stderr) == (1, True)
    assert [path.name for path in folder.iterdir()] == ["bursar.yaml"]
