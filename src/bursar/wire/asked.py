"""The fields of a request body that govern, read with their types checked.

Decides what is not what the format demands. An error names the field and what was expected, never the value, since a
value can hold a prompt. A field that is null counts as missing, as providers take it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bursar.errors import InvalidRequestError
from bursar.wire.body import Fields
from bursar.wire.lenient import NULL, opens_with

__all__ = ["check_list", "flag", "listed", "model", "present", "text", "texts", "whole"]

MODEL_CHARACTERS_MAX = 256

_Value = TypeVar("_Value")

_TEXT = msgspec.json.Decoder(str)
_WHOLE = msgspec.json.Decoder(int)
_FLAG = msgspec.json.Decoder(bool)
_TEXTS = msgspec.json.Decoder(list[str])
_LISTED = msgspec.json.Decoder(list[Any])


def present(fields: Fields, name: str) -> bool:
    """Whether a field was given and is not null."""
    return name in fields and fields[name] != NULL


def model(fields: Fields) -> str:
    """The model's name: required, not empty."""
    if not present(fields, "model"):
        raise InvalidRequestError("model is missing: name the model to ask")
    name = _read(_TEXT, fields["model"], "model", "a string")
    if not name or len(name) > MODEL_CHARACTERS_MAX:
        raise InvalidRequestError(f"model must be a string of 1 to {MODEL_CHARACTERS_MAX} characters")
    return name


def text(fields: Fields, name: str) -> str:
    """A string; empty where the field is missing."""
    return _read(_TEXT, fields[name], name, "a string") if present(fields, name) else ""


def whole(fields: Fields, name: str, least: int, most: int) -> int | None:
    """A whole number within bounds; None where the field is missing."""
    if not present(fields, name):
        return None
    number = _read(_WHOLE, fields[name], name, "a whole number")
    if not least <= number <= most:
        raise InvalidRequestError(f"{name} must be between {least} and {most}")
    return number


def flag(fields: Fields, name: str) -> bool:
    """A boolean; False where the field is missing."""
    return present(fields, name) and _read(_FLAG, fields[name], name, "true or false")


def texts(fields: Fields, name: str) -> list[str]:
    """A list of strings; empty where the field is missing."""
    return _read(_TEXTS, fields[name], name, "a list of strings") if present(fields, name) else []


def listed(fields: Fields, name: str) -> list[Any]:
    """A list; empty where the field is missing."""
    if not present(fields, name):
        return []
    return _read(_LISTED, fields[name], name, "a list")


def check_list(fields: Fields, name: str) -> None:
    """Refuse a body without this list; its items are left undecoded."""
    if not present(fields, name):
        raise InvalidRequestError(f"{name} is missing: it must be a list")
    if not opens_with(fields[name], b"["):
        raise InvalidRequestError(f"{name} must be a list")


def _read(decoder: msgspec.json.Decoder[_Value], raw: msgspec.Raw, name: str, expected: str) -> _Value:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"{name} must be {expected}") from None
