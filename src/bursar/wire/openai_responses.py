"""The dialect of OpenAI's Responses, as OpenAI, OpenRouter, xAI, DeepSeek and others speak it.

Decides which fields of a body govern and how they are patched for a provider. Never refuses a field it does not know
and never changes a limit that the caller set. `background` is refused: the reply to it has no usage, and what the work
costs is known only to who asks for it later. Source: OpenAI's API reference and SDK, November 2026, POST /responses;
OpenRouter's schema for `models`, `plugins` and server-side tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bursar.errors import InvalidRequestError
from bursar.rules.estimate import Size
from bursar.rules.usage import TOKENS_MAX
from bursar.wire import asked
from bursar.wire.body import Fields, fields_of, patch
from bursar.wire.dialect import CONTEXT_TOKENS_MAX, Count, Metered, Request, StreamReader, Target, WireError
from bursar.wire.faults import read_error
from bursar.wire.lenient import as_dict
from bursar.wire.responses_meter import meter_response
from bursar.wire.responses_reader import ResponsesReader
from bursar.wire.responses_size import Item, extent_of, items_of, stored, tools_inside
from bursar.wire.retarget import retargeted
from bursar.wire.server_side import named_fields, plugins, server_tools

__all__ = ["OpenAIResponses"]

LIMIT_FIELD = "max_output_tokens"
# Tools that run at the caller's side; whatever else is named in `tools` runs, and bills, at the provider's.
_CALLERS_TOOLS = frozenset(
    {"function", "custom", "local_shell", "apply_patch", "computer", "computer_use", "computer_use_preview"}
)
# Asks for work at the provider that no bound covers: searches are billed by the piece, compaction reads everything
# twice, and a stored prompt may bring tools of its own.
_UNBOUNDED_FIELDS = ("search_parameters", "context_management", "prompt")


class OpenAIResponses:
    """The `Dialect` of POST /responses."""

    name = "openai_responses"
    path = "/responses"
    needs_limit = False

    def parse(self, body: bytes) -> Request:
        """Read the governing fields of a body. Raises InvalidRequestError naming the field, never quoting its value."""
        fields = fields_of(body)
        model = asked.model(fields)
        items = items_of(fields)
        if not asked.present(fields, "input") and not stored(fields):
            raise InvalidRequestError("input is missing: a string, or a list of items")
        if asked.flag(fields, "background"):
            raise InvalidRequestError("background is not supported: its cost is known only later")
        models = asked.texts(fields, "models")
        return Request(
            body,
            self.name,
            model,
            stream=asked.flag(fields, "stream"),
            output_limit=asked.whole(fields, LIMIT_FIELD, 1, TOKENS_MAX),
            wants_usage=True,  # it comes with the last event, which every client reads
            reaches=tuple(dict.fromkeys(name for name in models if name != model)),
            unbounded=_unbounded(fields, items),
            tier=asked.text(fields, "service_tier"),
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
        """Bound and estimate the request; see `responses_size`."""
        models = (request.model, *request.reaches)
        extent = extent_of(request.body, request.fields, models, context_tokens, count)
        return Size(
            extent.input_tokens_max,
            extent.input_tokens_likely,
            request.output_limit,
            output_tokens_min,
            output_tokens_max,
        )

    def encode(self, request: Request, target: Target, output_tokens: int | None) -> bytes:
        """The body for `target`: model and output limit are set where they must be. Usage needs no asking."""
        fields = request.fields
        changes = retargeted(request, fields, target)
        if output_tokens is not None and request.output_limit is None:
            changes[LIMIT_FIELD] = output_tokens
        return patch(fields, changes) if changes else request.body

    def meter(self, body: bytes) -> Metered:
        """Read a whole reply with a status below 400."""
        return meter_response(body)

    def reply(self, body: bytes) -> bytes:
        """The reply as it came."""
        return body

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """Read a reply with a status of 400 or more."""
        return read_error(status, headers, body)

    def reader(self, request: Request) -> StreamReader:
        """A reader for the streamed reply of this request."""
        return ResponsesReader()


def _unbounded(fields: Fields, items: list[Item]) -> tuple[str, ...]:
    """Names of what runs at the provider's side beyond the model itself."""
    tools = [*asked.listed(fields, "tools"), *tools_inside(items)]
    names = server_tools(_hosted(tools), _CALLERS_TOOLS)
    return tuple(dict.fromkeys([*names, *plugins(fields), *named_fields(fields, _UNBOUNDED_FIELDS)]))


def _hosted(tools: Iterable[object]) -> Iterator[object]:
    """The tools, without those that their own settings place at the caller's side, and with those of a namespace."""
    for tool in tools:
        settings = as_dict(tool)
        kind = settings.get("type")
        if kind == "namespace":
            inner = settings.get("tools")
            yield from inner if isinstance(inner, list) else ()
        elif kind == "shell":
            # Without an environment it is the caller who runs the commands.
            if as_dict(settings.get("environment")).get("type", "local") != "local":
                yield tool
        elif not (kind == "tool_search" and settings.get("execution") == "client"):
            # A search at the provider samples again with what it found: recorded input was more than the body's bytes.
            yield tool
