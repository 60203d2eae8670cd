"""docs/gateway.md: every request in it is made, in order, with the key it speaks of, and answers what it says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bursar.gateway.app import served
from tests.client.simulator import Sim
from tests.docs.fences import Fence, fences_in
from tests.gateway.admin.test_document import ANYTHING, agrees
from tests.gateway.keyed import key_of
from tests.gateway.running import Answer, Running
from tests.tidy.tree import ROOT

TEXT = (ROOT / "docs" / "gateway.md").read_text("utf-8")
FENCES = [fence for fence in fences_in("docs/gateway.md", TEXT) if fence.language == "http"]


def parts(fence: Fence) -> tuple[list[str], dict[str, str], str]:
    """The words of the first line, the headers, and the body of a message."""
    first, *lines = fence.body.splitlines()
    body = next((place for place, line in enumerate(lines) if line.startswith("{")), len(lines))
    headers = dict(line.split(": ", 1) for line in lines[:body] if line)
    return first.split(), headers, "\n".join(lines[body:])


def test_every_request_is_answered_as_it_says(gateway: Running, sim: Sim) -> None:
    key = key_of(gateway, "search", usd=0.1)
    answer: Answer | None = None
    for fence in FENCES:
        words, headers, body = parts(fence)
        if words[0] == "HTTP/1.1":
            assert answer is not None
            check(fence, answer, int(words[1]), headers, body)
            answer = None
        else:
            assert answer is None, f"{fence}: nothing is said of the answer before"
            answer = gateway.ask(words[0], words[1], body.encode(), key=key, headers=headers)
    assert answer is None


def check(fence: Fence, answer: Answer, status: int, headers: dict[str, str], body: str) -> None:
    assert answer.status == status, f"{fence}: {answer.body!r}"
    for name, value in headers.items():
        assert name in answer.headers, f"{fence}: {name}"
        assert value in (ANYTHING, answer.headers[name]), f"{fence}: {name}"
    if body:
        assert agrees(msgspec.json.decode(body), answer.json), f"{fence}: {answer.body!r}"


def test_there_is_something_to_try() -> None:
    assert len(FENCES) >= 10


@pytest.mark.parametrize(("method", "path"), sorted(entry for entry in served() if entry[1].startswith("/v1/")))
def test_every_path_of_calls_is_in_it(method: str, path: str) -> None:
    rows: list[Any] = [row for row in TEXT.splitlines() if row.startswith("| `")]
    assert any(f"`{method} {path.replace(':path', '')}`" in row for row in rows)
