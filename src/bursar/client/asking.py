"""What a caller asks for, made into the bytes of a request and the few things that govern it.

Messages, tools, images and every parameter that is not ours pass through unchanged, known to us or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bursar.engine import Asked
from bursar.errors import InvalidRequestError
from bursar.wire.dialect import Dialect
from bursar.wire.dialects import dialect_at
from bursar.wire.embeddings import Embeddings

Messages = str | Sequence[Any]

_GOVERNING = (
    "model", "max_cost_usd", "timeout", "max_wait_seconds", "tags", "user", "session", "extra_headers", "fallbacks",
)  # fmt: skip
_OURS = frozenset((*_GOVERNING, "self", "messages", "params", "extra_body", "max_tokens"))


def split(given: Mapping[str, Any]) -> tuple[Asked, dict[str, Any]]:
    """Part the arguments of a call into what governs it and what goes to the provider (`max_tokens` among it).

    `given` may be a function's locals, with further parameters under "params".
    """
    asked = Asked(**{name: given[name] for name in _GOVERNING if given.get(name) is not None})
    fields = dict(given.get("params") or {})
    fields.update((name, value) for name, value in given.items() if name not in _OURS)
    if given.get("max_tokens") is not None:
        fields["max_tokens"] = given["max_tokens"]
    fields.update(given.get("extra_body") or {})
    return asked, fields


def chat_body(messages: Messages, fields: Mapping[str, Any], *, stream: bool) -> bytes:
    """The body of a chat: OpenAI's form."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body: dict[str, Any] = {"model": "-", "messages": messages, **fields}
    if stream:
        body["stream"] = True
    elif body.get("stream"):
        raise InvalidRequestError("stream=True belongs to stream(), which returns its deltas")
    return _encoded(body)


def native_body(fields: Mapping[str, Any], *, stream: bool) -> bytes:
    """The body of a request in any dialect: the fields as they were given."""
    body: dict[str, Any] = {"model": "-", **fields}
    if stream:
        body["stream"] = True
    elif body.get("stream"):
        raise InvalidRequestError("stream=True belongs to send_stream(), which returns the deltas")
    return _encoded(body)


def dialect_of(path: str) -> Dialect:
    """The dialect of a path such as "/v1/messages". Raises InvalidRequestError naming those there are."""
    dialect = dialect_at(path)
    if dialect is None or dialect.name == Embeddings.name:
        raise InvalidRequestError(
            f"nothing is spoken at {path[:100]!r} here; send takes /chat/completions, /responses and /messages, "
            "and embeddings have embed()"
        )
    return dialect


def embedding_body(inputs: str | Sequence[Any], fields: Mapping[str, Any]) -> bytes:
    """The body of an embedding."""
    return _encoded({"model": "-", "input": inputs, **fields})


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(body, enc_hook=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        # The message names types only, never the text of a prompt.
        raise InvalidRequestError(f"the request cannot be written as JSON: {type(error).__name__}: {error}") from None


def _plain(value: Any) -> Any:
    """Objects of SDKs and of pydantic, such as a message that a former reply held, as the mappings they stand for."""
    for name in ("model_dump", "to_dict", "dict"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is not JSON")
