"""Programs that end without closing, fork, share one file, or lose it: no settle is lost, and each error is one."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import bursar
from bursar.call.books import Fact
from bursar.engine import Engine
from tests.client.colours import opened, until
from tests.client.simulator import Sim

ROOT = Path(__file__).parents[2]
SET_UP = """
import asyncio, os, sys, threading
import bursar

url, books = sys.argv[1:]
config = {"llm": {"providers": {"openai": {"base_url": url + "/openai/v1", "api_key": "sk-sim-x"}}}}
ask = {"model": "openai/gpt-4o-mini", "max_tokens": 30}
llm = bursar.Client(config, budget_usd=5, per="total", books=books)
"""


def run(program: str, sim: Sim, books: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", SET_UP + program, sim.url, str(books)]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)


def facts_in(books: Path, sim: Sim) -> list[Fact]:
    """What is in the books, when a new client has opened them; they hold nothing and are not below the bill."""
    with bursar.Client(sim.config(), budget_usd=5, per="total", books=books) as llm:
        (balance,) = llm.budgets()
        facts = llm._engine.store.attempts(limit=10_000)
    assert balance.held == 0
    assert balance.spent == sum(fact.charged_nano_usd for fact in facts) >= sim.billed()
    return facts


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ZeroDivisionError", 1),
        ("del llm", 0),
        ("threading.Thread(target=sys.exit).start()", 0),
    ],
)
def test_a_program_that_ends_without_closing_loses_no_settle(sim: Sim, tmp_path: Path, ending: str, code: int) -> None:
    ended = run(f"llm.chat('hi', **ask)\nllm.chat('hi', **ask)\n{ending}", sim, tmp_path / "b.db")
    assert ended.returncode == code, ended.stderr
    facts = facts_in(tmp_path / "b.db", sim)
    assert [fact.ending for fact in facts] == ["ok", "ok"]
    assert sum(fact.charged_nano_usd for fact in facts) == sim.billed()


def test_a_program_that_ends_inside_a_stream_charges_it(sim: Sim, tmp_path: Path) -> None:
    program = "with llm.stream('[[tokens=9000]]', model='openai/gpt-4o-mini') as s:\n  next(s)\n  sys.exit(4)"
    assert run(program, sim, tmp_path / "b.db").returncode == 4
    (fact,) = facts_in(tmp_path / "b.db", sim)
    assert fact.ending == "aborted"
    assert fact.certain, "it was read to its end on the way out"


def test_an_async_program_that_ends_without_closing_charges_what_was_under_way(sim: Sim, tmp_path: Path) -> None:
    program = """
async def main():
    client = bursar.AsyncClient(config, budget_usd=5, per="total", books=books)
    await client.chat("hi", **ask)
    tasks = [asyncio.create_task(client.chat("[[fault=stall:5]]", **ask)) for _ in range(3)]
    while not client.pools()["openai"].seats_in_use == 3: await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
