"""What an error looks like to the caller's SDK: status, headers and body, in OpenAI's form or in Anthropic's.

Decides which status an error has, and whether an SDK does well to try again: official ones obey `x-should-retry`
before the status, and wait no longer than a minute. What a provider said of the request itself passes on in its own
bytes where they have the form that the caller reads. A failing key or account of ours is no fault of the caller's, and
is never told as one; of the machine inside (files, settings, addresses) nothing is told.
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import Any

import msgspec

from bursar.errors import (
    BudgetExceededError,
    BursarError,
    CircuitBreakerError,
    ConfigError,
    InvalidRequestError,
    LimitExceededError,
    MalformedReplyError,
    PriceUnknownError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    ProviderRateLimitError,
    ProviderRejectedError,
    ProviderTimeoutError,
    QueueFullError,
    StoreUnavailableError,
    StreamInterruptedError,
)
from bursar.gateway.problems import Problem
from bursar.rules.money import format_usd
from bursar.wire.reply import decoded

Refusal = tuple[int, list[tuple[bytes, bytes]], bytes]

ANTHROPIC = "anthropic_messages"
RESPONSES = "openai_responses"
# How a caller names what a budget or a limit counts each of.
SCOPES_SAID = "Over HTTP that is a header: x-bursar-user, x-bursar-session, or x-bursar-tags: NAME=VALUE."
# What a caller waits before it asks again where nobody can say how long.
MOMENT_SECONDS = 1
# SDKs that are told of a longer time come back sooner all the same, for nothing.
PATIENCE_SECONDS = 60
# The words of Anthropic's `error.type`, by status.
_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error",
}  # fmt: skip
# The words of OpenAI's.
_OPENAI_TYPES = {
    401: "authentication_error", 402: "insufficient_quota", 403: "permission_error", 404: "not_found_error",
    429: "rate_limit_error",
}  # fmt: skip


def refused(error: BursarError | Problem, dialect: str = "") -> Refusal:
    """The answer to a call that came to nothing: status, headers and body."""
    if isinstance(error, Problem):
        retryable = error.status in (408, 429, 503) and error.code != "provider_misconfigured"
        headers = [*_advice(retryable, None), *error.headers]
        return error.status, headers, body_of(error.status, error.code, error.message, dialect, dict(error.particulars))
    status, code = status_of(error)
    headers = _advice(error.retryable, error.retry_after_seconds)
    if error.call_id:
        name = b"request-id" if dialect == ANTHROPIC else b"x-request-id"
        headers += [(name, error.call_id.encode()), (b"x-bursar-call-id", error.call_id.encode())]
    if isinstance(error, ProviderRejectedError) and status == error.status and _reads(dialect, error.body):
        return status, headers, error.body
    return status, headers, body_of(status, code, message_of(error), dialect, _particulars(error))


def error_event(error: BursarError, dialect: str, events: int) -> bytes:
    """How a stream says that it goes no further, after so many events."""
    status, code = status_of(error)
    message = message_of(error)
    body = body_of(status, code, message, dialect, _particulars(error))
    if dialect == ANTHROPIC:
        return b"event: error\ndata: " + body + b"\n\n"
    if dialect == RESPONSES:
        told = {"type": "error", "sequence_number": events, "code": code, "message": message, "param": None}
        body = msgspec.json.encode({**told, **msgspec.json.decode(body)})
        return b"event: error\ndata: " + body + b"\n\n"
    return b"data: " + body + b"\n\n"


def status_of(error: BursarError) -> tuple[int, str]:
    """The status and the code of an error."""
    match error:
        case BudgetExceededError() if not error.needed_nano_usd:
            return 400, "scope_missing"
        case BudgetExceededError():
            return (429, "budget_held") if error.held else (402, error.code)
        case LimitExceededError():
            return (429, error.code) if error.needed else (400, "scope_missing")
        case QueueFullError() | ProviderRateLimitError():
            return 429, error.code
        case CircuitBreakerError() | StoreUnavailableError() | ProviderQuotaError():
            return 503, error.code
        case InvalidRequestError() | PriceUnknownError():
            return 400, error.code
        case ConfigError():
            return 503, "provider_misconfigured"
        case ProviderAuthError() | MalformedReplyError() | StreamInterruptedError():
            return 502, error.code
        case ProviderTimeoutError():
            return 504, error.code
        case ProviderRejectedError():
            known = error.status is not None and 400 <= error.status < 500
            return (error.status or 400) if known else 502, error.provider_code or error.code
        case ProviderError():
            return (503 if error.retryable else 502), error.code
    # What is left was refused by us before anything was sent.
    return 503, error.code


def message_of(error: BursarError) -> str:
    """What the caller is told. What is wrong inside is told to the log alone."""
    if isinstance(error, StoreUnavailableError | ConfigError):
        logging.getLogger("bursar").error("call %s failed: %s", error.call_id or "", error.message)
        if isinstance(error, ConfigError):
            return "this model cannot be used here now; the operator was told why"
        return "the gateway cannot read or write its books now, so that nothing was sent; the operator was told why"
    if isinstance(error, ProviderAuthError):
        logging.getLogger("bursar").error(
            "call %s failed: %s does not accept its API key: see llm.providers.%s.api_key of the configuration, or the "
            "variable that holds it, and `bursar doctor`", error.call_id or "", error.provider, error.provider,
        )  # fmt: skip
        return f"{error.provider} does not accept the gateway's own key for {error.model}; yours is not at fault"
    if isinstance(error, ProviderQuotaError):
        logging.getLogger("bursar").error(
            "call %s failed: the account at %s has no quota or credit left", error.call_id or "", error.provider
        )
        return f"the gateway's account at {error.provider} has no quota or credit left; the operator was told"
    if isinstance(error, ProviderRateLimitError):
        # What the provider says names its account.
        return f"{error.provider} limits how fast this gateway may ask {error.model}; try again later"
    if status_of(error)[1] == "scope_missing":
        return f"{error.message} {SCOPES_SAID}"
    return error.message


def body_of(status: int, code: str, message: str, dialect: str, particulars: dict[str, Any]) -> bytes:
    """The body of an error in the form that speakers of a dialect read."""
    told = {"bursar": particulars} if particulars else {}
    if dialect == ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message, "code": code, **told}})
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code, **told}})


def _reads(dialect: str, body: bytes) -> bool:
    """Whether the body of a provider's error has the form that speakers of a dialect read."""
    said = decoded(body)
    return isinstance(said.get("error"), dict) and (said.get("type") == "error") == (dialect == ANTHROPIC)


