"""The Python examples of README.md and docs/, so that tests can compile and run them.

A fenced block whose info string is `python` is an example; `python run` marks one that a test also runs. A block that
opens with `>>>` is read as a doctest.
"""

from __future__ import annotations

import ast
import doctest
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from tests.tidy.tree import ROOT, name

_FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)\n(?P<body>.*?)^[ \t]*(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A block of Python in a document. `line` counts from 1 and is that of its first line of code."""

    document: str
    line: int
    code: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    def compiled(self) -> CodeType:
        """Its code, in which `await` and `async with` may stand at the top; line numbers are the document's.

        Raises:
            SyntaxError: it is not Python.
        """
        padded = "\n" * (self.line - 1) + self.code
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code: CodeType = compile(padded, self.document, "exec", flags=flags, dont_inherit=True)
        return code


def examples() -> list[Example]:
    """Those of README.md and of every document below docs/."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [example for path in documents for example in examples_in(name(path), _read(path))]


def examples_in(document: str, text: str) -> Iterator[Example]:
    """Those of one document."""
    for match in _FENCE.finditer(text):
        language, *marks = match["info"].split() or [""]
        if language.lower() not in {"python", "py"}:
            continue
        code = textwrap.dedent(match["body"])
        if code.lstrip().startswith(">>>"):
            code = doctest.script_from_examples(code)
        line = text.count("\n", 0, match.start("body")) + 1
        yield Example(document, line, code, runs="run" in marks)


def _read(path: Path) -> str:
    return path.read_text("utf-8")
