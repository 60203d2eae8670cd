"""How OpenAI writes a response: output items, usage under its own names, and a stream of numbered events.

OpenRouter writes the same with its costs, shows what was thought, and ends a stream with [DONE]. Source: recorded
responses of 2025 and 2026, and OpenRouter's SDK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bursar.sim.anthropic import named_event
from bursar.sim.delivery import bend_usage
from bursar.sim.exchange import Exchange
from bursar.sim.failures import Failure
from bursar.sim.faults import Fault
from bursar.sim.forms import DONE, Form, Json
from bursar.sim.generation import Choice, Generation, ToolCall
from bursar.sim.prices import Bill
from bursar.sim.prices import bill as bill_of
from bursar.sim.responses_ask import ResponseAsk
from bursar.sim.script import Step
from bursar.sim.usage import Usage

RENAMED = {
    "prompt_tokens": "input_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens": "output_tokens",
    "completion_tokens_details": "output_tokens_details",
    "upstream_inference_prompt_cost": "upstream_inference_input_cost",
    "upstream_inference_completions_cost": "upstream_inference_output_cost",
}
DETAILS = ("cached_tokens", "cache_write_tokens", "reasoning_tokens")
Event = tuple[str, Json]


@dataclass(frozen=True, slots=True)
class OutputItem:
    """One item: as it stands in a whole reply, as it begins, and the events between its beginning and its end."""

    whole: Json
    begun: Json
    opening: tuple[Event, ...] = ()
    deltas: tuple[tuple[str, Json, int], ...] = ()
    closing: tuple[Event, ...] = ()


def usage_of(form: Form, used: Usage, bill: Bill) -> Json:
    """A provider's usage in chat, under the names that Responses has for it."""
    return {RENAMED.get(name, name): renamed(name, value) for name, value in form.usage(used, bill).items()}


def renamed(name: str, value: Any) -> Any:
    """One entry of a usage; of details about tokens only those that Responses has."""
    if not isinstance(value, dict):
        return value
    kept = DETAILS if name.endswith("_tokens_details") else value
    return {RENAMED.get(detail, detail): count for detail, count in value.items() if detail in kept}


def output_items(exchange: Exchange, ask: ResponseAsk, generation: Generation, *, refused: bool) -> list[OutputItem]:
    """All items of an answer in their order."""
    [choice] = generation.choices
    serial = exchange.serial
    found = []
    if choice.reasoning:
        hidden = not exchange.form.shows_reasoning
        sealed = "reasoning.encrypted_content" in (ask.include or ())
        found.append(reasoning_item(f"rs_{serial}", [] if hidden else choice.reasoning, sealed=sealed))
    found += [search_item(f"ws_{serial}{number}") for number in range(generation.usage.web_searches)]
    if choice.pieces or not choice.tool_calls:
        found.append(message_item(f"msg_{serial}", choice, refused=refused))
    return found + [call_item(f"fc_{serial}{number}", call) for number, call in enumerate(choice.tool_calls)]


def reasoning_item(item_id: str, shown: list[str], *, sealed: bool) -> OutputItem:
    begun: Json = {"id": item_id, "type": "reasoning", "summary": []}
    if sealed:
        begun["encrypted_content"] = "c2lt"
    if not shown:
        return OutputItem(begun, begun)
    place = {"item_id": item_id, "summary_index": 0}
    part = {"type": "summary_text", "text": "".join(shown)}
    return OutputItem(
        begun | {"summary": [part]},
        begun,
        (("response.reasoning_summary_part.added", place | {"part": part | {"text": ""}}),),
        tuple(("response.reasoning_summary_text.delta", place | {"delta": piece}, 1) for piece in shown),
        (
            ("response.reasoning_summary_text.done", place | {"text": part["text"]}),
            ("response.reasoning_summary_part.done", place | {"part": part}),
        ),
    )


def search_item(item_id: str) -> OutputItem:
    whole = {
        "id": item_id,
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "ledger"},
    }
    names = ("in_progress", "searching", "completed")
    events = tuple((f"response.web_search_call.{name}", {"item_id": item_id}) for name in names)
    return OutputItem(whole, {"id": item_id, "type": "web_search_call", "status": "in_progress"}, events)


