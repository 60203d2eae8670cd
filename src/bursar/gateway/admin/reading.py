"""Reading what comes to the admin API: bodies, queries, moments, amounts and cursors.

Decides what is refused, and says where in a body or query it stands: unknown fields, wrong types, two values for one.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import msgspec

from bursar.config.nearest import did_you_mean
from bursar.gateway.problems import Problem
from bursar.rules.money import nano_of

T = TypeVar("T")

QUERY_BYTES_MAX = 8_192
FIELDS_MAX = 64
SHOWN_CHARACTERS_MAX = 300
# Calendars end there; what lies beyond is a mistake of units.
YEAR_MAX = 9_000


def body_of(kind: type[T], body: bytes) -> T:
    """A body as the type says; none at all is an empty object. Raises Problem (400) with the path of what is wrong."""
    try:
        return msgspec.json.decode(body if body.strip() else b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _bad(f"the body: {_said(error)}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _bad(f"the body is no JSON: {_said(error)}") from None


def query_of(kind: type[T], query: bytes) -> T:
    """A query as the type says; a field that is a sequence may stand several times. Raises Problem (400)."""
    if len(query) > QUERY_BYTES_MAX:
        raise _bad(f"the query is longer than {QUERY_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:  # and UnicodeDecodeError
        raise _bad(f"the query is no list of up to {FIELDS_MAX} name=value in UTF-8") from None
    hints = get_type_hints(kind)
    several = {name for name, hint in hints.items() if get_origin(hint) in {tuple, list}}
    # Lenient reading would take that word for none; in a text it is a word.
    words = {name for name, hint in hints.items() if hint is str or str in get_args(hint) or name in several}
    known = kind.__struct_fields__  # type: ignore[attr-defined]
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name not in known:
            raise _bad(f"the query has no {name[:80]!r}; {did_you_mean(name, known, 'it has')}")
        if name not in words and value.lower() == "null":
            raise _bad(f"the query: {name} is null; leave away what is not asked for")
        if name in several:
            values.setdefault(name, []).append(value)
        elif values.setdefault(name, value) != value:
            raise _bad(f"the query has two values of {name}")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _bad(f"the query: {_said(error)}") from None


def moment_ms(name: str, text: str | None, time_zone: str = "UTC") -> int | None:
    """A moment in epoch milliseconds, of ISO 8601: with an offset, or of a day of the time zone. Raises Problem (400).

    >>> moment_ms("since", "2026-11-01T00:00:00Z"), moment_ms("since", "2026-11-01"), moment_ms("since", None)
    (1793491200000, 1793491200000, None)
    """
    if text is None:
        return None
    # A plus in a query that nobody encoded comes as a blank.
    plain = text.strip().replace(" ", "+") if "T" in text else text.strip()
    try:
        moment = datetime.fromisoformat(plain)
        if moment.tzinfo is None:
            if "T" in plain:
                raise ValueError("no offset")
            moment = moment.replace(tzinfo=ZoneInfo(time_zone))
        if not 1970 <= moment.year <= YEAR_MAX:
            raise ValueError("no such year")
        return max(int(moment.timestamp() * 1000), 0)
    except (ValueError, OverflowError):
        raise _bad(f"{name} is a moment such as 2026-11-01T00:00:00Z, or a day, not {text[:40]!r}") from None


def day_of(text: str | None, now_ms: int) -> date | datetime:
    """A day or a minute (UTC); today where nothing is given. Raises Problem (400)."""
    at_ms = moment_ms("on", text)
    moment = datetime.fromtimestamp((now_ms if at_ms is None else at_ms) / 1000, UTC)
    return moment.replace(second=0, microsecond=0) if text is not None and "T" in text else moment.date()


def nano_usd_of(name: str, usd: str | float) -> int:
    """An amount of USD in nano-USD. Raises Problem (400)."""
    try:
        return nano_of(usd)
    except ValueError as error:
        raise _bad(f"{name}: {error}") from None


def pairs_of(name: str, texts: Sequence[str]) -> dict[str, str]:
    """What stands as name=value, by name. Raises Problem (400).

    >>> pairs_of("tag", ["team=search", "run=a=b"])
    {'team': 'search', 'run': 'a=b'}
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals or found.setdefault(key, value) != value:
            raise _bad(f"{name} is given as name=value, each name once, not {text[:80]!r}")
    return found


def cursor_of(values: Sequence[str]) -> str:
    """Where the next page begins, as a text that means nothing to anybody else."""
    return urlsafe_b64encode(msgspec.json.encode(list(values))).rstrip(b"=").decode()


def at_cursor(cursor: str, length: int) -> tuple[str, ...]:
    """What `cursor_of` was made of; () for the first page. Raises Problem (400) for one that is not ours.

    >>> at_cursor(cursor_of(["a", "b"]), 2)
    ('a', 'b')
    """
    if not cursor:
        return ()
    try:
        packed = cursor.encode("ascii")
        values = msgspec.json.decode(urlsafe_b64decode(packed + b"=" * (-len(packed) % 4)), type=tuple[str, ...])
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        values = ()
    if len(values) != length:
        raise _bad("the cursor is not one that this list gave: take `next` of the page before, and the same query")
    return values


def _said(error: Exception) -> str:
    text = "".join(character if character.isprintable() else "?" for character in str(error))
    return text[:SHOWN_CHARACTERS_MAX]


def _bad(message: str) -> Problem:
    return Problem(400, "invalid_request", message)
