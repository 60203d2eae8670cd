"""A whole reply of Anthropic's messages as a chat completion.

Decides where each block goes: text is the content, thinking is `reasoning_content` and, with its signature, one of the
`thinking_blocks` that the caller sends back with the message, a use of a tool is a tool call with its very arguments.
Blocks of tools that ran at the provider have no place in chat; no translated request asks for such tools. The time of
the reply is 0, since the API does not say it. Never raises: what is no message stays as it came.

Source: Anthropic's API reference, POST /messages; OpenAI's, the chat completion object; November 2026.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args

import msgspec

from bursar.rules.usage import Usage
from bursar.wire.body import Fields
from bursar.wire.lenient import as_dict, as_text, decode
from bursar.wire.translation.content import Kept

__all__ = ["KEPT", "chat_reply", "chat_usage", "finish_reason_of", "refusal_of", "tool_call"]

KEPT = frozenset(get_args(Kept))

# A turn that was paused, or ended for its summary, is as unfinished as one that ran into its limit.
_FINISH_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "pause_turn": "length",
        "compaction": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    }
)

_FIELDS = msgspec.json.Decoder(Fields)
_BLOCKS = msgspec.json.Decoder(list[Fields])


def chat_reply(body: bytes, usage: Usage | None) -> bytes:
    """The bytes of the chat completion that a message is. `usage`: what was read of it, None where it had none."""
    try:
        fields = _FIELDS.decode(body)
        blocks = _BLOCKS.decode(fields["content"])
    except (ValueError, KeyError, RecursionError):
        fields, blocks = _odd(body)
    if "content" not in fields:
        return body
    reply: dict[str, Any] = {
        "id": _text(fields, "id"),
        "object": "chat.completion",
        "created": 0,
        "model": _text(fields, "model"),
        "choices": [_choice(fields, blocks)],
    }
    if usage is not None:
        reply["usage"] = chat_usage(usage)
    return written(reply)


def finish_reason_of(stop_reason: object) -> str | None:
    """Chat's word for why a reply ended; None for a reply that has not. A reason that is new is an ordinary end."""
    return _FINISH_REASONS.get(stop_reason, "stop") if isinstance(stop_reason, str) and stop_reason else None


def refusal_of(stop_reason: object, stop_details: object) -> str | None:
    """What is said in place of an answer; None where nothing was refused."""
    if stop_reason != "refusal":
        return None
    details = as_dict(stop_details)
    return as_text(details.get("explanation")) or as_text(details.get("category")) or "refused"


def tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A call of a function, in chat's form."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_usage(usage: Usage) -> dict[str, Any]:
    """The usage object: totals that include what was cached, written to a cache and thought.

    >>> usage = Usage.of(100, 20, {"cached_input": 60, "cache_write_1h": 30, "reasoning_output": 5})
    >>> chat_usage(usage)["prompt_tokens_details"]
    {'cached_tokens': 60, 'cache_write_tokens': 30}
    """
    leaves = usage.leaves
    written_tokens = sum(count for leaf, count in leaves.items() if leaf.startswith("cache_write"))
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": leaves.get("cached_input", 0),
            "cache_write_tokens": written_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": leaves.get("reasoning_output", 0)},
    }


def written(value: object) -> bytes:
    """JSON of a reply; what no UTF-8 can hold (half of a character) goes on as the escape that it came as."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, default=_raw_value).encode()


def _choice(fields: Fields, blocks: list[Fields]) -> dict[str, Any]:
    texts, thoughts, calls, kept = [], [], [], []
    for block in blocks:
        kind = _text(block, "type")
        if kind == "text":
            texts.append(_text(block, "text"))
        elif kind == "tool_use":
            arguments = bytes(block.get("input", b"{}")).decode()
            calls.append(tool_call(_text(block, "id"), _text(block, "name"), arguments))
        elif kind in KEPT:
            thoughts.append(_text(block, "thinking"))
            kept.append(block)
    stop_reason = _text(fields, "stop_reason")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) or None,
        "refusal": refusal_of(stop_reason, decode(fields["stop_details"]) if "stop_details" in fields else None),
        "tool_calls": calls,
        "reasoning_content": "".join(thoughts),
        "thinking_blocks": kept,
    }
    # What is missing is not there at all; a content without text is null.
    shown = {name: value for name, value in message.items() if value or name == "content"}
    return {"index": 0, "message": shown, "finish_reason": finish_reason_of(stop_reason)}


def _text(fields: Fields, name: str) -> str:
    return as_text(decode(fields[name])) if name in fields else ""


def _odd(body: bytes) -> tuple[Fields, list[Fields]]:
    """The fields and blocks of a message that is no strict JSON, or has a block of another type; none of no message."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}, []
    if not isinstance(value, dict) or not isinstance(value.get("content"), list):
        return {}, []
    return _raws(value), [_raws(block) for block in value["content"] if isinstance(block, dict)]


def _raws(value: dict[str, Any]) -> Fields:
    return {name: msgspec.Raw(json.dumps(inner).encode()) for name, inner in value.items()}


def _raw_value(value: object) -> object:
    return json.loads(bytes(value)) if isinstance(value, msgspec.Raw) else None
