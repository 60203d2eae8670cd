"""How large a chat request can be at most, in tokens, from its bytes alone.

Decides what counts as text and what does not. Text is never more tokens than UTF-8 bytes, in any vocabulary that falls
back to bytes; JSON only ever writes text longer. An image counts the most that a published price list makes of one.
What the body only refers to, or holds in a form that says nothing of its length (audio, files, documents by URL, stored
prompts), is bounded by the context window.

Source: OpenAI's vision guide for images; recorded usage of nine providers for what they add out of sight
(`tests/contract/test_dialect.py` holds the bound against it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from bursar.wire.body import Fields
from bursar.wire.lenient import EMPTY, as_dict, decode, opens_with

__all__ = ["Extent", "extent_of"]

# Hidden system prompts: gpt-oss was seen to add 70 tokens to a request of one line.
REQUEST_OVERHEAD_TOKENS = 128
# Hidden prompts that explain tools: Llama 4 at Groq added 640 tokens to one small tool, Anthropic adds up to 550.
TOOLS_OVERHEAD_TOKENS = 1_024
# Framing of a message; its JSON keys are counted as text besides.
MESSAGE_OVERHEAD_TOKENS = 8

# gpt-4o-mini bills an image of 8 tiles at 2,833 + 8 x 5,667; gpt-4o the same one at 1,445; Qwen-VL up to 16,384.
IMAGE_TOKENS_MAX = 16_384
IMAGE_TOKENS_MAX_GPT_4O_MINI = 48_169
IMAGE_TOKENS_LIKELY = 1_445
ATTACHMENT_TOKENS_LIKELY = 1_000
BYTES_PER_TOKEN_LIKELY = 4

_TEXT_PARTS = frozenset({"text", "refusal", "input_text", "output_text", "thinking", "reasoning"})
_IMAGE_PARTS = frozenset({"image_url", "input_image"})
# Top-level keys that name something stored at the provider which becomes part of the prompt.
_STORED_PROMPTS = ("preset", "prompt", "conversation", "previous_response_id")


class Extent(NamedTuple):
    """Tokens of the input: a bound that holds always, and an estimate."""

    input_tokens_max: int
    input_tokens_likely: int


class _Message(msgspec.Struct, gc=False):
    content: msgspec.Raw = EMPTY
    images: msgspec.Raw = EMPTY
    audio: msgspec.Raw = EMPTY


_MESSAGES = msgspec.json.Decoder(list[_Message])


class _Tally:
    """What stands in the messages besides text."""

    __slots__ = ("attachments", "images", "inline_bytes", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.images = 0
        self.attachments = 0
        self.inline_bytes = 0  # of images and attachments that stand in the body and are not text

    def add_parts(self, raw: msgspec.Raw) -> None:
        parts = decode(raw)
        for part in parts if isinstance(parts, list) else [parts]:
            fields = as_dict(part)
            kind = fields.get("type")
            if isinstance(part, str) or (isinstance(kind, str) and kind in _TEXT_PARTS):
                continue
            if isinstance(kind, str) and kind in _IMAGE_PARTS:
                self.images += 1
                self.inline_bytes += _data_url_bytes(fields.get("image_url"))
            else:
                self.attachments += 1
                self.inline_bytes += _string_bytes(fields)


def extent_of(body: bytes, fields: Fields, models: tuple[str, ...], context_tokens: int) -> Extent:
    """The bound and the estimate for a chat body. `models`: every model that may read it."""
    tally = _tally(fields.get("messages"))
    text_bytes = len(body) - tally.inline_bytes
    overhead = REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS * tally.messages
    if "tools" in fields or "functions" in fields:
        overhead += TOOLS_OVERHEAD_TOKENS
    image_tokens = IMAGE_TOKENS_MAX
    if any("gpt-4o-mini" in model for model in models):
        image_tokens = IMAGE_TOKENS_MAX_GPT_4O_MINI
    most = text_bytes + overhead + tally.images * image_tokens
    if tally.attachments or any(key in fields for key in _STORED_PROMPTS):
        most = max(most, context_tokens)
    likely = (
        text_bytes // BYTES_PER_TOKEN_LIKELY
        + MESSAGE_OVERHEAD_TOKENS * tally.messages
        + IMAGE_TOKENS_LIKELY * tally.images
        + ATTACHMENT_TOKENS_LIKELY * tally.attachments
    )
    return Extent(most, min(likely, most))


def _tally(messages: msgspec.Raw | None) -> _Tally:
    tally = _Tally()
    if messages is None:
        return tally
    try:
        listed = _MESSAGES.decode(messages)
    except (ValueError, RecursionError):
        # No message list that a provider would take: all of it counts as text, and nothing bounds what it refers to.
        tally.attachments = 1
        return tally
    tally.messages = len(listed)
    for message in listed:
        if opens_with(message.content, b"[{"):
            tally.add_parts(message.content)
        if opens_with(message.images, b"[{"):
            tally.add_parts(message.images)
        if opens_with(message.audio, b"{"):
            tally.attachments += 1  # an earlier reply that the provider keeps
    return tally


def _data_url_bytes(image: object) -> int:
    url = image if isinstance(image, str) else as_dict(image).get("url")
    return len(url) if isinstance(url, str) and url.startswith("data:") else 0


def _string_bytes(part: Mapping[str, object]) -> int:
    """The length of the strings in an attachment, never more than they take up in the body."""
    total = 0
    for value in part.values():
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            total += sum(len(inner) for inner in value.values() if isinstance(inner, str))
    return total
