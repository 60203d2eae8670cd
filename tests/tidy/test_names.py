"""Names say what a thing is."""

from __future__ import annotations

import ast
from pathlib import PurePath

import pytest

from tests.tidy.tree import ROOT, SOURCE, files, name, parsed, python_files

BANNED_FILES = {"utils", "util", "helpers", "helper", "common", "misc"}
BANNED_ENDINGS = ("Manager", "Factory", "Handler", "Service", "Base", "Middleware")


def badly_named(path: PurePath) -> bool:
    stems = [part.split(".")[0] for part in path.parts]
    underscored = [stem for stem in stems if stem.startswith("_") and stem not in {"__init__", "__main__"}]
    return bool(underscored or BANNED_FILES & set(stems))


def bad_classes(module: ast.Module) -> list[str]:
    classes = [node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    return [one for one in classes if one.endswith(BANNED_ENDINGS)]


def test_no_file_is_named_for_nothing() -> None:
    folders = (ROOT / "src", ROOT / "tests", ROOT / "bench", ROOT / "scripts", ROOT / "examples")
    ours = [path.relative_to(ROOT) for path in files() if path.is_relative_to(ROOT) and _below(path, folders)]
    assert [path.as_posix() for path in ours if badly_named(path)] == []


def _below(path: PurePath, folders: tuple[PurePath, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def test_no_class_is_named_for_its_role_in_a_pattern() -> None:
    assert {name(path): bad for path in python_files(SOURCE) if (bad := bad_classes(parsed(path)))} == {}


def test_every_module_says_what_it_is() -> None:
    written = [path for path in python_files(SOURCE) if parsed(path).body]
    assert [name(path) for path in written if not ast.get_docstring(parsed(path))] == []


@pytest.mark.parametrize("bad", ["src/bursar/utils.py", "src/bursar/_core.py", "tests/common/test_a.py"])
def test_a_bad_file_name_is_found(bad: str) -> None:
    assert badly_named(PurePath(bad))


@pytest.mark.parametrize("good", ["src/bursar/__init__.py", "src/bursar/__main__.py", "tests/conftest.py"])
def test_a_good_file_name_passes(good: str) -> None:
    assert not badly_named(PurePath(good))


def test_a_bad_class_name_is_found() -> None:
    assert bad_classes(ast.parse("class StoreManager: ...\nclass Store: ...")) == ["StoreManager"]
