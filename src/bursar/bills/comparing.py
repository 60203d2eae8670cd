"""Books and bill by day and model: ours, theirs, and the drift between them, exact to the nano-dollar.

A line agrees where its amounts do. The books round each call up to a nano-dollar and a bill rounds less often, or not
at all: so much more, and no more, is no difference. Calls are shown and decide nothing, as nobody knows which failed
ones a provider counts; without money in the bill the tokens decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

from bursar.bills.booking import Entry
from bursar.bills.lines import Bill
from bursar.rules.money import EXACT, NANO_PER_USD

_WHOLE = Decimal(1)


@dataclass(slots=True)
class Side:
    """What one of the two says of a line. None: it does not count that."""

    nano_usd: int | None = None
    calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A day and model, both sides of it, and whether they agree. model: "" where the bill tells none apart."""

    day: date
    model: str
    ours: Side
    theirs: Side
    agrees: bool

    @property
    def drift_nano_usd(self) -> int | None:
        """Ours less theirs; None where the bill has no money."""
        if self.ours.nano_usd is None or self.theirs.nano_usd is None:
            return None
        return self.ours.nano_usd - self.theirs.nano_usd

    @property
    def drift_tokens(self) -> int | None:
        """Ours less theirs, input and output together; None where the bill counts none."""
        if self.theirs.input_tokens is None or self.theirs.output_tokens is None:
            return None
        ours = (self.ours.input_tokens or 0) + (self.ours.output_tokens or 0)
        return ours - self.theirs.input_tokens - self.theirs.output_tokens


@dataclass(slots=True)
class _Sum:
    ours: Side = field(default_factory=Side)
    theirs: Side = field(default_factory=Side)
    usd: Decimal | None = None


def compare(bill: Bill, entries: Iterable[Entry], tolerance_nano_usd: int = 0) -> list[Line]:
    """Every line of either, by day and model. tolerance_nano_usd: within which a line agrees whatever the reason."""
    sums: dict[tuple[date, str], _Sum] = {}
    for entry in entries:
        side = sums.setdefault((entry.day, entry.model), _Sum()).ours
        side.nano_usd = (side.nano_usd or 0) + entry.nano_usd
        side.calls = (side.calls or 0) + entry.calls
        side.input_tokens = (side.input_tokens or 0) + entry.input_tokens
        side.output_tokens = (side.output_tokens or 0) + entry.output_tokens
    for line in bill.lines:
        found = sums.setdefault((line.day, line.model), _Sum())
        found.usd = _added(found.usd, line.usd)
        side = found.theirs
        side.calls = _counted(side.calls, line.requests)
        side.input_tokens = _counted(side.input_tokens, line.input_tokens)
        side.output_tokens = _counted(side.output_tokens, line.output_tokens)
    return [_line(bill, day, model, found, tolerance_nano_usd) for (day, model), found in sorted(sums.items())]


def total_of(lines: Iterable[Line]) -> Line | None:
    """All lines in one; it agrees where all of them do. None without any."""
    lines = list(lines)
    if not lines:
        return None
    ours, theirs = Side(), Side()
    for line in lines:
        for whole, part in ((ours, line.ours), (theirs, line.theirs)):
            whole.nano_usd = _counted(whole.nano_usd, part.nano_usd)
            whole.calls = _counted(whole.calls, part.calls)
            whole.input_tokens = _counted(whole.input_tokens, part.input_tokens)
            whole.output_tokens = _counted(whole.output_tokens, part.output_tokens)
    return Line(lines[-1].day, "", ours, theirs, all(line.agrees for line in lines))


def rounding_nano_usd(line: Line) -> int:
    """The most by which rounding alone can make our side of a line larger."""
    return line.ours.calls or 0


def _line(bill: Bill, day: date, model: str, found: _Sum, tolerance_nano_usd: int) -> Line:
    ours, theirs = found.ours, found.theirs
    if bill.has_money:
        theirs.nano_usd = nano_of_sum(found.usd or Decimal(0))
        ours.nano_usd = ours.nano_usd or 0
    line = Line(day, model, ours, theirs, agrees=True)
    drift = line.drift_nano_usd
    if not bill.has_money:
        same = _same(ours.input_tokens, theirs.input_tokens) and _same(ours.output_tokens, theirs.output_tokens)
        return Line(day, model, ours, theirs, same)
    assert drift is not None
    agrees = 0 <= drift <= rounding_nano_usd(line) or abs(drift) <= tolerance_nano_usd
    return Line(day, model, ours, theirs, agrees)


def nano_of_sum(usd: Decimal) -> int:
    """Dollars of a bill in nano-USD, to the nearest: its own sums are rounded to either side.

    >>> nano_of_sum(Decimal("0.8958740000000001"))
    895874000
    """
    return int((usd * NANO_PER_USD).quantize(_WHOLE, ROUND_HALF_EVEN, EXACT))


def _added(usd: Decimal | None, more: Decimal | None) -> Decimal | None:
    if more is None:
        return usd
    return more if usd is None else EXACT.add(usd, more)


def _counted(count: int | None, more: int | None) -> int | None:
    if more is None:
        return count
    return more if count is None else count + more


def _same(ours: int | None, theirs: int | None) -> bool:
    return (ours or 0) == (theirs or 0)
