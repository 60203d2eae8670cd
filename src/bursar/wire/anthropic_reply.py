"""What a whole reply of Anthropic's form says about itself: usage, cost, how and by whom it was served, and errors.

Decides nothing about money. Never raises: what is no JSON, or not this form, comes back as a malformed-reply error with
whatever usage could still be read beside it. Source: Anthropic's API reference, POST /v1/messages, and its errors.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bursar.wire.anthropic_usage import MessageReading, read_message_usage
from bursar.wire.dialect import Metered, WireError
from bursar.wire.faults import error_of, malformed
from bursar.wire.lenient import EMPTY, MALFORMED, as_text, decode, opens_with

__all__ = ["Head", "meter_message", "metered_of"]


class Head(NamedTuple):
    """What a reply calls itself, beside its usage."""

    reply_id: str = ""
    model: str = ""
    finish_reason: str = ""


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    content: msgspec.Raw = EMPTY
    usage: msgspec.Raw = EMPTY
    error: msgspec.Raw = EMPTY


_MESSAGE = msgspec.json.Decoder(_Message)


def meter_message(body: bytes) -> Metered:
    """Read a whole reply."""
    try:
        message = _MESSAGE.decode(body)
    except (ValueError, RecursionError):
        return _meter_odd(body)
    head = Head(message.id or "", message.model or "", message.stop_reason or "")
    reading = read_message_usage(decode(message.usage)) if message.usage else MessageReading()
    error = _fault(decode(message.error) if message.error else None, whole=opens_with(message.content, b"["))
    return metered_of(head, reading, error, complete=True)


def metered_of(head: Head, reading: MessageReading, error: WireError | None, *, complete: bool) -> Metered:
    """Put together what a reply said. A fallback's name stands in its usage alone, where a stream began before it."""
    return Metered(
        reading.usage,
        reading.reported_nano_usd,
        reading.served_model or head.model,
        head.reply_id,
        reading.tier,
        head.finish_reason,
        error,
        complete and error is None,
        reading.apart,
    )


def _meter_odd(body: bytes) -> Metered:
    """A reply with a field of a type that nobody foresaw, or no JSON."""
    value = decode(body)
    if value is MALFORMED:
        return Metered(error=malformed("the provider's reply is not JSON"), complete=False)
    if not isinstance(value, dict):
        return Metered(error=malformed("the provider's reply is not a JSON object"), complete=False)
    head = Head(as_text(value.get("id")), as_text(value.get("model")), as_text(value.get("stop_reason")))
    error = _fault(value.get("error"), whole=isinstance(value.get("content"), list))
    return metered_of(head, read_message_usage(value.get("usage")), error, complete=True)


def _fault(said: object, *, whole: bool) -> WireError | None:
    """The error that a reply says, or is, for want of content."""
    if said:
        return error_of(said)
    return None if whole else malformed("the provider's reply has no content of the form that was asked for")
