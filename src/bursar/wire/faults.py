"""What a provider's error means: its kind, its code, and when to come back.

Decides by status and code, never by message text, since messages change without notice and quote what users wrote.
Reads the forms of OpenAI, Anthropic, OpenRouter, Groq, Gemini, FastAPI servers (vLLM, Mistral), bare strings, lists,
HTML of a proxy, and nothing at all. Never raises. Source: the providers' SDKs and recorded errors, November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bursar.wire.advice import retry_after_seconds, should_retry
from bursar.wire.dialect import ErrorKind, WireError
from bursar.wire.lenient import as_dict, as_text, decode

__all__ = ["error_of", "malformed", "read_error"]

# A message is for people to read; some servers put a whole page there.
MESSAGE_CHARACTERS_MAX = 1_000
CODE_CHARACTERS_MAX = 100
REQUEST_ID_CHARACTERS_MAX = 200
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

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
    "bio_policy": "content",
    "misalignment_policy_violation": "content",
    "image_content_policy_violation": "content",
    "model_not_found": "model",
    "model_not_available": "model",
    "model_decommissioned": "model",
    "unknown_model": "model",
    "not_found_error": "model",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_denied": "auth",
    "permission_error": "auth",
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
    "billing_error": "quota",
    "rate_limit_exceeded": "rate",
    "rate_limit_error": "rate",
    "slow_down": "rate",
    "server_is_overloaded": "unavailable",
    "overloaded_error": "unavailable",
    "server_error": "unavailable",
    "api_error": "unavailable",
    "timeout_error": "timeout",
    "request_too_large": "rejected",
    "invalid_request_error": "rejected",
    # What a failed response of OpenAI's says of its input; sent again, it would fail again.
    "invalid_prompt": "rejected",
    "data_residency_mismatch": "rejected",
    "invalid_image": "rejected",
    "invalid_image_format": "rejected",
    "invalid_image_mode": "rejected",
    "invalid_image_url": "rejected",
    "invalid_base64_image": "rejected",
    "image_too_large": "rejected",
    "image_too_small": "rejected",
    "image_parse_error": "rejected",
    "image_file_too_large": "rejected",
    "image_file_not_found": "rejected",
    "unsupported_image_media_type": "rejected",
    "empty_image_file": "rejected",
    "failed_to_download_image": "rejected",
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
    """A reply with a status of 300 or more: redirects are not followed. Header names are lower case."""
    if 300 <= status < 400:
        return _redirect(status, headers)
    value = decode(body)
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        inner = [value[name] for name in ("error", "detail") if value.get(name)]
        return error_of(inner[0] if inner else value, status, headers, as_text(value.get("request_id")))
    if isinstance(value, str):
        return error_of(value, status, headers)
    return error_of(_plain(body), status, headers)


def error_of(
    error: object, status: int | None = None, headers: Mapping[str, str] = _NO_HEADERS, request_id: str = ""
) -> WireError:
    """A decoded error: the object under "error", a bare string, or FastAPI's list of complaints.

    status, headers: of the HTTP reply; None for an error inside a 200, which may carry a status of its own. request_id:
    what stands beside the error in its body, and may be the only place that names it.
    """
    fields = as_dict(error)
    metadata = as_dict(fields.get("metadata"))
    own_status = status if status is not None else _status(fields)
    codes = _codes(fields, metadata)
    advice_seconds = retry_after_seconds(headers, fields, own_status)
    message = as_text(error) or as_text(fields.get("message")) or as_text(fields.get("msg")) or _complaints(error)
    if not message:
        message = f"the provider answered with status {own_status}" if own_status else "the provider reported an error"
    return WireError(
        kind=_kind(own_status, codes, metadata, advice_seconds),
        message=message[:MESSAGE_CHARACTERS_MAX],
        code=codes[0][:CODE_CHARACTERS_MAX] if codes else "",
        status=own_status,
        retry_after_seconds=advice_seconds,
        should_retry=should_retry(headers),
        request_id=(request_id or as_text(fields.get("request_id")))[:REQUEST_ID_CHARACTERS_MAX],
    )


def _redirect(status: int, headers: Mapping[str, str]) -> WireError:
    """Another address than the one that is configured; what stands behind its `?` may be secret."""
    location = headers.get("location", "").partition("?")[0].partition("#")[0]
    scheme, separator, rest = location.partition("://")
    place, slash, path = rest.partition("/")
    address = f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}" if separator else location
    message = f"the provider redirects to {address or 'nowhere'}; set base_url to where its API is"
    return WireError("rejected", message[:MESSAGE_CHARACTERS_MAX], "redirect", status)


def malformed(message: str) -> WireError:
    """A 200 that is not what the wire says."""
    return WireError("malformed", message, "malformed_reply")


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
    return known[0] if known else "unavailable"


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
