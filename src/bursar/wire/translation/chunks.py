"""A streamed reply of Anthropic's messages as the chunks of a streamed chat completion.

Decides which chunk each event becomes, so that the chunks put together are what the whole reply would have been. What
was used, and whether the stream ended as it must, is read from Anthropic's events and never from these chunks. Never
raises on what it is fed; holds no more than the thinking that must be given back in one piece, up to a bound.

Source: Anthropic's guide "Streaming messages"; OpenAI's API reference, the chat completion chunk object.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from bursar.wire.dialect import Metered, Request, StreamReader
from bursar.wire.lenient import as_dict, as_text, decode
from bursar.wire.translation.reply import KEPT, chat_usage, finish_reason_of, refusal_of, tool_call, written

__all__ = ["ChunkReader"]

# The thinking of a reply is no longer than the longest output on offer, a few megabytes.
HELD_CHARACTERS_MAX = 16 * 2**20
# The texts of a block that grow by deltas and must be given back whole.
_GROWING = ("thinking", "signature", "content", "encrypted_content")


class _Open(msgspec.Struct):
    """A block whose end has not come.

    fields: as it was opened. call: its number among the calls, of the use of a tool. said: some of its arguments came.
    pieces: what was appended to its texts, of a block that is given back whole.
    """

    fields: dict[str, Any]
    call: int | None = None
    said: bool = False
    pieces: dict[str, list[str]] = msgspec.field(default_factory=dict)


class ChunkReader:
    """A `StreamReader` that reads Anthropic's events and shows chunks of chat."""

    __slots__ = ("_calls", "_events", "_head", "_held_characters", "_open", "_request", "_used")

    def __init__(self, request: Request, events: StreamReader) -> None:
        self._request = request
        self._events = events
        self._head: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._open: _Open | None = None  # blocks come one after the other
        self._calls = 0
        self._held_characters = 0
        self._used = False  # the usage chunk was shown

    @property
    def done(self) -> bool:
        """True once the terminator or an error was read."""
        return self._events.done

    def metered(self) -> Metered:
        """What Anthropic's events say."""
        return self._events.metered()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; return the chunks that the caller should see."""
        chunks = [written(chunk) for payload in self._events.feed(data) for chunk in self._chunks(payload)]
        if self._request.wants_usage and not self._used and self._events.done:
            metered = self._events.metered()
            if metered.complete and metered.usage is not None:
                self._used = True
                chunks.append(written(self._head | {"choices": [], "usage": chat_usage(metered.usage)}))
        return chunks

    def _chunks(self, payload: bytes) -> list[dict[str, Any]]:
        """The chunks that one event becomes: one or none."""
        event = as_dict(decode(payload))
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._append(as_dict(event.get("delta")))
        if kind == "content_block_start":
            return self._begin(as_dict(event.get("content_block")))
        if kind == "content_block_stop":
            return self._end()
        if kind == "message_start":
            message = as_dict(event.get("message"))
            self._head |= {"id": as_text(message.get("id")), "model": as_text(message.get("model"))}
            return [self._chunk({"role": "assistant"})]
        if kind == "message_delta":
            return self._finish(as_dict(event.get("delta")))
        return []

    def _begin(self, block: dict[str, Any]) -> list[dict[str, Any]]:
        kind = block.get("type")
        self._open = None
        if kind == "text":
            return self._text("content", block.get("text"))
        if kind == "tool_use":
            call = tool_call(as_text(block.get("id")), as_text(block.get("name")), "")
            self._open = _Open(block, self._calls)
            self._calls += 1
            return [self._chunk({"tool_calls": [{"index": self._open.call} | call]})]
        if kind in KEPT:
            self._open = _Open(block)
            return self._text("reasoning_content", block.get("thinking"))
        return []

    def _append(self, delta: dict[str, Any]) -> list[dict[str, Any]]:
        kind, block = delta.get("type"), self._open
        if kind == "text_delta":
            return self._text("content", delta.get("text"))
        if block is None:
            return []
        if kind == "input_json_delta":
            return self._arguments(block, as_text(delta.get("partial_json")))
        for name in _GROWING:
            if piece := as_text(delta.get(name)):
                self._hold(block, name, piece)
        return self._text("reasoning_content", delta.get("thinking"))

    def _end(self) -> list[dict[str, Any]]:
        block, self._open = self._open, None
        if block is None:
            return []
        if block.call is not None:
            # A tool that takes nothing may come without any fragment, or with all it takes in its opening.
            whole = json.dumps(as_dict(block.fields.get("input")), default=float)
            return [] if block.said else self._arguments(block, whole)
        whole_block = dict(block.fields)
        for name, pieces in block.pieces.items():
            whole_block[name] = as_text(whole_block.get(name)) + "".join(pieces)
        return [self._chunk({"thinking_blocks": [whole_block]})]

    def _finish(self, delta: dict[str, Any]) -> list[dict[str, Any]]:
        reason = finish_reason_of(delta.get("stop_reason"))
        refusal = refusal_of(delta.get("stop_reason"), delta.get("stop_details"))
        return [self._chunk({"refusal": refusal} if refusal else {}, reason)] if reason else []

    def _arguments(self, block: _Open, fragment: str) -> list[dict[str, Any]]:
        if block.call is None or not fragment:
            return []
        block.said = True
        return [self._chunk({"tool_calls": [{"index": block.call, "function": {"arguments": fragment}}]})]

    def _hold(self, block: _Open, name: str, piece: str) -> None:
        self._held_characters += len(piece)
        if self._held_characters > HELD_CHARACTERS_MAX:
            self._open = None  # it cannot be given back, and half of it would be refused
        else:
            block.pieces.setdefault(name, []).append(piece)

    def _text(self, name: str, text: object) -> list[dict[str, Any]]:
        return [self._chunk({name: text})] if isinstance(text, str) and text else []

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return self._head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
