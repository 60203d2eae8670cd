"""Reads a streamed reply of Anthropic's form: which events a caller sees, what was used, and whether it ended.

Decides that a stream is complete when `message_stop` was read, or when a `message_delta` gave the stop reason and the
final usage and no event was cut off. Usage is that of `message_start` with every `message_delta` on top: these are
cumulative, may correct the input (a search makes it grow tenfold), and never count down. Before the first of them the
output is a placeholder, so a stream that is cut there is known in its input alone. Never raises on what it is fed.

A caller sees every event but errors: `message_stop` and pings, too, since they are events of this format with a type
of their own. Each payload says its type, which is all that is needed to write the `event:` line again.

Source: Anthropic's documentation of streaming messages; recorded streams.
"""

from __future__ import annotations

from typing import Any

from bursar.wire.anthropic_reply import Head, metered_of
from bursar.wire.anthropic_usage import MessageReading, latest_usage, read_message_usage
from bursar.wire.dialect import Metered, Request, WireError
from bursar.wire.faults import error_of, malformed
from bursar.wire.lenient import MALFORMED, as_dict, as_text, decode
from bursar.wire.sse import EventStream

__all__ = ["MessagesReader"]

# Nearly all events carry content and nothing that is metered: they are told by how they begin, and pass undecoded.
_CONTENT = (b'{"type":"content_block_', b'{"type": "content_block_')
_USAGE = b'"usage"'
# Sent by gateways that speak OpenAI's form beside this one.
_TERMINATOR = b"[DONE]"


class MessagesReader:
    """A `StreamReader` for the events of a Messages stream."""

    __slots__ = ("_counted", "_ended", "_error", "_events", "_head", "_long_writes", "_shrank", "_usage")

    def __init__(self, request: Request) -> None:
        self._events = EventStream()
        self._head = Head()
        self._usage: dict[str, Any] = {}
        self._counted = False  # the output so far is a count, and not the placeholder of the first event
        self._shrank = False
        self._error: WireError | None = None
        self._ended = False
        self._long_writes = b'"1h"' in request.body

    @property
    def done(self) -> bool:
        """True once `message_stop` or an error was read."""
        return self._ended

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; return the payloads that the caller should see."""
        if self._ended:
            return []
        shown: list[bytes] = []
        for payload in self._events.feed(data):
            if payload.startswith(_CONTENT) and _USAGE not in payload:
                shown.append(payload)
                continue
            if self.take(payload):
                shown.append(payload)
            if self.done:
                return shown
        if self._events.fault:
            self._fail(malformed(self._events.fault))
        return shown

    def take(self, payload: bytes) -> bool:
        """Read one event; True when the caller should see it."""
        if not payload.strip():
            return False
        if payload == _TERMINATOR:
            self._ended = True
            return False
        event = decode(payload)
        if event is MALFORMED or not isinstance(event, dict):
            self._fail(malformed("an event of the stream is not a JSON object"))
            return False
        kind = event.get("type")
        if kind == "error" or event.get("error"):
            self._fail(error_of(event.get("error")))
            return False
        if kind == "message_start":
            self._start(as_dict(event.get("message")))
        elif kind == "message_stop":
            self._ended = True
        elif event.get("usage") or kind == "message_delta":
            self._count(as_dict(event.get("delta")), as_dict(event.get("usage")))
        return True

    def metered(self) -> Metered:
        """What has been read so far says."""
        reading = MessageReading()
        if self._usage:
            doubtful = self._shrank or not self._counted
            reading = read_message_usage(self._usage, long_writes=self._long_writes, odd=doubtful)
        finished = self._counted and bool(self._head.finish_reason) and not self._events.pending
        return metered_of(self._head, reading, self._error, complete=self._ended or finished)

    def _start(self, message: dict[str, Any]) -> None:
        self._head = Head(as_text(message.get("id")), as_text(message.get("model")), self._head.finish_reason)
        self._add(as_dict(message.get("usage")))

    def _count(self, delta: dict[str, Any], usage: dict[str, Any]) -> None:
        if reason := as_text(delta.get("stop_reason")):
            self._head = self._head._replace(finish_reason=reason)
        if usage.get("output_tokens") is not None:
            if not self._counted:
                self._usage.pop("output_tokens", None)
            self._counted = True
        self._add(usage)

    def _add(self, usage: dict[str, Any]) -> None:
        self._usage, shrank = latest_usage(self._usage, usage)
        self._shrank |= shrank

    def _fail(self, error: WireError) -> None:
        self._error = self._error or error
        self._ended = True
