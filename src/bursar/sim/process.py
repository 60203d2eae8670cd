"""The simulator as a process of its own, for tests and benchmarks that must survive it, or kill what talks to it."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

READY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class SimProcess:
    """A simulator that answers at `url`."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid


@contextlib.contextmanager
def start_process(
    *,
    seed: int = 0,
    latency: float = 0.0,
    record: Path | None = None,
    port: int = 0,
    arguments: Sequence[str] = (),
) -> Iterator[SimProcess]:
    """Run `python -m bursar.sim` until the block ends; `arguments` are further ones of its command line.

    It ends by itself when this process dies. Raises RuntimeError, with what it said, where it does not start.
    """
    command = [sys.executable, "-m", "bursar.sim", "--until-stdin-ends"]
    command += ["--port", str(port), "--seed", str(seed), "--latency", str(latency)]
    if record is not None:
        command += ["--record", str(record)]
    source = str(Path(__file__).parents[2])
    path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH", "")) if part)
    process = subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield SimProcess(_ready_url(process), process)
    finally:
        _stop(process)


def _ready_url(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = _first_line(process)
    if not line.startswith(b"{"):
        process.kill()
        said = process.stderr.read().decode("utf-8", "replace").strip()
        raise RuntimeError(f"the simulator did not start within {READY_SECONDS_MAX:.0f} s: {said or 'it said nothing'}")
    return str(msgspec.json.decode(line)["url"])


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    deadline = time.monotonic() + READY_SECONDS_MAX
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(timeout=0.5):
                return process.stdout.readline()
    return b""


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
