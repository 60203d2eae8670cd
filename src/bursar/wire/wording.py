"""What a request comes to in tokens of its models' own vocabulary, and never less.

Decides what of a body is text that a model reads, and how it is framed at the dearest. A conversation is counted string
by string, since models read each between marks of their own; every string and every key costs one token more for these
marks, and a name counts twice, since the result of a call repeats it. Everything else (tools, schemas, settings) is
counted as the JSON that it was sent as, which is more than any form in which a model was seen to read it. A key given
twice counts twice: nobody knows which of its values a provider takes. Never counts what `extent` counts as an image.

Source: OpenAI's cookbook for what frames a message and its token accounting of tools; recorded usage of chat and
Responses (`tests/wire/test_wording.py` holds the bound against it): tools come to 0.4 to 0.6 of their compact JSON.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import msgspec

from bursar.wire.body import Fields
from bursar.wire.dialect import Count

__all__ = ["text_tokens"]

STRING_OVERHEAD_TOKENS = 1

# Where the bytes of an image stand, by the type of what it is part of.
_IMAGES = {
    "image_url": "image_url",
    "input_image": "image_url",
    "computer_screenshot": "image_url",
    "image_generation_call": "result",
}

# Objects are read as tuples of pairs, so that no value is lost to another of its name; numbers stay text.
_JSON = json.JSONDecoder(object_pairs_hook=tuple, parse_int=str, parse_float=str, parse_constant=str)


def text_tokens(fields: Fields, spoken: Collection[str], count: Count) -> int:
    """The most tokens that all text in a body comes to.

    spoken: the fields that hold a conversation. count: tokens of a text, in the vocabulary of every model that may read
    it. What cannot be read counts as its bytes.
    """
    rest = b",".join(bytes(raw) for name, raw in fields.items() if name not in spoken)
    total = count(rest.decode("utf-8", "replace"))
    for name in fields:
        total += count(name) + STRING_OVERHEAD_TOKENS
    return total + sum(_spoken_tokens(fields[name], count) for name in spoken if name in fields)


def _spoken_tokens(raw: msgspec.Raw, count: Count) -> int:
    try:
        left = [_JSON.decode(bytes(raw).decode())]
    except (ValueError, RecursionError):
        return len(raw)
    total = 0
    of_key: dict[str, int] = {}  # the same few keys stand in every message
    while left:
        value = left.pop()
        total += STRING_OVERHEAD_TOKENS
        if isinstance(value, str):
            total += count(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, tuple):
            for key, inner in _without_image(value):
                tokens = of_key.get(key)
                if tokens is None:
                    tokens = of_key[key] = count(key) + STRING_OVERHEAD_TOKENS
                total += tokens
                left += (inner, inner) if key == "name" else (inner,)
    return total


def _without_image(pairs: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """The pairs of an object, without the bytes of the image that it is."""
    kind = dict(pairs).get("type")
    place = _IMAGES.get(kind) if isinstance(kind, str) else None
    return pairs if place is None else tuple((key, _blanked(inner) if key == place else inner) for key, inner in pairs)


def _blanked(image: Any) -> Any:
    """An image by its URL, which stays where it only points to one; else its bytes, which go."""
    if isinstance(image, tuple):
        return tuple((key, _blanked(inner) if key == "url" else inner) for key, inner in image)
    return image if not isinstance(image, str) or "://" in image[:16] else ""
