"""What a provider answered, fit to be shown: one line, no key, nothing that a terminal would obey."""

from __future__ import annotations

from collections.abc import Mapping

EXCERPT_CHARACTERS_MAX = 160
# Shorter ones are words that may stand anywhere.
KEY_CHARACTERS_MIN = 8


def excerpt(status: int | None, headers: Mapping[str, str], body: bytes, key: str) -> str:
    """What came back: status, what it calls itself, and how it begins. Header names are lower case.

    >>> excerpt(404, {"content-type": "text/html; charset=utf-8"}, b"<html>\\n no sk-secret", "sk-secret")
    'status 404, text/html: <html> no ...'
    """
    # The key goes before the cut, which could leave a half of it; so it must not be cut before either.
    said = hidden(" ".join(body.decode("utf-8", "replace").split()), key)
    plain = "".join(character if character.isprintable() else "?" for character in said)
    shown = plain if len(plain) <= EXCERPT_CHARACTERS_MAX else plain[: EXCERPT_CHARACTERS_MAX - 3] + "..."
    kind = headers.get("content-type", "").partition(";")[0]
    return f"status {status}{f', {kind}' if kind else ''}: {shown or 'nothing'}"


def hidden(text: str, key: str) -> str:
    """A text of others without the key, and without what looks like one."""
    from bursar.config.reading import masked

    return masked(text.replace(key, "...") if len(key) >= KEY_CHARACTERS_MIN else text)
