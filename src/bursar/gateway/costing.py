"""The cost of a call within its reply, as `usage.cost`, for callers who ask for it there.

Decides who asked (our header, or OpenRouter's `usage: {include: true}`, which is taken out, since others refuse it) and
which part of a stream waits for the cost: what carries the usage is held back until the call is settled, and patched;
every other byte passes as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bursar.call.flow import Result
from bursar.errors import InvalidRequestError
from bursar.gateway.facts import charged_of, usd_text
from bursar.wire.body import merge, patch, read_fields
from bursar.wire.dialect import Dialect, Request
from bursar.wire.lenient import as_dict, decode

HEADER = b"x-bursar-usage-cost"
CHAT, RESPONSES, MESSAGES = "openai_chat", "openai_responses", "anthropic_messages"
# More than follows usage in any format; then it was not the last.
HELD_MAX = 8
# What the payload that carries a stream's last usage has in it.
_MARKS = {
    CHAT: (b'"usage":{', b'"usage": {'),
    MESSAGES: (b'"message_delta"',),
    RESPONSES: (b'"response.completed"', b'"response.incomplete"', b'"response.failed"'),
}


def costed(headers: Mapping[bytes, bytes], dialect: Dialect, request: Request) -> Request | None:
    """The request as it is to be sent, where its caller asks for the cost in the reply; else None."""
    said = headers.get(HEADER, b"").strip().lower()
    usage = request.fields.get("usage")
    includes = usage is not None and as_dict(decode(usage)).get("include") is True
    if said not in (b"true", b"1") and not includes:
        return None
    changes: dict[str, Any] = {}
    if request.dialect == CHAT and request.stream and not request.wants_usage:
        changes["stream_options"] = merge(request.fields.get("stream_options"), {"include_usage": True})
    removals = ("usage",) if includes else ()
    return dialect.parse(patch(request.fields, changes, removals)) if changes or removals else request


def with_cost(body: bytes, result: Result) -> bytes:
    """A whole reply, or a payload of a stream, with the cost in its usage; as it came where it is no object."""
    try:
        fields = read_fields(body)
    except InvalidRequestError:
        return body
    cost = _cost_of(result)
    if "response" in fields:
        inner = with_cost(bytes(fields["response"]), result)
        return patch(fields, {"response": msgspec.Raw(inner)})
    return patch(fields, {"usage": merge(fields.get("usage"), cost)})


class Tail:
    """The end of a stream, which waits for its cost."""

    __slots__ = ("_held", "_marks")

    def __init__(self, dialect: str) -> None:
        self._marks = _MARKS[dialect]
        self._held: list[bytes] = []

    def passed(self, payloads: Sequence[bytes]) -> list[bytes]:
        """What can go on now, in order."""
        on: list[bytes] = []
        for payload in payloads:
            marked = any(mark in payload for mark in self._marks)
            if self._held and (marked or len(self._held) == HELD_MAX):
                on += self.rest()
            (self._held if marked or self._held else on).append(payload)
        return on

    def rest(self) -> list[bytes]:
        """What is still held, as it came."""
        held, self._held = self._held, []
        return held

    def settled(self, result: Result) -> list[bytes]:
        """What is still held, with the cost in it."""
        held = self.rest()
        return [with_cost(held[0], result), *held[1:]] if held else []


def _cost_of(result: Result) -> dict[str, Any]:
    charged_nano_usd, certain = charged_of(result)
    told = {"call_id": result.receipt.call_id, "certain": certain}
    return {"cost": msgspec.Raw(usd_text(charged_nano_usd)), "bursar": told}
