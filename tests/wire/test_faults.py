"""Errors are told apart by status and code, in every form that a provider writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.faults import MESSAGE_CHARACTERS_MAX, error_of, read_error


def openai(kind: str = "", code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": "m", "type": kind, "param": None, "code": code}}


def openrouter(code: int, **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "m", "metadata": metadata}, "user_id": "u"}


def anthropic(kind: str, **details: Any) -> dict[str, Any]:
    error = {"type": kind, "message": "m"} | ({"details": details} if details else {})
    return {"type": "error", "error": error, "request_id": "req_1"}


KINDS: list[tuple[int, Any, dict[str, str], str, str]] = [
    (400, openai("invalid_request_error", "unsupported_value"), {}, "rejected", "unsupported_value"),
    (400, openai("invalid_request_error", "context_length_exceeded"), {}, "context", "context_length_exceeded"),
    (400, openai("invalid_request_error", "content_policy_violation"), {}, "content", "content_policy_violation"),
    (400, openai("", "content_filter"), {}, "content", "content_filter"),
    (401, openai("invalid_request_error", "invalid_api_key"), {}, "auth", "invalid_api_key"),
    (403, openai("permission_denied"), {}, "auth", "permission_denied"),
    (404, openai("invalid_request_error", "model_not_found"), {}, "model", "model_not_found"),
    (400, openai("invalid_request_error", "model_decommissioned"), {}, "model", "model_decommissioned"),
    (404, openai("not_found_error"), {}, "model", "not_found_error"),
    (408, openai("timeout"), {}, "timeout", "timeout"),
    (409, openai("conflict"), {}, "rejected", "conflict"),
    (413, openai("", "rate_limit_exceeded"), {}, "rejected", "rate_limit_exceeded"),
    (429, openai("requests", "rate_limit_exceeded"), {}, "rate", "rate_limit_exceeded"),
    (429, openai("", "slow_down"), {}, "rate", "slow_down"),
    (429, openai("insufficient_quota", "insufficient_quota"), {}, "quota", "insufficient_quota"),
    (429, openai("insufficient_quota", "credit_balance_exhausted"), {}, "quota", "credit_balance_exhausted"),
    (429, openai("insufficient_quota", "rate_limit_exceeded"), {"retry-after": "1"}, "quota", "rate_limit_exceeded"),
    (
        429,
        {"error": {"details": {"error_code": "enforced_spend_limit_reached"}}},
        {},
        "quota",
        "enforced_spend_limit_reached",
    ),
    (
        400,
        anthropic("invalid_request_error"),
        {},
        "rejected",
        "invalid_request_error",
    ),  # a prompt too long says no more
    (401, anthropic("authentication_error"), {}, "auth", "authentication_error"),
    (402, anthropic("billing_error"), {}, "quota", "billing_error"),
    (400, anthropic("billing_error"), {}, "quota", "billing_error"),
    (403, anthropic("permission_error"), {}, "auth", "permission_error"),
    (404, anthropic("not_found_error"), {}, "model", "not_found_error"),
    (413, anthropic("request_too_large"), {}, "rejected", "request_too_large"),
    (429, anthropic("rate_limit_error"), {"retry-after": "7"}, "rate", "rate_limit_error"),
    (
        429,
        anthropic("rate_limit_error", error_code="enforced_spend_limit_reached"),
        {},
        "quota",
        "enforced_spend_limit_reached",
    ),
    (500, anthropic("api_error"), {}, "unavailable", "api_error"),
    (504, anthropic("timeout_error"), {}, "unavailable", "timeout_error"),
    (529, anthropic("overloaded_error"), {}, "unavailable", "overloaded_error"),
    (402, openrouter(402), {}, "quota", "402"),
    (402, openrouter(402, limit_source="openrouter_in_flight_budget"), {"retry-after": "3"}, "rate", "402"),
    (402, openai("insufficient_quota"), {"retry-after": "3"}, "rate", "insufficient_quota"),
    (403, openrouter(403, reasons=["x"], flagged_input="secret"), {}, "content", "403"),
    (403, openrouter(403, error_type="guardrail"), {}, "content", "guardrail"),
    (498, openai("capacity"), {}, "unavailable", "capacity"),
    (500, openai("server_error"), {}, "unavailable", "server_error"),
    (503, openai("", "server_is_overloaded"), {}, "unavailable", "server_is_overloaded"),
    (502, openrouter(502, provider_name="x", raw="secret"), {}, "unavailable", "502"),
    (
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
        {},
        "unavailable",
        "overloaded_error",
    ),
    (400, [{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}], {}, "rejected", "INVALID_ARGUMENT"),
    (
        400,
        {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
        {},
        "rejected",
        "BadRequestError",
    ),
    (404, {"error": "model 'x' not found"}, {}, "model", ""),
    (404, {"detail": "Not Found"}, {}, "model", ""),
    (429, None, {}, "rate", ""),
    (418, {}, {}, "rejected", ""),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "code"), KINDS, ids=[f"{k[0]}-{k[4]}-{k[3]}" for k in KINDS]
)
def test_kind_and_code(status: int, body: Any, headers: dict[str, str], kind: str, code: str) -> None:
    error = read_error(status, headers, json.dumps(body).encode())
    assert (error.kind, error.code, error.status) == (kind, code, status)
    assert error.message
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><body>502 Bad Gateway</body></html>", "the provider answered with status 502"),
        (b"", "the provider answered with status 502"),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b"upstream connect error\n or reset", "upstream connect error or reset"),
        (b'"plain"', "plain"),
        (b"[]", "[]"),
        (b"null", "null"),
        (b"x" * 5_000, "x" * MESSAGE_CHARACTERS_MAX),
    ],
)
def test_bodies_that_are_no_error_objects(body: bytes, message: str) -> None:
    error = read_error(502, {}, body)
    assert (error.kind, error.message) == ("unavailable", message)


def test_validation_errors_leave_out_the_input_that_they_quote() -> None:
    detail = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs", "input": "secret"}]
    assert read_error(422, {}, json.dumps({"detail": detail}).encode()).message == "body.stream_options: Extra inputs"
    assert read_error(422, {}, json.dumps({"detail": [1, {"msg": 3}]}).encode()).kind == "rejected"


def test_an_error_inside_a_200_has_a_status_of_its_own() -> None:
    groq = {"message": "m", "type": "invalid_request_error", "code": "tool_use_failed", "status_code": 400}
    assert (error_of(groq).kind, error_of(groq).status) == ("rejected", 400)
    assert (error_of({"code": 502, "message": "m"}).kind, error_of({"code": 502}).status) == ("unavailable", 502)
    assert error_of({"code": 429, "message": "m"}).kind == "rate"
    assert (error_of("boom").kind, error_of("boom").message) == ("unavailable", "boom")
    assert error_of({"type": "invalid_request_error"}).kind == "rejected"


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("invalid_request_error", "rejected"),
        ("request_too_large", "rejected"),
        ("authentication_error", "auth"),
        ("permission_error", "auth"),
        ("billing_error", "quota"),
        ("not_found_error", "model"),
        ("rate_limit_error", "rate"),
        ("timeout_error", "timeout"),
        ("api_error", "unavailable"),
        ("overloaded_error", "unavailable"),
        ("new_error", "unavailable"),
    ],
)
def test_anthropics_errors_in_a_stream_are_told_by_their_type_alone(kind: str, meant: str) -> None:
    assert error_of(anthropic(kind)["error"]).kind == meant


def test_the_provider_says_whether_a_retry_helps() -> None:
    body = json.dumps(anthropic("rate_limit_error")).encode()
    assert read_error(429, {"x-should-retry": "false"}, body).should_retry is False
    assert read_error(400, {"x-should-retry": "true"}, body).should_retry is True
    assert read_error(429, {}, body).should_retry is None


def test_google_says_when_to_come_back_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}]
    body = [{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": details}}]
    error = read_error(429, {}, json.dumps(body).encode())
    assert (error.kind, error.retry_after_seconds) == ("rate", 37.0)
    inside = error_of(body[0]["error"])
    assert (inside.kind, inside.retry_after_seconds) == ("rate", 37.0)


def test_openrouter_says_when_its_own_limit_is_over() -> None:
    headers = {"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795370430500"}
    body = json.dumps(openrouter(429, error_type="rate_limit_exceeded")).encode()
    error = read_error(429, headers | {"date": "Sun, 22 Nov 2026 18:00:00 GMT"}, body)
    assert (error.kind, error.retry_after_seconds) == ("rate", 30.5)


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        (anthropic("api_error"), "req_1"),
        ({"error": {"message": "m", "request_id": "req_2"}}, "req_2"),
        ({"message": "m", "request_id": "req_3"}, "req_3"),
        ({"error": {"message": "m"}, "request_id": 4}, ""),
        ({"error": "m"}, ""),
        ({"error": "m", "request_id": "x" * 1_000}, "x" * 200),
        ("m", ""),
    ],
)
def test_the_body_may_name_the_request(body: Any, request_id: str) -> None:
    assert read_error(500, {}, json.dumps(body).encode()).request_id == request_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "message", "type", "detail", "details", "metadata", "status", "loc", "msg"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(
    st.integers(400, 599), JSON, st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text())
)
def test_no_body_and_no_header_raises(status: int, body: Any, headers: dict[str, str]) -> None:
    error = read_error(status, headers, json.dumps(body).encode())
    assert len(error.message) <= MESSAGE_CHARACTERS_MAX
    assert error.retry_after_seconds is None or 0 <= error.retry_after_seconds <= 86_400
    error_of(body)


@given(st.binary())
def test_no_bytes_raise(body: bytes) -> None:
    read_error(500, {}, body)


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://api.example.com/v2/chat?key=sk-1", "redirects to https://api.example.com/v2/chat;"),
        ("https://ann:secret@api.example.com#at", "redirects to https://api.example.com;"),
        ("/v2/chat?key=sk-1", "redirects to /v2/chat;"),
        ("", "redirects to nowhere;"),
    ],
)
def test_a_redirect_says_where_the_provider_is_and_nothing_that_may_be_secret(location: str, said: str) -> None:
    error = read_error(307, {"location": location} if location else {}, b"<html>moved</html>")
    assert (error.kind, error.code, error.status) == ("rejected", "redirect", 307)
    assert said in error.message
    assert "sk-1" not in error.message
    assert "secret" not in error.message
