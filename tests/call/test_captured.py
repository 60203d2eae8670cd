"""Captured replies read as bills: each recording of a provider gives that provider's own numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.call.captured import NOT_SUPPORTED, dialect_of, read_captured
from bursar.catalog.prices import PriceBook

DAY = date(2026, 11, 22)
KEYS = ["model", "usage", "cost_nano_usd", "cost_source", "certain", "price_version", "error"]
BOOK = PriceBook()
CHAT = "/v1/chat/completions"
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


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/v1/chat/completions/x", "", "/"])
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


def test_paths() -> None:
    for path in ("/v1/chat/completions", "chat/completions/", "/openai/v1/chat/completions?a=b", "/chat/completions#x"):
        dialect = dialect_of(path)
        assert dialect is not None
        assert dialect.name == "openai_chat"
    assert getattr(dialect_of("/v1/embeddings"), "name", "") == "embeddings"


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


def every(folder: Path) -> Iterator[tuple[dict[str, Any], bytes, dict[str, Any]]]:
    """Each recording, its body, and what we read of it."""
    files = sorted(folder.glob("*/*.json"))
    assert len(files) > 300
    for file in files:
        recording = json.loads(file.read_text("utf-8"))
        body = recording["response"]["body"].encode()
        result = read(
            body,
            recording["provider"],
            recording["path"],
            status=recording["response"]["status"],
            content_type=recording["response"]["content_type"],
            model=(recording["request"] or {}).get("model") or "",
        )
        yield recording, body, result


def objects(text: str) -> list[Any]:
    """Every JSON object in a body, found by a reader that shares nothing with ours."""
    decoder, at, found = json.JSONDecoder(parse_float=Decimal), 0, []
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def own_usage(body: bytes) -> dict[str, Any] | None:
    """The last usage object that a body carries."""
    said = [one.get("usage") or (one.get("x_groq") or {}).get("usage") for one in objects(body.decode())]
    return next((usage for usage in reversed(said) if usage), None)


def test_every_recording_gives_its_providers_totals_and_costs(recordings: Path) -> None:
    totals = costs = unspoken = 0
    for recording, body, result in every(recordings):
        if dialect_of(recording["path"]) is None:
            assert (result["error"], result["cost_nano_usd"]) == (NOT_SUPPORTED, None)
            unspoken += 1
            continue
        usage = own_usage(body) if recording["response"]["status"] < 400 else None
        if usage is None:
            assert result["usage"] is None
            continue
        got = result["usage"]
        assert got["input_tokens"] == usage["prompt_tokens"], recording["id"]
        assert got["input_tokens"] + got["output_tokens"] == usage["total_tokens"], recording["id"]
        assert (
            sum(n for leaf, n in got.items() if leaf not in ("input_tokens", "output_tokens", "web_searches"))
            == (usage["total_tokens"])
        )
        totals += 1
        if "cost" in usage:
            upstream = usage["cost_details"]["upstream_inference_cost"] if usage.get("is_byok") else 0
            exact = (usage["cost"] + upstream) * 10**9
            assert 0 <= result["cost_nano_usd"] - exact < 1, recording["id"]
            assert (result["cost_source"], result["certain"]) == ("provider", True)
            costs += 1
    assert (totals, costs, unspoken) >= (100, 20, 190)


def test_recordings_cost_what_the_list_says(recordings: Path) -> None:
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    snapshot = DataSnapshot(providers=providers, from_auto_update=False)
    compared = {"openai": 0, "groq": 0}
    for recording, body, result in every(recordings):
        provider, usage = recording["provider"], own_usage(body)
        if provider not in compared or usage is None or result["cost_source"] != "computed":
            continue
        if dialect_of(recording["path"]) is None:
            continue
        # The decoder above gives Decimals, which the list's reader takes for no numbers.
        reply = {"model": result["model"], "usage": {k: v for k, v in usage.items() if not isinstance(v, Decimal)}}
        flavor = "chat" if provider == "openai" else "default"
        found = snapshot.extract_usage(reply, provider_id=provider, api_flavor=flavor)
        noon = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
        listed = found.calc_price(genai_request_timestamp=noon).total_price * 10**9
        assert 0 <= result["cost_nano_usd"] - listed < 1, recording["id"]
        compared[provider] += 1
    assert compared["openai"] >= 38
    assert compared["groq"] >= 17
