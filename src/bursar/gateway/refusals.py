"""What an error looks like to the caller's SDK: status, headers and body, in OpenAI's form or in Anthropic's.

Decides which status an error has, and whether an SDK does well to try again: official ones obey `x-should-retry`
before the status. What a provider said of the request itself passes on in its own bytes where the caller speaks its
format. A failing key or account of ours is no fault of the caller's, and is never told as one.
"""

from __future__ import annotations

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
)
from bursar.gateway.problems import Problem
from bursar.rules.money import format_usd

Refusal = tuple[int, list[tuple[bytes, bytes]], bytes]

ANTHROPIC = "anthropic_messages"
# What a caller waits before it asks again where nobody can say how long.
MOMENT_SECONDS = 1
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
        status, code, advice = error.status, error.code, _advice(error.status, None)
        return status, [*advice, *error.headers], body_of(status, code, error.message, dialect, {})
    status, code = status_of(error)
    headers = _advice(status, error)
    if error.call_id:
        headers.append((b"x-bursar-call-id", error.call_id.encode()))
    if isinstance(error, ProviderRejectedError) and error.body and status == error.status:
        return status, headers, error.body
    return status, headers, body_of(status, code, error.message, dialect, _particulars(error))


def status_of(error: BursarError) -> tuple[int, str]:
    """The status and the code of an error."""
    match error:
        case BudgetExceededError():
            return (429, "budget_held") if error.held else (402, error.code)
        case LimitExceededError():
            return (429 if error.retryable else 400), error.code
        case QueueFullError() | ProviderRateLimitError():
            return 429, error.code
        case CircuitBreakerError() | StoreUnavailableError():
            return 503, error.code
        case InvalidRequestError() | PriceUnknownError():
            return 400, error.code
        case ConfigError():
            return 404, "model_not_found"
        case ProviderAuthError() | MalformedReplyError():
            return 502, error.code
        case ProviderQuotaError():
            return 503, error.code
        case ProviderTimeoutError():
            return 504, error.code
        case ProviderRejectedError():
            return error.status or 400, error.provider_code or error.code
        case ProviderError():
            return (503 if error.retryable else 502), error.code
    return 500, error.code


def body_of(status: int, code: str, message: str, dialect: str, particulars: dict[str, Any]) -> bytes:
    """The body of an error in the form that speakers of a dialect read."""
    told = {"bursar": particulars} if particulars else {}
    if dialect == ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message, "code": code, **told}})
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code, **told}})


def _advice(status: int, error: BursarError | None) -> list[tuple[bytes, bytes]]:
    """What an SDK does next: try again, when, or not at all."""
    # No answer of this kind is kept on the way, and no browser takes what it quotes for a page.
    headers = [
        (b"content-type", b"application/json"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    retryable = error.retryable if error is not None else status in (408, 429, 503)
    headers.append((b"x-should-retry", b"true" if retryable else b"false"))
    if retryable:
        seconds = error.retry_after_seconds if error is not None else None
        headers.append((b"retry-after", b"%d" % math.ceil(MOMENT_SECONDS if seconds is None else seconds)))
        if seconds is not None:
            headers.append((b"retry-after-ms", b"%d" % math.ceil(seconds * 1000)))
    return headers


def _particulars(error: BursarError) -> dict[str, Any]:
    """What a program may want to read of an error."""
    told: dict[str, Any] = {"call_id": error.call_id} if error.call_id else {}
    if isinstance(error, BudgetExceededError):
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
    return told


def _usd(nano_usd: int) -> str:
    return format_usd(nano_usd).lstrip("$")


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
