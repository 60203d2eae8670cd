"""Replies of Responses as a caller reads them: decoded when they are read, and not before.

Decides what the text and the tool calls of a response are, in the words of chat, so that a caller reads both alike.
Knows nothing of cost. Never raises on what a provider sent: a field that is missing or of another type reads as empty,
and `raw` shows what was there. Source: OpenAI's API reference, "The response object" and "Streaming events".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bursar.wire.lenient import as_dict, as_text
from bursar.wire.reply import Undecoded, decoded, text_of
from bursar.wire.responses_assembly import assembled_response
from bursar.wire.responses_meter import ending

__all__ = ["ResponsesDelta", "ResponsesReply"]

_TEXT_EVENT = "response.output_text.delta"
# Events with a fragment of a call: where chat has it.
_CALL_EVENTS = {
    "response.function_call_arguments.delta": ("function", "arguments"),
    "response.custom_tool_call_input.delta": ("custom", "input"),
}
_ITEM_EVENT = "response.output_item.added"


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: str | None = None
    output_index: int | None = 0
    item: dict[str, Any] | None = None
    response: dict[str, Any] | None = None


_EVENT = msgspec.json.Decoder(_Event)
_NOTHING = _Event()


class ResponsesDelta:
    """One event of a streamed response. `payload` holds its bytes as they came; see `Delta` for `restarted`."""

    __slots__ = ("_event", "payload", "restarted")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.restarted = False
        self._event: _Event | None = None

    @property
    def text(self) -> str:
        """The text that this event adds to the answer; "" when it adds none."""
        event = self._event or self._decode()
        return event.delta or "" if event.type == _TEXT_EVENT else ""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The fragment of a tool call that this event carries, in chat's form; [] for none."""
        event = self._event or self._decode()
        call: dict[str, Any] = {}
        if event.type in _CALL_EVENTS:
            tool, field = _CALL_EVENTS[event.type]
            call = {tool: {field: event.delta or ""}}
        elif event.type == _ITEM_EVENT and event.item:
            call = next(_calls([event.item]), {})
        return [{"index": event.output_index or 0, **call}] if call else []

    @property
    def finish_reason(self) -> str | None:
        """Why the response ended; None before it has."""
        event = self._event or self._decode()
        return _ending(event.response or {})

    @property
    def raw(self) -> dict[str, Any]:
        """The whole event, decoded."""
        return decoded(self.payload)

    def _decode(self) -> _Event:
        try:
            self._event = event = _EVENT.decode(self.payload)
        except (ValueError, RecursionError):
            self._event = event = _NOTHING
        return event

    def __repr__(self) -> str:
        return f"ResponsesDelta({self.text!r})"


class ResponsesReply(Undecoded):
    """A whole response."""

    __slots__ = ()

    joined = staticmethod(assembled_response)

    @property
    def text(self) -> str:
        """The text of the answer, without what was thought or refused; "" when it has none."""
        return "".join(text_of(item.get("content")) for item in self._items() if item.get("type") == "message")

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls of the caller's functions and custom tools, in chat's form; [] for none."""
        return list(_calls(self._items()))

    @property
    def finish_reason(self) -> str | None:
        """Why the response ended, in the provider's word: its status, or what made it incomplete."""
        return _ending(self.raw)

    def _items(self) -> list[dict[str, Any]]:
        output = self.raw.get("output")
        return [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []


def _calls(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        call_id, name = as_text(item.get("call_id")), as_text(item.get("name"))
        if item.get("type") == "function_call":
            function = {"name": name, "arguments": as_text(item.get("arguments"))}
            yield {"id": call_id, "type": "function", "function": function}
        elif item.get("type") == "custom_tool_call":
            yield {"id": call_id, "type": "custom", "custom": {"name": name, "input": as_text(item.get("input"))}}


def _ending(response: dict[str, Any]) -> str | None:
    return ending(response.get("status"), as_dict(response.get("incomplete_details")).get("reason")) or None
