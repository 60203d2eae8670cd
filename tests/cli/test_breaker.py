"""`bursar breaker`: what processes have posted, and a reset that reaches them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.cli import breaker as command
from bursar.cli.opening import now_ms
from bursar.edges.breakers import Breakers
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.breaker import BreakerPolicy
from tests.cli.conftest import Bursar

ROOT = Path(__file__).parents[2]
POLICY = BreakerPolicy(consecutive_failures=5, open_seconds=60)

# A program whose provider is down: it opens a breaker, says so, and looks at it whenever it is asked.
PROGRAM = """
import sys, time
from bursar.edges.breakers import Breakers
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.breaker import BreakerPolicy
store = SqliteStore(sys.argv[1])
breakers = Breakers(lambda provider: BreakerPolicy(), lambda: time.time_ns() // 1_000_000, board=store.board)
guard = breakers.of("openai", "gpt-4o-mini")
for _ in range(5):
    guard.finish(guard.take(), "failure", 10)
while not store.board.posted(0):
    time.sleep(0.01)
for _ in sys.stdin:
    print(guard.state, flush=True)
breakers.close()
store.close()
"""


@contextlib.contextmanager
def program(path: Path) -> Iterator[subprocess.Popen[str]]:
    """The program above, and its certain end."""
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait(30)
        for pipe in (running.stdin, running.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def state_of(running: subprocess.Popen[str]) -> str:
    """What the program says of its breaker now."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("\n")
    running.stdin.flush()
    assert select.select([running.stdout], [], [], 30)[0], "the program says nothing"
    return running.stdout.readline().strip()


@pytest.fixture
def breakers(folder: Path) -> Iterator[Breakers]:
    """The breakers of this process, posted in the folder's books as soon as they change."""
    store = SqliteStore(folder / "bursar.db")
    made = Breakers(lambda provider: POLICY, now_ms, chance=lambda: 0.0, board=store.board, look_seconds=0.02)
    yield made
    made.close()
    store.close()


def open_one(breakers: Breakers, provider: str, model: str) -> None:
    guard = breakers.of(provider, model)
    for _ in range(5):
        guard.finish(guard.take() or 0, "failure", 10)


def posted(bursar: Bursar, count: int) -> list[dict[str, object]]:
    """What the command lists, once so many are posted."""
    for _ in range(500):
        listed: list[dict[str, object]] = json.loads(bursar("breaker", "list", "--json").stdout)
        if len(listed) == count:
            return listed
    raise AssertionError(listed)


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_where_nothing_failed_there_is_nothing_to_show(
    bursar: Bursar, folder: Path, arguments: tuple[str, ...]
) -> None:
    ended = bursar("breaker", *arguments)
    assert (ended.exit_code, ended.stdout, "There are no books yet" in ended.stderr) == (0, "", True)
    assert list(folder.iterdir()) == []
    SqliteStore(folder / "bursar.db").close()
    ended = bursar("breaker", *arguments)
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "No circuit breaker has opened" in ended.stderr
    assert bursar("breaker", *arguments, "--json").stdout == "[]\n"


def test_what_has_opened_is_listed(bursar: Bursar, breakers: Breakers) -> None:
    open_one(breakers, "openai", "gpt-4o-mini")
    [shown] = posted(bursar, 1)
    assert (shown["provider"], shown["model"], shown["state"], shown["opened"]) == ("openai", "gpt-4o-mini", "open", 1)
    assert (shown["why"], shown["pid"], shown["reset_asked"]) == ("5 failures in a row", os.getpid(), False)
    assert str(shown["since"]) < str(shown["until"])
    ended = bursar("breaker")
    assert ended.exit_code == 0
    assert "openai/gpt-4o-mini" in ended.stdout
    assert all(len(line) <= 80 for line in ended.stdout.splitlines())


def test_a_reset_by_name_closes_that_one(bursar: Bursar, breakers: Breakers) -> None:
    for model in ("a", "b"):
        open_one(breakers, "openai", model)
    open_one(breakers, "openrouter", "meta/llama")
    posted(bursar, 3)
    ended = bursar("breaker", "reset", "openrouter/meta/llama")
    assert (ended.exit_code, ended.stderr) == (0, "Closed 1 breaker.\n")
    assert breakers.of("openrouter", "meta/llama").state == "closed"
    assert json.loads(bursar("breaker", "reset", "openai", "--json").stdout) == {"closed": 2}
    assert {shown["state"] for shown in posted(bursar, 3)} == {"closed"}
    ended = bursar("breaker", "reset", "openai")
    assert (ended.exit_code, ended.stderr) == (0, "No breaker of openai is open: there is nothing to reset.\n")
    assert "-" in bursar("breaker").stdout


def test_a_process_that_does_not_answer_is_named(bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATIENCE_SECONDS", 0.05)
    store = SqliteStore(folder / "bursar.db")
    deaf = Breakers(lambda provider: POLICY, now_ms, board=store.board, look_seconds=600)
    open_one(deaf, "openai", "gpt-4o")
    posted(bursar, 1)
    ended = bursar("breaker", "reset", "--json")
    shown = json.loads(ended.stdout)["error"]
    assert (ended.exit_code, shown["code"], shown["asked"], len(shown["waiting"])) == (1, "no_answer", 1, 1)
    assert f"no answer from process {os.getpid()}" in ended.stderr
    deaf.close()
    store.close()


def test_without_books_there_is_nothing_to_reset(bursar: Bursar) -> None:
    ended = bursar("breaker", "reset")
    assert (ended.exit_code, "there are no books" in ended.stderr) == (1, True)


def test_other_processes_are_seen_reset_and_forgotten_when_they_die(bursar: Bursar, folder: Path) -> None:
    with program(folder / "bursar.db") as running:
        assert state_of(running) == "open"
        [shown] = posted(bursar, 1)
        assert shown["pid"] == running.pid
        assert bursar("breaker", "reset", "openai/gpt-4o-mini").exit_code == 0
        assert state_of(running) == "closed"
        running.kill()
        running.wait(30)
        assert posted(bursar, 0) == []


def test_options_go_where_they_belong(bursar: Bursar, folder: Path) -> None:
    assert "reset" in bursar("breaker", "--help").stdout
    assert bursar("breaker", "opne").exit_code == 2
    assert bursar("breaker", "--books", str(folder / "none.db")).exit_code == 1
