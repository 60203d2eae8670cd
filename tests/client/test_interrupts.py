"""Ctrl-C in the blocking client, at any line it executes: no hold, no seat, and the books never below the bill."""

from __future__ import annotations

import contextlib
import gc
import linecache
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import bursar
from bursar.call.books import Expire
from tests.client.simulator import Sim

SOURCE = str(Path(bursar.__file__).parent)
LINES_MAX = 20_000

Ask = Callable[[bursar.Client], object]


def ask_chat(llm: bursar.Client) -> object:
    return llm.chat("[[tokens=20]]", model="openai/gpt-4o-mini", max_tokens=30)


def ask_stream(llm: bursar.Client) -> object:
    with llm.stream("[[tokens=20]]", model="openai/gpt-4o-mini", max_tokens=30) as stream:
        for _ in stream:
            pass
    return stream.reply


class Interrupts:
    """Raises KeyboardInterrupt before the nth line that this thread executes in Bursar's own code."""

    def __init__(self, line: int) -> None:
        self.left = line
        self.at = ""

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        # The transports have tests of their own, and a real signal meets them below.
        if not file.startswith(SOURCE) or "/edges/http/" in file or frame.f_code.co_name == "__del__":
            return None
        if event == "line":
            # The line of a `with` is met again on its way out, before the lock is let go: no signal is handled there.
            self.left -= not linecache.getline(file, frame.f_lineno).lstrip().startswith("with ")
            if self.left == 0:
                self.at = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.trace

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            yield
        finally:
            sys.settrace(before)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a body that is dropped says so, and is closed
@pytest.mark.parametrize(("ask", "stride"), [(ask_chat, 1), (ask_stream, 4)])
def test_an_interrupt_at_any_line_leaves_no_hold(sim: Sim, ask: Ask, stride: int) -> None:
    with bursar.Client(sim.config(), budget_usd=50, per="total", books="memory:") as llm:
        ask(llm)
        line = 1
        kept: BaseException | None = None
        while line < LINES_MAX:
            interrupts = Interrupts(line)
            try:
                with interrupts.armed():
                    ask(llm)
            except KeyboardInterrupt as interrupt:
                kept = interrupt  # and with it every frame that it passed
            if not interrupts.at:
                break
            gc.collect(1)
            llm._driver.drain.close()
            llm._driver.drain._closing = False
            llm._engine.teller.ask_blocking(Expire())  # whatever was queued stands before it
            (balance,) = llm.budgets()
            assert balance.held == 0, interrupts.at
            assert llm.pools()["openai"].seats_in_use == 0, interrupts.at
            line += stride
        assert kept is not None
        assert 100 < line < LINES_MAX
        facts = {fact.attempt_id: fact for fact in llm._engine.store.attempts(limit=10_000)}
        for entry in sim.entries():
            fact = facts[entry.client_request_id or ""]
            billed = entry.billed_nano_usd
            assert fact.charged_nano_usd == billed if fact.certain else fact.charged_nano_usd >= billed


PROGRAM = """
import os, signal, sys, threading, warnings
import bursar
from tests.client.test_interrupts import ask_chat, ask_stream

warnings.simplefilter("ignore")
url, books = sys.argv[1:]
config = {"llm": {"providers": {"openai": {"base_url": url + "/openai/v1", "api_key": "sk-sim-x"}}}}
interrupted = 0
with bursar.Client(config, budget_usd=50, per="total", books=books) as llm:
    ask_chat(llm)
    for number in range(120):
        timer = threading.Timer(number % 60 / 5_000, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            (ask_chat if number % 2 else ask_stream)(llm)
            timer.join()
        except KeyboardInterrupt:
            interrupted += 1
    engine = llm._engine
print(interrupted)
"""


def test_real_signals_at_any_time_lose_no_money(sim: Sim, tmp_path: Path) -> None:
    books = tmp_path / "b.db"
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM, sim.url, str(books)]
    program = subprocess.run(command, check=False, cwd=root, capture_output=True, text=True, timeout=60)
    assert program.returncode == 0, program.stderr
    assert int(program.stdout.split()[-1]) > 20, "most were interrupted"
    with bursar.Client(sim.config(), budget_usd=50, per="total", books=books) as llm:
        (balance,) = llm.budgets()
        assert balance.held == 0
        facts = {fact.attempt_id: fact for fact in llm._engine.store.attempts(limit=10_000)}
    for entry in sim.entries():
        fact = facts[entry.client_request_id or ""]
        billed = entry.billed_nano_usd
        assert fact.charged_nano_usd == billed if fact.certain else fact.charged_nano_usd >= billed
    assert balance.spent == sum(fact.charged_nano_usd for fact in facts.values()) >= sim.billed()
    assert not [fact for fact in facts.values() if fact.ending == "expired"], "every hold had ended by itself"
