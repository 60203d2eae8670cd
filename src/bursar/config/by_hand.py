"""Budgets and limits that are entered in the books by hand rather than by a file: what is given, over what was.

Decides what can be entered: a budget for a provider that does not exist would bind nothing, and nobody would notice.
Whether a file defines the name already, the books know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from bursar.catalog.providers import known_rows
from bursar.config import keys
from bursar.config.checks import path_of
from bursar.config.nearest import did_you_mean
from bursar.config.tree import Settings
from bursar.errors import InvalidRequestError
from bursar.rules.allowances import Allowance, Meter, Shape
from bursar.rules.windows import Period

__all__ = ["SOURCE", "Given", "by_hand", "entered", "place_of"]

# The source of what is entered by hand, whichever door it comes through.
SOURCE = "cli"
_BUCKET_PERIODS = ("second", "minute", "hour", "day")


@dataclass(frozen=True, slots=True)
class Given:
    """What is given of a budget or limit; None leaves what was, an empty `each` or `only` takes it away.

    capacity: units of the meter (nano-USD for money). option: how an argument's name begins where it is typed.
    """

    capacity: int | None = None
    meter: Meter = "nano_usd"
    shape: Shape | None = None
    period: Period | None = None
    each: str | None = None
    only: tuple[tuple[str, str], ...] | None = None
    missing: Literal["pool", "refuse"] | None = None
    mode: Literal["enforce", "observe"] | None = None
    alert_at: tuple[int, ...] | None = None
    option: str = ""

    @property
    def budget(self) -> bool:
        """Whether it is about money."""
        return self.meter == "nano_usd"


def entered(before: Allowance | None, settings: Settings, name: str, given: Given) -> Allowance:
    """The budget or limit as it shall be: what is given over what it was. Raises InvalidRequestError."""
    start = before or _new(settings, name, given)
    if (start.meter == "nano_usd") != given.budget and before is not None:
        is_what = "a budget" if before.meter == "nano_usd" else f"a limit on {before.meter.replace('_', ' ')}"
        raise InvalidRequestError(f"{name!r} is {is_what}, not a {_what(given)}")
    each = start.each if given.each is None else given.each or None
    only = start.only if given.only is None else tuple(sorted(given.only))
    _check_names(settings, each, only, given.option)
    if given.missing == "refuse" and not each:
        option = given.option
        raise InvalidRequestError(f"{option}missing is about calls without a value of each: it needs {option}each")
    given_too = {"capacity": given.capacity, "missing": given.missing, "mode": given.mode, "alert_at": given.alert_at}
    kept: dict[str, Any] = {field: value for field, value in given_too.items() if value is not None}
    shape = _shape(start, given)
    period = None if shape == "gauge" else given.period or start.period or "minute"
    if shape == "bucket" and period not in _BUCKET_PERIODS:
        raise InvalidRequestError(f"a limit per {period} needs {given.option}window: it does not refill by the second")
    try:
        return replace(
            start,
            meter=given.meter,
            shape=shape,
            period=period,
            each=each,
            only=only,
            source=start.source or SOURCE,
            **kept,
        )
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None


def by_hand(source: str) -> bool:
    """Whether what has this source can be changed here: no file defines it, and no program's arguments do."""
    return source in {SOURCE, "", "session"} or source.partition(":")[0] in {"key", "team", "user", "organisation"}


def place_of(settings: Settings, allowance: Allowance) -> str:
    """Where an allowance is defined, for people: a line of a file, a program's arguments, or the books themselves."""
    if allowance.source == settings.file:
        path = path_of(allowance)
        line = settings.place(path).line
        return f"{settings.file}:{line} ({path})" if line else f"{settings.file} ({path})"
    holder, _, name = allowance.source.partition(":")
    if name and holder in _HOLDERS:
        return f"the books ({_HOLDERS[holder]} {name})"
    return _PLACES.get(allowance.source, allowance.source)


_PLACES = {
    SOURCE: "the books (bursar budget set)",
    "": "the books (bursar budget set)",
    "session": "a program, for a session",
    "arguments": "a program's arguments (budget_usd)",
}
# Whose budget it is, and what changes it.
_HOLDERS = {
    "key": "bursar keys change",
    "team": "bursar teams budget",
    "user": "the admin API, user",
    "organisation": "the admin API, organisation",
}


def _what(given: Given) -> str:
    return "budget" if given.budget else "limit"


def _new(settings: Settings, name: str, given: Given) -> Allowance:
    """A budget a day, or a limit a minute, that nothing was said of yet but its name."""
    if given.capacity is None:
        amount = "usd" if given.budget else "amount"
        raise InvalidRequestError(f"there is no {_what(given)} {name!r} yet: a new one needs {given.option}{amount}")
    if not re.fullmatch(keys.NAME, name):
        raise InvalidRequestError(f"{name[:80]!r}: a name has up to 64 letters, digits, - and _")
    start = Allowance(name, "nano_usd", 0, "calendar", "day", time_zone=settings.time_zone)
    return start if given.budget else replace(start, meter="requests", shape="bucket", period="minute")


def _shape(start: Allowance, given: Given) -> Shape:
    """How it counts: calls in flight as they are, money in windows, all else refilling unless it is said otherwise."""
    if given.meter == "in_flight":
        return "gauge"
    return given.shape or ("bucket" if start.shape == "gauge" else start.shape)


def _check_names(settings: Settings, each: str | None, only: Iterable[tuple[str, str]], option: str) -> None:
    for dimension in (*([each] if each else []), *(dimension for dimension, _ in only)):
        if not re.fullmatch(keys.TAG, dimension):
            raise InvalidRequestError(f"{dimension[:80]!r} is no name: letters, digits, - _ and .")
    providers = sorted({*known_rows(), *settings.providers})
    for dimension, value in only:
        provider = value.split("/")[0]
        if dimension == "model" and "/" not in value:
            raise InvalidRequestError(f"{option}only model= takes provider/model, as in openai/gpt-4o")
        if dimension in ("provider", "model") and provider not in providers:
            hint = did_you_mean(provider, providers, "providers")
            raise InvalidRequestError(f"{option}only: there is no provider {provider}; {hint}")
