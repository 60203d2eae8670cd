"""Shapes that several endpoints share: amounts, moments, periods, and what a quota looks like.

Amounts of money are decimal texts of USD with names in `_usd`, no digit lost; moments are ISO 8601 in UTC; what is not
known is null, never 0.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bursar.rules.money import usd_of

Usd = Annotated[
    str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="USD as a decimal number, exact.", examples=["0.000042"])
]
GivenUsd = (
    Annotated[str, Meta(pattern=r"^\$?[0-9]{1,10}(\.[0-9]{1,9})?$", description="USD, as a decimal number.")]
    | Annotated[int, Meta(ge=0, le=9_000_000_000)]
    | Annotated[float, Meta(ge=0, le=9_000_000_000)]
)
Instant = Annotated[str, Meta(description="A moment, ISO 8601 in UTC.", extra_json_schema={"format": "date-time"})]
GivenInstant = Annotated[
    str, Meta(max_length=40, description="A moment with its offset, as in 2026-11-01T00:00:00Z, or a day.")
]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
BudgetPeriod = Literal["hour", "day", "week", "month", "total"]
LimitPeriod = Literal["second", "minute", "hour", "day"]
LimitMeter = Literal["requests", "tokens", "input_tokens", "output_tokens", "in_flight"]
Role = Literal["call", "view", "admin"]
Mode = Literal["enforce", "observe"]
Missing = Literal["pool", "refuse"]
Page = Annotated[int, Meta(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str, Meta(max_length=2000, description="`next` of the page before.")]


def usd(nano_usd: int) -> str:
    """Nano-USD as a decimal text of USD.

    >>> usd(42_000), usd(5_000_000_000), usd(-1)
    ('0.000042', '5', '-0.000000001')
    """
    return f"{usd_of(nano_usd):f}"


def usd_or_none(nano_usd: int | None) -> str | None:
    """The same; None for what is not known."""
    return None if nano_usd is None else usd(nano_usd)


def instant(epoch_ms: int) -> str:
    """A moment for machines, to the millisecond.

    >>> instant(1_793_491_200_250)
    '2026-11-01T00:00:00.250Z'
    """
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_or_none(epoch_ms: int | None) -> str | None:
    """The same; None for never."""
    return None if epoch_ms is None else instant(epoch_ms)


class Problems(Struct, frozen=True):
    """What went wrong. type: its kind. code: in a word. bursar: particulars, where there are any."""

    message: str
    type: str
    code: str | None
    param: str | None = None
    bursar: dict[str, Any] = {}


class ErrorBody(Struct, frozen=True):
    """The body of every answer that is no success, in OpenAI's form."""

    error: Problems


class Removed(Struct, frozen=True):
    """What was taken away."""

    removed: str
