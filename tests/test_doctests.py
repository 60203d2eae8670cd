"""Every example in a docstring is run, and shows what is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import bursar

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(bursar.__path__, "bursar.") if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_show_what_is_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(one.examples) for name in MODULES for one in finder.find(importlib.import_module(name))) > 50
