"""docs/admin-api.md: every request in it is made, in order, and answers what it says; every endpoint is in it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from bursar.gateway.admin.table import admin_entries
from tests.docs.fences import Fence, fences_in
from tests.gateway.running import Running
from tests.tidy.tree import ROOT

DOCUMENT = ROOT / "docs" / "admin-api.md"
TEXT = DOCUMENT.read_text("utf-8")
# Stands for whatever is there.
ANYTHING = "..."


def agrees(promised: Any, got: Any) -> bool:
    """Whether an answer has all that an excerpt of it promises."""
    if promised == ANYTHING:
        return got is not None
    if isinstance(promised, dict):
        return isinstance(got, dict) and all(
            name in got and agrees(value, got[name]) for name, value in promised.items()
        )
    if isinstance(promised, list):
        return isinstance(got, list) and len(promised) == len(got) and all(map(agrees, promised, got))
    return bool(promised == got)


def test_every_request_is_answered_as_it_says(gateway: Running) -> None:
    call_id = gateway.chat("Name three rivers.").headers["x-bursar-call-id"]
    answer: Any = None
    asked = 0
    for fence in fences_in("docs/admin-api.md", TEXT):
        if fence.language == "http":
            answer = made(gateway, fence, call_id)
            asked += 1
        elif fence.language == "json":
            promised = msgspec.json.decode(fence.body)
            assert agrees(promised, answer), f"{fence}: {answer}"
    assert asked > 5


def made(gateway: Running, fence: Fence, call_id: str) -> Any:
    first, _, body = fence.body.partition("\n")
    method, path = first.split()
    answer = gateway.ask(method, path.replace("{call_id}", call_id), body.encode() or None)
    assert answer.status < 300, f"{fence}: {answer.body!r}"
    return answer.json


@pytest.mark.parametrize(("method", "path"), sorted(admin_entries()))
def test_every_endpoint_is_in_it(method: str, path: str) -> None:
    rows = [row for row in TEXT.splitlines() if row.startswith("|")]
    plain = f"{path.replace(':path', '')}`"
    named = [row for row in rows if plain in row]
    assert any(re.search(rf"`{method} ", row) for row in named), (method, path)


@pytest.mark.parametrize(
    ("promised", "got", "whether"),
    [
        ({"a": "..."}, {"a": 1, "b": 2}, True),
        ({"a": "..."}, {"a": None}, False),
        ({"a": [1, "..."]}, {"a": [1, 2]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": {"b": 1}}, {"a": {}}, False),
    ],
)
def test_what_agrees_with_an_excerpt(promised: Any, got: Any, whether: bool) -> None:
    assert agrees(promised, got) is whether
