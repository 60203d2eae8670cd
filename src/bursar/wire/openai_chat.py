"""The dialect of OpenAI's chat completions, as its many imitators speak it.

Decides which fields of a body govern and how they are patched for a provider. Never refuses a field it does not know
and never changes a limit that the caller set. Source: OpenAI's API reference, POST /chat/completions; OpenRouter's
schema for `models`, `plugins` and server-side tools.
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.errors import InvalidRequestError
from bursar.rules.estimate import Size
from bursar.rules.usage import TOKENS_MAX
from bursar.wire import asked
from bursar.wire.body import Fields, fields_of, merge, patch
from bursar.wire.chat_reader import ChatReader
from bursar.wire.chat_size import extent_of
from bursar.wire.dialect import CONTEXT_TOKENS_MAX, Count, Metered, Request, StreamReader, Target, WireError
from bursar.wire.faults import read_error
from bursar.wire.lenient import decode
from bursar.wire.openai_reply import meter_reply
from bursar.wire.retarget import retargeted
from bursar.wire.server_side import named_fields, plugins, server_tools

__all__ = ["OpenAIChat"]

# OpenAI's own maximum; more would multiply a bound beyond any use.
CHOICES_MAX = 128
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
# Tools that run at the caller's side; whatever else is named in `tools` runs, and bills, at the provider's.
_CALLERS_TOOLS = frozenset({"function", "custom"})
# Asks for work at the provider that no bound covers: searches are billed by the piece, rejected predictions on top of
# the output limit.
_UNBOUNDED_FIELDS = ("web_search_options", "search_parameters", "compound_custom", "prediction")
_MAY_BE_UNBOUNDED = frozenset({"tools", "plugins", *_UNBOUNDED_FIELDS})


class OpenAIChat:
    """The `Dialect` of POST /chat/completions."""

    name = "openai_chat"
    path = "/chat/completions"
    needs_limit = False

    def parse(self, body: bytes) -> Request:
        """Read the governing fields of a body. Raises InvalidRequestError naming the field, never quoting its value."""
        fields = fields_of(body)
        model = asked.model(fields)
        asked.check_list(fields, "messages")
        limits = [limit for name in LIMIT_FIELDS if (limit := asked.whole(fields, name, 1, TOKENS_MAX)) is not None]
        models = asked.texts(fields, "models")
        return Request(
            body,
            self.name,
            model,
            stream=asked.flag(fields, "stream"),
            n=asked.whole(fields, "n", 1, CHOICES_MAX) or 1,
            output_limit=max(limits) if limits else None,
            wants_usage=_wants_usage(fields),
            reaches=tuple(dict.fromkeys(name for name in models if name != model)) if models else (),
            unbounded=_unbounded(fields),
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
        """Bound and estimate the request; see `chat_size`."""
        models = (request.model, *request.reaches)
        extent = extent_of(request.body, request.fields, models, context_tokens, count)
        return Size(
            extent.input_tokens_max,
            extent.input_tokens_likely,
            request.output_limit,
            output_tokens_min,
            output_tokens_max,
            request.n,
        )

    def encode(self, request: Request, target: Target, output_tokens: int | None) -> bytes:
        """The body for `target`: model, output limit and usage in streams are set where they must be.

        An output limit of the caller's goes under the name that the provider has for it, so that it is heeded.
        """
        fields = request.fields
        changes = retargeted(request, fields, target)
        renamed: tuple[str, ...] = ()
        if request.output_limit is None:
            if output_tokens is not None:
                changes[target.limit_field] = output_tokens
        elif not asked.present(fields, target.limit_field):
            renamed = tuple(name for name in LIMIT_FIELDS if asked.present(fields, name))
            changes[target.limit_field] = request.output_limit
        if request.stream and target.usage_field and not request.wants_usage:
            changes[target.usage_field] = merge(fields.get(target.usage_field), {"include_usage": True})
        return patch(fields, changes, renamed) if changes else request.body

    def meter(self, body: bytes) -> Metered:
        """Read a whole reply with a status below 400."""
        return meter_reply(body, "choices")

    def reply(self, body: bytes) -> bytes:
        """The reply as it came."""
        return body

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """Read a reply with a status of 400 or more."""
        return read_error(status, headers, body)

    def reader(self, request: Request) -> StreamReader:
        """A reader for the streamed reply of this request."""
        return ChatReader(request)


def _wants_usage(fields: Fields) -> bool:
    if not asked.present(fields, "stream_options"):
        return False
    options = decode(fields["stream_options"])
    if not isinstance(options, dict):
        raise InvalidRequestError("stream_options must be an object")
    return options.get("include_usage") is True


def _unbounded(fields: Fields) -> tuple[str, ...]:
    """Names of what runs at the provider's side beyond the model itself."""
    if _MAY_BE_UNBOUNDED.isdisjoint(fields):
        return ()
    tools = server_tools(asked.listed(fields, "tools"), _CALLERS_TOOLS)
    names = [*tools, *plugins(fields), *named_fields(fields, _UNBOUNDED_FIELDS)]
    return tuple(dict.fromkeys(names))
