"""The reply of an attempt that goes on where another broke off, as events that continue those the caller has seen.

Decides which of its events the caller must not see: those that open a reply, since one is open, and words that repeat
the end of what was said (Mistral sends the beginning back, and a model may write the blank that was cut off). Blocks of
a Messages reply are counted on. Everything else passes as it came. Used by one stream; never raises on what it is fed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.continuing import Said
from bursar.wire.dialect import Metered, StreamReader
from bursar.wire.lenient import as_dict
from bursar.wire.preamble import preamble_of
from bursar.wire.reply import decoded

__all__ = ["Joined", "Joint", "Seam"]


class Joint(Struct, frozen=True):
    """Where a reply goes on. `echoed`: the provider repeats what was said before it goes on."""

    said: Said
    echoed: bool = False


class Seam:
    """Takes from the beginning of a text what it repeats of the text before it.

    >>> seam = Seam("Rhine, ", echoed=True)
    >>> [seam.rest(piece) for piece in ("Rhi", "ne, N", "ile")]
    ['', 'N', 'ile']
    """

    __slots__ = ("_blanks", "_echo", "_held")

    def __init__(self, before: str, *, echoed: bool) -> None:
        stripped = before.rstrip()
        self._echo = stripped if echoed else ""
        self._blanks = before[len(stripped) :]
        self._held = ""

    @property
    def settled(self) -> bool:
        """Nothing more is held back or taken away."""
        return not (self._echo or self._blanks or self._held)

    def rest(self, text: str) -> str:
        """What of the next piece is new."""
        if self._echo:
            text = self._held + text
            self._held = ""
            if len(text) < len(self._echo) and self._echo.startswith(text):
                self._held = text
                return ""
            text, self._echo = text.removeprefix(self._echo), ""
        if not text:
            return ""
        same = 0
        while same < min(len(text), len(self._blanks)) and text[same] == self._blanks[same]:
            same += 1
        self._blanks = self._blanks[same:] if same == len(text) else ""
        return text[same:]

    def end(self) -> str:
        """What was held back as a repetition and is none: the text ended before it was whole."""
        held, self._echo, self._blanks, self._held = self._held, "", "", ""
        return held


class Joined:
    """The `StreamReader` of an attempt that continues a reply. `dialect`: what the caller sees is in."""

    def __init__(self, reader: StreamReader, dialect: str, joint: Joint) -> None:
        self._reader = reader
        self._opens = preamble_of(dialect)
        self._said = joint.said
        self._seam = Seam(joint.said.text, echoed=joint.echoed)
        self._offset: int | None = None
        messages = dialect == AnthropicMessages.name
        self._join: Callable[[bytes], list[bytes]] = self._event if messages else self._chunk

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that the caller should see after those of the reply that broke off."""
        return [joined for payload in self._reader.feed(data) for joined in self._join(payload)]

    def metered(self) -> Metered:
        """What this attempt says of itself."""
        return self._reader.metered()

    @property
    def done(self) -> bool:
        """True once nothing more of meaning will come."""
        return self._reader.done

    def _chunk(self, payload: bytes) -> list[bytes]:
        """A chunk of chat."""
        if self._offset is not None and self._seam.settled:
            return [payload]
        if self._opens(payload):
            return []
        self._offset = 0
        chunk = decoded(payload)
        choices = chunk.get("choices")
        choice = as_dict(choices[0]) if isinstance(choices, list) and choices else {}
        delta = as_dict(choice.get("delta"))
        content = delta.get("content")
        delta.pop("role", None)
        if isinstance(content, str) and content and not choice.get("finish_reason"):
            delta["content"] = self._seam.rest(content)
            return [_encode(chunk)] if delta["content"] else []
        held = self._seam.rest(content) if isinstance(content, str) else ""
        held += self._seam.end()
        if held and choice:
            delta["content"] = held
            choice["delta"] = delta
        return [_encode(chunk)]

    def _event(self, payload: bytes) -> list[bytes]:
        """An event of Messages."""
        if self._offset == 0 and self._seam.settled:
            return [payload]
        if self._opens(payload):
            return []
        event = decoded(payload)
        index = event.get("index")
        if self._offset is None:
            return self._first(event, index if type(index) is int else 0)
        return [_encode(one) for one in self._counted(event)]

    def _first(self, event: dict[str, Any], index: int) -> list[bytes]:
        """The first event that says something: the block that was open goes on, or ends here."""
        said = self._said
        opens = event.get("type") == "content_block_start"
        if said.opened and opens and as_dict(event.get("content_block")).get("type") == "text":
            self._offset = said.block - index
            begun = as_dict(event.get("content_block")).get("text")
            said_more = {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": begun}}
            return [_encode(one) for one in self._counted(said_more)] if begun else []
        self._offset = said.block + 1 - index
        ended = [{"type": "content_block_stop", "index": said.block}] if said.opened else []
        return [_encode(one) for one in (*ended, *self._counted(event))]

    def _counted(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """An event under the index that its block has for the caller, without what it repeats."""
        index, delta = event.get("index"), as_dict(event.get("delta"))
        if type(index) is int:
            event["index"] = index + (self._offset or 0)
        text = delta.get("text")
        if delta.get("type") == "text_delta" and isinstance(text, str) and not self._seam.settled:
            delta["text"] = self._seam.rest(text)
            return [event] if delta["text"] else []
        held = self._seam.end() if event.get("type") == "content_block_stop" else ""
        if not held:
            return [event]
        more = {"type": "text_delta", "text": held}
        return [{"type": "content_block_delta", "index": event.get("index"), "delta": more}, event]


def _encode(event: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:
        return json.dumps(event).encode()  # half a character, as it came
