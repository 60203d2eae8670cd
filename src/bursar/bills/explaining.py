"""Why a line of the books and of the bill differ: what in either can make such a difference.

Decides what is worth looking at, never which of it is true. An amount beside a reason is what the books carry for the
attempts that it names: all that they could explain.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, tzinfo
from typing import NamedTuple

from bursar.bills.booking import Matching, day_in
from bursar.bills.comparing import Line, nano_of_sum
from bursar.call.books import Fact
from bursar.rules.money import format_usd

# Names of models, and versions of prices, beyond which a list helps nobody.
NAMES_MAX = 3


class Reason(NamedTuple):
    """Something that can explain a drift. code: for programs. text: for people.

    calls, nano_usd: how much of the books it is about. ids: of the attempts, or of the calls that only the bill has.
    """

    code: str
    text: str
    calls: int = 0
    nano_usd: int = 0
    ids: tuple[str, ...] = ()


def reasons(
    line: Line, facts: Sequence[Fact], zone: tzinfo, today: date, matching: Matching | None = None
) -> list[Reason]:
    """What can explain a line that does not agree.

    facts: the attempts on our side of it. matching: where the bill lists single calls, those that are on this line.
    """
    found = [*_of_sides(line), *(_of_calls(matching) if matching else ()), *_of_doubts(facts)]
    if matching is None:
        found += _of(facts, "ended_later", "ended on a later day", lambda fact: _ended_later(fact, zone))
    found += _of_names(facts)
    found += _of_prices(facts)
    if line.day >= today and (line.drift_nano_usd or line.drift_tokens or 0) > 0:
        found.append(Reason("unfinished", "the day is not over, and a bill may be hours behind"))
    return found


def _of_sides(line: Line) -> Iterator[Reason]:
    if line.ours.calls is None:
        yield Reason("bill_only", "on the bill alone: a fee, or calls that were not made through these books")
    elif line.theirs.calls is None and not line.theirs.nano_usd and not line.theirs.input_tokens:
        yield Reason("books_only", "not on the bill at all", line.ours.calls, line.ours.nano_usd or 0)


def _of_calls(matching: Matching) -> Iterator[Reason]:
    if matching.bill_only:
        ids = tuple(line.call_id for line in matching.bill_only)
        yield Reason("calls_bill_only", f"{_calls(len(ids))} of the bill not in the books", len(ids), 0, ids)
    yield from _of(matching.books_only, "calls_books_only", "of the books not on the bill", lambda fact: True)
    differing = [
        (fact, fact.charged_nano_usd - nano_of_sum(line.usd))
        for fact, line in matching.pairs
        if line.usd is not None and not 0 <= fact.charged_nano_usd - nano_of_sum(line.usd) <= 1
    ]
    if differing:
        drift = sum(amount for _, amount in differing)
        text = f"{_calls(len(differing))} that cost something else on the bill, {format_usd(drift)} in all"
        yield Reason("calls_differ", text, len(differing), drift, tuple(fact.attempt_id for fact, _ in differing))


def _of_doubts(facts: Sequence[Fact]) -> Iterator[Reason]:
    yield from _of(facts, "uncertain", "charged at the most they can have cost", lambda fact: not fact.certain)
    unknown = tuple(fact.attempt_id for fact in facts if fact.cost_nano_usd is None and not fact.charged_nano_usd)
    if unknown:
        text = f"{_calls(len(unknown))} whose cost the books do not know"
        yield Reason("unknown_cost", text, len(unknown), 0, unknown)


def _of_names(facts: Sequence[Fact]) -> Iterator[Reason]:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for fact in facts:
        if fact.served_model and fact.model != fact.served_model:
            by_name[fact.model].append(fact.attempt_id)
    for model, ids in sorted(by_name.items(), key=lambda item: -len(item[1]))[:NAMES_MAX]:
        yield Reason("other_name", f"{_calls(len(ids))} asked as {model}", len(ids), 0, tuple(ids))


def _of_prices(facts: Sequence[Fact]) -> Iterator[Reason]:
    by_version: defaultdict[str, int] = defaultdict(int)
    for fact in facts:
        if fact.cost_source == "computed" and fact.price_version:
            by_version[fact.price_version] += fact.charged_nano_usd
    for version, nano_usd in sorted(by_version.items(), key=lambda item: -item[1])[:NAMES_MAX]:
        if nano_usd:
            yield Reason("price", f"{format_usd(nano_usd)} reckoned with the prices of {version}", 0, nano_usd)


def _of(facts: Iterable[Fact], code: str, what: str, wanted: Callable[[Fact], bool]) -> Iterator[Reason]:
    """A reason of the attempts that are wanted and charged; none without any."""
    found = [fact for fact in facts if fact.charged_nano_usd and wanted(fact)]
    if found:
        charged = sum(fact.charged_nano_usd for fact in found)
        ids = tuple(fact.attempt_id for fact in found)
        yield Reason(code, f"{_calls(len(found))} {what}, {format_usd(charged)}", len(found), charged, ids)


def _ended_later(fact: Fact, zone: tzinfo) -> bool:
    return day_in(zone, fact.ended_ms) != day_in(zone, fact.reserved_ms)


def _calls(number: int) -> str:
    return f"{number:,} call{'' if number == 1 else 's'}"
