"""A reply that broke off, and the request that has another model go on from there.

Decides what of a streamed reply can be continued, and how a conversation says so: as the beginning of the assistant's
last message, which is what most call a prefill. Text alone is continued. What was thought, called, refused or found,
several choices, an answer of a given form, and what had ended already are begun again instead. Source: Anthropic's
guide "Prefill Claude's response"; Mistral's `prefix`; vLLM's `continue_final_message`, November 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bursar.wire import asked
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.body import Fields, patch
from bursar.wire.dialect import Prefill, Request
from bursar.wire.lenient import as_dict, decode
from bursar.wire.openai_chat import LIMIT_FIELDS, OpenAIChat
from bursar.wire.reply import decoded
from bursar.wire.translation.chat_over_messages import ChatOverMessages

__all__ = ["Said", "prefilled", "said_of"]

# More is not sent a second time; such a reply is begun again.
SAID_CHARS_MAX = 1_048_576
_PLAIN_KEYS = frozenset({"role", "content"})
_ASSISTANT = "assistant"
_MESSAGES = msgspec.json.Decoder(list[msgspec.Raw])


class Said(Struct, frozen=True):
    """What the caller has seen of a reply.

    pieces: how many events it came in, each of a token or more. block, opened: of a Messages reply, the index of its
    last content block, and whether that was still open.
    """

    text: str
    pieces: int
    block: int = 0
    opened: bool = True


def said_of(dialect: str, payloads: Sequence[bytes]) -> Said | None:
    """What a stream's payloads say in the dialect of this name; None where nobody can go on from there.

    >>> said_of("openai_chat", [b'{"choices":[{"index":0,"delta":{"content":"Rhi"}}]}']).text
    'Rhi'
    >>> said_of("openai_chat", [b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]}']) is None
    True
    """
    read = _READERS.get(dialect)
    said = read(payloads) if read is not None else None
    return said if said is not None and said.text.strip() and len(said.text) <= SAID_CHARS_MAX else None


def prefilled(request: Request, said: Said, way: Prefill) -> bytes | None:
    """The body whose answer goes on from what was said; None where it cannot be asked for.

    An output limit of the caller's is for the whole reply: what was said is taken off it, by its pieces.
    """
    fields = request.fields
    if way not in _WAYS.get(request.dialect, ()) or not _continues(request.dialect, fields):
        return None
    messages = _MESSAGES.decode(fields["messages"])
    if not messages or decoded(bytes(messages[-1])).get("role") == _ASSISTANT:
        return None
    # Blanks at the end are refused by some, and make a poor place to go on from for all.
    message: dict[str, Any] = {"role": _ASSISTANT, "content": said.text.rstrip()}
    if way == "prefix":
        message["prefix"] = True
    changes: dict[str, object] = {"messages": [*messages, message]}
    if way == "continue_final_message":
        changes |= {"continue_final_message": True, "add_generation_prompt": False}
    for name in LIMIT_FIELDS:
        limit = decode(fields[name]) if asked.present(fields, name) else None
        if type(limit) is int:
            changes[name] = max(limit - said.pieces, 1)
    return patch(fields, changes)


_WAYS = {
    OpenAIChat.name: ("plain", "prefix", "continue_final_message"),
    ChatOverMessages.name: ("plain",),
    AnthropicMessages.name: ("plain",),
}


def _continues(dialect: str, fields: Fields) -> bool:
    """Whether the answer that is asked for is one text, written without thinking first."""
    given = {name: decode(fields[name]) for name in _SPECIAL if asked.present(fields, name)}
    if as_dict(given.pop("thinking", {"type": "disabled"})).get("type") != "disabled":
        return False
    if dialect == AnthropicMessages.name:
        return "format" not in as_dict(given.get("output_config")) and "output_format" not in given
    if given.get("n", 1) != 1 or given.get("reasoning_effort", "none") != "none":
        return False
    form = as_dict(given.get("response_format", {"type": "text"})).get("type")
    return form == "text" and not {"reasoning", "modalities", "audio", "functions"} & given.keys()


_SPECIAL = (
    "thinking", "output_config", "output_format", "n", "reasoning_effort", "response_format", "reasoning",
    "modalities", "audio", "functions",
)  # fmt: skip


def _of_chat(payloads: Sequence[bytes]) -> Said | None:
    texts: list[str] = []
    for payload in payloads:
        choices = decoded(payload).get("choices")
        if not choices:
            continue
        choice = as_dict(choices[0]) if isinstance(choices, list) and len(choices) == 1 else {}
        delta = choice.get("delta")
        if not isinstance(delta, dict) or choice.get("index", 0) != 0 or choice.get("finish_reason"):
            return None
        content = delta.get("content") or ""
        if not isinstance(content, str) or any(value for key, value in delta.items() if key not in _PLAIN_KEYS):
            return None
        if content:
            texts.append(content)
    return Said("".join(texts), len(texts))


def _of_messages(payloads: Sequence[bytes]) -> Said | None:
    texts: list[str] = []
    block, opened = -1, False
    for event in map(decoded, payloads):
        kind = event.get("type")
        if kind == "content_block_start":
            given = as_dict(event.get("content_block"))
            index = event.get("index")
            if given.get("type") != "text" or given.get("citations") or type(index) is not int:
                return None
            block, opened = index, True
            text = given.get("text")
        elif kind == "content_block_delta":
            delta = as_dict(event.get("delta"))
            text = delta.get("text")
            if delta.get("type") != "text_delta" or not opened:
                return None
        elif kind == "content_block_stop":
            opened = False
            continue
        elif kind in ("message_start", "ping"):
            continue
        else:
            return None
        if isinstance(text, str) and text:
            texts.append(text)
    return Said("".join(texts), len(texts), block, opened)


_READERS = {OpenAIChat.name: _of_chat, ChatOverMessages.name: _of_chat, AnthropicMessages.name: _of_messages}