llm.close()
asyncio.run(main())
"""
    assert run(program, sim, tmp_path / "b.db").returncode == 0
    facts = facts_in(tmp_path / "b.db", sim)
    assert len(facts) == 4
    cut = [fact for fact in facts if fact.ending != "ok"]
    assert all(fact.charged_nano_usd == fact.bound_nano_usd and not fact.certain for fact in cut)
    assert {fact.ending for fact in cut} == {"cancelled"}


FORK = """
llm.chat("hi", **ask)
child = os.fork()
if not child:
    try:
        llm.chat("hi", **ask)
    except bursar.StoreUnavailableError as error:
        print("child:", error, flush=True)
    try:
        llm.budgets()
    except bursar.StoreUnavailableError as error:
        print("child:", error, flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("parent:", llm.chat("hi", **ask).cost, flush=True)
child = os.fork()
if not child:
    own = bursar.Client(config, budget_usd=5, per="total", books=books)
    own.chat("hi", **ask)
    own.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
llm.chat("hi", **ask)
"""


def test_a_fork_is_told_once_and_its_parent_goes_on(sim: Sim, tmp_path: Path) -> None:
    ended = run(FORK, sim, tmp_path / "b.db")
    assert ended.returncode == 0, ended.stderr
    first, second, parent = ended.stdout.splitlines()
    assert first.startswith("child: ")
    assert "fork" in first
    assert "make a Client in the child" in first or "fork" in second
    assert "fork" in second
    assert parent.startswith("parent: $")
    facts = facts_in(tmp_path / "b.db", sim)
    assert [fact.ending for fact in facts] == ["ok"] * 4
    assert sum(fact.charged_nano_usd for fact in facts) == sim.billed()


def test_a_fork_before_the_first_call_is_told_too(sim: Sim, tmp_path: Path) -> None:
    ended = run(FORK.partition("\n")[2].partition("\n")[2], sim, tmp_path / "b.db")
    assert ended.returncode == 0, ended.stderr
    assert "fork" in ended.stdout.splitlines()[0]
    assert len(facts_in(tmp_path / "b.db", sim)) == 3


# Files that fail


def test_books_that_cannot_be_used_say_so_when_they_are_opened(sim: Sim, tmp_path: Path, colour: str) -> None:
    kind = bursar.AsyncClient if colour == "async" else bursar.Client
    corrupt, newer, folder = tmp_path / "corrupt.db", tmp_path / "newer.db", tmp_path / "folder"
    corrupt.write_bytes(b"this is no database" * 1000)
    bursar.Client(sim.config(), books=newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 4711")
    connection.close()
    folder.mkdir()
    for path in (corrupt, newer, folder):
        with pytest.raises((bursar.StoreUnavailableError, bursar.ConfigError)) as raised:
            kind(sim.config(), budget_usd=5, per="total", books=path)
        assert path.name in str(raised.value)
    assert sim.entries() == []


async def test_books_that_turn_read_only_refuse_before_anything_is_sent(sim: Sim, colour: str, tmp_path: Path) -> None:
    async with opened(colour, sim.config(), budget_usd=5, books=tmp_path / "b.db") as llm:
        await llm.chat()
        with Failing(llm.client._engine, bursar.StoreUnavailableError("attempt to write a readonly database")):
            with pytest.raises(bursar.StoreUnavailableError, match="readonly"):
                await llm.chat()
        assert len(sim.entries()) == 1
        await llm.chat()
        assert llm.budgets()["client"].spent == sim.billed()


class Failing:
    """Books that take nothing, for the length of the block."""

    def __init__(self, engine: Engine, error: Exception, *, only: str = "") -> None:
        self._store: Any = engine.store
        self._error = error
        self._only = only
        self.refused = threading.Event()

    def transact(self, operations: Any, clock: Any) -> Any:
        if not self._only or any(type(operation).__name__ == self._only for operation in operations):
            self.refused.set()
            raise self._error
        return self._taking(operations, clock)

    def __enter__(self) -> Failing:
        self._taking = self._store.transact
        self._store.transact = self.transact
        return self

    def __exit__(self, *_: object) -> None:
        del self._store.transact


async def test_a_disk_that_is_full_when_a_call_ends_gives_the_reply_unsettled_and_settles_later(
    sim: Sim, colour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.edges.teller.SETTLE_PATIENCE_MS", 50)
    async with opened(colour, sim.config(), budget_usd=5, books=tmp_path / "b.db") as llm:
        engine = llm.client._engine
        with Failing(engine, bursar.StoreUnavailableError("database or disk is full"), only="Settle"):
            reply = await llm.chat()
            assert reply.text
            assert reply.cost.nano_usd == sim.billed()
            assert not reply.receipt.settled
            assert "not yet in the books" in str(reply.receipt)
            assert llm.budgets()["client"].held == reply.receipt.held_nano_usd
            assert engine.teller.unsettled == 1
        await until(lambda: llm.budgets()["client"].held == 0)
        assert engine.teller.unsettled == 0
        assert llm.budgets()["client"].spent == sim.billed()
        assert llm.facts()[0].certain


async def test_a_client_that_closes_on_a_full_disk_ends_and_leaves_the_hold_to_be_found(
    sim: Sim, colour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bursar.edges.teller.SETTLE_PATIENCE_MS", 50)
    async with opened(colour, sim.config(), budget_usd=5, books=tmp_path / "b.db") as llm:
        with Failing(llm.client._engine, bursar.StoreUnavailableError("database or disk is full"), only="Settle"):
            await llm.chat()
            await llm.close()
    (fact,) = facts_in(tmp_path / "b.db", sim)
    assert fact.ending == "expired"
    assert fact.charged_nano_usd == fact.bound_nano_usd


def test_a_disk_that_is_really_full(sim: Sim, tmp_path: Path) -> None:
    program = """
import resource
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
llm.chat("hi", **ask)
seen = {"refused": 0, "unsettled": 0, "ok": 0}
resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, resource.RLIM_INFINITY))
for _ in range(12):
    try:
        reply = llm.chat("hi", **ask)
        seen["ok" if reply.receipt.settled else "unsettled"] += 1
    except bursar.StoreUnavailableError as error:
        seen["refused"] += 1
        text = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert seen["refused"] > 0, seen
