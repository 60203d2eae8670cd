"""A whole Messages reply put together from the events of its stream, in the form of a reply that was not streamed.

Decides how fragments join: text, thinking and tool input are appended to the block of their index, a signature is set,
citations are listed, and `message_delta` has the last word on why the reply ended and what it used. Tool input that is
no JSON, as where a limit cut it off, stays the text that it is. Never raises on an odd event: what does not fit is left
out. Source: Anthropic's documentation of streaming messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bursar.wire.lenient import as_dict

__all__ = ["assembled_message"]

# By type of delta: the field of the delta, and the field of the block that it is appended to.
_APPENDED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "compaction_delta": ("content", "content"),
}


def assembled_message(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The reply that decoded events come to.

    >>> start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    >>> said = {"type": "content_block_delta", "index": 0}
    >>> says = [{**said, "delta": {"type": "text_delta", "text": text}} for text in ("Rhi", "ne")]
    >>> assembled_message([start, *says])["content"]
    [{'type': 'text', 'text': 'Rhine'}]
    """
    message: dict[str, Any] = {"type": "message", "role": "assistant"}
    blocks: dict[int, _Block] = {}
    for event in events:
        kind, index = event.get("type"), event.get("index")
        if kind == "message_start":
            message.update(as_dict(event.get("message")))
        elif kind == "message_delta":
            _end(message, event)
        elif type(index) is int and kind == "content_block_start":
            blocks[index] = _Block(as_dict(event.get("content_block")))
        elif type(index) is int and kind == "content_block_delta":
            delta = as_dict(event.get("delta"))
            blocks.setdefault(index, _Block(_unopened(delta))).add(delta)
    message["content"] = [blocks[index].closed() for index in sorted(blocks)]
    return message


class _Block:
    """One content block and the pieces that still come to it."""

    __slots__ = ("_fields", "_pieces")

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = dict(fields)
        self._pieces: dict[str, list[str]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        if isinstance(kind, str) and kind in _APPENDED:
            source, name = _APPENDED[kind]
            if isinstance(piece := delta.get(source), str):
                self._pieces.setdefault(name, []).append(piece)
        elif kind == "signature_delta":
            self._fields["signature"] = delta.get("signature")
        elif kind == "citations_delta":
            cited = self._fields.get("citations")
            self._fields["citations"] = [*(cited if isinstance(cited, list) else ()), delta.get("citation")]

    def closed(self) -> dict[str, Any]:
        """The block with its pieces joined, once each: texts are long."""
        for name, pieces in self._pieces.items():
            text = "".join(pieces)
            if name == "input":
                self._fields[name] = _value(text) if text else {}
            else:
                began = self._fields.get(name)
                self._fields[name] = (began if isinstance(began, str) else "") + text
        return self._fields


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _unopened(delta: dict[str, Any]) -> dict[str, Any]:
    """A block whose start was lost, as far as its first delta tells what it is."""
    kind = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_use"}.get(
        str(delta.get("type"))
    )
    return {"type": kind} if kind else {}


def _end(message: dict[str, Any], event: dict[str, Any]) -> None:
    message.update((name, value) for name, value in as_dict(event.get("delta")).items() if value is not None)
    if event.get("context_management") is not None:
        message["context_management"] = event["context_management"]
    used = {name: count for name, count in as_dict(event.get("usage")).items() if count is not None}
    message["usage"] = as_dict(message.get("usage")) | used
