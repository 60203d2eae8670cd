"""The simulator as a process: one ready line, an end without noise, a record that outlives it, and clear refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from bursar.sim.process import start_process
from bursar.sim.record import read_record


def post(url: str, content: str = "hello") -> dict[str, object]:
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": content}]}).encode()
    headers = {"Authorization": "Bearer sk-sim-1", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/openai/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return dict(json.load(response))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bursar.sim", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_a_process_serves_and_its_record_outlives_a_kill(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with start_process(seed=3, record=record) as sim:
        first = post(sim.url)
        os.kill(sim.pid, signal.SIGKILL)
        sim.process.wait(5)
    assert [entry.id for entry in read_record(record)] == [first["id"]]
    with start_process(seed=3, record=record) as again:
        second = post(again.url)
        with urllib.request.urlopen(f"{again.url}/sim/bill", timeout=10) as response:
            assert json.load(response)["count"] == 2
    assert first["choices"] == second["choices"]
    assert first["id"] != second["id"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_is_quiet(number: signal.Signals) -> None:
    with start_process() as sim:
        sim.process.send_signal(number)
        assert sim.process.wait(10) == 0
        assert sim.process.stderr is not None
        assert sim.process.stderr.read() == b""


def test_it_ends_when_whoever_started_it_does() -> None:
    with start_process() as sim:
        assert sim.process.stdin is not None
        sim.process.stdin.close()
        assert sim.process.wait(10) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "70000"],
        ["--latency", "-1"],
        ["--latency", "nan"],
        ["--limit", "openai:rpm=3"],
        ["--limit", "nobody:requests=3"],
        ["--fault", "silly"],
        ["--model", "nobody/x=1,2"],
        ["--cancel-stops-billing", "nobody"],
        ["--cancel-bills-in-full", "nobody"],
        ["--now", "soon"],
        ["--colour", "red"],
    ],
)
def test_bad_arguments_give_one_line(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("bursar sim: ")
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_in_use_and_a_record_that_cannot_be_opened_give_one_line(tmp_path: Path) -> None:
    with start_process() as sim:
        ended = run("--port", sim.url.rpartition(":")[2])
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    ended = run("--record", str(tmp_path / "none" / "record.jsonl"))
    assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)


def test_a_process_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="fault 'silly'"):
        with start_process(arguments=["--fault", "silly"]):
            pass


def test_bursar_does_not_import_its_simulator_nor_the_other_way_round() -> None:
    code = "import sys, bursar.sim.server; print([m for m in sys.modules if m.startswith('bursar.')])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    modules = ended.stdout.strip("[]\n").replace("'", "").split(", ")
    assert all(module.startswith("bursar.sim") for module in modules)
    code = "import sys, bursar; print([m for m in sys.modules if m.startswith('bursar.sim')])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "[]\n"


def test_the_calendar_and_the_switches_come_from_the_command_line() -> None:
    arguments = ["--now", "2026-12-01T16:30:00Z", "--cancel-bills-in-full", "openrouter"]
    with start_process(arguments=[*arguments, "--cancel-stops-billing", "openai"]) as sim:
        with urllib.request.urlopen(f"{sim.url}/sim/clock", timeout=10) as response:
            assert json.load(response)["now"].startswith("2026-12-01T16:3")
        with urllib.request.urlopen(f"{sim.url}/sim/cancel", timeout=10) as response:
            assert json.load(response) == {"openai": True, "openrouter": False}
