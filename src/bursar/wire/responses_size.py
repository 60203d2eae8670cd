"""How large a Responses request can be at most, in tokens, from its bytes or its text; see `extent` for what is what.

Decides which items of the input stand in it whole, and which are only referred to or sealed: what a hosted tool found,
reasoning that the provider stored, compacted history. Those the context window bounds. Tools may stand among the items,
too. Source: OpenAI's API reference and SDK, November 2026, POST /responses, "input".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from bursar.errors import InvalidRequestError
from bursar.wire import asked
from bursar.wire.body import Fields
from bursar.wire.dialect import Count
from bursar.wire.extent import Extent, Tally
from bursar.wire.lenient import EMPTY, as_dict, as_text, decode, opens_with
from bursar.wire.wording import text_tokens

__all__ = ["Item", "extent_of", "items_of", "stored", "tools_inside"]

# The conversation; all else that is text is counted as the JSON that it is.
_SPOKEN = ("instructions", "input")
# Tools that the body describes in full; others bring descriptions of the provider's own.
_DESCRIBED = frozenset({"function", "custom"})
# What is kept at the provider and becomes part of the prompt.
_STORED = ("previous_response_id", "conversation", "prompt", "preset")
# Items all of whose text stands in the body.
_WHOLE_ITEMS = frozenset(
    {"function_call", "custom_tool_call", "computer_call", "additional_tools", "tool_search_call", "tool_search_output"}
    | {"mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response"}
    | {"local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output"}
    | {"apply_patch_call", "apply_patch_call_output"}
)
# Items that carry content, and results of tools that do: a string, or parts with images and files among them.
_OUTPUT_ITEMS = frozenset({"function_call_output", "custom_tool_call_output", "computer_call_output"})


class Item(msgspec.Struct, gc=False):
    """What governs of an item of the input, undecoded, since a field may be of any type."""

    kind: msgspec.Raw = msgspec.field(name="type", default=EMPTY)
    content: msgspec.Raw = EMPTY
    output: msgspec.Raw = EMPTY
    encrypted_content: msgspec.Raw = EMPTY
    result: msgspec.Raw = EMPTY
    tools: msgspec.Raw = EMPTY


_ITEMS = msgspec.json.Decoder(list[Item])


def items_of(fields: Fields) -> list[Item]:
    """The items of the input; none where it is a string or missing. Raises InvalidRequestError for anything else."""
    if not asked.present(fields, "input") or opens_with(fields["input"], b'"'):
        return []
    try:
        return _ITEMS.decode(fields["input"])
    except (ValueError, RecursionError):
        raise InvalidRequestError("input must be a string or a list of items") from None


def stored(fields: Fields) -> bool:
    """Whether part of the prompt is kept at the provider."""
    return any(asked.present(fields, name) for name in _STORED)


def tools_inside(items: list[Item]) -> Iterator[Any]:
    """The tools that items define, beside those of the request."""
    for item in items:
        tools = decode(item.tools) if item.tools else None
        if tools:
            yield from tools if isinstance(tools, list) else [tools]


def extent_of(
    body: bytes, fields: Fields, models: tuple[str, ...], context_tokens: int, count: Count | None = None
) -> Extent:
    """The bound and the estimate for a checked body. models: every model that may read it. count: `Dialect.size`."""
    items = items_of(fields)
    tally = Tally()
    tally.messages = len(items) or 1
    for item in items:
        _add(tally, item)
    tools = asked.present(fields, "tools") or any(item.tools for item in items)
    counted = partial(text_tokens, fields, _SPOKEN, count) if count and _all_described(fields, items) else None
    return tally.extent(len(body), models, context_tokens, tools=tools, stored=stored(fields), counted=counted)


def _all_described(fields: Fields, items: list[Item]) -> bool:
    """Whether no tool brings text with it that does not stand in the body."""
    tools = chain(asked.listed(fields, "tools"), tools_inside(items))
    return all(as_text(as_dict(tool).get("type")) in _DESCRIBED for tool in tools)


def _add(tally: Tally, item: Item) -> None:
    kind = as_text(decode(item.kind)) if item.kind else ""
    if kind in _WHOLE_ITEMS:
        return
    if kind == "message" or (not kind and item.content):
        _add_content(tally, item.content)
    elif kind in _OUTPUT_ITEMS:
        _add_content(tally, item.output)
    elif kind == "image_generation_call":
        tally.add_image(len(as_text(decode(item.result))) if item.result else 0)
    elif not (kind == "reasoning" and any(raw and decode(raw) for raw in (item.encrypted_content, item.content))):
        tally.add_attachment()


def _add_content(tally: Tally, content: msgspec.Raw) -> None:
    if opens_with(content, b"[{"):
        tally.add_parts(content)
