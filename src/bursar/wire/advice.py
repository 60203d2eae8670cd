"""When to ask again, as a provider's error says it: in its headers, or in its body where they are silent.

Reads retry-after-ms, Retry-After in seconds or as a date, Google's RetryInfo, X-RateLimit-Reset of a 429 (OpenRouter:
epoch milliseconds, also among the headers that its error quotes), and x-should-retry. Dates are reckoned from the
reply's own, so that no clock of ours matters. Meant for errors alone: Anthropic sends Retry-After with a 200, too.
Never raises. Source: the SDKs of OpenAI, Anthropic and Groq; google.rpc.RetryInfo; OpenRouter's errors, November 2026.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bursar.wire.lenient import as_dict, as_text

__all__ = ["RETRY_AFTER_SECONDS_MAX", "retry_after_seconds", "should_retry"]

# Nobody waits longer than a day for one call; larger advice is a fault or a ban.
RETRY_AFTER_SECONDS_MAX = 86_400.0

# What is below is a number of seconds from now; what is above, epoch seconds; above the second, epoch milliseconds.
_EPOCH_SECONDS_MIN = 1e9
_EPOCH_MS_MIN = 1e12


def retry_after_seconds(
    headers: Mapping[str, str], error: Mapping[str, Any] | None = None, status: int | None = None
) -> float | None:
    """In how many seconds to ask again, 0 up to a day; None where nothing says so.

    headers: with lower-case names. error: the decoded error object. status: X-RateLimit-Reset counts on a 429 alone,
    since elsewhere it says when a full window comes back.

    >>> retry_after_seconds({"retry-after-ms": "250", "retry-after": "7"}), retry_after_seconds({"retry-after": "soon"})
    (0.25, None)
    """
    fields = error or {}
    milliseconds = _seconds(headers.get("retry-after-ms"), 1000)
    if milliseconds is not None:
        return milliseconds
    advice = _seconds(headers.get("retry-after"))
    if advice is None:
        advice = _until(_date(headers.get("retry-after")), headers)
    if advice is None:
        advice = _google_seconds(fields.get("details"))
    if advice is None and status == 429:
        quoted = as_dict(as_dict(fields.get("metadata")).get("headers"))
        resets = {name.lower(): as_text(value) for name, value in quoted.items()}
        advice = _reset_seconds(headers.get("x-ratelimit-reset") or resets.get("x-ratelimit-reset"), headers)
    return advice


def should_retry(headers: Mapping[str, str]) -> bool | None:
    """What x-should-retry says; None where it says nothing."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())


def _google_seconds(details: object) -> float | None:
    """Google's RetryInfo, which stands among the details: {"retryDelay": "37s"}, or {"seconds": 37, "nanos": 0}."""
    for detail in details if isinstance(details, list) else ():
        delay = as_dict(detail).get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            return _seconds(delay[:-1])
        if isinstance(delay, dict):
            whole, rest = _seconds(str(delay.get("seconds", 0))), _seconds(str(delay.get("nanos", 0)), 10**9)
            return None if whole is None or rest is None else min(whole + rest, RETRY_AFTER_SECONDS_MAX)
    return None


def _reset_seconds(text: str | None, headers: Mapping[str, str]) -> float | None:
    """A window's end, which some write as seconds from now and others as an instant."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    if not number >= 0:
        return None
    if number < _EPOCH_SECONDS_MIN:
        return min(number, RETRY_AFTER_SECONDS_MAX)
    return _until(number / 1000 if number >= _EPOCH_MS_MIN else number, headers)


def _until(epoch_seconds: float | None, headers: Mapping[str, str]) -> float | None:
    """From the reply's own date to an instant; None where either is not known."""
    sent = _date(headers.get("date"))
    if epoch_seconds is None or sent is None:
        return None
    return min(max(0.0, epoch_seconds - sent), RETRY_AFTER_SECONDS_MAX)


def _seconds(text: str | None, per_second: int = 1) -> float | None:
    try:
        seconds = float(text) / per_second if text else math.nan
    except ValueError:
        return None
    return min(seconds, RETRY_AFTER_SECONDS_MAX) if seconds >= 0 else None


def _date(text: str | None) -> float | None:
    """An HTTP date in epoch seconds; one without a zone is UTC, as all of them are."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
