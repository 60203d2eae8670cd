"""What differs between providers, as one row each, and what they share: replies, chunks and tails.

A Form is data and a few pure encoders. Never reads a request, never sends. Source: recorded responses of the four
providers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bursar.sim.failures import Failure
from bursar.sim.generation import Choice, Generation
from bursar.sim.latency import Speed
from bursar.sim.limits import Meter
from bursar.sim.prices import Bill, Model
from bursar.sim.tiers import Tiers
from bursar.sim.usage import Usage

Json = dict[str, Any]
HeaderList = list[tuple[str, str]]
encode_json = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What identifies one reply. `serial` is unique in this process; times are wall-clock milliseconds."""

    serial: str
    id: str
    request_id: str
    at_ms: int
    model: Model
    tier: str = ""

    @property
    def created(self) -> int:
        return self.at_ms // 1000


@dataclass(frozen=True, slots=True)
class Form:
    """One provider's own way with everything that the others do differently."""

    name: str
    prefix: str
    needs_key: bool
    speed: Speed
    request_period_ms: int
    gives_back: bool
    """Whether tokens that a request reserved and did not use come back to the rate limit."""
    strict: bool
    """Whether output limits above the model's maximum, and stream options without a stream, are refused."""
    falls_back: bool
    shows_reasoning: bool
    rate_headers: Callable[[Meter, int], HeaderList] | None
    """The headers of the rate limit at a time in milliseconds; None where they are not shown."""
    comment: bytes
    reply_id: Callable[[str, int], str]
    envelope: Callable[[Stamp, str], Json]
    choice_extras: Callable[[str | None], Json]
    usage: Callable[[Usage, Bill], Json]
    tail: Callable[[Form, Tail], list[Json]]
    identity_headers: Callable[[Stamp], HeaderList]
    failure_body: Callable[[Failure], Json | list[Json]]
    failure_headers: Callable[[Failure, int], HeaderList]
    stream_failure: Callable[[Stamp, Failure], bytes]
    model_row: Callable[[Model], Json]
    key_header: str = "authorization"
    opening: Callable[[Stamp], list[Json]] = lambda stamp: []
    """What a chat stream begins with, before any choice."""
    body_lead: bytes = b""
    """What comes before the JSON of an answer, such as the empty lines that keep a connection alive."""
    takes_stream_options: bool = True
    cancel_stops: Callable[[Model], bool] = lambda model: False
    """Whether the bill for this model ends when the client goes away; otherwise all of it is generated and billed."""
    tiers: Tiers = field(default_factory=dict)
    """The service tiers it takes; where it has none the field is let through."""
    errors_name_request: bool = False
    """Whether an error's body carries the request's id, as its header does."""
    goes_on: str = ""
    """How it is told to go on from an answer that the last message begins: plain, prefix, flag, or not at all."""
    speaks: tuple[str, ...] = ("chat", "embeddings")
    """Which kinds of request it takes: chat, embeddings, messages, responses."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What the end of a stream is made from. `usage` is None where it is to be left out."""

    stamp: Stamp
    choices: Sequence[Choice]
    usage: Json | None
    include_usage: bool


def reply(form: Form, stamp: Stamp, generation: Generation, usage: Json | None) -> Json:
    """The whole answer of a request that did not ask for a stream."""
    body = form.envelope(stamp, "chat.completion")
    body["choices"] = [
        {
            "index": choice.index,
            "message": message(form, choice),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
            **form.choice_extras(choice.finish_reason),
        }
        for choice in generation.choices
    ]
    if usage is not None:
        body["usage"] = usage
    return body


def message(form: Form, choice: Choice) -> Json:
    found: Json = {"role": "assistant", "content": None if choice.tool_calls else choice.content, "refusal": None}
    if form.shows_reasoning and choice.reasoning:
        found["reasoning"] = "".join(choice.reasoning)
    if choice.tool_calls:
        found["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return found


def deltas(form: Form, choice: Choice) -> list[tuple[Json, int]]:
    """The content deltas of one choice, each with the tokens it stands for; hidden reasoning goes with the first."""
    found: list[tuple[Json, int]] = []
    hidden = 0
    if form.shows_reasoning:
        found += [({"reasoning": piece}, 1) for piece in choice.reasoning]
    else:
        hidden = len(choice.reasoning)
    if choice.echo:
        found.append(({"content": choice.echo}, 0))
    found += [({"content": piece}, 1) for piece in choice.pieces]
    for number, call in enumerate(choice.tool_calls):
        opening = {"index": number, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        found.append(({"tool_calls": [opening]}, 1))
        found += [({"tool_calls": [{"index": number, "function": {"arguments": piece}}]}, 1) for piece in call.pieces]
    if hidden:
        first = found[0] if found else ({"content": ""}, 0)
        found[:1] = [(first[0], first[1] + hidden)]
    return found


def chunk(form: Form, envelope: Json, index: int, delta: Json, finish_reason: str | None = None) -> Json:
    """One chunk of a stream."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**envelope, "choices": [{**choice, **form.choice_extras(finish_reason)}]}


def finish_chunks(form: Form, tail: Tail) -> list[Json]:
    envelope = form.envelope(tail.stamp, "chat.completion.chunk")
    return [chunk(form, envelope, choice.index, {}, choice.finish_reason) for choice in tail.choices]


def usage_chunk(form: Form, tail: Tail) -> Json:
    return {**form.envelope(tail.stamp, "chat.completion.chunk"), "choices": [], "usage": tail.usage}


def openai_tail(form: Form, tail: Tail) -> list[Json]:
    """A finish chunk for each choice, then usage in a chunk without choices, if it was asked for."""
    chunks = finish_chunks(form, tail)
    if tail.include_usage and tail.usage is not None:
        for earlier in chunks:
            earlier["usage"] = None
        chunks.append(usage_chunk(form, tail))
    return chunks


def event(body: Json) -> bytes:
    return b"data: " + encode_json(body) + b"\n\n"


def retry_after(failure: Failure) -> HeaderList:
    """Retry-After in whole seconds, rounded up; none where coming back is no use."""
    if failure.retry_after_ms is None:
        return []
    return [("Retry-After", str(-(-failure.retry_after_ms // 1000)))]
