"""Log records as one JSON object a line, for `bursar serve --log-format json`.

Decides the names of the fields: `time` (UTC), `level`, `logger`, `message`, of Bursar's own records `event`, `call_id`
and what else the event has (amounts as `..._usd`, plain numbers), and `exception`, a traceback. Nothing else of a
record is written: what other libraries hang onto theirs may be a secret. A record that cannot be written as it is
loses what cannot, never its line.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

# A traceback through a deep recursion is worth no megabyte of log.
TEXT_CHARACTERS_MAX = 20_000

_encode = msgspec.json.Encoder().encode
_NAMES = {"call": "call_id", "error": "error_code"}


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
        }
        event = record.__dict__.get("bursar")
        if isinstance(event, Mapping):
            fields["message"] = _sentence(event)
            fields.update(_event_fields(event))
        else:
            fields["message"] = _text(record.getMessage())
        if record.exc_info:
            fields["exception"] = _text(self.formatException(record.exc_info))
        return _encode(fields).decode()


def _sentence(event: Mapping[str, Any]) -> str:
    """What happened, for people: the sentence that the event has, else its name as words."""
    return _text(event.get("message") or str(event.get("event", "")).replace("_", " "))


def _event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in event.items():
        if name == "message" or value == "":
            continue
        if name.endswith("_nano_usd"):
            fields[f"{name.removesuffix('_nano_usd')}_usd"] = _usd(value)
        elif value is not None:
            known = isinstance(value, (bool, int, float))
            fields[_NAMES.get(name, name)] = value if known else _text(value)
    return fields


def _usd(nano_usd: object) -> msgspec.Raw | None:
    """Dollars as a number with all its nine decimals; None, JSON's null, for what is not known."""
    if not isinstance(nano_usd, int):
        return None
    whole, rest = divmod(abs(nano_usd), 10**9)
    return msgspec.Raw(f"{'-' if nano_usd < 0 else ''}{whole}.{rest:09d}")


def _text(value: object) -> str:
    """A text that can be written as UTF-8, and that ends."""
    text = str(value)
    if len(text) > TEXT_CHARACTERS_MAX:
        text = text[:TEXT_CHARACTERS_MAX] + "..."
    return text.encode("utf-8", "backslashreplace").decode()
