"""What a Responses object says about itself, whole or in the last event of a stream: usage, cost, model, ending, error.

Decides how it ended and which of its items are billed by the piece. Where the provider counts its billable searches
itself, that count is the fact; else each search among the items is one, unless it failed. Decides nothing about money.
Never raises: what is no JSON, or not this form, comes back as a malformed-reply error with whatever usage could still
be read beside it. Source: OpenAI's API reference and SDK, November 2026, "The response object".
"""

from __future__ import annotations

from typing import Any

import msgspec

from bursar.rules.usage import TOKENS_MAX
from bursar.wire.dialect import Metered, WireError
from bursar.wire.faults import malformed
from bursar.wire.lenient import EMPTY, as_dict, as_text, decode, opens_with
from bursar.wire.openai_reply import Said, meter_said, said
from bursar.wire.openai_usage import RESPONSES

__all__ = ["RESPONSE_FAILED", "Response", "Told", "ending", "meter_response", "meter_told", "told_by", "told_of"]

# A reply in one of these states has not ended: its usage is still to come.
UNENDED = frozenset({"queued", "in_progress", "cancelled"})
# The error of a failed response that gives none.
RESPONSE_FAILED = {"code": "response_failed", "message": "the response failed, and the provider does not say why"}
# What an item is called and the leaf that counts it.
_PIECES = {"web_search_call": "web_searches", "file_search_call": "file_searches"}


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _WebSearch(msgspec.Struct, gc=False):
    num_requests: int | None = None


class _ToolUsage(msgspec.Struct, gc=False):
    web_search: _WebSearch | None = None


class Response(msgspec.Struct, gc=False):
    """The governing fields of a response, of the types that they have by the reference."""

    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    output: msgspec.Raw = EMPTY
    usage: msgspec.Raw = EMPTY
    error: msgspec.Raw = EMPTY
    tool_usage: _ToolUsage | None = None


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a response said. status: "" where it gave none. whole: it had the output that makes it a reply."""

    said: Said = Said()
    status: str = ""
    whole: bool = False


_RESPONSE = msgspec.json.Decoder(Response)


def meter_response(body: bytes) -> Metered:
    """Read a whole reply with a status below 400."""
    try:
        told = told_of(_RESPONSE.decode(body))
    except (ValueError, RecursionError):
        value = decode(body)
        if not isinstance(value, dict):
            return Metered(error=malformed("the provider's reply is not a JSON object"), complete=False)
        told = told_by(value)
    return meter_told(told, complete=told.status not in UNENDED, whole=told.whole)


def meter_told(told: Told, *, complete: bool, whole: bool = True, error: WireError | None = None) -> Metered:
    """Put together what a response said. whole: it has the output that a reply must have."""
    return meter_said(told.said, complete=complete, whole=whole, error=error)


def told_of(response: Response) -> Told:
    """What a response says whose governing fields have the types that they should."""
    status = response.status or ""
    details, tools = response.incomplete_details, response.tool_usage
    billable = tools.web_search.num_requests if tools and tools.web_search else None
    output = bytes(response.output)
    searched = billable or output.find(b"_search_call") >= 0  # most replies hold none, and can be left undecoded
    return Told(
        Said(
            response.id or "",
            response.model or "",
            response.service_tier or "",
            ending(status, details.reason if details else None),
            said(response.usage),
            _error(status, said(response.error)),
            form=RESPONSES,
            fees=_pieces(decode(output), billable) if searched else {},
        ),
        status,
        opens_with(response.output, b"["),
    )


def told_by(value: dict[str, Any]) -> Told:
    """What a decoded response says, whatever types its fields have."""
    status = as_text(value.get("status"))
    output = value.get("output")
    billable = as_dict(as_dict(value.get("tool_usage")).get("web_search")).get("num_requests")
    return Told(
        Said(
            as_text(value.get("id")),
            as_text(value.get("model")),
            as_text(value.get("service_tier")),
            ending(status, as_dict(value.get("incomplete_details")).get("reason")),
            value.get("usage"),
            _error(status, value.get("error")),
            form=RESPONSES,
            fees=_pieces(output, billable),
        ),
        status,
        isinstance(output, list),
    )


def ending(status: object, reason: object) -> str:
    """Why a response ended, in the provider's word: what made it incomplete, else its status; "" before it has.

    >>> ending("completed", None), ending("incomplete", "max_output_tokens"), ending("in_progress", None)
    ('completed', 'max_output_tokens', '')
    """
    if not isinstance(status, str) or status in UNENDED:
        return ""
    return reason if status == "incomplete" and isinstance(reason, str) and reason else status


def _error(status: str, error: object) -> object:
    return error or (RESPONSE_FAILED if status == "failed" else None)


def _pieces(output: object, billable: object) -> dict[str, int]:
    """What is billed by the piece, by leaf. billable: the web searches that the provider says it bills."""
    counts: dict[str, int] = {}
    for item in output if isinstance(output, list) else ():
        fields = as_dict(item)
        leaf = _PIECES.get(as_text(fields.get("type")))
        # To open a page that was found, or to look for something in it, costs nothing by itself.
        searched = as_dict(fields.get("action")).get("type", "search") == "search"
        if leaf and searched and fields.get("status") != "failed":
            counts[leaf] = counts.get(leaf, 0) + 1
    if type(billable) is int and 0 <= billable <= TOKENS_MAX:
        counts["web_searches"] = billable
    return counts
