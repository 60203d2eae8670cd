"""What a provider's error means: its kind, its code, and when to come back.

Decides by status and code, never by message text, since messages change without notice and quote what users wrote.
Reads the forms of OpenAI, OpenRouter, Groq, Gemini, FastAPI servers (vLLM, Mistral), bare strings, lists, HTML of a
proxy, and nothing at all. Never raises. Source: the providers' SDKs and recorded errors, November 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bursar.wire.dialect import ErrorKind, WireError
from bursar.wire.lenient import as_dict, as_text, decode

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["error_of", "malformed", "read_error", "retry_after_seconds"]

# A message is for people to read; some servers put a whole page there.
MESSAGE_CHARACTERS_MAX = 1_000
CODE_CHARACTERS_MAX = 100
# Nobody waits longer than a day for one call; larger advice is a fault or a ban.
RETRY_AFTER_SECONDS_MAX = 86_400.0

_KIND_BY_CODE: Mapping[str, ErrorKind] = {
    "context_length_exceeded": "context",
    "context_window_exceeded": "context",
    "context_too_long": "context",
    "content_filter": "content",
    "content_policy_violation": "content",
    "content_blocked": "content",
    "moderation": "content",
    "moderation_blocked": "content",
    "guardrail": "content",
    "model_not_found": "model",
    "model_not_available": "model",
    "model_decommissioned": "model",
    "unknown_model": "model",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_denied": "auth",
    "insufficient_quota": "quota",
    "credit_balance_exhausted": "quota",
    "insufficient_balance": "quota",
    "insufficient_credits": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "spend_limit_reached": "quota",
    "usage_limit_reached": "quota",
    "enforced_spend_limit_reached": "quota",
    "payment_required": "quota",
    "rate_limit_exceeded": "rate",
    "slow_down": "rate",
    "server_is_overloaded": "unavailable",
    "overloaded_error": "unavailable",
    "server_error": "unavailable",
}

_KIND_BY_STATUS: Mapping[int, ErrorKind] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "model",
    408: "timeout",
    429: "rate",
    498: "unavailable",  # Groq: flex capacity exceeded
}


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> WireError:
    """A reply with a status of 400 or more. Header names are lower case."""
    value = decode(body)
    advice = retry_after_seconds(headers)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        inner = [value[name] for name in ("error", "detail") if value.get(name)]
        return error_of(inner[0] if inner else value, status, advice)
    if isinstance(value, str):
        return error_of(value, status, advice)
    return error_of(_plain(body), status, advice)


def error_of(error: object, status: int | None = None, advice_seconds: float | None = None) -> WireError:
    """A decoded error: the object under "error", a bare string, or FastAPI's list of complaints.

    status: of the HTTP reply; None for an error inside a 200, which may carry a status of its own.
    """
    fields = as_dict(error)
    metadata = as_dict(fields.get("metadata"))
    own_status = status if status is not None else _status(fields)
    codes = _codes(fields, metadata)
    if advice_seconds is None:
        advice_seconds = _delay_seconds(fields)
    kind = _kind(own_status, codes, metadata, advice_seconds)
    message = as_text(error) or as_text(fields.get("message")) or as_text(fields.get("msg")) or _complaints(error)
    if not message:
        message = f"the provider answered with status {own_status}" if own_status else "the provider reported an error"
    code = codes[0] if codes else ""
    return WireError(kind, message[:MESSAGE_CHARACTERS_MAX], code[:CODE_CHARACTERS_MAX], own_status, advice_seconds)


def malformed(message: str) -> WireError:
    """A 200 that is not what the wire says."""
    return WireError("malformed", message, "malformed_reply")


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """When to come back: `retry-after-ms`, else `retry-after` in seconds or as a date beside the reply's own `date`.

    >>> retry_after_seconds({"retry-after-ms": "250", "retry-after": "7"}), retry_after_seconds({"retry-after": "soon"})
    (0.25, None)
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    advice = headers.get("retry-after")
    seconds = _seconds(advice)
    if seconds is not None or not advice:
        return seconds
    until, sent = _date(advice), _date(headers.get("date", ""))
    if until is None or sent is None:
        return None
    return min(max(0.0, until.timestamp() - sent.timestamp()), RETRY_AFTER_SECONDS_MAX)


def _kind(status: int | None, codes: list[str], metadata: Mapping[str, Any], advice_seconds: float | None) -> ErrorKind:
    known = [_KIND_BY_CODE[code] for code in codes if code in _KIND_BY_CODE]
    # "quota" may stand in the type beside a code that only says "rate limit": money is the stronger statement.
    for kind in ("quota", "context", "content", "model"):
        if kind in known:
            return "rate" if kind == "quota" and status == 402 and advice_seconds is not None else kind
    if status == 403 and ("flagged_input" in metadata or "reasons" in metadata):
        return "content"
    if status == 402 and advice_seconds is not None:
        return "rate"  # OpenRouter: the money is held by calls in flight
    if status is not None and status >= 400:
        return _KIND_BY_STATUS.get(status, "unavailable" if status >= 500 else "rejected")
    return known[0] if known else "rejected" if "invalid_request_error" in codes else "unavailable"


def _codes(fields: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    """What the error calls itself, the most telling first."""
    details = as_dict(fields.get("details"))
    named = [
        fields.get("code"),
        details.get("error_code"),
        metadata.get("error_type"),
        metadata.get("provider_code"),
        fields.get("type"),
        fields.get("status"),
    ]
    codes = [name for name in named if isinstance(name, str) and name]
    number = fields.get("code")
    return [*codes, str(number)] if type(number) is int else codes


def _status(fields: Mapping[str, Any]) -> int | None:
    for name in ("status_code", "code", "status"):
        value = fields.get(name)
        if type(value) is int and 400 <= value < 600:
            return value
    return None


def _delay_seconds(fields: Mapping[str, Any]) -> float | None:
    """Google's RetryInfo, which stands among the details: {"retryDelay": "37s"}."""
    details = fields.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = as_dict(detail).get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return _seconds(delay[:-1])
    return None


def _complaints(error: object) -> str:
    """FastAPI's validation errors, without the `input` that they quote."""
    if not isinstance(error, list):
        return ""
    lines = []
    for item in error[:5]:
        fields = as_dict(item)
        place = fields.get("loc")
        where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
        lines.append(f"{where}: {as_text(fields.get('msg'))}".strip(": "))
    return "; ".join(line for line in lines if line)


def _plain(body: bytes) -> str:
    """The text of a body that is no JSON; a page of HTML is of no use to anybody."""
    text = body[: 4 * MESSAGE_CHARACTERS_MAX].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else " ".join(text.split())


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text else math.nan
    except ValueError:
        return None
    return min(seconds, RETRY_AFTER_SECONDS_MAX) if seconds >= 0 else None


def _date(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
