"""How the scopes of an attempt are kept: five columns for what people ask for most, and the tags as JSON.

None is a dimension that the attempt does not carry, which is not the same as an empty value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

# Scopes with a column of their own; every other dimension is a tag.
DIMENSIONS = ("provider", "model", "key", "user", "session")
NO_TAGS = "{}"

Account = tuple[str | None, str | None, str | None, str | None, str | None, str]
"""The columns of `DIMENSIONS`, and the tags as a JSON object, sorted."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(dict[str, str]).decode


def account_of(scopes: Mapping[str, str]) -> Account:
    """Scopes as they are kept."""
    get = scopes.get
    columns = (get("provider"), get("model"), get("key"), get("user"), get("session"))
    if len(scopes) == len(DIMENSIONS) - columns.count(None):
        return (*columns, NO_TAGS)
    tags = {dimension: value for dimension, value in scopes.items() if dimension not in DIMENSIONS}
    return (*columns, _encode(tags).decode())


def scopes_of(columns: Sequence[str | None], tags: str) -> dict[str, str]:
    """Scopes put together again."""
    scopes = {name: value for name, value in zip(DIMENSIONS, columns, strict=True) if value is not None}
    if tags != NO_TAGS:
        scopes.update(_decode(tags))
    return scopes
