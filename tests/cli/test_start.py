"""How the command starts and ends as a process: what it imports, pipes that close, interrupts, both ways to call it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bursar import __version__

HEAVY = ("aiohttp", "genai_prices", "httpx2", "msgspec", "rich", "tiktoken", "yaml", "bursar.config", "bursar.client")
SCRIPT = Path(sys.executable).parent / "bursar"
SECONDS = 60


def ran(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS, **options)  # type: ignore[call-overload,no-any-return]


def test_help_imports_nothing_heavy() -> None:
    code = f"""
import sys
from bursar.cli import main
sys.argv = ["bursar", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
print([name for name in sys.modules if name.startswith("bursar.cli.")], file=sys.stderr)
"""
    done = ran(sys.executable, "-c", code)
    heavy, commands = done.stderr.splitlines()
    assert heavy == "[]"
    assert commands == "['bursar.cli.ending', 'bursar.cli.group']"
    assert "demo" in done.stdout


@pytest.mark.parametrize("command", [[str(SCRIPT)], [sys.executable, "-m", "bursar"]])
def test_both_ways_to_call_it(command: list[str]) -> None:
    done = ran(*command, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"bursar {__version__}\n", "")
    assert ran(*command, "usage", "--nonsense").stderr.startswith("Usage: bursar usage ")


def test_a_pipe_that_closes_is_no_error(folder: Path) -> None:
    for number in range(200):
        (folder / f"{number}.json").write_text("{}")
    process = subprocess.Popen(
        [sys.executable, "-m", "bursar", "meter", "--recordings", "."], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, said) == (141, b"")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another thing on Windows")
def test_an_interrupt_ends_with_130_and_no_traceback(folder: Path) -> None:
    # Reads stdin, where nothing comes.
    process = subprocess.Popen(
        [sys.executable, "-m", "bursar", "meter", "--provider", "openai", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _await_reading(process.pid)
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert (process.returncode, said, complained.strip()) == (130, "", "")


def _await_reading(pid: int) -> None:
    """Wait until a process has imported what it needs and sleeps in its read."""
    import time

    wchan, before = Path(f"/proc/{pid}/wchan"), -1.0
    for _ in range(600):
        time.sleep(0.1)
        try:
            if "pipe" in wchan.read_text():
                return
        except OSError:
            pass
        used = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        if used == before and used > 0:
            return
        before = used
