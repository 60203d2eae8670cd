"""The dialect of OpenAI's embeddings: text in, vectors out, input tokens only.

Decides which fields of a body govern. An embedding has no output tokens, so its elastic range is empty and the bound is
its input. Source: OpenAI's API reference, POST /embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bursar.errors import InvalidRequestError
from bursar.rules.estimate import Size
from bursar.wire import asked
from bursar.wire.body import fields_of, patch
from bursar.wire.chat_reader import ChatReader
from bursar.wire.dialect import CONTEXT_TOKENS_MAX, Count, Metered, Request, StreamReader, Target, WireError
from bursar.wire.extent import BYTES_PER_TOKEN_LIKELY, REQUEST_OVERHEAD_TOKENS
from bursar.wire.faults import read_error
from bursar.wire.lenient import opens_with
from bursar.wire.openai_reply import meter_reply
from bursar.wire.retarget import retargeted
from bursar.wire.wording import text_tokens

__all__ = ["Embeddings"]

# Some models put a start and an end token around every text of a list.
TEXT_OVERHEAD_TOKENS = 4

_RAWS = msgspec.json.Decoder(list[msgspec.Raw])


class Embeddings:
    """The `Dialect` of POST /embeddings."""

    name = "embeddings"
    path = "/embeddings"
    needs_limit = False

    def parse(self, body: bytes) -> Request:
        """Read the governing fields of a body. Raises InvalidRequestError naming the field, never quoting its value."""
        fields = fields_of(body)
        model = asked.model(fields)
        if not asked.present(fields, "input"):
            raise InvalidRequestError("input is missing: a string, a list of strings, or tokens")
        if not opens_with(fields["input"], b'"['):
            raise InvalidRequestError("input must be a string or a list")
        if asked.flag(fields, "stream"):
            raise InvalidRequestError("embeddings cannot be streamed")
        models = asked.texts(fields, "models")
        reaches = tuple(dict.fromkeys(name for name in models if name != model))
        return Request(body, self.name, model, reaches=reaches, fields=fields)

    def size(
        self,
        request: Request,
        *,
        output_tokens_min: int,
        output_tokens_max: int,
        context_tokens: int = CONTEXT_TOKENS_MAX,
        count: Count | None = None,
    ) -> Size:
        """Bound and estimate the input. Tokens given as numbers take up more bytes than they are."""
        body_bytes = len(request.body)
        fields = request.fields
        asked_for = fields["input"]
        texts = len(_RAWS.decode(asked_for)) if opens_with(asked_for, b"[") else 1
        text = body_bytes if count is None else min(body_bytes, text_tokens(fields, ("input",), count))
        most = text + REQUEST_OVERHEAD_TOKENS + TEXT_OVERHEAD_TOKENS * texts
        return Size(most, body_bytes // BYTES_PER_TOKEN_LIKELY, 0, 0, 0)

    def encode(self, request: Request, target: Target, output_tokens: int | None) -> bytes:
        """The body for `target`; an embedding has no output limit to set."""
        fields = request.fields
        changes = retargeted(request, fields, target)
        return patch(fields, changes) if changes else request.body

    def meter(self, body: bytes) -> Metered:
        """Read a whole reply with a status below 400."""
        return meter_reply(body, "data", output_expected=False)

    def reply(self, body: bytes) -> bytes:
        """The reply as it came."""
        return body

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """Read a reply with a status of 400 or more."""
        return read_error(status, headers, body)

    def reader(self, request: Request) -> StreamReader:
        """Embeddings are not streamed; what comes all the same is read for errors and usage."""
        return ChatReader(request)
