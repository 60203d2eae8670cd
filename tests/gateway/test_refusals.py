"""What a caller is told when a call comes to nothing: status, advice, and a body in the form that it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bursar.errors import (
    BudgetExceededError,
    BursarError,
    CircuitBreakerError,
    ConfigError,
    ContentBlockedError,
    InvalidRequestError,
    LimitExceededError,
    MalformedReplyError,
    ModelNotFoundError,
    PriceUnknownError,
    ProviderAuthError,
    ProviderQuotaError,
    ProviderRateLimitError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QueueFullError,
    RefusedError,
    StoreUnavailableError,
)
from bursar.gateway.problems import Problem
from bursar.gateway.refusals import error_event, refused
from bursar.wire.reply import decoded
from tests.client.simulator import Sim
from tests.gateway.running import Running, serving

DIALECTS = ("openai_chat", "openai_responses", "embeddings", "anthropic_messages")
DECEMBER_MS = 1_796_083_200_000


def spent(**changes: Any) -> BudgetExceededError:
    values: dict[str, Any] = {
        "budget": "teams",
        "window": "month",
        "needed_nano_usd": 41_000_000,
        "left_nano_usd": 20_000_000,
        "spent_nano_usd": 1_999_970_000_000,
        "held_nano_usd": 10_000_000,
        "limit_nano_usd": 2_000_000_000_000,
        "affordable_output_tokens": 1_800,
        "resets_at_ms": DECEMBER_MS,
    }
    error = BudgetExceededError("Budget 'teams' is spent.", **{**values, **changes})
    error.call_id = "c1"
    return error


def limit(seconds: float | None, needed: int = 1) -> LimitExceededError:
    return LimitExceededError(
        "too many", limit="rpm", meter="requests", needed=needed, capacity=1, retry_after_seconds=seconds
    )


def of_provider(kind: type[Any], status: int | None, body: bytes = b"", **attributes: Any) -> Any:
    error = kind("openai/gpt-4o said no", provider="openai", model="gpt-4o", status=status, body=body)
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


def after(error: BursarError, seconds: float) -> BursarError:
    error.retry_after_seconds = seconds
    return error


# error, status, code, x-should-retry, Retry-After
CASES: list[tuple[BursarError | Problem, int, str, str, str | None]] = [
    (spent(), 402, "budget_exhausted", "false", None),
    (after(spent(held=True), 1), 429, "budget_held", "true", "1"),
    (spent(needed_nano_usd=0), 400, "scope_missing", "false", None),
    (limit(1.2), 429, "rate_limit_exceeded", "true", "2"),
    (limit(7_200), 429, "rate_limit_exceeded", "false", "7200"),
    (limit(None), 429, "rate_limit_exceeded", "false", None),
    (limit(None, needed=0), 400, "scope_missing", "false", None),
    (QueueFullError("full"), 429, "queue_full", "true", "1"),
    (CircuitBreakerError("open", retry_after_seconds=30), 503, "circuit_open", "true", "30"),
    (StoreUnavailableError("/secret/path is full"), 503, "store_unavailable", "true", "1"),
    (ConfigError("set /secret/path in bursar.yaml"), 503, "provider_misconfigured", "false", None),
    (InvalidRequestError("n must be 1"), 400, "invalid_request", "false", None),
    (PriceUnknownError("not known", models=()), 400, "price_unknown", "false", None),
    (RefusedError("gone"), 503, "refused", "false", None),
    (of_provider(ProviderAuthError, 401), 502, "provider_auth", "false", None),
    (of_provider(ProviderAuthError, 403), 502, "provider_auth", "false", None),
    (of_provider(ProviderQuotaError, 402), 503, "provider_quota", "false", None),
    (after(of_provider(ProviderRateLimitError, 429), 3), 429, "provider_rate_limited", "true", "3"),
    (of_provider(ProviderUnavailableError, 500), 503, "provider_unavailable", "true", "1"),
    (of_provider(ProviderTimeoutError, None), 504, "provider_timeout", "true", "1"),
    (of_provider(MalformedReplyError, 200), 502, "malformed_reply", "false", None),
    (of_provider(ProviderRejectedError, 422), 422, "provider_rejected", "false", None),
    (of_provider(ProviderRejectedError, 301), 502, "provider_rejected", "false", None),
    (of_provider(ModelNotFoundError, 404), 404, "model_not_found", "false", None),
    (of_provider(ContentBlockedError, 400), 400, "content_blocked", "false", None),
    (Problem(404, "not_found", "nothing here"), 404, "not_found", "false", None),
    (Problem(503, "stopping", "stopping"), 503, "stopping", "true", "1"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("error", "status", "code", "retry", "seconds"), CASES)
def test_every_error_has_a_status_advice_and_the_form_of_the_caller(
    dialect: str, error: Any, status: int, code: str, retry: str, seconds: str | None
) -> None:
    given, pairs, body = refused(error, dialect)
    headers = {name.decode(): value.decode() for name, value in pairs}
    assert (given, headers["x-should-retry"], headers.get("retry-after")) == (status, retry, seconds)
    told = decoded(body)
    assert told["error"]["code"] == code
    assert told["error"]["message"]
    assert ("type" in told) == (dialect == "anthropic_messages")
    assert "/secret" not in body.decode()


def test_who_misses_a_scope_is_told_its_header_and_no_amounts() -> None:
    budget, rate = (
        decoded(refused(error, "openai_chat")[2])["error"]
        for error in (spent(needed_nano_usd=0), limit(None, needed=0))
    )
    assert "x-bursar-tags" in budget["message"]
    assert "x-bursar-tags" in rate["message"]
    assert budget["bursar"] == {"call_id": "c1", "budget": "teams"}


@pytest.mark.parametrize("kind", [ProviderQuotaError, ProviderRateLimitError, ProviderAuthError])
def test_nothing_is_told_of_the_gateways_account(kind: type[Any]) -> None:
    error = kind("limit reached in organization org-canary", provider="openai", model="gpt-4o", status=429)
    _, _, body = refused(error, "openai_chat")
    assert b"org-canary" not in body


def test_a_budget_says_what_it_needs_what_is_left_and_when_it_resets() -> None:
    status, _, body = refused(spent(), "openai_chat")
    assert status == 402
    assert decoded(body)["error"] == {
        "message": "Budget 'teams' is spent.",
        "type": "insufficient_quota",
        "param": None,
        "code": "budget_exhausted",
        "bursar": {
            "call_id": "c1",
            "budget": "teams",
            "left_usd": "0.02",
            "needed_usd": "0.041",
            "spent_usd": "1999.97",
            "held_usd": "0.01",
            "limit_usd": "2000.00",
            "affordable_output_tokens": 1_800,
            "resets_at": "2026-12-01T00:00:00Z",
        },
    }


OPENAI_FORM = b'{"error": {"message": "bad seed",  "type":"invalid_request_error","param":"seed","code":null}}'
ANTHROPIC_FORM = b'{"type":"error","error":{"type":"invalid_request_error","message":"bad seed"}}'


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", [OPENAI_FORM, ANTHROPIC_FORM, b'{"detail":"bad seed"}', b"<html>", b"[]", b""])
def test_what_a_provider_said_keeps_its_bytes_where_the_caller_reads_its_form(dialect: str, body: bytes) -> None:
    own = ANTHROPIC_FORM if dialect == "anthropic_messages" else OPENAI_FORM
    status, _, told = refused(of_provider(ProviderRejectedError, 400, body), dialect)
    assert status == 400
    assert (told == body) == (body == own)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_event_of_a_stream_is_read_by_its_speakers(dialect: str) -> None:
    event = error_event(of_provider(ProviderUnavailableError, 500), dialect, 7)
    lines = event.splitlines()
    assert event.endswith(b"\n\n")
    assert (lines[0] == b"event: error") == (dialect in ("anthropic_messages", "openai_responses"))
    told = decoded(lines[-2].removeprefix(b"data: ") if lines[-1] == b"" else lines[-1].removeprefix(b"data: "))
    assert told["error"]["code"] == "provider_unavailable"
    if dialect == "openai_responses":
        assert (told["type"], told["sequence_number"], told["code"]) == ("error", 7, "provider_unavailable")


class TestServed:
    """The same, through a gateway that runs."""

    def test_a_translated_error_is_in_the_callers_form_and_a_native_one_in_its_bytes(
        self, gateway: Running, sim: Sim
    ) -> None:
        with sim.faults("status:400"):
            translated = gateway.chat(model="anthropic/claude-haiku-4-5")
            native = gateway.chat()
        assert (translated.status, native.status) == (400, 400)
        assert translated.json["error"]["type"] == "invalid_request_error"
        assert "type" not in translated.json
        assert "param" in native.json["error"]

    def test_no_header_of_the_provider_comes_with_an_error(self, gateway: Running, sim: Sim) -> None:
        with sim.faults("status:429,retry_after=2"):
            answer = gateway.chat()
        assert answer.status == 429
        own = {"content-type", "content-length", "date", "x-should-retry", "retry-after", "retry-after-ms",
               "x-request-id", "x-bursar-call-id", "x-content-type-options", "cache-control"}  # fmt: skip
        assert answer.headers.keys() <= own
        assert answer.headers["retry-after"] == "2"

    def test_the_gateways_own_key_is_not_the_callers_fault(
        self, gateway: Running, sim: Sim, caplog: pytest.LogCaptureFixture
    ) -> None:
        messages = {"messages": [{"role": "user", "content": "x"}]}
        for path, fields in (("/v1/chat/completions", messages), ("/v1/responses", {"input": "x"})):
            with sim.faults("status:401"):
                answer = gateway.ask("POST", path, {"model": "gpt-4o-mini", **fields})
            assert (answer.status, answer.json["error"]["code"]) == (502, "provider_auth")
            assert "sk-" not in answer.body.decode()
            assert "llm.providers.openai.api_key" not in answer.body.decode()
        told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
        assert len(told) == 2
        assert all("llm.providers.openai.api_key" in line and "sk-" not in line for line in told)

    def test_a_budget_for_each_of_a_team_says_whose_part_is_spent_and_what_is_missing(
        self, sim: Sim, tmp_path: Path
    ) -> None:
        teams = {"usd": 0.0001, "per": "month", "each": "team"}
        config = sim.config() | {"budgets": {"teams": teams, "users": {"usd": 1, "per": "day", "each": "user",
                                                                     "missing": "refuse"}}}  # fmt: skip
        with serving(tmp_path, sim, config) as running:
            missing = running.chat()
            assert (missing.status, missing.json["error"]["code"]) == (400, "scope_missing")
            said = {"x-bursar-tags": "team=search", "x-bursar-user": "ann"}
            assert running.chat(headers=said).status == 200
            spent = running.chat("rivers " * 1_000, headers=said)
        error = spent.json["error"]
        assert (spent.status, error["code"], error["bursar"]["budget"]) == (402, "budget_exhausted", "teams")
        assert error["message"].startswith("Budget 'teams' (team=search, month): needs up to $")

    def test_an_open_breaker_says_when_to_come_back(self, sim: Sim, tmp_path: Path) -> None:
        config = sim.config(openai={"circuit_breaker_threshold": 1, "circuit_breaker_timeout": 30})
        with serving(tmp_path, sim, config) as running:
            with sim.faults("status:500"):
                assert running.chat().status == 503
            answer = running.chat()
        assert (answer.status, answer.json["error"]["code"]) == (503, "circuit_open")
        assert int(answer.headers["retry-after"]) > 5
        assert len(sim.entries()) == 1
