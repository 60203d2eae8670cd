"""Messages replies as a caller reads them: decoded when they are read, with the same properties as a chat's.

Decides what the text and the tool calls of a reply are: of an event by itself, of a whole reply, and of one put
together from its events. Tool calls come in OpenAI's form, so that whoever reads a reply need not know which dialect
it was given in; what the provider itself called (searches) is none of them. Never raises on what a provider sent.
Source: Anthropic's API reference.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bursar.wire.messages_assembly import assembled_message
from bursar.wire.reply import Undecoded, decoded, text_of

__all__ = ["MessagesDelta", "MessagesReply"]


class _Fragment(msgspec.Struct, gc=False):
    text: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Opened(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    delta: _Fragment | None = None
    content_block: _Opened | None = None


_EVENT = msgspec.json.Decoder(_Event)
_EMPTY = _Event()


class MessagesDelta:
    """One event of a streamed Messages reply. `payload` holds its bytes as they came; see `Delta` for `restarted`."""

    __slots__ = ("_event", "payload", "restarted")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.restarted = False
        self._event: _Event | None = None

    @property
    def text(self) -> str:
        """The text that this event adds; "" when it adds none."""
        event = self._event or self._decode()
        if event.delta:
            return event.delta.text or ""
        opened = event.content_block
        return (opened.text or "") if opened and opened.type == "text" else ""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The fragment of a tool call that this event carries, in OpenAI's form; [] for none.

        `index` is that of the content block, so it has gaps. An event does not say whose input it continues: fragments
        of an index that no fragment with a name opened are those of the provider's own tools.
        """
        event = self._event or self._decode()
        opened = event.content_block
        if opened and opened.type == "tool_use":
            function = {"name": opened.name or "", "arguments": ""}
            return [{"index": event.index, "id": opened.id or "", "type": "function", "function": function}]
        if event.delta and event.delta.partial_json:
            return [{"index": event.index, "function": {"arguments": event.delta.partial_json}}]
        return []

    @property
    def finish_reason(self) -> str | None:
        """Why the reply ended, in the provider's word; None before it has."""
        delta = (self._event or self._decode()).delta
        return delta.stop_reason if delta else None

    @property
    def raw(self) -> dict[str, Any]:
        """The whole event, decoded."""
        return decoded(self.payload)

    def _decode(self) -> _Event:
        try:
            self._event = _EVENT.decode(self.payload)
        except (ValueError, RecursionError):
            self._event = _EMPTY
        return self._event

    def __repr__(self) -> str:
        return f"MessagesDelta({self.text!r})"


class MessagesReply(Undecoded):
    """A whole Messages reply."""

    __slots__ = ()

    joined = staticmethod(assembled_message)

    @property
    def text(self) -> str:
        """The text of the reply, without what was thought; "" when it has none."""
        return text_of(self.raw.get("content"))

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls of the caller's tools, in OpenAI's form: `id`, `type`, `function` with `name` and `arguments`."""
        content = self.raw.get("content")
        blocks = content if isinstance(content, list) else []
        return [_call(block) for block in blocks if isinstance(block, dict) and block.get("type") == "tool_use"]

    @property
    def finish_reason(self) -> str | None:
        """Why the reply ended, in the provider's word ("end_turn", "max_tokens", "tool_use", ...)."""
        reason = self.raw.get("stop_reason")
        return reason if isinstance(reason, str) else None


def _call(block: dict[str, Any]) -> dict[str, Any]:
    given = block.get("input")
    try:
        # What a limit cut off is no JSON, and stays as far as it came.
        arguments = given if isinstance(given, str) else json.dumps(given or {}, ensure_ascii=False)
    except RecursionError:
        arguments = ""
    return {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }
