"""Reads a streamed Responses reply: which events a caller sees, what was used, and whether the stream ended as it must.

Decides that a stream is complete when the event that carries the finished response was seen; `[DONE]`, which some send
after it, says nothing by itself. That event has the usage, and is shown like every other, since clients wait for it; a
failed response is an error and is not shown. Events that hold neither a response nor an error, which are nearly all of
a stream, pass undecoded. Never raises on what it is fed.

Source: OpenAI's API reference, "Streaming events"; recorded streams of OpenAI and OpenRouter.
"""

from __future__ import annotations

import msgspec

from bursar.wire.dialect import Metered, WireError
from bursar.wire.faults import error_of, malformed
from bursar.wire.lenient import EMPTY, NULL, as_text, decode
from bursar.wire.responses_meter import RESPONSE_FAILED, Response, Told, meter_told, told_by, told_of
from bursar.wire.sse import EventStream

__all__ = ["ResponsesReader"]

# The events that end a stream, each with the whole response in it; the last as OpenAI's realtime API calls it.
FAILED_EVENT = "response.failed"
TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", FAILED_EVENT, "response.done"})
TERMINATOR = b"[DONE]"
# Nearly all events are pieces of an output, and are told by how they begin.
_PIECES = tuple(
    b'{"type":' + space + b'"response.' + kind
    for space in (b"", b" ")
    for kind in (b"output_text.", b"function_call_arguments.", b"reasoning_")
)


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    response: Response | None = None
    error: msgspec.Raw = EMPTY


_EVENT = msgspec.json.Decoder(_Event)


class ResponsesReader:
    """A `StreamReader` for the events of Responses."""

    __slots__ = ("_complete", "_ended", "_error", "_events", "_told")

    def __init__(self) -> None:
        self._events = EventStream()
        self._told: Told | None = None  # by the last event that held a response
        self._error: WireError | None = None
        self._complete = False
        self._ended = False

    @property
    def done(self) -> bool:
        """True once the finished response, an error or the terminator was read."""
        return self._ended

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; return the payloads that the caller should see."""
        if self._ended:
            return []
        shown: list[bytes] = []
        for payload in self._events.feed(data):
            if payload.startswith(_PIECES) and payload.endswith(b"}"):
                shown.append(payload)
                continue
            if self._take(payload):
                shown.append(payload)
            if self.done:
                return shown
        if self._events.fault:
            self._fail(malformed(self._events.fault))
        return shown

    def _take(self, payload: bytes) -> bool:
        """Read one event; True when the caller should see it."""
        # A quoted word within a text has backslashes before its quotes, so that these are a key or a whole value.
        # (To find is twice as fast as to ask whether it is `in`.)
        find = payload.find
        if find(b'"response"') < 0 and find(b'"error"') < 0 and payload[:1] == b"{" and payload[-1:] == b"}":
            return True
        try:
            event = _EVENT.decode(payload)
        except (ValueError, RecursionError):
            return self._take_odd(payload)
        failed = event.type == "error" or (event.error and event.error != NULL)
        told = told_of(event.response) if event.response else None
        return self._follow(event.type, told, payload if failed else None)

    def metered(self) -> Metered:
        """What has been read so far says."""
        return meter_told(self._told or Told(), complete=self._complete, error=self._error)

    def _take_odd(self, payload: bytes) -> bool:
        """An event with a field of a type that nobody foresaw, an empty one, the terminator, or no JSON."""
        if payload == TERMINATOR:
            self._ended = True
        if self._ended or not payload.strip():
            return False
        value = decode(payload)
        if not isinstance(value, dict):
            self._fail(malformed("an event of the stream is not a JSON object"))
            return False
        kind, response = as_text(value.get("type")), value.get("response")
        told = told_by(response) if isinstance(response, dict) else None
        return self._follow(kind, told, payload if kind == "error" or value.get("error") else None)

    def _follow(self, kind: str, told: Told | None, error: bytes | None) -> bool:
        """Take in what an event says; `error` holds one that reports an error."""
        self._told = told or self._told
        if error is not None:
            self._fail(_error_in(error))
        elif (told and told.said.error) or kind == FAILED_EVENT:
            self._fail(error_of((told and told.said.error) or RESPONSE_FAILED))
        elif kind in TERMINAL_EVENTS:
            self._complete = self._ended = True
        return self._error is None

    def _fail(self, error: WireError) -> None:
        self._error = self._error or error
        self._ended = True


def _error_in(payload: bytes) -> WireError:
    """The error of an event, which holds it under "error", or is it, beside its own type."""
    fields = decode(payload)
    return error_of(fields.get("error") or {name: value for name, value in fields.items() if name != "type"})
