"""What opens a streamed reply before anything is said: announcements that may be held back until output follows.

A call whose stream breaks before its first output can still be answered by another candidate, if the caller has seen
nothing. Decides which payloads say nothing yet; never holds anything itself, and takes what it does not know for
output. Source: recorded streams of nine providers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.reply import decoded

__all__ = ["preamble_of"]

_EVENTS = {
    AnthropicMessages.name: frozenset({"message_start", "ping"}),
    OpenAIResponses.name: frozenset(
        {
            "response.created",
            "response.in_progress",
            "response.queued",
            "response.output_item.added",
            "response.content_part.added",
        }
    ),
}


def preamble_of(dialect: str) -> Callable[[bytes], bool]:
    """Tells the payloads that open a reply in this dialect from those that say something.

    >>> says_nothing = preamble_of("openai_chat")
    >>> says_nothing(b'{"choices":[{"delta":{"role":"assistant","content":""}}]}')
    True
    >>> says_nothing(b'{"choices":[{"delta":{"content":"Rh"}}]}')
    False
    """
    events = _EVENTS.get(dialect)
    if events is None:
        return _opens_chat
    return lambda payload: decoded(payload).get("type") in events


def _opens_chat(payload: bytes) -> bool:
    chunk = decoded(payload)
    choices = chunk.get("choices")
    return isinstance(choices, list) and not chunk.get("usage") and all(_empty(choice) for choice in choices)


def _empty(choice: Any) -> bool:
    if not isinstance(choice, dict) or choice.get("finish_reason"):
        return False
    delta = choice.get("delta")
    return isinstance(delta, dict) and not any(value for key, value in delta.items() if key != "role")
