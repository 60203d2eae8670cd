"""What a prompt may ask of the simulator: magic such as `[[tokens=120]]` in its last user message.

tokens=N forces the length of the answer; cached=N and cache_write=N mark prompt tokens; echo returns the user's text;
tool or tool=NAME or tool=NAME:{...} calls a tool (several make parallel calls); fault=KIND:ARG is read by the faults.
Unknown magic is plain text. Never changes what the prompt counts or costs by being there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAGIC = re.compile(r"\[\[(tokens|cached|cache_write|echo|tool|fault)(?:=((?:(?!\]\]).)*))?\]\]", re.DOTALL)
TOKENS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the last user message asks for; None and False where it does not."""

    tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    echo: str | None = None
    tools: tuple[str, ...] = ()
    fault: str | None = None


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
        cached_tokens=_whole(first.get("cached")) or 0,
        cache_write_tokens=_whole(first.get("cache_write")) or 0,
        echo=_MAGIC.sub("", text).strip() if "echo" in first else None,
        tools=tuple(value for name, value in found if name == "tool"),
        fault=first.get("fault"),
    )


def _whole(value: str | None) -> int | None:
    if value is None or not value.isdecimal():
        return None
    return min(int(value[:9]), TOKENS_MAX)
