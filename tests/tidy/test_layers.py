"""Who may import whom (pyproject.toml holds the contracts), and what importing Bursar may not bring along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.tidy.tree import ROOT, SOURCE, imported, name, python_files

HEAVY = ("aiohttp", "genai_prices", "httpx2", "pydantic", "rich", "tiktoken", "yaml")


def test_each_layer_imports_only_those_below_it() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_was_checked_is_this_tree() -> None:
    # An installed copy elsewhere would be linted in its place, and always be found in order.
    code = "import bursar; print(bursar.__path__[0])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert Path(ran.stdout.strip()) == SOURCE


def test_rules_need_the_standard_library_alone() -> None:
    foreign = {}
    for path in python_files(SOURCE / "rules"):
        modules = {module for module in imported(path) if not f"{module}.".startswith("bursar.rules.")}
        if others := {module for module in modules if module.split(".")[0] not in sys.stdlib_module_names}:
            foreign[name(path)] = others
    assert foreign == {}


def test_the_simulator_shares_nothing_with_bursar() -> None:
    shared = {}
    for path in python_files(SOURCE / "sim"):
        ours = {module for module in imported(path) if module.split(".")[0] == "bursar"}
        if others := {module for module in ours if not f"{module}.".startswith("bursar.sim.")}:
            shared[name(path)] = others
    assert shared == {}


def test_importing_bursar_brings_nothing_heavy() -> None:
    code = f"import bursar, sys; print([one for one in {HEAVY!r} if one in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
