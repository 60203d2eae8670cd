"""`bursar meter`: one JSON object a body, and a folder of recordings that no bad one stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Bursar

KEYS = ["model", "usage", "cost_nano_usd", "cost_source", "certain", "price_version", "error"]
BODY: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}
BILL = 10 * 150 + 5 * 600


def recording(**changes: Any) -> dict[str, Any]:
    response = {"status": 200, "content_type": "application/json", "headers": {}, "body": json.dumps(BODY)}
    recorded = {"provider": "openai", "path": "/v1/chat/completions", "request": {}, "response": response, "id": "r1"}
    return recorded | changes


def test_a_file_and_stdin(bursar: Bursar, folder: Path) -> None:
    (folder / "reply.json").write_text(json.dumps(BODY))
    for arguments, stdin in ((["reply.json"], None), (["-"], json.dumps(BODY)), ([], json.dumps(BODY))):
        ended = bursar("meter", "--provider", "openai", "--path", "/v1/chat/completions", *arguments, stdin=stdin)
        assert ended.exit_code == 0, ended.output
        shown = json.loads(ended.stdout)
        assert list(shown) == KEYS
        assert shown["usage"] == {"input_tokens": 10, "output_tokens": 5, "input": 10, "output": 5}
        assert (shown["cost_nano_usd"], shown["certain"], shown["error"]) == (BILL, True, None)


def test_the_users_own_price_holds_from_its_date(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("prices: {openai/gpt-4o-mini: {from: 2026-02-01, input: 1000, output: 0}}\n")
    arguments = ("meter", "--provider", "openai", "-")
    shown = json.loads(bursar(*arguments, "--date", "2026-03-01", stdin=json.dumps(BODY)).stdout)
    assert (shown["cost_nano_usd"], shown["price_version"]) == (10_000_000, "bursar.yaml 2026-02-01")
    assert (
        json.loads(bursar(*arguments, "--date", "2026-01-01", stdin=json.dumps(BODY)).stdout)["cost_nano_usd"] == BILL
    )


def test_a_status_and_a_model_that_the_body_does_not_name(bursar: Bursar) -> None:
    body = json.dumps({"error": {"message": "no such model", "type": "invalid_request_error"}})
    shown = json.loads(
        bursar("meter", "--provider", "openai", "--status", "404", "--model", "gpt-99", stdin=body).stdout
    )
    assert (shown["model"], shown["cost_nano_usd"], shown["error"]) == ("gpt-99", 0, "no such model")


def test_what_is_not_said_is_not_guessed(bursar: Bursar) -> None:
    assert "say whose response" in bursar("meter", "-", stdin="{}").stderr
    assert bursar("meter", "--provider", "openai", "none.json").exit_code == 2
    assert bursar("meter", "--recordings", ".", "--provider", "openai").exit_code == 2
    assert "did you mean openai?" in bursar("meter", "--provider", "opnai", "-", stdin="{}").stderr


def test_a_bad_recording_gives_a_line_and_the_next_one_follows(bursar: Bursar, folder: Path) -> None:
    inner = folder / "openai"
    inner.mkdir()
    bad = {
        "a.json": b"not json",
        "b.json": b"[]",
        "c.json": json.dumps({"provider": "openai"}).encode(),
        "d.json": json.dumps(recording(response=7)).encode(),
        "e.json": json.dumps(recording(response={"body": "{}", "status": "many"})).encode(),
        "f.json": b"\xff\xfe{}",
        "g.json": b"[" * 100_000,
    }
    for name, content in bad.items():
        (inner / name).write_bytes(content)
    (inner / "z.json").write_text(json.dumps(recording()))
    (inner / "notes.txt").write_text("no recording")
    (inner / "folder.json").mkdir()
    ended = bursar("meter", "--recordings", ".")
    assert ended.exit_code == 0, ended.output
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(lines) == len(bad) + 1
    for line in lines:
        assert list(line) == ["id", *KEYS]
    assert lines[0]["id"] == "openai/a.json"
    assert all(line["error"].startswith("not a recording") for line in lines[:-1])
    assert (lines[-1]["id"], lines[-1]["cost_nano_usd"]) == ("r1", BILL)


def test_a_body_that_was_decoded_already_is_read_too(bursar: Bursar, folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps(recording(response={"status": 200, "body": BODY})))
    assert json.loads(bursar("meter", "--recordings", ".").stdout)["cost_nano_usd"] == BILL


def test_every_real_recording_gives_its_line(bursar: Bursar, recordings: Path) -> None:
    ended = bursar("meter", "--recordings", str(recordings))
    assert ended.exit_code == 0
    assert len(ended.stdout.splitlines()) == len(list(recordings.rglob("*.json")))


@pytest.mark.parametrize("body", ["", "<html>", "data: {}\n\n", "null"])
def test_any_body_gives_an_object(bursar: Bursar, body: str) -> None:
    ended = bursar("meter", "--provider", "openai", "-", stdin=body)
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["cost_nano_usd"] is None
