"""One concept a file, one thought a function."""

from __future__ import annotations

import ast

from tests.tidy.tree import SOURCE, name, parsed, python_files

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def long_functions(module: ast.Module) -> list[tuple[str, int]]:
    """Functions beyond the limit, with their lines from `def` to the end."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found.append((node.name, lines))
    return found


def test_no_file_is_longer_than_one_concept() -> None:
    lengths = {name(path): len(path.read_text("utf-8").splitlines()) for path in python_files(SOURCE)}
    assert {file: lines for file, lines in lengths.items() if lines > FILE_LINES_MAX} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    assert {name(path): long for path in python_files(SOURCE) if (long := long_functions(parsed(path)))} == {}


def test_a_long_function_is_found() -> None:
    body = "    x = 1\n" * FUNCTION_LINES_MAX
    module = ast.parse(f"class C:\n  async def long(self):\n{body}\ndef short():\n    pass\n")
    assert long_functions(module) == [("long", FUNCTION_LINES_MAX + 1)]
