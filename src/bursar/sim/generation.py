"""What the model answers: pieces of text or tool calls for each choice, why each ended, and what that uses and costs.

All of it is decided before the first byte is sent, from the ask, the model and the seed; delivery only spreads it
over time. Never sends, waits or records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bursar.sim import prices, text
from bursar.sim.asks import ChatAsk, Tool
from bursar.sim.failures import RefusedRequestError, invalid
from bursar.sim.prices import Bill, Model
from bursar.sim.usage import Usage
from bursar.sim.wishes import Wishes

ARGUMENT_PIECE_CHARS = 4
REASONING_SHARE = 3


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call; its name is one token, its arguments one a piece."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `finish_reason` is stop, length or tool_calls."""

    index: int
    pieces: list[str]
    reasoning: list[str]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str

    @property
    def tokens(self) -> int:
        return len(self.pieces) + len(self.reasoning) + sum(1 + len(call.pieces) for call in self.tool_calls)

    @property
    def content(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that one request produces."""

    model: Model
    choices: list[Choice]
    usage: Usage

    @property
    def bill(self) -> Bill:
        return prices.bill(self.model, self.usage)

    def usage_after(self, tokens: int) -> Usage:
        """The usage if generation had ended after so many completion tokens; reasoning comes first."""
        sent = min(tokens, self.usage.completion_tokens)
        return replace(self.usage, completion_tokens=sent, reasoning_tokens=min(self.usage.reasoning_tokens, sent))


def generate(ask: ChatAsk, model: Model, words: text.Words, seed: int, wishes: Wishes) -> Generation:
    """The answer to one ask. Raises RefusedRequestError where the prompt is larger than the model's context."""
    prompt_tokens = ask.prompt_tokens()
    if prompt_tokens > model.context_tokens:
        message = (
            f"This model's maximum context length is {model.context_tokens} tokens. "
            f"However, your messages resulted in {prompt_tokens} tokens."
        )
        raise RefusedRequestError(invalid(message, "messages", "context_length_exceeded"))
    request_digest = text.digest(seed, model.id, ask.lines())
    limit = min(model.output_tokens_max, ask.output_limit or model.output_tokens_max)
    tools = called_tools(ask, wishes)
    choices = []
    for index in range(ask.choices):
        choice_digest = request_digest + index
        if tools:
            choices.append(tool_choice(tools, index, limit, choice_digest))
        else:
            choices.append(text_choice(model, words, wishes, index=index, limit=limit, choice_digest=choice_digest))
    cached = min(wishes.cached_tokens, prompt_tokens)
    written = min(wishes.cache_write_tokens, prompt_tokens - cached) if model.card.cache_write is not None else 0
    usage = Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=sum(choice.tokens for choice in choices),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=sum(len(choice.reasoning) for choice in choices),
    )
    return Generation(model, choices, usage)


def text_choice(
    model: Model, words: text.Words, wishes: Wishes, *, index: int, limit: int, choice_digest: int
) -> Choice:
    """A choice of text: echoed or drawn, thought about first where the model reasons, cut at the limit."""
    if wishes.echo is not None:
        pieces = text.split_pieces(wishes.echo)
        return Choice(index, pieces[:limit], [], (), "length" if len(pieces) > limit else "stop")
    planned = text.planned_tokens(choice_digest) if wishes.tokens is None else wishes.tokens
    count = min(planned, limit)
    thinking = min(planned // REASONING_SHARE, count) if text.reasons(model) else 0
    reasoning = words.pieces(choice_digest + 1, index, thinking)
    pieces = words.pieces(choice_digest, index, count - thinking)
    return Choice(index, pieces, reasoning, (), "length" if planned > limit else "stop")


def tool_choice(tools: list[tuple[str, str]], index: int, limit: int, choice_digest: int) -> Choice:
    """A choice of tool calls, cut at the limit as text is: the arguments may then be broken JSON."""
    calls = []
    left = limit
    finish = "tool_calls"
    for number, (name, arguments) in enumerate(tools):
        if left < 1:
            finish = "length"
            break
        pieces = [arguments[i : i + ARGUMENT_PIECE_CHARS] for i in range(0, len(arguments), ARGUMENT_PIECE_CHARS)]
        if len(pieces) > left - 1:
            finish = "length"
        kept = pieces[: left - 1]
        left -= 1 + len(kept)
        calls.append(ToolCall(f"call_{choice_digest % 16**12:012x}{index:02d}{number:02d}", name, tuple(kept)))
    return Choice(index, [], [], tuple(calls), finish)


def called_tools(ask: ChatAsk, wishes: Wishes) -> list[tuple[str, str]]:
    """Which tools the answer calls, with their arguments: by magic, or because tool_choice demands one."""
    offered = {tool.function.name: tool for tool in ask.tool_list() if tool.function is not None}
    if not offered or ask.tool_choice == "none":
        return []
    wanted = list(wishes.tools)
    if not wanted and ask.messages[-1].role == "user":
        if ask.tool_choice == "required":
            wanted = [""]
        elif isinstance(ask.tool_choice, dict):
            wanted = [str(ask.tool_choice.get("function", {}).get("name", ""))]
    calls = []
    for wish in wanted:
        name, colon, arguments = wish.partition(":")
        tool = offered.get(name) or next(iter(offered.values()))
        assert tool.function is not None
        calls.append((name or tool.function.name, arguments if colon else sample_arguments(tool)))
    return calls


def sample_arguments(tool: Tool) -> str:
    """JSON arguments that fit the tool's schema: its first allowed or a plain value for each property."""
    schema = (tool.function.parameters if tool.function is not None else None) or {}
    properties = schema.get("properties")
    values: dict[str, Any] = {}
    if isinstance(properties, dict):
        for name, property_schema in properties.items():
            values[name] = _sample(property_schema if isinstance(property_schema, dict) else {})
    return msgspec.json.encode(values).decode()


def _sample(schema: dict[str, Any]) -> Any:
    allowed = schema.get("enum")
    if isinstance(allowed, list) and allowed:
        return allowed[0]
    plain = {"string": "ledger", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}, "null": None}
    return plain.get(str(schema.get("type", "string")), "ledger")
