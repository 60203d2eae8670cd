"""Reads a streamed chat reply: which chunks a caller sees, what was used, and whether the stream ended as it must.

Decides that a stream is complete when its terminator `[DONE]` was seen, or when every choice that was asked for gave a
finish reason and no event was cut off: some compatible servers send no terminator. Usage is that of the last chunk
which has any, since some send it growing in every chunk. Never raises on what it is fed.

Source: OpenAI's API reference, "Streaming"; recorded streams of OpenAI, OpenRouter, Groq and Mistral.
"""

from __future__ import annotations

import msgspec

from bursar.wire.dialect import Metered, Request, WireError
from bursar.wire.faults import error_of, malformed
from bursar.wire.lenient import EMPTY, NULL, as_dict, decode
from bursar.wire.openai_reply import Said, meter_said, said
from bursar.wire.sse import EventStream

__all__ = ["ChatReader"]

TERMINATOR = b"[DONE]"
# A stream of more choices than were asked for is remembered no further than this.
CHOICES_MAX = 1_024


class _Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    finish_reason: str | None = None
    error: msgspec.Raw = EMPTY


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = EMPTY
    error: msgspec.Raw = EMPTY
    x_groq: msgspec.Raw = EMPTY


class _Head(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_HEAD = msgspec.json.Decoder(_Head)


class ChatReader:
    """A `StreamReader` for chunks of OpenAI's form."""

    __slots__ = (
        "_ended", "_error", "_events", "_finish_reason", "_finished", "_groq", "_head", "_named", "_request", "_usage",
    )  # fmt: skip

    def __init__(self, request: Request) -> None:
        self._request = request
        self._events = EventStream()
        self._head: _Head | None = None
        self._named = False  # the head has a model's name, and needs no more looking for
        self._usage: object = EMPTY  # as the last chunk that had any gave it, decoded only when asked for
        self._groq: dict[str, object] = {}
        self._finish_reason = ""
        self._finished: set[int] = set()
        self._error: WireError | None = None
        self._ended = False

    @property
    def done(self) -> bool:
        """True once the terminator or an error was read."""
        return self._ended

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come; return the payloads that the caller should see."""
        if self._ended:
            return []
        shown: list[bytes] = []
        decode_chunk, empty = _CHUNK.decode, EMPTY
        for payload in self._events.feed(data):
            try:
                chunk = decode_chunk(payload)
            except (ValueError, RecursionError):
                seen = self._take_odd(payload)
            else:
                if not self._named:
                    self._read_head(payload)
                for choice in chunk.choices or ():
                    if choice.finish_reason is not None or choice.error is not empty:
                        self._take_ending(choice)
                # Of a thousand chunks, all but a few hold a piece of the answer and nothing more.
                plain = chunk.usage is empty and chunk.error is empty and chunk.x_groq is empty
                seen = not self._ended if plain else self._take_more(chunk)
            if seen:
                shown.append(payload)
            elif self.done:
                return shown
        if self._events.fault:
            self._fail(malformed(self._events.fault))
        return shown

    def _take_ending(self, choice: _Choice) -> None:
        """What a choice says of its end."""
        if choice.finish_reason:
            self._finish(choice.index or 0, choice.finish_reason)
        if choice.error and (error := said(choice.error)):
            self._fail(error_of(error))

    def _take_more(self, chunk: _Chunk) -> bool:
        """What a chunk holds beside its choices; True when the caller should see it."""
        if chunk.x_groq:
            self._groq.update(as_dict(said(chunk.x_groq)))
        usage = chunk.usage
        # "usage": null stands in every chunk of a stream that will end with usage.
        has_usage = bool(usage) and usage != NULL
        if has_usage:
            self._usage = usage
        if chunk.error and (error := said(chunk.error)):
            self._fail(error_of(error))
        elif self._groq.get("error"):
            self._fail(error_of(self._groq["error"]))
        return self._error is None and (bool(chunk.choices) or not has_usage or self._request.wants_usage)

    def metered(self) -> Metered:
        """What has been read so far says."""
        head = self._head or _Head()
        usage = said(self._usage) if isinstance(self._usage, msgspec.Raw) else self._usage
        fields = Said(
            head.id or "", head.model or "", head.service_tier or "", self._finish_reason, usage, None, self._groq
        )
        finished = len(self._finished) >= self._request.n and not self._events.pending
        return meter_said(fields, complete=self._ended or finished, error=self._error)

    def _take_odd(self, payload: bytes) -> bool:
        """The terminator, a chunk with a field of a type that nobody foresaw, an empty event, or no JSON."""
        if payload == TERMINATOR:
            self._ended = True
        if self._ended or not payload.strip():
            return False
        value = decode(payload)
        if not isinstance(value, dict):
            self._fail(malformed("an event of the stream is not a JSON object"))
            return False
        listed = value.get("choices")
        for choice in listed if isinstance(listed, list) else ():
            reason, index = as_dict(choice).get("finish_reason"), as_dict(choice).get("index")
            if isinstance(reason, str) and reason:
                self._finish(index if type(index) is int else 0, reason)
        if value.get("usage"):
            self._usage = value["usage"]
        self._groq.update(as_dict(value.get("x_groq")))
        if value.get("error"):
            self._fail(error_of(value["error"]))
        return self._error is None and (bool(listed) or not value.get("usage") or self._request.wants_usage)

    def _read_head(self, payload: bytes) -> None:
        try:
            head = _HEAD.decode(payload)
        except ValueError:
            return
        if head.id or head.model:
            self._head = head
            self._named = bool(head.model)

    def _finish(self, index: int, reason: str) -> None:
        self._finish_reason = self._finish_reason or reason
        if len(self._finished) < CHOICES_MAX:
            self._finished.add(index)

    def _fail(self, error: WireError) -> None:
        self._error = self._error or error
        self._ended = True
