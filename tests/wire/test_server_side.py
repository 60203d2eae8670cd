"""What runs at the provider's side is named, whatever a caller calls it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from bursar.wire.body import Fields, read_fields
from bursar.wire.server_side import named_fields, plugins, server_tools


def fields(**given: Any) -> Fields:
    return read_fields(json.dumps(given).encode())


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ({"type": "function"}, []),
        ({}, []),
        ({"type": None}, []),
        ("x", []),
        ({"type": "web_search"}, ["tool web_search"]),
        ({"type": "x" * 100}, ["tool " + "x" * 64]),
        ({"type": ["function"]}, ["tool"]),
        ({"type": 7}, ["tool"]),
    ],
)
def test_tools_are_named_but_for_the_callers(tool: Any, names: list[str]) -> None:
    assert list(server_tools([tool], {"function"})) == names


def test_plugins() -> None:
    given = [{"id": "web"}, {"id": 7}, "x", {"id": "y" * 100}]
    assert list(plugins(fields(plugins=given))) == ["plugin web", "plugin", "plugin", "plugin " + "y" * 64]
    assert list(plugins(fields(plugins=None))) == list(plugins(fields())) == []
    with pytest.raises(InvalidRequestError, match="plugins must be a list"):
        list(plugins(fields(plugins="web")))


def test_fields_count_where_they_are_set() -> None:
    assert list(named_fields(fields(a=1, b=None, c=False), ("a", "b", "c", "d"))) == ["a", "c"]
