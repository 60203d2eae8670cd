"""A whole response put together from the events of its stream, as far as they came.

Decides what a stream comes to: the response of its last event, which is whole; where the stream was cut, the items that
were done, and of those that were not the fragments. Never raises on an odd event: what does not fit is left out.
Source: OpenAI's API reference, "Streaming events".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["assembled_response"]

# Events with a fragment of an item's content: the type of the part and the field of it that grows.
_PART_PIECES = {
    "response.output_text.delta": ("output_text", "text"),
    "response.refusal.delta": ("refusal", "refusal"),
    "response.reasoning_text.delta": ("reasoning_text", "text"),
}
# Events with a fragment of one of an item's own fields.
_ITEM_PIECES = {
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}


def assembled_response(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The response that decoded events come to.

    >>> item = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}
    >>> says = [{"type": "response.output_text.delta", "output_index": 0, "delta": text} for text in ("Rhi", "ne")]
    >>> assembled_response([item, *says])["output"]
    [{'type': 'message', 'content': [{'type': 'output_text', 'text': 'Rhine'}]}]
    """
    response: dict[str, Any] = {}
    items: dict[int, _Item] = {}
    for event in events:
        if isinstance(event.get("response"), dict):
            response = event["response"]
            continue
        index = _index(event, "output_index")
        item, kind = event.get("item"), event.get("type")
        if kind == "response.output_item.done" and isinstance(item, dict):
            items[index] = _Item(item)
        elif kind == "response.output_item.added" and isinstance(item, dict):
            items.setdefault(index, _Item(item))
        elif isinstance(kind, str) and isinstance(event.get("delta"), str):
            items.setdefault(index, _Item({})).add(kind, _index(event, "content_index"), event["delta"])
    if response.get("output"):
        return response
    return response | {"output": [items[index].whole() for index in sorted(items)]}


class _Item:
    """One item of the output with the fragments that came for it."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self._parts: dict[int, tuple[str, str, list[str]]] = {}  # type of the part, its field, the fragments
        self._pieces: dict[str, list[str]] = {}

    def add(self, kind: str, content_index: int, piece: str) -> None:
        if kind in _PART_PIECES:
            self._parts.setdefault(content_index, (*_PART_PIECES[kind], []))[2].append(piece)
        elif kind in _ITEM_PIECES:
            self._pieces.setdefault(_ITEM_PIECES[kind], []).append(piece)

    def whole(self) -> dict[str, Any]:
        """The item, with its fragments joined."""
        item = dict(self._fields)
        item.update((name, "".join(pieces)) for name, pieces in self._pieces.items())
        if self._parts:
            item.setdefault("type", "message")
            parts = [self._parts[index] for index in sorted(self._parts)]
            item["content"] = [{"type": kind, field: "".join(pieces)} for kind, field, pieces in parts]
        return item


def _index(event: dict[str, Any], name: str) -> int:
    index = event.get(name)
    return index if type(index) is int else 0
