"""Chat on the caller's side, Anthropic's messages on the wire.

Decides nothing of money: what a reply used is read from Anthropic's own words, before they are translated. Everything
that cannot be translated is refused when the request is parsed, so that encoding an attempt cannot fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from bursar.rules.estimate import Size
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.dialect import CONTEXT_TOKENS_MAX, Count, Metered, Request, StreamReader, Target, WireError
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.translation.chunks import ChunkReader
from bursar.wire.translation.fields import translated
from bursar.wire.translation.reply import chat_reply

__all__ = ["ChatOverMessages"]

_CHAT = OpenAIChat()
_MESSAGES = AnthropicMessages()


class ChatOverMessages:
    """The `Dialect` of a chat that is sent as POST /messages."""

    name = "chat_over_messages"
    path = _MESSAGES.path
    needs_limit = True

    def parse(self, body: bytes) -> Request:
        """Read the governing fields of a chat body, and try the translation.

        Raises InvalidRequestError naming the field that is wrong or has no counterpart, never quoting its value.
        """
        request = _CHAT.parse(body)
        sent = _MESSAGES.parse(_sent(request, request.model, request.output_limit))
        return replace(request, dialect=self.name, unbounded=sent.unbounded, tier=sent.tier)

    def size(
        self,
        request: Request,
        *,
        output_tokens_min: int,
        output_tokens_max: int,
        context_tokens: int = CONTEXT_TOKENS_MAX,
        count: Count | None = None,
    ) -> Size:
        """Bound and estimate what is sent, by its bytes: no vocabulary of these models is known."""
        sent = replace(request, body=_sent(request, request.model, request.output_limit), fields={})
        return _MESSAGES.size(
            sent,
            output_tokens_min=output_tokens_min,
            output_tokens_max=output_tokens_max,
            context_tokens=context_tokens,
        )

    def encode(self, request: Request, target: Target, output_tokens: int | None) -> bytes:
        """The body for `target`, with the caller's own output limit or else `output_tokens`."""
        return _sent(request, target.model, request.output_limit or output_tokens, target.extra)

    def meter(self, body: bytes) -> Metered:
        """Read a whole reply with a status below 400."""
        return _MESSAGES.meter(body)

    def reply(self, body: bytes) -> bytes:
        """The chat completion that a message is."""
        return chat_reply(body, _MESSAGES.meter(body).usage)

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """Read a reply with a status of 400 or more."""
        return _MESSAGES.error(status, headers, body)

    def reader(self, request: Request) -> StreamReader:
        """A reader that shows the chunks of a streamed chat completion."""
        return ChunkReader(request, _MESSAGES.reader(request))


def _sent(request: Request, model: str, output_tokens: int | None, extra: Mapping[str, Any] | None = None) -> bytes:
    return msgspec.json.encode({**(extra or {}), **translated(request.fields, model, output_tokens)})
