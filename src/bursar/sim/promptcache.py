"""Which beginnings of prompts were seen before: the first 1,024 tokens, then 128 at a time, as OpenAI counts them.

Only for requests that ask for it, by `prompt_cache_key` or by magic, so that others cost what they always cost. A key
and a model share nothing with other keys and models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from bursar.sim.usage import BYTES_PER_TOKEN

FIRST_TOKENS = 1024
STEP_TOKENS = 128
PREFIXES_MAX = 65_536


class PromptCache:
    """The digests of beginnings; the oldest are forgotten."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}

    def hit(self, model: str, key: str, lines: Iterable[str]) -> int:
        """How many tokens at the start of this prompt were seen before; from now on all of it was."""
        text = "\0".join(lines).encode("utf-8", "surrogatepass")
        mixed = hashlib.blake2b(f"{model}\0{key}\0".encode("utf-8", "surrogatepass"), digest_size=16)
        tokens = 0
        done = 0
        for size in range(FIRST_TOKENS * BYTES_PER_TOKEN, len(text) + 1, STEP_TOKENS * BYTES_PER_TOKEN):
            mixed.update(text[done:size])
            done = size
            digest = mixed.digest()
            if digest in self._seen:
                tokens = size // BYTES_PER_TOKEN
            self._seen[digest] = None
        while len(self._seen) > PREFIXES_MAX:
            del self._seen[next(iter(self._seen))]
        return tokens
