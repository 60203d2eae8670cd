"""Every Python example that is marked `run` runs, and prints what it says it prints.

A line `# > text` in an example says that `text` is printed, in that order. A block of another language with
`title=NAME` in the same document is a file of that name in the example's folder.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.fences import titled
from tests.tidy.examples import Example, examples
from tests.tidy.tree import ROOT, python_files

EXPECTED = "# > "
EXAMPLE_SECONDS_MAX = 30


def run(example: Example) -> None:
    """Run an example as a program of its own would be, but for the process."""
    code = example.compiled()
    namespace: dict[str, object] = {"__name__": "example"}
    result = eval(code, namespace)  # noqa: S307 - it is our own document
    if inspect.iscoroutine(result):
        asyncio.run(asyncio.wait_for(result, EXAMPLE_SECONDS_MAX))


def missing(code: str, printed: str) -> list[str]:
    """The lines that an example says it prints and does not print, or not in that order."""
    lines: Iterator[str] = iter(printed.splitlines())
    promised = [line.strip().removeprefix(EXPECTED) for line in code.splitlines() if line.strip().startswith(EXPECTED)]
    return [line for line in promised if line not in lines]


@pytest.mark.parametrize("example", [one for one in examples() if one.runs], ids=str)
def test_an_example_runs(example: Example, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for fence in titled(ROOT / example.document):
        (folder / fence.title).write_text(fence.body)
    run(example)
    printed = capsys.readouterr().out
    assert missing(example.code, printed) == [], printed


@pytest.mark.parametrize("path", python_files(ROOT / "examples"), ids=lambda path: path.name)
def test_an_example_file_runs(path: Path, folder: Path) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, path],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=EXAMPLE_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert "Traceback" not in done.stderr


def test_enough_of_the_documents_runs() -> None:
    running = [one for one in examples() if one.runs]
    assert len(running) >= 15
    assert sum(one.code.count(EXPECTED) for one in running) >= 25


def test_what_is_not_printed_is_found() -> None:
    code = "print('a')\n# > a\nprint('b')\n# > b\n"
    assert missing(code, "a\nb\n") == []
    assert missing(code, "b\na\n") == ["b"]
