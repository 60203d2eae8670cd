"""What no file of the project may say."""

from __future__ import annotations

import re

import pytest

from tests.tidy.tree import ROOT, files, imported, name, python_files, texts

INDEX_HOSTS = re.compile(r"pypi\.(org|python\.org)|pythonhosted\.org|(?<!emit-)\bindex-url\b")
MACHINE_PATHS = re.compile(r"(?<![\w.~$}>-])/(?:work|root|home|Users)/\w")
UNNUMBERED = re.compile(r"\b(?:TODO|FIXME)\b(?!.{0,3}#\d)")

THIS_FILE = "tests/tidy/test_words.py"


def saying(pattern: re.Pattern[str]) -> list[str]:
    """The lines that a pattern finds, in every file but the one that must name what it bans."""
    return [
        f"{file}:{number}: {line.strip()[:100]}"
        for file, text in texts()
        if file != THIS_FILE
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_package_index_is_named() -> None:
    assert saying(INDEX_HOSTS) == []


def test_no_path_of_somebodys_machine() -> None:
    assert saying(MACHINE_PATHS) == []


def test_what_is_left_to_do_has_an_issue() -> None:
    assert saying(UNNUMBERED) == []


def test_nothing_runs_when_python_starts() -> None:
    assert [name(path) for path in files() if path.suffix == ".pth"] == []


def test_tests_use_real_fakes() -> None:
    mocked = {
        name(path): found
        for path in python_files(ROOT / "tests")
        if (found := {module for module in imported(path) if module in {"mock", "unittest.mock", "pytest_mock"}})
    }
    assert mocked == {}
    patching = re.compile(r"\bmock\.patch\b|\bfrom unittest import .*\bmock\b")
    assert [line for line in saying(patching) if line.startswith("tests/")] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (INDEX_HOSTS, "https://files.pythonhosted.org/packages/a"),
        (INDEX_HOSTS, "--index-url=https://example.com/simple"),
        (INDEX_HOSTS, "--extra-index-url https://example.com/simple"),
        (MACHINE_PATHS, 'open("/home/ann/bursar.db")'),
        (MACHINE_PATHS, "cd /root/bursar"),
        (UNNUMBERED, "# TODO: later"),
    ],
)
def test_each_is_found(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.parametrize(
    "line", ["# TODO(#12): later", "uv --no-emit-index-url", "https://example.com/home/page", "~/work/bursar"]
)
def test_what_only_looks_alike_is_not_found(line: str) -> None:
    assert not any(pattern.search(line) for pattern in (INDEX_HOSTS, MACHINE_PATHS, UNNUMBERED))
