"""How a translation says no: by the name of the field, never by its value, since a value can hold a prompt.

Decides the words and the place. What a provider's format has no word for is refused here and never left away. Source:
msgspec's errors, which give the place as `$[2].content[0].type`.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from bursar.errors import InvalidRequestError

__all__ = ["decoded", "untranslatable"]

# A name of ours or theirs, which may be repeated; anything else could be what somebody wrote.
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}")
_PLACE = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_QUOTED = re.compile(r"(?:field `|value ')(.*)[`']$", re.DOTALL)

_Value = TypeVar("_Value")


def untranslatable(field: str, why: str = "") -> InvalidRequestError:
    """The refusal of a field that the caller set and no message can carry. `why`: what can, or what is missing."""
    return InvalidRequestError(f"{field} cannot be translated for an Anthropic model{': ' if why else ''}{why}")


def decoded(decoder: msgspec.json.Decoder[_Value], raw: msgspec.Raw, field: str) -> _Value:
    """The value of a field in the form that can be translated. Raises InvalidRequestError naming what is not."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), field) from None
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"{field} must be JSON that can be read: text in UTF-8, not too deep") from None


def _refusal(complaint: str, field: str) -> InvalidRequestError:
    place = _PLACE.search(complaint)
    where = field + (place[1] if place else "")
    said = complaint[: place.start()] if place else complaint
    quoted = _QUOTED.search(said)
    name = quoted[1] if quoted and _NAME.fullmatch(quoted[1]) else ""
    if said.startswith("Object missing required field"):
        return InvalidRequestError(f"{where}.{name} is missing")
    if said.startswith("Object contains unknown field"):
        return untranslatable(f"{where}.{name}" if name else f"a key of {where}")
    if said.startswith("Invalid"):
        return untranslatable(f"{where} {name!r}" if name else where)
    if said.startswith("Expected `null`"):
        return untranslatable(where)
    return InvalidRequestError(f"{where}: {said[:1].lower()}{said[1:].replace('`', '')}")
