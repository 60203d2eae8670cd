"""A whole chat reply put together from the chunks of its stream, in the form of a reply that was not streamed.

Decides how fragments join: text is appended, tool calls are merged by their index, and every other field of a delta has
its last value. Never raises on an odd chunk: what does not fit is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["assembled"]

# Fields of a delta whose pieces are appended.
_APPENDED = frozenset({"content", "reasoning", "reasoning_content", "refusal"})


def assembled(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The reply that decoded chunks come to.

    >>> says = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Rhi", "ne")]
    >>> assembled([*says, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}])["choices"][0]["message"]
    {'role': 'assistant', 'content': 'Rhine'}
    """
    reply: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        reply.update((key, value) for key, value in chunk.items() if key != "choices" and value is not None)
        listed = chunk.get("choices")
        for choice in listed if isinstance(listed, list) else ():
            if isinstance(choice, dict):
                _add_choice(choices, choice)
    reply["object"] = "chat.completion"
    reply["choices"] = [_closed(choices[index]) for index in sorted(choices)]
    return reply


def _add_choice(choices: dict[int, dict[str, Any]], fragment: dict[str, Any]) -> None:
    index = fragment.get("index")
    index = index if type(index) is int else 0
    choice = choices.setdefault(index, {"index": index, "message": {"role": "assistant", "content": None}})
    for key, value in fragment.items():
        if key not in ("index", "delta") and value is not None:
            choice[key] = value
    delta = fragment.get("delta")
    if isinstance(delta, dict):
        _add_delta(choice["message"], delta)


def _add_delta(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for key, value in delta.items():
        if key == "tool_calls":
            _add_calls(message.setdefault("tool_calls", {}), value)
        elif key in _APPENDED and isinstance(value, str):
            _append(message, key, value)
        elif isinstance(value, list):
            message[key] = [*message[key], *value] if isinstance(message.get(key), list) else value
        elif value is not None and value != "":
            message[key] = value


def _add_calls(calls: dict[int, dict[str, Any]], fragments: object) -> None:
    for fragment in fragments if isinstance(fragments, list) else ():
        if not isinstance(fragment, dict):
            continue
        index = fragment.get("index")
        # Some servers number no calls and send each one whole.
        call = calls.setdefault(index if type(index) is int else len(calls), {})
        for key, value in fragment.items():
            if key == "function":
                _add_function(call.setdefault("function", {"arguments": []}), value)
            elif key != "index" and value is not None:
                call[key] = value


def _add_function(function: dict[str, Any], fragment: object) -> None:
    for name, piece in fragment.items() if isinstance(fragment, dict) else ():
        if name == "arguments":
            function["arguments"].append(piece if isinstance(piece, str) else "")
        elif piece is not None:
            function[name] = piece


def _append(message: dict[str, Any], key: str, piece: str) -> None:
    """Collect the pieces of a text; they are joined once, at the end."""
    pieces = message.get(key)
    if isinstance(pieces, _Pieces):
        pieces.append(piece)
    else:
        message[key] = _Pieces([piece])


class _Pieces(list[str]):
    """The pieces of one text."""


def _closed(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice with its texts joined and its tool calls in order."""
    message = choice["message"]
    for key, value in message.items():
        if isinstance(value, _Pieces):
            message[key] = "".join(value)
    calls = message.get("tool_calls")
    if isinstance(calls, dict):
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
        for call in message["tool_calls"]:
            if "function" in call:
                call["function"]["arguments"] = "".join(call["function"]["arguments"])
    return choice
