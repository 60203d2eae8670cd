"""Links between the documents lead somewhere, and their lines are not too long to read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.fences import DOCUMENTS
from tests.tidy.tree import ROOT, name

LINE_CHARACTERS_MAX = 120
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    """What can be linked to in a document: its headings, as forges write them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(path: Path) -> list[str]:
    """The links of a document that lead nowhere."""
    found = []
    for link in _LINK.findall(path.read_text("utf-8")):
        file, _, anchor = link.partition("#")
        if link.startswith(("http://", "https://")):
            continue
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken(path) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_lines_can_be_read(path: Path) -> None:
    prose = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("|")]
    assert [line for line in prose if len(line) > LINE_CHARACTERS_MAX] == []


def test_every_document_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name(path) for path in DOCUMENTS[1:] if f"({name(path)})" not in readme] == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# One thing\n[a](#one-thing) [b](#two) [c](c.md) [d](https://example.com)\n")
    assert broken(document) == ["#two", "c.md"]
