"""How many tokens a request has: the simulator's own count, simple and deterministic.

A text of b UTF-8 bytes counts ceil(b / 4) tokens, a message 3 more, a prompt 3 more; so a prompt of inline text never
counts more than its bytes plus 4 a message plus 8. Images count 85 each, as OpenAI's low detail does. Never
tokenises, never imports Bursar.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 3
TOKENS_PER_PROMPT = 3
TOKENS_PER_IMAGE = 85


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, and the searches its server tools made.

    The prompt includes cached, written, audio and image tokens, none of which overlap; the completion includes
    reasoning, audio and image tokens, likewise. `cache_write_1h_tokens` are among `cache_write_tokens`.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_prompt_tokens: int = 0
    image_prompt_tokens: int = 0
    audio_completion_tokens: int = 0
    image_completion_tokens: int = 0
    web_searches: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def plain_prompt_tokens(self) -> int:
        """Prompt tokens that cost the plain price of input."""
        special = self.cached_tokens + self.cache_write_tokens + self.audio_prompt_tokens + self.image_prompt_tokens
        return self.prompt_tokens - special

    @property
    def plain_completion_tokens(self) -> int:
        """Completion tokens that cost the plain price of output."""
        special = self.reasoning_tokens + self.audio_completion_tokens + self.image_completion_tokens
        return self.completion_tokens - special

    def after(self, completion_tokens: int) -> Usage:
        """The usage if generation had ended after so many completion tokens; reasoning comes first."""
        sent = min(completion_tokens, self.completion_tokens)
        reasoning = min(self.reasoning_tokens, sent)
        audio = min(self.audio_completion_tokens, sent - reasoning)
        return replace(
            self,
            completion_tokens=sent,
            reasoning_tokens=reasoning,
            audio_completion_tokens=audio,
            image_completion_tokens=min(self.image_completion_tokens, sent - reasoning - audio),
        )

    def leaves(self) -> dict[str, int]:
        """Every count by its name."""
        return asdict(self)


def text_tokens(text: str) -> int:
    """Tokens of one text.

    >>> text_tokens("hello"), text_tokens("")
    (2, 0)
    """
    return bytes_tokens(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))


def bytes_tokens(length_bytes: int) -> int:
    return -(-length_bytes // BYTES_PER_TOKEN)


def prompt_tokens(texts: Iterable[str], messages: int, images: int = 0, extra_bytes: int = 0) -> int:
    """Tokens of a prompt: its texts, a few a message, its images, and the bytes of its tools."""
    inline = sum(text_tokens(text) for text in texts) + bytes_tokens(extra_bytes)
    return inline + messages * TOKENS_PER_MESSAGE + TOKENS_PER_PROMPT + images * TOKENS_PER_IMAGE
