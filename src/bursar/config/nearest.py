"""What a mistyped name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

# Longer lists help nobody; the schema has them all.
LISTED_MAX = 40


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is closest to `name`, None when none is close.

    >>> nearest("max_retires", ["max_retries", "model"])
    'max_retries'
    """
    import difflib

    # Long names are cut: the comparison is quadratic.
    close = difflib.get_close_matches(name[:64].lower(), list(known), n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str], what: str = "known ones") -> str:
    """A clause that ends an error about `name`: the nearest known name, or all of them when none is near."""
    names = list(known)
    close = nearest(name, names)
    if close:
        return f"did you mean {close}?"
    listed = ", ".join(names[:LISTED_MAX])
    return f"{what}: {listed}" if names else f"there are no {what}"


def one_of(words: Iterable[str]) -> str:
    """The words as a choice.

    >>> one_of(["hour", "day", "week"])
    'hour, day or week'
    """
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
