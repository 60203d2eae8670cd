"""What a bill says, whatever it was written in: lines by day and model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from bursar.errors import InvalidRequestError

# A bill is a month of an account; a larger file is another one.
BILL_BYTES_MAX = 512 * 2**20


class BillLine(NamedTuple):
    """What a provider says of a model on a day, or of one call.

    model: the provider's name for it; "" where the bill tells no models apart. also: another name of the same model.
    usd: exactly, below 0 for a credit; None where the bill has no money. requests and tokens: None where it does not
    count them. call_id: the provider's id of the one call that the line is about, "" for a sum.
    """

    day: date
    model: str
    usd: Decimal | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    also: str = ""
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill. days: every day that it is about, also those on which nothing was used. notes: what is odd about it."""

    form: str
    lines: tuple[BillLine, ...]
    days: frozenset[date]
    notes: tuple[str, ...] = ()

    @property
    def has_money(self) -> bool:
        """Whether any of its lines has an amount."""
        return any(line.usd is not None for line in self.lines)

    @property
    def has_models(self) -> bool:
        """Whether it tells models apart."""
        return any(line.model for line in self.lines)

    @property
    def has_calls(self) -> bool:
        """Whether it lists single calls."""
        return any(line.call_id for line in self.lines)

    def by_line(self) -> dict[tuple[date, str], list[BillLine]]:
        """Its lines by day and model."""
        found: defaultdict[tuple[date, str], list[BillLine]] = defaultdict(list)
        for line in self.lines:
            found[line.day, line.model].append(line)
        return dict(found)


class BillFault(Exception):  # noqa: N818 - becomes an error of ours where the file's name is known
    """Something in a bill that cannot be read, and where: a line of a table, or a path in JSON."""

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place


@contextmanager
def at(place: str) -> Iterator[None]:
    """Say where a fault was found. Values that cannot be read raise ValueError."""
    try:
        yield
    except BillFault as fault:
        raise BillFault(fault.problem, fault.place or place) from None
    except ValueError as error:
        raise BillFault(str(error), place) from None


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Turn a fault into an error that names the file."""
    try:
        yield
    except BillFault as fault:
        place = f"{name}, {fault.place}" if fault.place else name
        raise InvalidRequestError(f"{place}: {fault.problem}") from None
