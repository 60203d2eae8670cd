"""`bursar sim` runs until it is stopped, and says how to point a client at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Bursar


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing on Windows")
def test_it_serves_says_where_and_stops(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "bursar", "sim", "--seed", "7", "--record", "bill.jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["seed"] == 7
        asked = urllib.request.Request(f"{said['url']}/openai/v1/models", headers={"Authorization": "Bearer sk-sim-1"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        _, complained = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert f"export OPENAI_BASE_URL={said['url']}/openai/v1 OPENAI_API_KEY=sk-sim-1" in complained
    assert complained.endswith("Stopped.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "sattus:500"), "expected one of"),
        (("--limit", "openai"), "openai"),
        (("--model", "openai/x"), "openai/x"),
        (("--cancel-stops-billing", "opnai"), "opnai"),
        (("--cancel-bills-in-full", "opnai"), "opnai"),
        (("--now", "soon"), "soon"),
        (("--port", "70000"), "70000"),
        (("--latency", "-1"), "-1"),
    ],
)
def test_mistakes(bursar: Bursar, arguments: tuple[str, ...], said: str) -> None:
    ended = bursar("sim", *arguments)
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output


def test_a_port_that_is_taken(bursar: Bursar, sim: object) -> None:
    port = str(sim.url).rpartition(":")[2]  # type: ignore[attr-defined]
    ended = bursar("sim", "--port", port)
    assert (ended.exit_code, port in ended.stderr) == (1, True)
    assert ended.stderr.startswith("Error: ")