def message_item(item_id: str, choice: Choice, *, refused: bool) -> OutputItem:
    kind, key = ("refusal", "refusal") if refused else ("output_text", "text")
    extras: Json = {} if refused else {"annotations": [], "logprobs": []}
    part = {"type": kind, key: choice.content, **extras}
    status = "incomplete" if choice.finish_reason == "length" else "completed"
    whole = {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": [part]}
    place = {"item_id": item_id, "content_index": 0}
    return OutputItem(
        whole,
        whole | {"status": "in_progress", "content": []},
        (("response.content_part.added", place | {"part": part | {key: ""}}),),
        tuple((f"response.{kind}.delta", place | {"delta": piece}, 1) for piece in choice.pieces),
        (
            (f"response.{kind}.done", place | {key: choice.content}),
            ("response.content_part.done", place | {"part": part}),
        ),
    )


def call_item(item_id: str, call: ToolCall) -> OutputItem:
    whole = {
        "id": item_id,
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
    }
    place = {"item_id": item_id}
    name = "response.function_call_arguments"
    return OutputItem(
        whole,
        whole | {"status": "in_progress", "arguments": ""},
        (),
        tuple((f"{name}.delta", place | {"delta": piece}, 1) for piece in ("", *call.pieces)),
        ((f"{name}.done", place | {"arguments": call.arguments, "name": call.name}),),
    )


class ResponseWriter:
    """One response, whole or event by event."""

    def __init__(self, exchange: Exchange, ask: ResponseAsk, generation: Generation, *, refused: bool) -> None:
        self._exchange = exchange
        self._ask = ask
        self._generation = generation
        self._items = output_items(exchange, ask, generation, refused=refused)
        self._events = 0
        self._last: list[Json] = []

    def whole(self, status: str = "", usage: Json | None = None) -> Json:
        """The response object, finished unless a status says otherwise."""
        ask, stamp = self._ask, self._exchange.stamp
        cut = self._generation.choices[0].finish_reason == "length"
        status = status or ("incomplete" if cut else "completed")
        done = status in ("completed", "incomplete")
        return {
            "id": stamp.id,
            "object": "response",
            "created_at": stamp.created,
            "status": status,
            "background": False,
            "completed_at": stamp.created if status == "completed" else None,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": ask.instructions,
            "max_output_tokens": ask.max_output_tokens,
            "metadata": ask.metadata or {},
            "model": stamp.model.reported_name,
            "output": [item.whole for item in self._items] if done else [],
            "parallel_tool_calls": ask.parallel_tool_calls is not False,
            "previous_response_id": ask.previous_response_id,
            "reasoning": ask.reasoning or {"effort": None, "summary": None},
            "service_tier": (stamp.tier or "default") if done else (ask.service_tier or "auto"),
            "store": ask.store is not False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": ask.tool_choice or "auto",
            "tools": [tool_row(tool.type, tool.name, tool.parameters) for tool in ask.tools or ()],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": usage,
            "user": ask.user,
        }

    def usage(self) -> Json:
        generation = self._generation
        return usage_of(self._exchange.form, generation.usage, generation.bill)

    def opening(self) -> list[Json]:
        names = ("response.created", "response.in_progress")
        return [event_of(name, {"response": self.whole("in_progress")}) for name in names]

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        before: list[Json] = []
        hidden = 0 if self._exchange.form.shows_reasoning else len(self._generation.choices[0].reasoning)
        for index, item in enumerate(self._items):
            place = {"output_index": index}
            before.append(event_of("response.output_item.added", place | {"item": item.begun}))
            before += [event_of(name, place | fields) for name, fields in item.opening]
            for name, fields, tokens in item.deltas:
                steps.append(Step(event_of(name, place | fields), tokens + hidden, tuple(before)))
                hidden, before = 0, []
            before += [event_of(name, place | fields) for name, fields in item.closing]
            before.append(event_of("response.output_item.done", place | {"item": item.whole}))
        self._last = before
        return steps

    def closing(self, fault: Fault | None) -> list[bytes]:
        response = self.whole(usage=bend_usage(self.usage(), fault))
        last = event_of(f"response.{response['status']}", {"response": response})
        frames = [*map(self.frame, self._last), self.frame(last)]
        return [*frames, DONE] if self._exchange.form.falls_back else frames

    def frame(self, body: Json) -> bytes:
        """An event, numbered as it is sent."""
        numbered = {"type": body["type"], "sequence_number": self._events, **body}
        self._events += 1
        return named_event(numbered)

    def padding(self, body_bytes: int) -> Json:
        fields = {"output_index": 0, "content_index": 0, "item_id": "msg", "delta": "x" * body_bytes}
        return event_of("response.output_text.delta", fields)

    def failure(self, failure: Failure, usage: Usage | None) -> bytes:
        error = {"code": failure.code or "server_error", "message": failure.message}
        shown = None
        if usage is not None:
            generation = self._generation
            shown = usage_of(self._exchange.form, usage, bill_of(generation.model, usage, generation.terms))
        response = self.whole("failed", shown) | {"error": error}
        return self.frame(event_of("error", error | {"param": failure.param})) + self.frame(
            event_of("response.failed", {"response": response})
        )


def event_of(name: str, fields: Json) -> Json:
    return {"type": name, **fields}


def tool_row(kind: str, name: str | None, parameters: dict[str, Any] | None) -> Json:
    row: Json = {"type": kind}
    return row | {"name": name, "parameters": parameters, "strict": True} if name else row
