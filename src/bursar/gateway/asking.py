"""Who asks, and under whose name it counts: a key, headers of ours and the body make one Asked.

Decides that what a key fixes beats what a request says. Headers of ours end here: none of them goes to a provider.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from bursar.engine import Asked
from bursar.gateway.problems import Problem
from bursar.wire.lenient import as_dict, as_text, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.rules.keys import CallerKey
    from bursar.wire.body import Fields
    from bursar.wire.dialect import Request

# What a provider is told of the caller's own headers, beside what the provider's row says.
_PASSED = (b"anthropic-beta", b"anthropic-version", b"openai-beta")
HEADER_CHARACTERS_MAX = 2_048
SCOPE_CHARACTERS_MAX = 256
# How much is shown of a name that is longer than that.
USER_CHARACTERS = 200


def asked_of(headers: Mapping[bytes, bytes], key: CallerKey, request: Request) -> Asked:
    """How a call is governed, by its key, by headers of ours, and by whom its body names. Raises Problem."""
    tags = dict(key.tags)
    said = headers.get(b"x-bursar-tags")
    if said is not None:
        tags = tags_of(said) | tags
    if key.team:
        tags["team"] = key.team
    if key.organisation:
        tags["organisation"] = key.organisation
    return Asked(
        model=request.model,
        key=key.name,
        user=key.user or _text(headers, b"x-bursar-user") or user_of(request.fields),
        session=_text(headers, b"x-bursar-session"),
        tags=tags or None,
        max_cost_usd=_text(headers, b"x-bursar-max-cost-usd"),
        max_wait_seconds=_seconds(headers, b"x-bursar-max-wait-seconds"),
        timeout=_seconds(headers, b"x-bursar-timeout-seconds"),
        extra_headers=_passed(headers),
    )


def user_of(fields: Fields) -> str | None:
    """Whom a body names: OpenAI's `user`, or Anthropic's `metadata.user_id`.

    A name that is too long for a scope counts under its beginning and a digest of it.

    >>> from bursar.wire.body import fields_of
    >>> user_of(fields_of(b'{"user":"ann"}')), user_of(fields_of(b'{"metadata":{"user_id":"bob"}}'))
    ('ann', 'bob')
    """
    raw = fields.get("user")
    name = as_text(decode(raw)) if raw is not None else ""
    if not name and (raw := fields.get("metadata")) is not None:
        name = as_text(as_dict(decode(raw)).get("user_id"))
    if not name or (len(name) <= SCOPE_CHARACTERS_MAX and name.isprintable()):
        return name or None
    shown = "".join(character for character in name[:USER_CHARACTERS] if character.isprintable())
    return f"{shown}#{sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"


def tags_of(value: bytes) -> dict[str, str]:
    """The tags of a header, as in "team=search, feature=answers". Raises Problem."""
    tags: dict[str, str] = {}
    for part in _decoded(b"x-bursar-tags", value).split(","):
        name, equals, text = part.strip().partition("=")
        if not name and not equals:
            continue
        if not name or not text:
            raise Problem(400, "invalid_tags", "x-bursar-tags is a list such as team=search, feature=answers")
        tags[name.strip()] = text.strip()
    return tags


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else _decoded(name, value)


def _seconds(headers: Mapping[bytes, bytes], name: bytes) -> float | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        raise Problem(400, "invalid_header", f"{name.decode()} is a number of seconds") from None


def _passed(headers: Mapping[bytes, bytes]) -> dict[str, str] | None:
    passed = {name.decode(): _decoded(name, headers[name]) for name in _PASSED if name in headers}
    return passed or None


def _decoded(name: bytes, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text or len(text) > HEADER_CHARACTERS_MAX:
        raise Problem(400, "invalid_header", f"{name.decode()} must be printable text of UTF-8")
    return text
