"""What the books say, put onto the lines of a bill: its days, and its names for the models.

An attempt that was never sent is no call. One that failed is none either, as far as the count goes: providers count
what they served. Where the bill lists its calls by ids that the books know, a call stands where the bill has it, so
that midnight and names make no difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import NamedTuple

from bursar.bills.lines import Bill, BillLine
from bursar.bills.names import Names
from bursar.call.books import Fact, UsageRow

Key = tuple[date, str]
"""A line: its day, and the bill's name for the model ("" where the bill tells none apart)."""

# How `UsageQuery.group_by` must be for `booked`.
GROUPED_BY = ("day", "served_model", "ending")
_UNCOUNTED = ("error", "not_sent")


class Entry(NamedTuple):
    """What the books carry on a line. Tokens are those that are known."""

    day: date
    model: str
    nano_usd: int
    calls: int
    input_tokens: int
    output_tokens: int


def booked(bill: Bill, rows: Iterable[UsageRow]) -> list[Entry]:
    """The sums of the books, grouped as `GROUPED_BY` says."""
    names = _names_of(bill)
    entries = []
    for row in rows:
        day, served, ending = row.group
        if ending != "not_sent":
            model = names.of(served) if bill.has_models else ""
            calls = 0 if ending in _UNCOUNTED else row.calls
            amounts = (row.charged_nano_usd, calls, row.input_tokens, row.output_tokens)
            entries.append(Entry(date.fromisoformat(day), model, *amounts))
    return entries


def placed(
    bill: Bill, facts: Iterable[Fact], zone: tzinfo, calls: Mapping[str, BillLine] | None = None
) -> dict[Key, list[Fact]]:
    """Attempts by the line that they belong to. calls: those that the bill lists, by their ids."""
    names, listed = _names_of(bill), calls or {}
    found: defaultdict[Key, list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.ending != "not_sent":
            line = listed.get(fact.request_id)
            if line is None:
                model = names.of(fact.served_model or fact.model) if bill.has_models else ""
                found[day_in(zone, fact.reserved_ms), model].append(fact)
            else:
                found[line.day, line.model].append(fact)
    return dict(found)


def entries_of(facts: Mapping[Key, Sequence[Fact]]) -> list[Entry]:
    """The sums of attempts that were placed."""
    return [
        Entry(
            *key,
            sum(fact.charged_nano_usd for fact in some),
            sum(fact.ending not in _UNCOUNTED for fact in some),
            sum(fact.usage.input_tokens for fact in some),
            sum(fact.usage.output_tokens for fact in some),
        )
        for key, some in facts.items()
    ]


@dataclass(frozen=True, slots=True)
class Matching:
    """The calls of one line side by side, by the provider's id of each; books_only, bill_only: what one has alone."""

    pairs: tuple[tuple[Fact, BillLine], ...]
    books_only: tuple[Fact, ...]
    bill_only: tuple[BillLine, ...]


def matched(lines: Iterable[BillLine], facts: Iterable[Fact]) -> Matching:
    """Put attempts beside the calls that a bill lists. Of two attempts with one id the second stands alone."""
    rest = {line.call_id: line for line in lines}
    pairs, alone = [], []
    for fact in facts:
        line = rest.pop(fact.request_id, None)
        if line is None:
            alone.append(fact)
        else:
            pairs.append((fact, line))
    return Matching(tuple(pairs), tuple(alone), tuple(rest.values()))


def day_in(zone: tzinfo, at_ms: int) -> date:
    """The day of an instant."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date()


def _names_of(bill: Bill) -> Names:
    return Names((line.model, line.also) for line in bill.lines)
