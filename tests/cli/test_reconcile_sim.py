"""The books against the bill of a provider that nobody settled with: processes killed, streams cut, records late.

After `bursar reconcile` everything that can be known is, and the books are the simulator's own record to the
nano-dollar; its exports, read as any user's, say the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import bursar as package
from bursar.edges.stores.sqlite import SqliteStore
from bursar.errors import BursarError
from bursar.sim.config import SimConfig
from tests.cli.conftest import Bursar
from tests.client.simulator import Sim, simulating
from tests.tidy.tree import ROOT

MODEL = "openrouter/anthropic/claude-sonnet-4.5"
# Opens streams of OpenRouter that stall, and is killed in the midst of them: their ids are in the books by then.
KILLED = """
import os, signal, sys
import bursar

llm = bursar.Client("bursar.yaml", budget_usd=5, per="total")
open_streams = []
for number in range(3):
    stream = llm.stream(f"{number} [[fault=stall:60,after_chunks=4]]", model=sys.argv[1], max_tokens=300)
    next(iter(stream.__enter__()))
    open_streams.append(stream)
llm.chat("settled behind the marks of the streams", model=sys.argv[1], max_tokens=20)
os.kill(os.getpid(), signal.SIGKILL)
"""
SECONDS_MAX = 20


@pytest.fixture
def sim(folder: Path, request: pytest.FixtureRequest) -> Iterator[Sim]:
    """A simulator, and a bursar.yaml that knows its providers."""
    with simulating(SimConfig(cancel_bills_in_full=frozenset(getattr(request, "param", ())))) as made:
        (folder / "bursar.yaml").write_text(yaml.safe_dump(made.config()))
        yield made


def leave_records_alone(llm: package.Client) -> None:
    """Nobody asks for records in the background, as after a process that was killed."""
    llm._engine._inquiries.close()


def charged(folder: Path) -> int:
    """What the ledger carries in all."""
    store = SqliteStore(folder / "bursar.db")
    try:
        return sum(fact.charged_nano_usd for fact in store.attempts(limit=10_000))
    finally:
        store.close()


def billed(sim: Sim) -> int:
    """What the provider charged, and the makers behind it."""
    return sum(entry.billed_nano_usd + (entry.upstream_nano_usd or 0) for entry in sim.entries())


def reconciled(bursar: Bursar) -> Any:
    """Reconcile until nothing has to be asked for again."""
    until = time.monotonic() + SECONDS_MAX
    while True:
        ended = bursar("reconcile", "--json")
        assert ended.exit_code == 0, ended.output
        told = json.loads(ended.stdout)
        if not any(one["reason"] == "not_yet" for one in told["attempts"]) or time.monotonic() > until:
            return told
        time.sleep(0.05)


def saved(sim: Sim, folder: Path, export: str) -> str:
    """An export of the simulator, as a file."""
    name = export.partition("?")[0]
    with urllib.request.urlopen(f"{sim.url}/sim/exports/{export}", timeout=10) as answer:
        (folder / name).write_bytes(answer.read())
    return name


def agrees(bursar: Bursar, file: str, provider: str, *options: str) -> bool:
    """Whether the books agree with a bill; its exit code must say the same."""
    ended = bursar("reconcile", "--bill", file, "--provider", provider, "--json", *options)
    told = json.loads(ended.stdout)
    assert ended.exit_code == (0 if told["agrees"] else 1)
    assert told["lines"]
    return bool(told["agrees"])


@pytest.mark.parametrize("sim", [(), ("openrouter",)], indirect=True, ids=["billed to the cut", "billed in full"])
def test_a_killed_process_owes_what_its_provider_says(bursar: Bursar, sim: Sim, folder: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, MODEL],
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert killed.returncode == -9, killed.stderr
    before = json.loads(bursar("usage", "--json").stdout)
    assert before[0]["uncertain_calls"] == 3
    assert charged(folder) > billed(sim)
    told = reconciled(bursar)
    assert told["uncertain"] == 0
    assert charged(folder) == billed(sim) > 0
    assert agrees(bursar, saved(sim, folder, "openrouter-activity"), "openrouter")
    assert agrees(bursar, saved(sim, folder, "openrouter-activity?format=json"), "openrouter")


def test_what_was_cut_lost_or_came_late_is_settled_to_the_nano_dollar(bursar: Bursar, sim: Sim, folder: Path) -> None:
    faults = ("truncate:3", "drop:4", "missing_usage", "malformed_json", "no_done", "error_in_stream:3", "absurd_usage")
    with package.Client("bursar.yaml", budget_usd=5, per="total") as llm:
        leave_records_alone(llm)
        for number, fault in enumerate(faults):
            try:
                with llm.stream(f"{number} [[fault={fault}]]", model=MODEL, max_tokens=100 + number) as stream:
                    for _ in stream:
                        pass
            except BursarError:
                continue
        llm.chat("whole", model=MODEL, max_tokens=90)
        with llm.stream("a late record [[late=600]] [[fault=truncate:3]]", model=MODEL, max_tokens=100) as late:
            with pytest.raises(BursarError):
                list(late)
    assert charged(folder) > billed(sim)
    first = reconciled_once(bursar)
    assert [one["reason"] for one in first["attempts"] if one["reason"]] == ["not_yet"]
    assert charged(folder) > billed(sim)
    sim.desk.wall.advance(700_000)
    assert reconciled(bursar)["uncertain"] == 0
    assert charged(folder) == billed(sim) > 0


def reconciled_once(bursar: Bursar) -> Any:
    return json.loads(bursar("reconcile", "--json").stdout)


def test_with_ones_own_key_the_makers_bill_is_owed_too(bursar: Bursar, sim: Sim, folder: Path) -> None:
    settings = sim.config(openrouter={"api_key": "sk-sim-byok-1"})
    (folder / "bursar.yaml").write_text(yaml.safe_dump(settings))
    with package.Client("bursar.yaml", budget_usd=5, per="total") as llm:
        leave_records_alone(llm)
        llm.chat("whole", model=MODEL, max_tokens=90)
        with llm.stream("cut [[fault=truncate:3]]", model=MODEL, max_tokens=100) as stream, pytest.raises(BursarError):
            list(stream)
    assert reconciled(bursar)["settled"] == 1
    assert any(entry.upstream_nano_usd for entry in sim.entries())
    assert charged(folder) == billed(sim) > 0
    assert agrees(bursar, saved(sim, folder, "openrouter-activity"), "openrouter")


def test_openais_exports_say_what_the_books_say(bursar: Bursar, sim: Sim, folder: Path) -> None:
    with package.Client("bursar.yaml", budget_usd=5, per="total") as llm:
        for number in range(5):
            model = ("openai/gpt-4o-mini", "openai/gpt-4o")[number % 2]
            llm.chat(f"[[cached={number * 7}]] [[reasoning={number}]] hello", model=model, max_tokens=40 + number)
        with llm.stream("and a stream", model="openai/gpt-4o-mini", max_tokens=50) as stream:
            list(stream)
        assert agrees(bursar, saved(sim, folder, "openai-usage"), "openai")
        llm.embed(["a", "b"], model="openai/text-embedding-3-small")
    assert agrees(bursar, saved(sim, folder, "openai-costs?group_by=line_item"), "openai")
    assert agrees(bursar, saved(sim, folder, "openai-costs"), "openai")
    with package.Client("bursar.yaml", budget_usd=5, per="total") as llm:
        with llm.stream("cut [[fault=truncate:3]]", model="openai/gpt-4o", max_tokens=50) as stream:
            with pytest.raises(BursarError):
                list(stream)
    file = saved(sim, folder, "openai-costs?group_by=line_item")
    told = json.loads(bursar("reconcile", "--bill", file, "--provider", "openai", "--json").stdout)
    (differing,) = [line for line in told["lines"] if not line["agrees"]]
    assert "uncertain" in {reason["code"] for reason in differing["reasons"]}
    assert differing["drift_nano_usd"] > 0, "a bound is never below the bill"


def test_a_plain_table_of_any_provider(bursar: Bursar, sim: Sim, folder: Path) -> None:
    with package.Client("bursar.yaml", budget_usd=5, per="total") as llm:
        for number in range(3):
            llm.chat(f"{number}", model="groq/llama-3.1-8b-instant", max_tokens=40)
    file = saved(sim, folder, "csv?provider=groq")
    columns = "date=at,model=model,cost=usd,input_tokens=prompt_tokens,output_tokens=completion_tokens"
    assert agrees(bursar, file, "groq", "--columns", columns)
