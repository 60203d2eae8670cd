"""Tiers of service: the words that say how a call is served, where that changes its price.

Decides which words change nothing (providers call their plain tier by many names), which ones can only lower the price,
and which ones exist at all. Never knows a price. Several words of one call are joined by "+": "batch+us".
Source: OpenAI's, Anthropic's, Groq's, Google's and OpenRouter's references of service_tier, speed and inference_geo,
November 2026.
"""

from __future__ import annotations

__all__ = ["CHEAPER", "KNOWN", "STANDARD", "plain", "words"]

# The plain tier, as providers name it; where Anthropic did not say or did not choose a geography.
STANDARD = frozenset(
    {"", "auto", "default", "standard", "standard_only", "on_demand", "global", "not_available"}
)  # fmt: skip
# Never dearer than the plain tier: where such a price is not known, the plain one is at most too high.
CHEAPER = frozenset({"flex", "batch"})
# Every word that a price can be given for.
KNOWN = ("batch", "flex", "priority", "fast", "scale", "ultrafast", "us")

_WORD_CHARACTERS_MAX = 64


def words(tier: str) -> tuple[str, ...]:
    """The words of a tier that change its price, in order, each once.

    >>> words("batch+us"), words("default"), words("ON_DEMAND"), words("standard+Fast")
    (('batch', 'us'), (), (), ('fast',))
    """
    if tier in STANDARD:
        return ()
    # What a reply says is remembered with its price: it is bounded.
    said = tier[:_WORD_CHARACTERS_MAX].lower().split("+")
    return tuple(dict.fromkeys(word for word in said if word not in STANDARD))


def plain(tier: str) -> str:
    """A tier without what changes nothing: "" for the plain one.

    >>> plain("auto"), plain("flex"), plain("standard+us")
    ('', 'flex', 'us')
    """
    return "+".join(words(tier))
