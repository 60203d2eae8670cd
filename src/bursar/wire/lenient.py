"""JSON as providers send it, read without ever raising: numbers exactly, faults as a value.

Decides what is still readable. msgspec reads what is strict JSON; the standard library takes over where a provider sent
NaN, a lone surrogate or a number beyond 64 bits, so that one odd number does not hide the usage beside it.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

__all__ = ["EMPTY", "MALFORMED", "NULL", "as_dict", "as_text", "decode", "exact", "opens_with"]

EMPTY: Final = msgspec.Raw()  # a field that is missing
NULL: Final = msgspec.Raw(b"null")

_DIGITS_MAX = 40


class _Malformed:
    """What `decode` returns for bytes that are no JSON at all; falsy, and no JSON value."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


MALFORMED: Final = _Malformed()


def exact(number: str) -> Decimal:
    """A number as it was written; NaN for one that no Decimal can hold."""
    try:
        return Decimal(number)
    except (InvalidOperation, ValueError):
        return Decimal("NaN")


_ANY = msgspec.json.Decoder(float_hook=exact)


def decode(data: bytes | msgspec.Raw) -> Any:
    """The value of a JSON text: dict, list, str, int, Decimal, bool or None; `MALFORMED` where it is none."""
    try:
        return _ANY.decode(data)
    except RecursionError:
        return MALFORMED
    except ValueError:
        pass
    try:
        return json.loads(bytes(data), parse_float=exact, parse_constant=exact, parse_int=_whole)
    except (ValueError, RecursionError):
        return MALFORMED


def as_dict(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def opens_with(raw: msgspec.Raw, brackets: bytes) -> bool:
    """Whether a value begins with one of these bytes, which tells objects, lists and strings apart undecoded."""
    return bool(raw) and memoryview(raw)[0] in brackets


def _whole(digits: str) -> int | Decimal:
    # Python refuses to convert very long runs of digits; nothing that long is a count or an amount.
    return int(digits) if len(digits) <= _DIGITS_MAX else exact(digits)
