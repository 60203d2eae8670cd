"""What a whole reply of OpenAI's form says about itself: usage, reported cost, served model, and errors inside a 200.

Decides nothing about money. Never raises: what is no JSON, or not this form, comes back as a malformed-reply error with
whatever usage could still be read beside it. Source: OpenAI's API reference; recorded replies of nine providers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bursar.wire.dialect import Metered, WireError
from bursar.wire.faults import error_of, malformed
from bursar.wire.lenient import EMPTY, MALFORMED, as_dict, as_text, decode, opens_with
from bursar.wire.openai_usage import CHAT, Form, read_usage

__all__ = ["Said", "meter_reply", "meter_said", "said"]


class Said(msgspec.Struct, frozen=True, gc=False):
    """The fields that govern, decoded as far as they could be. fees: pieces that the reply counts outside its usage."""

    reply_id: str = ""
    model: str = ""
    service_tier: str = ""
    finish_reason: str = ""
    usage: object = None
    error: object = None
    groq: dict[str, Any] = {}
    form: Form = CHAT
    fees: dict[str, int] = {}


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    error: msgspec.Raw = EMPTY


class _Reply(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    choices: list[_Choice] | None = None
    data: msgspec.Raw = EMPTY
    usage: msgspec.Raw = EMPTY
    error: msgspec.Raw = EMPTY
    x_groq: msgspec.Raw = EMPTY


_REPLY = msgspec.json.Decoder(_Reply)


def meter_reply(body: bytes, content_key: str, *, output_expected: bool = True) -> Metered:
    """Read a whole reply. `content_key`: "choices" or "data", without which it is no reply."""
    try:
        reply = _REPLY.decode(body)
    except (ValueError, RecursionError):
        return _meter_odd(body, content_key, output_expected)
    choices = reply.choices or ()
    finish_reason, error = "", said(reply.error)
    for choice in choices:
        finish_reason = finish_reason or choice.finish_reason or ""
        error = error or said(choice.error)
    fields = Said(
        reply.id or "",
        reply.model or "",
        reply.service_tier or "",
        finish_reason,
        said(reply.usage),
        error,
        as_dict(said(reply.x_groq)) if reply.x_groq else {},
    )
    whole = reply.choices is not None if content_key == "choices" else opens_with(reply.data, b"[")
    return meter_said(fields, complete=True, whole=whole, output_expected=output_expected)


def meter_said(
    fields: Said, *, complete: bool, whole: bool = True, output_expected: bool = True, error: WireError | None = None
) -> Metered:
    """Put together what a reply said. `whole`: it had the content that makes it a reply."""
    usage, said_error = fields.usage, fields.error
    if fields.groq:
        usage, said_error = usage or fields.groq.get("usage"), said_error or fields.groq.get("error")
    reading = read_usage(usage, fields.form, output_expected=output_expected, fees=fields.fees)
    if error is None and said_error:
        error = error_of(said_error)
    if error is None and not whole:
        error = malformed("the provider's reply has no content of the form that was asked for")
    return Metered(
        reading.usage,
        reading.reported_nano_usd,
        fields.model,
        fields.reply_id,
        fields.service_tier,
        fields.finish_reason,
        error,
        complete and error is None,
    )


def said(raw: msgspec.Raw) -> object:
    """The value of a field; None where it is missing, null, or unreadable."""
    return (decode(raw) or None) if raw else None


def _meter_odd(body: bytes, content_key: str, output_expected: bool) -> Metered:
    """A reply with a field of a type that nobody foresaw, or no JSON."""
    value = decode(body)
    if value is MALFORMED:
        return Metered(error=malformed("the provider's reply is not JSON"), complete=False)
    if isinstance(value, list) and value:
        value = value[0]  # Gemini wraps its errors in a list
    if not isinstance(value, dict):
        return Metered(error=malformed("the provider's reply is not a JSON object"), complete=False)
    content = value.get(content_key)
    return meter_said(
        said_by(value),
        complete=True,
        whole=isinstance(content, list),
        output_expected=output_expected,
    )


def said_by(value: dict[str, Any]) -> Said:
    """The governing fields of a decoded reply or chunk, whatever types they have."""
    listed = value.get("choices")
    choices = [as_dict(choice) for choice in listed] if isinstance(listed, list) else []
    errors = [value.get("error"), *(choice.get("error") for choice in choices)]
    return Said(
        as_text(value.get("id")),
        as_text(value.get("model")),
        as_text(value.get("service_tier")),
        next((reason for choice in choices if (reason := as_text(choice.get("finish_reason")))), ""),
        value.get("usage"),
        next((error for error in errors if error), None),
        as_dict(value.get("x_groq")),
    )
