"""The messages of a chat as Anthropic's system text and turns.

Decides whose turn each message is. Messages that follow one another with one role are one turn, so that the results of
parallel calls stand together; instructions before the conversation are the system text, and later ones stay where they
are, where Anthropic allows that. Thinking that came with an earlier reply goes back as it came, before what was said.
Source: Anthropic's API reference, POST /messages, and its guide "Mid-conversation system messages", November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from bursar.errors import InvalidRequestError
from bursar.wire.lenient import EMPTY, NULL
from bursar.wire.translation.content import Block, File, Image, Kept, RefusalPart, Text, blocks_of, mark
from bursar.wire.translation.refusals import decoded, untranslatable
from bursar.wire.translation.tools import ToolCall, tool_use

__all__ = ["Conversation", "conversation_of"]


_PLACES = (
    "an instruction in the middle of a conversation must stand after what a user said or a tool returned, "
    "and before an assistant's message or at the end"
)


class _System(msgspec.Struct, tag_field="role", tag="system", forbid_unknown_fields=True):
    content: str | list[Text]
    name: None = None
    cache_control: msgspec.Raw = EMPTY


class _Developer(_System, tag="developer"):
    pass


class _User(msgspec.Struct, tag_field="role", tag="user", forbid_unknown_fields=True):
    content: str | list[Text | Image | File]
    name: None = None
    cache_control: msgspec.Raw = EMPTY


class _Assistant(msgspec.Struct, tag_field="role", tag="assistant", forbid_unknown_fields=True):
    content: str | list[Text | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    thinking_blocks: msgspec.Raw = EMPTY
    reasoning_content: str | None = None  # the text of `thinking_blocks`
    annotations: msgspec.Raw = EMPTY  # where a reply found what it said; never part of a prompt
    name: None = None
    audio: None = None
    function_call: None = None
    cache_control: msgspec.Raw = EMPTY


class _ToolResult(msgspec.Struct, tag_field="role", tag="tool", forbid_unknown_fields=True):
    content: str | list[Text | Image]
    tool_call_id: str
    name: str | None = None  # of the function, which the call's id says too
    cache_control: msgspec.Raw = EMPTY


class _Kept(msgspec.Struct):
    type: Kept


_Message = _System | _Developer | _User | _Assistant | _ToolResult

_MESSAGES: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])
_KEPT = msgspec.json.Decoder(list[_Kept])
_FIELDS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class _Turn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: list[Block]


class Conversation(msgspec.Struct):
    """system: text blocks, [] for none. turns: what the API calls messages, never two of one role in a row."""

    system: list[Block]
    turns: list[_Turn]


def conversation_of(messages: msgspec.Raw) -> Conversation:
    """Translate the messages of a chat. Raises InvalidRequestError naming what has no counterpart."""
    system: list[Block] = []
    turns: list[_Turn] = []
    listed: list[_Message] = decoded(_MESSAGES, messages, "messages")
    for number, message in enumerate(listed):
        field = f"messages[{number}]"
        if isinstance(message, _System) and not turns:
            system += _blocks(message, field)
            continue
        role = _role(message)
        content = _blocks(message, field)
        if not content:
            continue
        if turns and _misplaced(turns[-1].role, role):
            raise untranslatable(f"{field}.role", _PLACES)
        if turns and turns[-1].role == role:
            turns[-1].content += content
        else:
            turns.append(_Turn(role, content))
    if not turns:
        raise InvalidRequestError("messages must hold something that a user or an assistant said")
    return Conversation(system, turns)


def _misplaced(before: str, role: str) -> bool:
    """Whether an instruction would stand where the API takes none."""
    return (role == "system" and before == "assistant") or (role == "user" and before == "system")


def _role(message: _Message) -> Literal["user", "assistant", "system"]:
    if isinstance(message, _System):
        return "system"
    return "assistant" if isinstance(message, _Assistant) else "user"


def _blocks(message: _Message, field: str) -> list[Block]:
    """What a message says, with its cache marker on the last block."""
    said = blocks_of(message.content, f"{field}.content")
    if isinstance(message, _Assistant):
        said = [*said, *blocks_of(message.refusal, field)]
        for number, call in enumerate(message.tool_calls or ()):
            said.append(tool_use(call, f"{field}.tool_calls[{number}]"))
    elif isinstance(message, _ToolResult):
        result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        said = [result | {"content": said}] if said else [result]
    mark(said, message.cache_control)
    return [*_kept(message, field), *said] if isinstance(message, _Assistant) else said


def _kept(message: _Assistant, field: str) -> Sequence[Block]:
    """The blocks that an earlier reply carried to be sent back, byte for byte, since they are signed."""
    given = message.thinking_blocks
    blocks: Sequence[Block] = []
    if given and given != NULL:
        decoded(_KEPT, given, f"{field}.thinking_blocks")
        blocks = _FIELDS.decode(given)
    if message.reasoning_content and not blocks:
        raise untranslatable(f"{field}.reasoning_content", "what was thought goes back as signed thinking_blocks")
    return blocks