assert "full" in text or "I/O" in text or "disk" in text, text
llm.chat("hi", **ask)
print(llm.budgets()[0].held, seen)
llm.close()
"""
    ended = run(program, sim, tmp_path / "b.db")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("0 "), ended.stdout
    facts = facts_in(tmp_path / "b.db", sim)
    assert sum(fact.charged_nano_usd for fact in facts) == sim.billed()


# One file, several clients


async def test_two_clients_of_one_process_share_a_file(sim: Sim, tmp_path: Path) -> None:
    books = tmp_path / "b.db"
    async with opened("async", sim.config(), budget_usd="0.001", books=books) as one:
        async with opened("blocking", sim.config(), books=books) as other:
            calls = [client.chat(f"[[tokens=40]] {i}", max_tokens=100) for i in range(30) for client in (one, other)]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            refused = [one for one in outcomes if isinstance(one, BaseException)]
            assert all(isinstance(error, bursar.BudgetExceededError) for error in refused)
            assert refused
            for llm in (one, other):
                balance = llm.budgets()["client"]
                assert balance.held == 0
                assert balance.spent == sim.billed() <= 1_000_000


def test_two_processes_with_different_budgets_keep_both(sim: Sim, tmp_path: Path) -> None:
    config = {**sim.config(), "books": str(tmp_path / "b.db")}
    import yaml

    for name, usd in (("a", 0.0005), ("b", 0.004)):
        (tmp_path / f"{name}.yaml").write_text(
            yaml.safe_dump({**config, "budgets": {name: {"usd": usd, "per": "day"}}})
        )
    program = """
import sys, bursar
with bursar.Client(sys.argv[1]) as llm:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(100):
        try:
            llm.chat(f"[[tokens=30]] {number}", model="openai/gpt-4o-mini", max_tokens=100)
        except bursar.BudgetExceededError as error:
            print(error.budget, flush=True)
            break
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / f"{name}.yaml")],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    outs = [process.communicate("go\n", timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert outs == ["a\n", "a\n"], "the tighter budget binds both, whoever defined it"
    with bursar.Client(tmp_path / "a.yaml") as llm:
        spent = {one.allowance: one.spent for one in llm.budgets()}
        assert spent["a"] == sim.billed() <= 500_000
        assert {one.held for one in llm.budgets()} == {0}


def test_a_release_in_one_process_wakes_a_caller_in_another(sim: Sim, tmp_path: Path) -> None:
    books = tmp_path / "b.db"
    program = """
import bursar, sys
config = {"llm": {"providers": {"openai": {"base_url": sys.argv[1] + "/openai/v1", "api_key": "sk-sim-x"}}}}
llm = bursar.Client(config, budget_usd="0.00015", per="total", books=sys.argv[2])
with llm.stream("[[tokens=9]]", model="openai/gpt-4o-mini", max_tokens=130) as stream:
    next(stream)
    print("held", flush=True)
    sys.stdin.readline()
    for _ in stream:
        pass
llm.close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, sim.url, str(books)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with bursar.Client(sim.config(), budget_usd="0.00015", per="total", books=books) as llm:
            with pytest.raises(bursar.BudgetExceededError) as raised:
                llm.chat("hi", model="openai/gpt-4o-mini", max_tokens=130, max_wait_seconds=0)
            assert raised.value.held
            asked: list[bursar.Reply] = []
            waiter = threading.Thread(
                target=lambda: asked.append(llm.chat("hi", model="openai/gpt-4o-mini", max_tokens=130))
            )
            waiter.start()
            while not llm._engine.teller.waiting:
                pass
            holder.stdin.write("go\n")
            holder.stdin.flush()
            waiter.join(20)
            assert asked
            assert asked[0].receipt.wait_ms > 0
            assert holder.wait(20) == 0
