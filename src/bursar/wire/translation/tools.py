"""Tools, which of them to use, and their calls, as Anthropic has them.

Decides how a function and a call of it are written there. The schema and the arguments keep their bytes. Tools that
are no functions (free text, searches at the provider) are refused: their calls have no counterpart on the way back.
Source: Anthropic's API reference, "tools" and "tool_choice" of POST /messages, November 2026.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bursar.errors import InvalidRequestError
from bursar.wire import asked
from bursar.wire.body import Fields
from bursar.wire.lenient import EMPTY, NULL
from bursar.wire.translation.content import Block, mark
from bursar.wire.translation.refusals import decoded, untranslatable

__all__ = ["ToolCall", "tool_choice_of", "tool_use", "tools_of"]

# A function that takes nothing. Anthropic demands a schema of every tool.
_NO_PARAMETERS = {"type": "object", "properties": {}}


class _Function(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = EMPTY
    strict: bool | None = None
    cache_control: msgspec.Raw = EMPTY


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    function: _Function
    type: Literal["function"] = "function"  # Mistral's clients leave it away
    cache_control: msgspec.Raw = EMPTY


class _Called(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call that an assistant made. `index` only numbers the fragments of a stream."""

    id: str
    function: _Called
    type: Literal["function"] = "function"
    index: int | None = None


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    function: _Named
    type: Literal["function"] = "function"


_TOOLS = msgspec.json.Decoder(list[_Tool])
_CHOICE = msgspec.json.Decoder(Literal["auto", "none", "required"] | _Choice)
_OBJECT = msgspec.json.Decoder(dict[str, Any])


def tools_of(fields: Fields) -> list[Block]:
    """The tools of a body; none where it has none."""
    if not asked.present(fields, "tools"):
        return []
    return [_tool(tool) for tool in decoded(_TOOLS, fields["tools"], "tools")]


def tool_choice_of(fields: Fields, tools: list[Block]) -> Block | None:
    """Which tools may or must be used, one at a time or several; None for what the model does of itself."""
    given = "auto"
    if asked.present(fields, "tool_choice"):
        given = decoded(_CHOICE, fields["tool_choice"], "tool_choice")
    alone = asked.present(fields, "parallel_tool_calls") and not asked.flag(fields, "parallel_tool_calls")
    if not tools:
        if given in ("auto", "none"):
            return None
        raise InvalidRequestError("tool_choice demands a tool, but tools holds none")
    if given == "none":
        return {"type": "none"}
    choice: Block = {"type": "auto"} if given == "auto" else {"type": "any"}
    if isinstance(given, _Choice):
        choice = {"type": "tool", "name": given.function.name}
    if alone:
        choice["disable_parallel_tool_use"] = True
    return None if choice == {"type": "auto"} else choice


def tool_use(call: ToolCall, field: str) -> Block:
    """A call as a block. Raises InvalidRequestError when the arguments are no JSON object."""
    arguments = call.function.arguments
    written = msgspec.Raw(arguments.encode()) if arguments and not arguments.isspace() else msgspec.Raw(b"{}")
    try:
        _OBJECT.decode(written)
    except (ValueError, RecursionError):
        raise untranslatable(f"{field}.function.arguments", "they must be a JSON object") from None
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": written}


def _tool(tool: _Tool) -> Block:
    function = tool.function
    block: Block = {"name": function.name}
    if function.description:
        block["description"] = function.description
    has_parameters = function.parameters and function.parameters != NULL
    block["input_schema"] = function.parameters if has_parameters else _NO_PARAMETERS
    if function.strict is not None:
        block["strict"] = function.strict
    for marker in (tool.cache_control, function.cache_control):
        mark([block], marker)
    return block
