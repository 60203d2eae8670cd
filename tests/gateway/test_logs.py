"""What a gateway logs, from DEBUG on: no secret and no prompt, however a call fails."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.telemetry.jsonlog import JsonLines
from tests.client.simulator import Sim
from tests.edges.hooks import Hook, hook
from tests.gateway.running import ADMIN_KEY, SECRET, Running, serving
from tests.gateway.test_health import key_of

PROMPT, PROVIDER_KEY, HOOK = "prompt-canary-1f", "sk-sim-canary-2e", "hook-canary-3d"
WRONG_KEY = "sk-bursar-" + "canary4c" * 5 + "abc"
USER = "user-canary-5b"


@pytest.fixture
def owner() -> Iterator[Hook]:
    with hook() as listening:
        yield listening


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that anybody logs from DEBUG on, as lines of JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


FAULTS = (
    "status:500", "status:429", "status:401", "html", "refuse", "error_body", "drop", "truncate", "malformed_json",
    "empty", "wrong_content_type", "absurd_usage", "missing_usage", "oversized",
)  # fmt: skip


def every_input(running: Running, key: str, fault: str = "") -> None:
    """The canaries through everything that takes one: calls of each format, streams, bad requests, wrong keys."""
    headers = {"x-bursar-user": USER, "x-bursar-session": USER, "x-bursar-tags": f"team={USER}"}
    asks: list[tuple[str, Any, str | None]] = [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 9}, key),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}], "stream": True}, key),
        ("/v1/responses", {"input": PROMPT, "max_output_tokens": 20}, key),
        ("/v1/embeddings", {"input": PROMPT, "model": "openai/text-embedding-3-small"}, key),
    ]
    if not fault:
        asks += [
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}]}, WRONG_KEY),
            ("/v1/chat/completions", {"messages": PROMPT}, key),
            ("/v1/chat/completions", b'{"messages": "' + PROMPT.encode(), key),
            ("/v1/chat/completions", {"messages": [], "model": "openai/none", "x": PROMPT}, key),
            (f"/v1/{PROMPT}", {}, key),
        ]
    for path, body, who in asks:
        given = body if isinstance(body, bytes) else {"model": "openai/gpt-4o-mini", **body}
        running.ask("POST", path, given, key=who, headers=headers)


def test_no_secret_and_no_prompt_is_logged_however_calls_end(
    tmp_path: Path, sim: Sim, owner: Hook, logged: io.StringIO
) -> None:
    config = {
        **sim.config(openai={"api_key": PROVIDER_KEY, "log_costs": True, "log_token_usage": True, "max_retries": 1,
                             "retry_base_seconds": 0, "cost_warning_threshold": 0}),
        "budgets": {"all": {"usd": 5, "per": "day", "alert_at": ["1%"]}},
        "alerts": {"webhook": f"{owner.url}/{HOOK}"},
    }  # fmt: skip
    owner.answers = [(500, {}), (404, {})]
    with serving(tmp_path, sim, config) as running:
        key = key_of(running, "admin")
        every_input(running, key)
        for fault in FAULTS:
            with sim.faults(fault):
                every_input(running, key, fault)
        running.engine.breakers.reset()
        page = running.ask("GET", "/metrics").body.decode() + running.ask("GET", "/health").body.decode()
    lines = logged.getvalue()
    assert lines.count('"event":"call_ended"') > 5
    for line in lines.splitlines():
        json.loads(line)
    for secret in (PROMPT, PROVIDER_KEY, HOOK, key, WRONG_KEY, ADMIN_KEY, SECRET):
        assert [line for line in lines.splitlines() if secret in line] == []
        assert secret not in page
    assert USER not in page
