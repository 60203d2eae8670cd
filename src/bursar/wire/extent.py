"""How large a request can be at most, in tokens, from its bytes: what every dialect counts alike.

Decides what counts as text and what does not. Text is never more tokens than UTF-8 bytes, in any vocabulary that falls
back to bytes; JSON only ever writes text longer. Where a model's own vocabulary is known its text can be counted
instead (`wording`), and all that comes on top stays. An image counts the most that a published price list makes of one.
What the body only refers to, or holds in a form that says nothing of its length (audio, files, documents by URL, stored
prompts), is bounded by the context window. Where these things stand in a body is each dialect's to know.

Source: OpenAI's vision guide for images; recorded usage of nine providers for what they add out of sight
(`tests/contract/test_dialect.py` holds the bound against it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from bursar.wire.lenient import as_dict, decode

__all__ = ["Extent", "Tally", "data_url_bytes", "holds_sound", "string_bytes"]

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

_TEXT_PARTS = frozenset(
    {"text", "refusal", "input_text", "output_text", "thinking", "reasoning", "reasoning_text", "summary_text"}
)
_IMAGE_PARTS = frozenset({"image_url", "input_image", "computer_screenshot"})
_SOUND_PARTS = (b'"input_audio"', b'"audio_url"', b'"video_url"', b'"input_video"', b'"file"', b'"input_file"')


class Extent(NamedTuple):
    """Tokens of the input: a bound that holds always, and an estimate."""

    input_tokens_max: int
    input_tokens_likely: int


class Tally:
    """What stands in a request besides text.

    messages: how many. attachments: what only the context window bounds. inline_bytes: of images and attachments that
    stand in the body and are not text.
    """

    __slots__ = ("attachments", "images", "inline_bytes", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.images = 0
        self.attachments = 0
        self.inline_bytes = 0

    def add_image(self, inline_bytes: int = 0) -> None:
        """An image, which counts as tokens of its own and not by its bytes."""
        self.images += 1
        self.inline_bytes += inline_bytes

    def add_attachment(self, inline_bytes: int = 0) -> None:
        """Something that says nothing of its length in tokens."""
        self.attachments += 1
        self.inline_bytes += inline_bytes

    def add_parts(self, raw: msgspec.Raw) -> None:
        """The parts of a content, or the one part that it is, in the forms of OpenAI's APIs."""
        parts = decode(raw)
        for part in parts if isinstance(parts, list) else [parts]:
            fields = as_dict(part)
            kind = fields.get("type")
            if isinstance(part, str) or (isinstance(kind, str) and kind in _TEXT_PARTS):
                continue
            if isinstance(kind, str) and kind in _IMAGE_PARTS:
                self.add_image(data_url_bytes(fields.get("image_url")))
            else:
                self.add_attachment(string_bytes(fields))

    def extent(
        self,
        body_bytes: int,
        models: tuple[str, ...],
        context_tokens: int,
        *,
        tools: bool,
        stored: bool,
        counted: Callable[[], int] | None = None,
    ) -> Extent:
        """The bound and the estimate for a body of so many bytes with all this in it.

        models: every model that may read it. tools: it defines tools. stored: part of the prompt is at the provider.
        counted: the most tokens of its text, where they can be known; asked only when they bound the whole.
        """
        text_bytes = body_bytes - self.inline_bytes
        unseen = bool(self.attachments) or stored
        text = text_bytes if counted is None or unseen else min(text_bytes, counted())
        overhead = REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS * self.messages
        if tools:
            overhead += TOOLS_OVERHEAD_TOKENS
        most = text + overhead
        if self.images:
            mini = any("gpt-4o-mini" in model for model in models)
            most += self.images * (IMAGE_TOKENS_MAX_GPT_4O_MINI if mini else IMAGE_TOKENS_MAX)
        if unseen:
            most = max(most, context_tokens)
        likely = (
            text_bytes // BYTES_PER_TOKEN_LIKELY
            + MESSAGE_OVERHEAD_TOKENS * self.messages
            + IMAGE_TOKENS_LIKELY * self.images
            + ATTACHMENT_TOKENS_LIKELY * self.attachments
        )
        return Extent(most, min(likely, most))


def holds_sound(body: bytes) -> bool:
    """Whether a request may hold sound, by itself, in a video or in a file. A text that says so does not count.

    >>> holds_sound(b'{"type":"input_audio"}'), holds_sound(b'{"text":"of type \\\\"input_audio\\\\""}')
    (True, False)
    """
    return any(kind in body for kind in _SOUND_PARTS)


def data_url_bytes(image: object) -> int:
    """The length of an image that is given by its URL, where it stands in the URL itself; else 0."""
    url = image if isinstance(image, str) else as_dict(image).get("url")
    return len(url) if isinstance(url, str) and url.startswith("data:") else 0


def string_bytes(part: Mapping[str, object]) -> int:
    """The length of the strings in an attachment, never more than they take up in the body."""
    total = 0
    for value in part.values():
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            total += sum(len(inner) for inner in value.values() if isinstance(inner, str))
    return total
