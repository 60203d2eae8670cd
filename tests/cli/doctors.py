"""What the doctor finds, and the answers of providers that are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from bursar.call.exchange import Answer
from tests.cli.conftest import Bursar

Finding = tuple[str, str, str]


def healthy(bursar: Bursar, *arguments: str) -> tuple[bool, list[Finding]]:
    """Whether nothing is broken, and (level, check, found) of what was asked of providers."""
    ended = bursar("doctor", "--json", *arguments)
    shown = json.loads(ended.stdout)
    assert ended.exit_code == (0 if shown["healthy"] else 1), ended.output
    checks = ("providers", "account", "probe")
    rows = [(one["level"], one["check"], one["found"]) for one in shown["checks"] if one["check"] in checks]
    broken = [one for one in shown["checks"] if one["level"] == "error" and one["check"] not in checks]
    assert broken == []
    return shown["healthy"], rows


def configure(folder: Path, **providers: dict[str, Any]) -> None:
    """A bursar.yaml with these providers."""
    (folder / "bursar.yaml").write_text(yaml.safe_dump({"llm": {"providers": providers}}, sort_keys=False))


def answer(body: Any, status: int = 200, content_type: str = "application/json") -> Answer:
    """An answer of a provider: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {"content-type": content_type}, raw)
