"""The fenced blocks of the documents that are not Python: YAML files and console sessions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tidy.tree import ROOT, name

DOCUMENTS = (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md",
             ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))  # fmt: skip
_FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"title=(\S+)")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block. `line` counts from 1 and is that of its first line inside; `title` the file that it stands for."""

    document: str
    line: int
    language: str
    title: str
    body: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def fences(*languages: str) -> list[Fence]:
    """The blocks of every document in these languages."""
    found = (fence for path in DOCUMENTS for fence in fences_in(name(path), path.read_text("utf-8")))
    return [fence for fence in found if fence.language in languages]


def fences_in(document: str, text: str) -> Iterator[Fence]:
    """The blocks of one document."""
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["info"])
        line = text.count("\n", 0, match.start("body")) + 1
        yield Fence(document, line, match["info"].split()[0], title[1] if title else "", match["body"])


def commands(fence: Fence) -> Iterator[list[str]]:
    """The commands of a console session, as words; every side of a pipe is one. Comments and output are left out."""
    for line in fence.body.replace("\\\n", " ").splitlines():
        if not line.startswith("$ "):
            continue
        words: list[str] = []
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|<>&;")
        lexer.whitespace_split = True
        for word in [*lexer, "|"]:
            if word in ("|", "&", "&&", ";"):
                yield words
                words = []
            else:
                words.append(word)


def titled(path: Path) -> list[Fence]:
    """The blocks of one document that stand for a file."""
    return [fence for fence in fences_in(name(path), path.read_text("utf-8")) if fence.title]
