"""The top level of a JSON object as raw values: read, checked for keys given twice, and patched.

Decides which bytes of a body change. Never touches a value that was not named: what stays goes on as it came, known to
us or not. A key given twice is refused, because two readers may take different ones of its values, and a limit that
we bounded by must be the limit that the provider reads. Source: RFC 8259, section 4 (names within an object).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec

from bursar.errors import InvalidRequestError
from bursar.wire.lenient import opens_with

__all__ = ["Fields", "fields_of", "merge", "patch", "read_fields"]

Fields = dict[str, msgspec.Raw]

_FIELDS = msgspec.json.Decoder(Fields)
_encode = msgspec.json.Encoder().encode
_BLANK = re.compile(rb"[ \t\n\r]*")
# The body was read as JSON before: a string ends at the first quote that no backslash stands before.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def fields_of(body: bytes) -> Fields:
    """The values of a JSON object by key, in order, as the bytes they came as.

    Raises:
        InvalidRequestError: the body is not a JSON object, is nested too deeply, or gives a key twice.
    """
    fields = read_fields(body)
    if not _written_plainly(body, fields):
        repeated = _repeated_key(body, fields)
        if repeated is not None:
            raise InvalidRequestError(f"the request body gives {repeated} twice; give each key once")
    return fields


def patch(body: bytes | Fields, changes: Mapping[str, object], removals: Collection[str] = ()) -> bytes:
    """The body with `changes` set and `removals` gone; every other value keeps its bytes and its place.

    >>> patch(b'{"model":"a","seed":1.50}', {"model": "b", "n": 2})
    b'{"model":"b","seed":1.50,"n":2}'
    """
    fields = read_fields(body) if isinstance(body, bytes) else body
    kept = {key: raw for key, raw in fields.items() if key not in removals} if removals else fields
    return _encode({**kept, **changes})


def merge(raw: msgspec.Raw | None, changes: Mapping[str, object]) -> object:
    """An inner object with `changes` set; a new one where there was none (missing, null, or of another type)."""
    if raw is None or not opens_with(raw, b"{"):
        return dict(changes)
    return msgspec.Raw(patch(bytes(raw), changes))


def read_fields(body: bytes) -> Fields:
    """As `fields_of`, for a body that was checked before: a key given twice has its last value."""
    try:
        return _FIELDS.decode(body)
    except RecursionError:
        raise InvalidRequestError("the request body is nested too deeply") from None
    except msgspec.ValidationError:
        raise InvalidRequestError("the request body must be a JSON object") from None
    except ValueError as error:
        # msgspec names the place by its byte, never the text that stands there.
        raise InvalidRequestError(f"the request body is not JSON that can be sent: {error}") from None


def _written_plainly(body: bytes, fields: Fields) -> bool:
    """Whether these fields are all of a body, as most clients write one: without blanks, or as Python does."""
    if body == _encode(fields):
        return True
    pairs = [b"%b: %b" % (_encode(key), raw) for key, raw in fields.items()]
    return body == b"{%b}" % b", ".join(pairs)


def _repeated_key(body: bytes, fields: Fields) -> str | None:
    """Walk the pairs of an object that is known to be JSON; the key (quoted) where they are not those of `fields`.

    A dict keeps the place of a key's first value and the bytes of its last. So the walk meets each value at its turn
    and then the end, or else some key was given twice.
    """
    at = body.index(b"{") + 1
    for key, raw in fields.items():
        at = _string_end(body, at)
        at = _skip(body, at)  # to the colon
        at = _skip(body, at + 1)  # to the value
        if not body.startswith(bytes(raw), at):
            return repr(key[:64])
        at = _skip(body, at + len(raw))
        if body[at] not in b",}":
            return repr(key[:64])
        at += 1
    # Past the closing brace only blanks may follow; past a comma, more pairs do.
    return None if not fields or body[at - 1] == ord("}") else "a key"


def _string_end(body: bytes, at: int) -> int:
    string = _STRING.match(body, _skip(body, at))
    return string.end() if string else at


def _skip(body: bytes, at: int) -> int:
    blank = _BLANK.match(body, at)
    return blank.end() if blank else at
