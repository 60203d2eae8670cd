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
from bursar.sim.begun import left_of
from bursar.sim.failures import RefusedRequestError, invalid
from bursar.sim.prices import LISTED, Bill, Model, Terms
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
    """One answer. `finish_reason` is stop, length or tool_calls; `echo` what it repeats of its prompt, unbilled."""

    index: int
    pieces: list[str]
    reasoning: list[str]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    echo: str = ""

    @property
    def tokens(self) -> int:
        return len(self.pieces) + len(self.reasoning) + sum(1 + len(call.pieces) for call in self.tool_calls)

    @property
    def content(self) -> str:
        return self.echo + "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Generation:
    """Everything that one request produces."""

    model: Model
    choices: list[Choice]
    usage: Usage
    terms: Terms = LISTED

    @property
    def bill(self) -> Bill:
        return prices.bill(self.model, self.usage, self.terms)

    def usage_after(self, tokens: int) -> Usage:
        """The usage if generation had ended after so many completion tokens; reasoning comes first."""
        return self.usage.after(tokens)


def generate(
    ask: ChatAsk,
    model: Model,
    words: text.Words,
    seed: int,
    wishes: Wishes,
    *,
    terms: Terms = LISTED,
    cached_tokens: int = 0,
    begun: str = "",
    echoes: bool = False,
) -> Generation:
    """The answer to one ask, whose first `cached_tokens` were seen before.

    begun: what its last message has of the answer already; `echoes` says that it is repeated.

    Raises RefusedRequestError where the prompt is larger than the model's context.
    """
    prompt_tokens = ask.prompt_tokens()
    if prompt_tokens > model.context_tokens:
        message = (
            f"This model's maximum context length is {model.context_tokens} tokens. "
            f"However, your messages resulted in {prompt_tokens} tokens."
        )
        raise RefusedRequestError(invalid(message, "messages", "context_length_exceeded"))
    request_digest = text.digest(seed, model.id, (ask.without_last() if begun else ask).lines())
    limit = min(model.output_tokens_max, ask.output_limit or model.output_tokens_max)
    tools = called_tools(ask, wishes)
    choices = []
    for index in range(ask.choices):
        choice_digest = request_digest + index
        if begun and not tools:
            spoken = text_choice(
                model, words, wishes, index=index, limit=model.output_tokens_max, choice_digest=choice_digest
            )
            choices.append(gone_on(spoken, begun, limit, echoes=echoes))
        elif tools:
            choices.append(tool_choice(tools, index, limit, choice_digest))
        else:
            choices.append(text_choice(model, words, wishes, index=index, limit=limit, choice_digest=choice_digest))
    usage = mark(
        Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=sum(choice.tokens for choice in choices),
            reasoning_tokens=sum(len(choice.reasoning) for choice in choices),
            web_searches=ask.searches(wishes.web_searches),
        ),
        wishes,
        cached_tokens=cached_tokens,
        writes_cache=model.card.cache_write is not None,
    )
    return Generation(model, choices, usage, terms)


def mark(usage: Usage, wishes: Wishes, *, cached_tokens: int, writes_cache: bool) -> Usage:
    """The usage with those of its tokens marked that were cached, written, heard or seen; none is marked twice."""
    left = usage.prompt_tokens
    marked = []
    written = (wishes.cache_write_tokens, wishes.cache_write_1h_tokens) if writes_cache else (0, 0)
    wanted = (max(wishes.cached_tokens, cached_tokens), *written)
    for tokens in (*wanted, wishes.audio_prompt_tokens, wishes.image_prompt_tokens):
        marked.append(min(tokens, left))
        left -= marked[-1]
    spoken = min(wishes.audio_completion_tokens, usage.plain_completion_tokens)
    return replace(
        usage,
        cached_tokens=marked[0],
        cache_write_tokens=marked[1] + marked[2],
        cache_write_1h_tokens=marked[2],
        audio_prompt_tokens=marked[3],
        image_prompt_tokens=marked[4],
        audio_completion_tokens=spoken,
        image_completion_tokens=min(wishes.image_completion_tokens, usage.plain_completion_tokens - spoken),
    )


def text_choice(
    model: Model, words: text.Words, wishes: Wishes, *, index: int, limit: int, choice_digest: int
) -> Choice:
    """A choice of text: echoed or drawn, thought about first where the model reasons, cut at the limit."""
    if wishes.echo is not None:
        pieces = text.split_pieces(wishes.echo)
        return Choice(index, pieces[:limit], [], (), "length" if len(pieces) > limit else "stop")
    planned = text.planned_tokens(choice_digest) if wishes.tokens is None else wishes.tokens
    count = min(planned, limit)
    usual = planned // REASONING_SHARE if text.reasons(model) else 0
    thinking = min(usual if wishes.reasoning_tokens is None else wishes.reasoning_tokens, count)
    reasoning = words.pieces(choice_digest + 1, index, thinking)
    pieces = words.pieces(choice_digest, index, count - thinking)
    return Choice(index, pieces, reasoning, (), "length" if planned > limit else "stop")


def gone_on(choice: Choice, begun: str, limit: int, *, echoes: bool = False) -> Choice:
    """The rest of an answer that was begun, in so many tokens; nothing is thought of it any more."""
    left = left_of(choice.pieces, begun)
    finish = "length" if len(left) > limit else choice.finish_reason
    return replace(choice, pieces=left[:limit], reasoning=[], finish_reason=finish, echo=begun if echoes else "")


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
