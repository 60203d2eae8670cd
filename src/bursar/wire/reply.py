"""Replies as a caller reads them: decoded when they are read, and not before.

Decides what the text, the tool calls and the vectors of a reply are: of a chunk by itself, of a whole reply, and of
one put together from its chunks. Knows nothing of cost. Never raises on what a provider sent: a field that is missing
or of another type reads as empty, and `raw` shows what was there. Source: OpenAI's API reference; Mistral's content
parts.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec

from bursar.wire.assembly import assembled

__all__ = ["ChatReply", "Delta", "EmbeddingsReply", "Undecoded", "decoded", "text_of"]


class _DeltaContent(msgspec.Struct, gc=False):
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _DeltaChoice(msgspec.Struct, gc=False):
    delta: _DeltaContent | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_DeltaChoice] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_EMPTY_CHOICE = _DeltaChoice()


class Delta:
    """One chunk of a streamed chat reply. `payload` holds its bytes as they came.

    restarted: the reply begins anew with it, and what came before is void (`after_first_token` of a route).
    """

    __slots__ = ("_choice", "payload", "restarted")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.restarted = False
        self._choice: _DeltaChoice | None = None

    @property
    def text(self) -> str:
        """The text that this chunk adds to the first choice it carries; "" when it adds none."""
        delta = (self._choice or self._decode()).delta
        content = delta.content if delta else None
        return content if isinstance(content, str) else text_of(content)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The fragments of tool calls that this chunk carries, as the provider sent them; [] for none."""
        delta = (self._choice or self._decode()).delta
        return (delta.tool_calls or []) if delta else []

    @property
    def finish_reason(self) -> str | None:
        """Why the choice ended; None before it has."""
        return (self._choice or self._decode()).finish_reason

    @property
    def raw(self) -> dict[str, Any]:
        """The whole chunk, decoded."""
        return decoded(self.payload)

    def _decode(self) -> _DeltaChoice:
        try:
            choices = _CHUNK.decode(self.payload).choices
        except (ValueError, RecursionError):
            choices = None
        self._choice = choice = choices[0] if choices else _EMPTY_CHOICE
        return choice

    def __repr__(self) -> str:
        return f"Delta({self.text!r})"


class Undecoded:
    """A whole reply that is decoded when it is read. `body` holds its bytes as they came, none of a stream's."""

    __slots__ = ("_chunks", "_raw", "body")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._chunks: Sequence[bytes] | None = None
        self._raw: dict[str, Any] | None = None

    @classmethod
    def of_chunks(cls, payloads: Sequence[bytes]) -> Self:
        """The reply that a stream's chunks come to."""
        reply = cls(b"")
        reply._chunks = payloads
        return reply

    @property
    def raw(self) -> dict[str, Any]:
        """The whole reply, decoded."""
        if self._raw is None:
            chunks = self._chunks
            self._raw = decoded(self.body) if chunks is None else self.joined(map(decoded, chunks))
        return self._raw

    @staticmethod
    def joined(events: Iterable[dict[str, Any]], /) -> dict[str, Any]:
        """The decoded events of a stream as one reply; empty for what never comes in chunks."""
        return {}


class ChatReply(Undecoded):
    """A whole chat reply."""

    __slots__ = ()

    joined = staticmethod(assembled)

    @property
    def text(self) -> str:
        """The text of the first choice; "" when it has none."""
        content = self._message().get("content")
        return content if isinstance(content, str) else text_of(content)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tool calls of the first choice, in the provider's form; [] for none."""
        calls = self._message().get("tool_calls")
        return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended, in the provider's word."""
        reason = self._choice().get("finish_reason")
        return reason if isinstance(reason, str) else None

    def _message(self) -> dict[str, Any]:
        message = self._choice().get("message")
        return message if isinstance(message, dict) else {}

    def _choice(self) -> dict[str, Any]:
        choices = self.raw.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        return first if isinstance(first, dict) else {}


class EmbeddingsReply(Undecoded):
    """The answer to an embedding, which never comes in chunks."""

    __slots__ = ()

    @property
    def vectors(self) -> list[list[float]]:
        """One vector for each input, in the order of the inputs; an empty one for what is no vector.

        Vectors asked for as base64 (little-endian 32-bit floats) come out as floats all the same.
        """
        data = self.raw.get("data")
        items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
        if all(type(item.get("index")) is int for item in items):
            items.sort(key=lambda item: item["index"])
        return [_vector(item.get("embedding")) for item in items]


def decoded(body: bytes) -> dict[str, Any]:
    """A JSON object as plain Python values; an empty one for anything else."""
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        return {}
    except ValueError:
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def text_of(content: object) -> str:
    """The text of a list of content parts, leaving out what was thought and not said."""
    if not isinstance(content, list):
        return ""
    parts = [part for part in content if isinstance(part, dict) and part.get("type") in ("text", "output_text")]
    return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def _vector(embedding: object) -> list[float]:
    if isinstance(embedding, list):
        return [float(number) for number in embedding if isinstance(number, int | float)]
    if not isinstance(embedding, str):
        return []
    import sys
    from array import array

    try:
        data = base64.b64decode(embedding, validate=True)
        floats = array("f", data)
    except (binascii.Error, ValueError):
        return []
    if sys.byteorder == "big":
        floats.byteswap()
    return floats.tolist()
