"""ARCHITECTURE.md names files that there are."""

from __future__ import annotations

import re

from tests.tidy.tree import ROOT, SOURCE

_PATH = re.compile(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py))`|`(tests/[a-z_/.]+)`")


def absent(text: str) -> list[str]:
    """The paths in a text that lead nowhere, from the root or from the package."""
    paths = [first or second for first, second in _PATH.findall(text)]
    return [path for path in paths if not any((base / path).exists() for base in (ROOT, SOURCE))]


def test_every_path_leads_to_a_file() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert len(_PATH.findall(text)) > 30
    assert absent(text) == []


def test_a_path_that_leads_nowhere_is_found() -> None:
    assert absent("`call/flow.py` `call/flaw.py` `tests/tidy` `tests/tidiness`") == ["call/flaw.py", "tests/tidiness"]


def test_every_layer_is_told_of() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    packages = {path.name for path in SOURCE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert {name for name in packages if f"`{name}`" not in text} == set()
