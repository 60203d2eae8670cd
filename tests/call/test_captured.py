"""Captured replies read as bills: each recording of a provider gives that provider's own numbers."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.call.captured import NOT_SUPPORTED, read_captured
from bursar.catalog.prices import PriceBook

DAY = date(2026, 11, 22)
KEYS = ["model", "usage", "cost_nano_usd", "cost_source", "certain", "price_version", "error"]
BOOK = PriceBook()
CHAT = "/v1/chat/completions"
# Dialects whose usage objects say a total.
TOTALLED = ("openai_chat", "embeddings")
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
REPLY = {"model": "gpt-4o-2024-08-06", "choices": [{"finish_reason": "stop"}], "usage": USAGE}


def read(body: bytes, provider: str = "openai", path: str = CHAT, **more: Any) -> dict[str, Any]:
    result = read_captured(provider, path, body, book=BOOK, day=DAY, **more)
    assert list(result) == KEYS
    json.dumps(result)
    return result


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_json_reply() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 400}}
    assert read(dumped(REPLY | {"usage": USAGE | details})) == {
        "model": "gpt-4o-2024-08-06",
        "usage": {"input_tokens": 1000, "output_tokens": 100, "input": 600, "cached_input": 400, "output": 100},
        "cost_nano_usd": 3_000_000,
        "cost_source": "computed",
        "certain": True,
        "price_version": read(dumped(REPLY))["price_version"],
        "error": None,
    }


def test_events_and_chunks_that_lost_their_framing() -> None:
    chunks = [
        {"model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "{"}, "finish_reason": None}]},
        {"model": "gpt-4o", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"model": "gpt-4o", "choices": [], "usage": USAGE},
    ]
    events = b": x\r\n\r\n" + b"".join(b"data: " + dumped(chunk) + b"\r\n\r\n" for chunk in chunks)
    for body in (
        events,
        events + b"data: [DONE]\r\n\r\n",
        b"".join(dumped(chunk) for chunk in chunks),
        b"\n".join(dumped(chunk) for chunk in chunks),
    ):
        result = read(body)
        assert (result["cost_nano_usd"], result["certain"], result["error"]) == (3_500_000, True, None)
    cut = read(events[:-9])
    assert (cut["usage"], cut["cost_nano_usd"], cut["certain"]) == (None, None, False)
    growing = b"data: " + dumped(chunks[0] | {"usage": USAGE}) + b"\n\n"
    assert (read(growing)["cost_nano_usd"], read(growing)["certain"]) == (3_500_000, False)


def test_a_reported_cost_is_believed_of_who_reports_it() -> None:
    body = dumped(REPLY | {"usage": USAGE | {"cost": 0.5}})
    assert (read(body, "openrouter")["cost_nano_usd"], read(body, "openrouter")["cost_source"]) == (
        500_000_000,
        "provider",
    )
    assert (read(body, "openai")["cost_nano_usd"], read(body, "openai")["cost_source"]) == (3_500_000, "computed")


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/images/generations", "/v1/chat/completions/x", "", "/"])
def test_a_dialect_that_is_not_spoken(path: str) -> None:
    result = read(dumped(REPLY), path=path, model="m")
    assert result == {
        "model": "m",
        "usage": None,
        "cost_nano_usd": None,
        "cost_source": "unknown",
        "certain": False,
        "price_version": "",
        "error": NOT_SUPPORTED,
    }


def test_every_dialect_is_read() -> None:
    said = {"type": "message", "model": "claude-haiku-4-5", "stop_reason": "end_turn", "content": []}
    message = dumped(said | {"usage": {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 5}})
    read_message = read(message, provider="anthropic", path="/v1/messages")
    assert read_message["usage"] == {
        "input_tokens": 100, "output_tokens": 5, "input": 10, "cached_input": 90, "output": 5,
    }  # fmt: skip
    assert read_message["certain"]
    response = {"object": "response", "status": "completed", "model": "gpt-4o", "output": []}
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    completed = {"type": "response.completed", "response": response | {"usage": usage}}
    events = b"event: response.completed\ndata: " + dumped(completed) + b"\n\n"
    for body in (dumped(response | {"usage": usage}), events):
        assert read(body, path="/v1/responses")["cost_nano_usd"] == 3_500_000


def test_errors() -> None:
    body = dumped({"error": {"message": "no such model", "code": "model_not_found"}})
    result = read(body, status=404, model="m")
    assert (result["error"], result["cost_nano_usd"], result["certain"], result["model"]) == (
        "no such model",
        0,
        True,
        "m",
    )
    # A gateway answered for the model, which may have run all the same.
    assert read(body, status=502)["cost_nano_usd"] is None
    inside = read(dumped({"error": {"message": "boom", "code": 502}}))
    assert (inside["error"], inside["cost_nano_usd"], inside["certain"]) == ("boom", None, False)
    assert read(b"<html>", status=500)["error"] == "the provider answered with status 500"
    assert read(b"<html>")["error"] == "the provider's reply is not JSON"
    assert read(b"")["error"] == "the provider's reply is not JSON"


@given(st.binary(), st.sampled_from([200, 400, 502]), st.sampled_from(["", "application/json", "text/event-stream"]))
def test_no_body_raises(body: bytes, status: int, content_type: str) -> None:
    for piece in (body, b"{" + body, b"data: " + body + b"\n\n", b"[" * 3 + body):
        for path in (CHAT, "/v1/embeddings"):
            read(piece, path=path, status=status, content_type=content_type)


def test_what_is_compacted_is_billed_as_a_response() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    body = dumped({"object": "response.compaction", "output": [], "usage": usage})
    for path in ("/v1/responses/compact", "/v1/responses/compact/"):
        assert read(body, path=path, model="gpt-4o")["cost_nano_usd"] == 3_500_000
