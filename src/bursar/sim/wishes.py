"""What a prompt may ask of the simulator: magic such as `[[tokens=120]]` in its last user message.

tokens=N forces the length of the answer, reasoning=N how much of it is thought. cached=N, cache_write=N,
cache_write_1h=N, audio=N and image=N mark prompt tokens; audio_out=N and image_out=N completion tokens. cache reports
what was seen before as cached. searches=N is how often a search that the request allows is made. late=SECONDS delays
the provider's own record. echo returns the user's text; tool or tool=NAME or tool=NAME:{...} calls a tool (several
make parallel calls); fault=KIND:ARG is read by the faults. refuse declines to answer; compact=N sums up N prompt
tokens where the request allows it; tier=NAME is the tier that served, where the request does not choose it.
Unknown magic is plain text. Never changes what the prompt counts or costs by being there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NAMES = (
    "tokens|reasoning|cached|cache_write|cache_write_1h|cache|audio|image|audio_out|image_out|searches|late|"
    "echo|tool|fault|refuse|compact|tier"
)
_MAGIC = re.compile(rf"\[\[({NAMES})(?:=((?:(?!\]\]).)*))?\]\]", re.DOTALL)
TOKENS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the last user message asks for; None and False where it does not."""

    tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_prompt_tokens: int = 0
    image_prompt_tokens: int = 0
    audio_completion_tokens: int = 0
    image_completion_tokens: int = 0
    caches: bool = False
    web_searches: int | None = None
    late_seconds: int = 0
    echo: str | None = None
    tools: tuple[str, ...] = ()
    fault: str | None = None
    refuses: bool = False
    compacted_tokens: int = 0
    tier: str | None = None


NO_WISHES = Wishes()


def read_wishes(text: str) -> Wishes:
    """The wishes in one message.

    >>> read_wishes("say it [[tokens=12]][[cached=5]]").tokens
    12
    """
    if "[[" not in text:
        return NO_WISHES
    found = _MAGIC.findall(text)
    first: dict[str, str] = {}
    for name, value in found:
        first.setdefault(name, value)
    return Wishes(
        tokens=_whole(first.get("tokens")),
        reasoning_tokens=_whole(first.get("reasoning")),
        cached_tokens=_whole(first.get("cached")) or 0,
        cache_write_tokens=_whole(first.get("cache_write")) or 0,
        cache_write_1h_tokens=_whole(first.get("cache_write_1h")) or 0,
        audio_prompt_tokens=_whole(first.get("audio")) or 0,
        image_prompt_tokens=_whole(first.get("image")) or 0,
        audio_completion_tokens=_whole(first.get("audio_out")) or 0,
        image_completion_tokens=_whole(first.get("image_out")) or 0,
        caches="cache" in first,
        web_searches=_whole(first.get("searches")),
        late_seconds=_whole(first.get("late")) or 0,
        echo=_MAGIC.sub("", text).strip() if "echo" in first else None,
        tools=tuple(value for name, value in found if name == "tool"),
        fault=first.get("fault"),
        refuses="refuse" in first,
        compacted_tokens=_whole(first.get("compact")) or 0,
        tier=first.get("tier"),
    )


def _whole(value: str | None) -> int | None:
    if value is None or not value.isdecimal():
        return None
    return min(int(value[:9]), TOKENS_MAX)