def _advice(retryable: bool, after_seconds: float | None) -> list[tuple[bytes, bytes]]:
    """What an SDK does next: try again, when, or not at all."""
    # No answer of this kind is kept on the way, and no browser takes what it quotes for a page.
    headers = [
        (b"content-type", b"application/json"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    useful = retryable and (after_seconds is None or after_seconds <= PATIENCE_SECONDS)
    headers.append((b"x-should-retry", b"true" if useful else b"false"))
    if retryable:
        seconds = MOMENT_SECONDS if after_seconds is None else after_seconds
        headers.append((b"retry-after", b"%d" % math.ceil(seconds)))
        if after_seconds is not None:
            headers.append((b"retry-after-ms", b"%d" % math.ceil(seconds * 1000)))
    return headers


def _particulars(error: BursarError) -> dict[str, Any]:
    """What a program may want to read of an error."""
    told: dict[str, Any] = {"call_id": error.call_id} if error.call_id else {}
    if isinstance(error, BudgetExceededError) and not error.needed_nano_usd:
        told |= {"budget": error.budget}
    elif isinstance(error, BudgetExceededError):
        told |= {
            "budget": error.budget,
            "left_usd": _usd(error.left_nano_usd),
            "needed_usd": _usd(error.needed_nano_usd),
            "spent_usd": _usd(error.spent_nano_usd),
            "held_usd": _usd(error.held_nano_usd),
            "limit_usd": _usd(error.limit_nano_usd),
            "affordable_output_tokens": error.affordable_output_tokens,
            "resets_at": None if error.resets_at_ms is None else _instant(error.resets_at_ms),
        }
    elif isinstance(error, LimitExceededError):
        told |= {"limit": error.limit, "meter": error.meter, "needed": error.needed, "capacity": error.capacity}
    elif isinstance(error, ProviderError):
        told |= {"provider": error.provider, "model": error.model, "attempts": error.attempts, "status": error.status}
    if error.cost is not None and error.cost.nano_usd is not None:
        told |= {"cost_usd": _usd(error.cost.nano_usd), "cost_certain": error.cost.certain}
    return told


def _usd(nano_usd: int) -> str:
    return format_usd(nano_usd).replace("$", "", 1)


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
