"""How large a Messages request can be at most, in tokens, from its bytes alone; see `extent` for what counts as what.

Decides where in such a body images, documents and references to stored files stand. An image counts as `extent` says,
which is above the 4,784 visual tokens that Claude makes of the largest. A document is text where it stands in the body
as text; a PDF, a file or a URL is bounded by the context window. What tools of the provider left behind in the
conversation (search results in cipher, files) says nothing of its length either.

Source: Anthropic's API reference, content blocks; its documentation of vision, PDF support and tool use (what each
typed tool adds to the prompt: 245 to 735 tokens).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bursar.wire import asked
from bursar.wire.body import Fields
from bursar.wire.extent import Extent, Tally, string_bytes
from bursar.wire.lenient import EMPTY, as_dict, as_text, decode, opens_with

__all__ = ["extent_of"]

# A tool of a type that the provider defines brings a description of its own, of which the body says nothing.
TYPED_TOOL_TOKENS = 1_024
# What may stand in blocks that stand in blocks; deeper ones are bounded by the context window.
DEPTH_MAX = 8

_TEXT = frozenset({
    "text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use", "search_result",
    "tool_search_tool_result", "tool_reference", "tool_addition", "tool_removal", "compaction", "fallback",
})  # fmt: skip
# Blocks whose content is blocks again, or a text.
_NESTED = frozenset({"tool_result", "mcp_tool_result", "mid_conv_system"})


class _Message(msgspec.Struct, gc=False):
    content: msgspec.Raw = EMPTY


_MESSAGES = msgspec.json.Decoder(list[_Message])


def extent_of(body: bytes, fields: Fields, models: tuple[str, ...], context_tokens: int) -> Extent:
    """The bound and the estimate for a Messages body. `models`: every model that may read it."""
    tally = _tally(fields.get("messages"))
    extent = tally.extent(len(body), models, context_tokens, tools="tools" in fields, stored=False)
    typed = sum(bool(as_dict(tool).get("type")) for tool in asked.listed(fields, "tools"))
    return Extent(*(tokens + TYPED_TOOL_TOKENS * typed for tokens in extent))


def _tally(messages: msgspec.Raw | None) -> Tally:
    tally = Tally()
    try:
        listed = _MESSAGES.decode(messages or b"[]")
    except (ValueError, RecursionError):
        # No message list that a provider would take: all of it counts as text, and nothing bounds what it refers to.
        tally.add_attachment()
        return tally
    tally.messages = len(listed)
    for message in listed:
        if opens_with(message.content, b"[{"):
            _add(tally, decode(message.content), DEPTH_MAX)
    return tally


def _add(tally: Tally, blocks: object, depth: int) -> None:
    """Count what is no text in a list of blocks (one alone counts, too)."""
    for block in blocks if isinstance(blocks, list) else [blocks]:
        fields = as_dict(block)
        kind = as_text(fields.get("type"))
        if isinstance(block, str) or kind in _TEXT:
            continue
        source = as_dict(fields.get("source"))
        if kind == "image":
            tally.add_image(len(as_text(source.get("data"))))
        elif kind in _NESTED and depth:
            _add(tally, _content(fields), depth - 1)
        elif kind == "document" and source.get("type") == "content" and depth:
            _add(tally, _content(source), depth - 1)
        elif kind != "document" or source.get("type") != "text":
            tally.add_attachment(string_bytes(fields))


def _content(fields: Mapping[str, Any]) -> Iterable[object]:
    content = fields.get("content")
    return content if isinstance(content, list | str) else [] if content is None else [content]
