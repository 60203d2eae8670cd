"""How Anthropic writes an answer: content blocks, usage in three places, and a stream of named events.

The stream's first usage stands in message_start, with one output token for all to come; the last is cumulative, in
message_delta, and says nothing of tiers or of how long cache writes last. Source: recorded responses of 2025 and 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from bursar.sim.anthropic import named_event
from bursar.sim.delivery import bend_usage
from bursar.sim.exchange import Exchange
from bursar.sim.failures import Failure
from bursar.sim.faults import Fault
from bursar.sim.forms import Json
from bursar.sim.generation import ToolCall
from bursar.sim.messages_answer import SEARCH_TOKENS, Answer
from bursar.sim.messages_turns import sign
from bursar.sim.prices import NOTHING, Bill
from bursar.sim.script import Step
from bursar.sim.usage import Usage

LASTING = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
MORE_LASTING = ("output_tokens_details", "server_tool_use", "iterations", "cost", "is_byok", "cost_details")


@dataclass(frozen=True, slots=True)
class ContentBlock:
    """One block: as it stands in a whole reply, as it begins in a stream, and its deltas with their tokens."""

    whole: Json
    start: Json
    deltas: tuple[tuple[Json, int], ...] = ()


def content_blocks(answer: Answer) -> list[ContentBlock]:
    """All blocks of an answer in their order."""
    choice = answer.choice
    found = []
    if answer.summary:
        found.append(compaction_block("".join(answer.summary), len(answer.summary)))
    if choice.reasoning:
        found.append(thinking_block(choice.reasoning))
    for number in range(answer.searches):
        found += search_blocks(answer.generation.model.id, number)
    if choice.pieces:
        deltas = tuple(({"type": "text_delta", "text": piece}, 1) for piece in choice.pieces)
        found.append(ContentBlock({"type": "text", "text": choice.content}, {"type": "text", "text": ""}, deltas))
    return found + [tool_block(call) for call in choice.tool_calls]


def compaction_block(summary: str, tokens: int) -> ContentBlock:
    delta = {"type": "compaction_delta", "content": summary}
    return ContentBlock(
        {"type": "compaction", "content": summary}, {"type": "compaction", "content": None}, ((delta, tokens),)
    )


def thinking_block(reasoning: list[str]) -> ContentBlock:
    thought = "".join(reasoning)
    signature = sign(thought)
    deltas: list[tuple[Json, int]] = [({"type": "thinking_delta", "thinking": piece}, 1) for piece in reasoning]
    deltas.append(({"type": "signature_delta", "signature": signature}, 0))
    return ContentBlock(
        {"type": "thinking", "thinking": thought, "signature": signature},
        {"type": "thinking", "thinking": "", "signature": ""},
        tuple(deltas),
    )


def search_blocks(model: str, number: int) -> list[ContentBlock]:
    """A search by the provider, and what it found."""
    use_id = f"srvtoolu_sim{number:04d}"
    query = {"query": f"ledger {number}"}
    use = {"type": "server_tool_use", "id": use_id, "name": "web_search"}
    delta = {"type": "input_json_delta", "partial_json": msgspec.json.encode(query).decode()}
    page = {
        "type": "web_search_result",
        "title": "Ledger",
        "url": "https://example.com/ledger",
        "encrypted_content": "c2lt",
        "page_age": None,
    }
    found = {"type": "web_search_tool_result", "tool_use_id": use_id, "content": [page]}
    return [
        ContentBlock(use | {"input": query}, use | {"input": {}}, ((delta, SEARCH_TOKENS),)),
        ContentBlock(found, found),
    ]


def tool_block(call: ToolCall) -> ContentBlock:
    use = {"type": "tool_use", "id": "toolu_" + call.id.removeprefix("call_"), "name": call.name}
    deltas = [({"type": "input_json_delta", "partial_json": piece}, 1) for piece in ("", *call.pieces)]
    return ContentBlock(use | {"input": object_of(call.arguments)}, use | {"input": {}}, tuple(deltas))


def object_of(arguments: str) -> Any:
    """Arguments as the object they are; what the limit cut short, or is none, as an empty one."""
    try:
        return msgspec.json.decode(arguments, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def usage_of(exchange: Exchange, answer: Answer, shown: Usage, bill: Bill = NOTHING) -> Json:
    """Usage with all that a reply says of how it was served; with a bill once there is one."""
    found = exchange.form.usage(shown, bill)
    if answer.compacted_tokens:
        found["iterations"] = iterations(exchange, answer)
    found["service_tier"] = exchange.tier
    found["inference_geo"] = exchange.preferences.get("inference_geo", "not_available")
    if "speed" in exchange.preferences:
        found["speed"] = exchange.preferences["speed"]
    return found


def iterations(exchange: Exchange, answer: Answer) -> list[Json]:
    """What each sampling used: the summing up, which stands nowhere else, and the answer itself."""
    summed = exchange.form.usage(Usage(answer.compacted_tokens, len(answer.summary)), NOTHING)
    said = exchange.form.usage(answer.shown, NOTHING)
    names = (*LASTING, "cache_creation")
    return [
        {"type": kind, **{name: used[name] for name in names}}
        for kind, used in (("compaction", summed), ("message", said))
    ]


def reply(exchange: Exchange, answer: Answer) -> Json:
    """The whole answer of a request that did not ask for a stream."""
    return exchange.form.envelope(exchange.stamp, "message") | {
        "content": [block.whole for block in content_blocks(answer)],
        **ending(answer),
        "usage": usage_of(exchange, answer, answer.shown, answer.generation.bill),
    }


def ending(answer: Answer) -> Json:
    details = None
    if answer.stop_reason == "refusal":
        details = {"type": "refusal", "category": None, "explanation": "The simulator was asked to refuse."}
    return {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence, "stop_details": details}


class MessageScript:
    """A messages stream, block by block."""

    def __init__(self, exchange: Exchange, answer: Answer) -> None:
        self._exchange = exchange
        self._answer = answer
        self._last: list[Json] = []

    def opening(self) -> list[Json]:
        exchange, answer = self._exchange, self._answer
        message = exchange.form.envelope(exchange.stamp, "message")
        message |= {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
        begun = usage_of(exchange, answer, answer.begun)
        begun.pop("iterations", None)
        usage = bend_usage(begun, exchange.fault)
        if usage is not None:
            message["usage"] = usage
        return [{"type": "message_start", "message": message}]

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        before: list[Json] = []
        for index, block in enumerate(content_blocks(self._answer)):
            before.append({"type": "content_block_start", "index": index, "content_block": block.start})
            if not steps:
                before.append({"type": "ping"})
            for delta, tokens in block.deltas:
                body = {"type": "content_block_delta", "index": index, "delta": delta}
                steps.append(Step(body, tokens, tuple(before)))
                before = []
            before.append({"type": "content_block_stop", "index": index})
        self._last = before
        return steps

    def closing(self, fault: Fault | None) -> list[bytes]:
        usage = usage_of(self._exchange, self._answer, self._answer.shown, self._answer.generation.bill)
        lasting = {name: usage[name] for name in (*LASTING, *MORE_LASTING) if name in usage}
        delta: Json = {"type": "message_delta", "delta": ending(self._answer)}
        bent = bend_usage(lasting, fault)
        if bent is not None:
            delta["usage"] = bent
        return [*map(named_event, self._last), named_event(delta), named_event({"type": "message_stop"})]

    def frame(self, body: Json) -> bytes:
        return named_event(body)

    def padding(self, body_bytes: int) -> Json:
        delta = {"type": "text_delta", "text": "x" * body_bytes}
        return {"type": "content_block_delta", "index": 0, "delta": delta}

    def failure(self, failure: Failure, usage: Usage | None) -> bytes:
        return self._exchange.form.stream_failure(self._exchange.stamp, failure)
