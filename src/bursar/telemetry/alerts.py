"""What an alert looks like to those who receive it: a JSON object, or a message in Slack's form.

Decides names and wording; what is worth an alert, and that it is told once, is decided elsewhere. Amounts are texts of
USD with all their decimals, times ISO 8601 in UTC. Source: Slack's incoming webhooks (`text`, with & < > escaped),
which Mattermost, Rocket.Chat and Discord (at /slack) take, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from bursar.call.events import AlertRaised

# Whoever says nothing of the form gets Slack's at this host, and plain JSON anywhere else.
SLACK_HOST = "hooks.slack.com"
# Slack cuts a message that is longer than 40,000; nothing that is said here needs a tenth.
TEXT_CHARACTERS_MAX = 3_000

_MARKS = {"info": "Bursar", "warning": "Bursar warning", "critical": "Bursar alarm"}
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def form_of(address: str, given: str | None) -> str:
    """The form that an address is spoken to in: the one given, else by its host."""
    return given or ("slack" if urlsplit(address).hostname == SLACK_HOST else "json")


def body_of(alert: AlertRaised, form: str) -> bytes:
    """The body of the request that tells of an alert, in "json" or "slack"."""
    return msgspec.json.encode(slack_of(alert) if form == "slack" else json_of(alert))


def json_of(alert: AlertRaised) -> Mapping[str, Any]:
    """The alert as a JSON object; what its kind does not have is not there."""
    said: dict[str, Any] = {
        "id": alert.id,
        "kind": alert.kind,
        "severity": alert.severity,
        "at": _instant(alert.at_ms),
        "message": _text(alert.message),
    }
    if alert.kind.startswith("budget"):
        said |= {"budget": _text(alert.name), "subject": _text(alert.subject)}
    else:
        provider, _, model = alert.name.partition("/")
        said |= {"provider": _text(provider), "model": _text(model)}
    if alert.percent:
        said |= {"threshold_percent": alert.percent, "refused": alert.refused}
    if alert.balance is not None:
        said |= _standing(alert)
    if alert.call_id:
        said["call_id"] = alert.call_id
    return said


def slack_of(alert: AlertRaised) -> Mapping[str, Any]:
    """The alert as one line of Slack's; names in it cannot mention anybody or link anywhere."""
    return {"text": f"*{_MARKS[alert.severity]}*: {_text(alert.message).translate(_ESCAPED)}"}


def _standing(alert: AlertRaised) -> dict[str, Any]:
    balance = alert.balance
    assert balance is not None
    return {
        "period": balance.period,
        "spent_percent": balance.spent * 100 // balance.limit if balance.limit > 0 else None,
        "spent_usd": _usd(balance.spent),
        "held_usd": _usd(balance.held),
        "left_usd": _usd(balance.left),
        "limit_usd": _usd(balance.limit),
        "resets_at": None if balance.resets_at_ms is None else _instant(balance.resets_at_ms),
    }


def _usd(nano_usd: int) -> str:
    whole, rest = divmod(abs(nano_usd), 10**9)
    return f"{'-' if nano_usd < 0 else ''}{whole}.{rest:09d}"


def _instant(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(text: str) -> str:
    """A text that can be written as UTF-8, and that ends."""
    return text[:TEXT_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()
