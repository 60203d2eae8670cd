"""How hard a model should think, as its generation takes it.

Decides between an effort, which every model since Claude 4.6 takes, and a budget of thinking tokens, which those before
took. The list of those before is closed: no more of them will be made. Source: Anthropic's guides "Adaptive thinking",
"Effort" and "Extended thinking", November 2026; the shares of the output are those that OpenRouter documents for the
same names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["EFFORTS", "THINKING_TOKENS_MIN", "effort_of", "thinking_of"]

# OpenAI's words. Nothing is below `low` at Anthropic.
EFFORTS: Mapping[str, str] = MappingProxyType(
    {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
)
THINKING_TOKENS_MIN = 1_024

_BUDGETED = re.compile(r"claude-(?:[123]\b|instant|(?:opus|sonnet|haiku)-4(?:[-.][015]\b|-20\d{6}|@|$))")
_PERCENT_OF_OUTPUT = {"low": 20, "medium": 50, "high": 80, "xhigh": 95, "max": 95}


def effort_of(model: str, word: str) -> str:
    """The effort to ask `model` for; "" for none, since it is told to think in another way."""
    return "" if word == "none" or _BUDGETED.search(model) else EFFORTS[word]


def thinking_of(model: str, word: str, output_tokens: int | None) -> dict[str, Any]:
    """The `thinking` of a request whose output, thinking included, is limited to `output_tokens`.

    >>> thinking_of("claude-opus-4-8", "high", 4000), thinking_of("claude-sonnet-4-5-20250929", "high", 4000)
    ({'type': 'adaptive'}, {'type': 'enabled', 'budget_tokens': 3200})
    """
    if word == "none":
        return {"type": "disabled"}
    if not _BUDGETED.search(model):
        return {"type": "adaptive"}
    share = (output_tokens or 0) * _PERCENT_OF_OUTPUT[EFFORTS[word]] // 100
    return {"type": "enabled", "budget_tokens": max(THINKING_TOKENS_MIN, share)}
