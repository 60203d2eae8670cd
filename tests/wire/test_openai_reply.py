"""Whole replies: what they say of themselves, whatever their types, and errors inside a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.openai_chat import OpenAIChat

CHAT = OpenAIChat()
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
REPLY = {
    "id": "c1",
    "object": "chat.completion",
    "model": "m-1",
    "service_tier": "flex",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_plain_reply() -> None:
    metered = CHAT.meter(b"\n\n" + dumped(REPLY))
    assert (metered.reply_id, metered.served_model, metered.service_tier) == ("c1", "m-1", "flex")
    assert (metered.finish_reason, metered.error, metered.complete) == ("stop", None, True)
    assert metered.usage is not None
    assert dict(metered.usage.leaves) == {"input": 9, "output": 3}
    assert metered.reported_nano_usd is None


def test_groq_and_openrouter() -> None:
    groq = {key: value for key, value in REPLY.items() if key != "usage"} | {"x_groq": {"id": "r", "usage": USAGE}}
    assert CHAT.meter(dumped(groq)).usage == CHAT.meter(dumped(REPLY)).usage
    costly = REPLY | {"usage": USAGE | {"cost": 0.0000123, "is_byok": False}}
    assert CHAT.meter(dumped(costly)).reported_nano_usd == 12_300


@pytest.mark.parametrize(
    "odd",
    [
        {"id": 7},
        {"model": None},
        {"service_tier": ["x"]},
        {"choices": [{"finish_reason": 7}]},
        {"choices": [{"index": 0}, "x"]},
        {"choices": []},
        {"error": None},
        {"error": {}},
        {"error": ""},
        {"x_groq": 7},
    ],
)
def test_a_field_of_another_type_does_not_hide_the_usage(odd: dict[str, Any]) -> None:
    metered = CHAT.meter(dumped(REPLY | odd))
    assert metered.usage is not None
    assert metered.usage.total_tokens == 12
    assert (metered.error, metered.complete) == (None, True)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5_000, '"\\ud800"'])
def test_what_is_no_strict_json_does_not_hide_the_usage(number: str) -> None:
    body = dumped(REPLY).replace(b'"prompt_tokens"', b'"cost": ' + number.encode() + b', "prompt_tokens"')
    metered = CHAT.meter(body)
    assert metered.usage is not None
    assert metered.usage.total_tokens == 12
    assert metered.usage.contradictory
    assert metered.reported_nano_usd is None


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"error": {"code": 502, "message": "m", "metadata": {"provider_name": "x"}}}, "unavailable", 502),
        ({"error": {"code": "rate_limit_exceeded", "message": "m"}}, "rate", None),
        ({"error": "m"}, "unavailable", None),
        ([{"error": {"code": 429, "message": "m"}}], "rate", 429),
        (REPLY | {"choices": [{"finish_reason": "error", "error": {"code": 503, "message": "m"}}]}, "unavailable", 503),
        (REPLY | {"x_groq": {"error": "m"}}, "unavailable", None),
        (REPLY | {"id": 7, "error": {"code": 502, "message": "m"}}, "unavailable", 502),
    ],
)
def test_an_error_inside_a_200(body: Any, kind: str, status: int | None) -> None:
    metered = CHAT.meter(dumped(body))
    assert metered.error is not None
    assert (metered.error.kind, metered.error.message, metered.error.status) == (kind, "m", status)
    assert not metered.complete
    assert (metered.usage is not None) is (isinstance(body, dict) and "usage" in body)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b"7", b"[]", b"null", b'"x"', b"{}", b'{"choices":null}', b'{"choices":{}}', b"[" * 100_000],
)
def test_what_is_no_reply_is_malformed(body: bytes) -> None:
    metered = CHAT.meter(body)
    assert metered.error is not None
    assert (metered.error.kind, metered.complete, metered.usage) == ("malformed", False, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "usage", "error", "x_groq", "id", "model", "finish_reason", "prompt_tokens"]),
            inner,
        )
    ),
)


@given(JSON | st.fixed_dictionaries({"choices": JSON, "usage": JSON, "error": JSON, "x_groq": JSON}))
def test_no_reply_raises(value: Any) -> None:
    CHAT.meter(dumped(value))


@given(st.binary())
def test_no_bytes_raise(body: bytes) -> None:
    CHAT.meter(body)
