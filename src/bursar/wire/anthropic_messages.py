"""The dialect of Anthropic's Messages, as Anthropic and those who imitate it speak it.

Decides which fields of a body govern and how they are patched for a provider. Never refuses a field it does not know
and never changes a limit that the caller set. Source: Anthropic's API reference, POST /v1/messages, and the types of
its SDK, 2026; OpenRouter's schema of the same form (`models`, `plugins`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from bursar.errors import InvalidRequestError
from bursar.rules.estimate import MIN_OUTPUT_TOKENS, Size
from bursar.rules.usage import TOKENS_MAX
from bursar.wire import asked
from bursar.wire.anthropic_reader import MessagesReader
from bursar.wire.anthropic_reply import meter_message
from bursar.wire.anthropic_size import extent_of
from bursar.wire.anthropic_usage import tier_of
from bursar.wire.body import Fields, fields_of, patch
from bursar.wire.dialect import CONTEXT_TOKENS_MAX, Count, Metered, Request, StreamReader, Target, WireError
from bursar.wire.faults import read_error
from bursar.wire.lenient import as_dict, as_text, decode
from bursar.wire.retarget import retargeted
from bursar.wire.server_side import named_fields, plugins, server_tools

__all__ = ["AnthropicMessages"]

# Typed tools that the caller runs, by how their types begin; every other type runs, and bills, at the provider's.
_CALLERS_TOOLS = ("bash_", "computer_", "memory_", "text_editor_")
# Ask for work at the provider that no bound covers: whole samplings more, files and skills that enter the prompt.
_UNBOUNDED_FIELDS = ("compaction", "container", "mcp_servers")
# Ways to make the context smaller that cost nothing themselves.
_FREE_EDITS = "clear_"
_DEFAULT = msgspec.Raw(b'"default"')


class AnthropicMessages:
    """The `Dialect` of POST /messages."""

    name = "anthropic_messages"
    path = "/messages"
    needs_limit = True

    def parse(self, body: bytes) -> Request:
        """Read the governing fields of a body. Raises InvalidRequestError naming the field, never quoting its value."""
        fields = fields_of(body)
        model = asked.model(fields)
        asked.check_list(fields, "messages")
        fallbacks = _fallbacks(fields)
        limit = asked.whole(fields, "max_tokens", 0, TOKENS_MAX)
        limits = [_limit(hop, "max_tokens", "fallbacks[].max_tokens") for hop in fallbacks]
        if limit is None and any(limits):
            raise InvalidRequestError("fallbacks set max_tokens where the request has none; set it for both")
        _thinking_budget(fields)
        reaches = [*asked.texts(fields, "models"), *(as_text(hop.get("model")) for hop in fallbacks)]
        speeds = [asked.text(fields, "speed"), *(as_text(hop.get("speed")) for hop in fallbacks)]
        return Request(
            body,
            self.name,
            model,
            stream=asked.flag(fields, "stream"),
            output_limit=None if limit is None else max(limit, *limits, 0),
            wants_usage=True,
            reaches=tuple(dict.fromkeys(name for name in reaches if name and name != model)),
            unbounded=_unbounded(fields),
            tier=tier_of(
                asked.text(fields, "service_tier"),
                "fast" if "fast" in speeds else speeds[0],
                asked.text(fields, "inference_geo"),
            ),
            fields=fields,
        )

    def size(
        self,
        request: Request,
        *,
        output_tokens_min: int,
        output_tokens_max: int,
        context_tokens: int = CONTEXT_TOKENS_MAX,
        count: Count | None = None,
    ) -> Size:
        """Bound and estimate the request; see `anthropic_size`.

        Each model that may step in for one that declines is paid for, too, so each counts as a choice. A limit that we
        set leaves room beyond what the caller gave to thinking, as the format demands. Bytes stay the bound, counted or
        not: the vocabularies of these models are not known.
        """
        fields = request.fields
        extent = extent_of(request.body, fields, (request.model, *request.reaches), context_tokens)
        if budget := _thinking_budget(fields):
            output_tokens_min = max(output_tokens_min, budget + MIN_OUTPUT_TOKENS)
            output_tokens_max = max(output_tokens_max, output_tokens_min)
        return Size(
            extent.input_tokens_max,
            extent.input_tokens_likely,
            request.output_limit,
            output_tokens_min,
            output_tokens_max,
            1 + len(_fallbacks(fields)),
        )

    def encode(self, request: Request, target: Target, output_tokens: int | None) -> bytes:
        """The body for `target`: model and output limit are set where they must be. Usage comes by itself."""
        fields = request.fields
        changes = retargeted(request, fields, target)
        if output_tokens is not None and request.output_limit is None:
            changes["max_tokens"] = output_tokens
        return patch(fields, changes) if changes else request.body

    def meter(self, body: bytes) -> Metered:
        """Read a whole reply with a status below 400."""
        return meter_message(body)

    def reply(self, body: bytes) -> bytes:
        """The reply as it came."""
        return body

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """Read a reply with a status of 400 or more."""
        return read_error(status, headers, body)

    def reader(self, request: Request) -> StreamReader:
        """A reader for the streamed reply of this request."""
        return MessagesReader(request)


def _fallbacks(fields: Fields) -> list[dict[str, Any]]:
    """The models that may step in where one declines, with what each of them changes; none for the server's choice."""
    return [] if _server_chooses(fields) else [as_dict(hop) for hop in asked.listed(fields, "fallbacks")]


def _server_chooses(fields: Fields) -> bool:
    """Whether the provider is left to choose the models that step in, whose prices nobody knows then."""
    return fields.get("fallbacks") == _DEFAULT


def _thinking_budget(fields: Fields) -> int:
    """The most output tokens that any model of the call may think, of those that its limit allows; 0 for none set."""
    budget = 0
    asked_for = decode(fields["thinking"]) if asked.present(fields, "thinking") else None
    for thinking in (asked_for, *(hop.get("thinking") for hop in _fallbacks(fields))):
        if thinking is not None and not isinstance(thinking, dict):
            raise InvalidRequestError("thinking must be an object")
        budget = max(budget, _limit(as_dict(thinking), "budget_tokens", "thinking.budget_tokens"))
    return budget


def _limit(fields: Mapping[str, Any], name: str, called: str) -> int:
    """A number of tokens in an inner object; 0 where it is missing."""
    value = fields.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise InvalidRequestError(f"{called} must be a whole number between 0 and {TOKENS_MAX}")
    return value


def _callers(tool: object) -> bool:
    """Whether a tool runs at the caller's side."""
    kind = as_dict(tool).get("type") or "custom"
    return isinstance(kind, str) and (kind == "custom" or kind.startswith(_CALLERS_TOOLS))


def _unbounded(fields: Fields) -> tuple[str, ...]:
    """Names of what runs at the provider's side beyond the model itself."""
    hosted = (tool for tool in asked.listed(fields, "tools") if not _callers(tool))
    names = [*server_tools(hosted, ())]
    context = decode(fields["context_management"]) if asked.present(fields, "context_management") else None
    edits = as_dict(context).get("edits")
    for edit in edits if isinstance(edits, list) else ():
        kind = as_text(as_dict(edit).get("type"))
        if not kind.startswith(_FREE_EDITS):
            names.append(f"context_management {kind[:64]}".strip())
    names += plugins(fields)
    if _server_chooses(fields):
        names.append("fallbacks default")
    names += named_fields(fields, _UNBOUNDED_FIELDS)
    return tuple(dict.fromkeys(names))
