"""Requests, messages and streams that the tests of the translation share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bursar.wire.dialect import Request, Target
from bursar.wire.translation.chat_over_messages import ChatOverMessages

WAY = ChatOverMessages()
MODEL = "claude-opus-4-8"
SECRET = "what nobody may read in an error"
HELLO = [{"role": "user", "content": SECRET}]
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
USAGE = {"input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 20}
CACHE = {"type": "ephemeral", "ttl": "1h"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL, "messages": HELLO, "max_tokens": 100} | fields).encode()


def parsed(**fields: Any) -> Request:
    return WAY.parse(body(**fields))


def sent(model: str = MODEL, **fields: Any) -> dict[str, Any]:
    """The body that goes out for these fields of a chat."""
    decoded: dict[str, Any] = json.loads(WAY.encode(parsed(**fields), Target(model), None))
    return decoded


def turns(*messages: dict[str, Any]) -> list[Any]:
    """What the API calls messages."""
    listed: list[Any] = sent(messages=list(messages))["messages"]
    return listed


def message(*content: dict[str, Any], stop_reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    """A reply of Anthropic's form."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "stop_sequence": None}
    return head | {"content": list(content), "stop_reason": stop_reason, "usage": USAGE} | fields


def replied(reply: dict[str, Any]) -> dict[str, Any]:
    """The chat completion that a message becomes."""
    decoded: dict[str, Any] = json.loads(WAY.reply(json.dumps(reply).encode()))
    return decoded


def events(reply: dict[str, Any], piece_characters: int = 3) -> bytes:
    """The stream that a message would have been, its texts cut into pieces."""
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _events(reply, piece_characters)
    )


def _events(reply: dict[str, Any], piece_characters: int) -> Iterator[dict[str, Any]]:
    usage = reply["usage"]
    opened = reply | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    yield {"type": "message_start", "message": opened}
    yield {"type": "ping"}
    for index, block in enumerate(reply["content"]):
        empty, deltas = _taken_apart(block, piece_characters)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {name: reply.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield {"type": "message_delta", "delta": ended, "usage": usage}
    yield {"type": "message_stop"}


def _taken_apart(block: dict[str, Any], count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it is opened, and the deltas that make it whole."""
    kind = block["type"]
    if kind == "text":
        return block | {"text": ""}, [{"type": "text_delta", "text": text} for text in _cut(block["text"], count)]
    if kind == "tool_use":
        pieces = _cut(json.dumps(block["input"]), count)
        return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": text} for text in ["", *pieces]]
    if kind == "thinking":
        pieces = _cut(block["thinking"], count)
        deltas = [{"type": "thinking_delta", "thinking": text} for text in pieces]
        signature = [{"type": "signature_delta", "signature": text} for text in _cut(block["signature"], count)]
        return block | {"thinking": "", "signature": ""}, [*deltas, *signature]
    if kind == "compaction":
        return block | {"content": None}, [{"type": "compaction_delta", "content": block["content"]}]
    return block, []


def _cut(text: str, count: int) -> list[str]:
    return [text[at : at + count] for at in range(0, len(text), count)]
