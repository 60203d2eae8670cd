"""Comparing the books with a provider's bill; how `bursar reconcile --bill` reads both. Changes nothing."""

from __future__ import annotations

from datetime import date, timedelta, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bursar.bills.booking import GROUPED_BY, Key, booked, day_in, entries_of, matched, placed
from bursar.bills.comparing import Line, compare
from bursar.bills.explaining import Reason, reasons
from bursar.bills.lines import Bill
from bursar.bills.reading import read_bill
from bursar.cli.ending import FAILED
from bursar.cli.opening import now_ms, open_books, require_books
from bursar.cli.reconcile_records import check_provider
from bursar.cli.spans import day_ms, span_of
from bursar.rules.money import nano_of

if TYPE_CHECKING:
    from bursar.call.books import Fact, Store
    from bursar.config import Settings

# Of one day.
ATTEMPTS_MAX = 1_000_000
# A call that a bill dates this side of midnight can stand beyond it in the books.
MIDNIGHT_MS = 3_600_000
NO_IDS = "none of the ids of its calls is in the books: compared by day and model"


class Asked(NamedTuple):
    """What to compare, and how."""

    file: Path
    provider: str
    form: str
    columns: dict[str, str]
    day_zone: str
    tolerance_usd: Decimal


class Compared(NamedTuple):
    """A comparison: every line, with what can explain it where it does not agree."""

    bill: Bill
    lines: list[tuple[Line, list[Reason]]]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every line does."""
        return all(line.agrees for line, _ in self.lines)


def compare_bill(
    settings: Settings, asked: Asked, span: tuple[str | None, str | None, int | None], *, as_csv: bool, as_json: bool
) -> None:
    """Compare, show it, and exit with 1 where books and bill differ."""
    from bursar.cli.output import echo_json
    from bursar.cli.reconcile_view import csv_of, draw_comparison, shown

    require_books(settings)
    zone = _zone(asked.day_zone)
    bill = read_bill(asked.file.read_bytes(), str(asked.file), form=asked.form, columns=asked.columns, zone=zone)
    bill = _within(bill, span, zone)
    with open_books(settings) as store:
        check_provider(settings, store, asked.provider)
        compared = compare_books(store, bill, asked, zone)
    if as_json:
        echo_json(shown(compared, asked))
    elif as_csv:
        click.echo(csv_of(compared), nl=False)
    else:
        draw_comparison(compared, asked)
    if not compared.agrees:
        raise click.exceptions.Exit(FAILED)


def compare_books(store: Store, bill: Bill, asked: Asked, zone: tzinfo) -> Compared:
    """Put the books beside a bill, for every day that it is about and those between them."""
    from bursar.call.books import UsageQuery

    days = [min(bill.days) + timedelta(number) for number in range((max(bill.days) - min(bill.days)).days + 1)]
    since_ms, until_ms = day_ms(days[0], zone), day_ms(days[-1] + timedelta(1), zone)
    notes = bill.notes
    by_line = _listed(store, bill, asked.provider, zone, days) if bill.has_calls else {}
    if by_line:
        entries = entries_of(by_line)
    else:
        notes += (NO_IDS,) if bill.has_calls else ()
        query = UsageQuery(GROUPED_BY, since_ms, until_ms, {"provider": asked.provider}, asked.day_zone)
        entries = booked(bill, store.usage(query))
    lines = compare(bill, entries, nano_of(asked.tolerance_usd))
    today = day_in(zone, now_ms())
    facts: dict[Key, list[Fact]] = dict(by_line)
    if not by_line:
        for day in sorted({line.day for line in lines if not line.agrees}):
            facts |= placed(bill, _attempts(store, asked.provider, zone, day), zone)
    calls = bill.by_line() if by_line else {}
    explained = []
    for line in lines:
        found: list[Reason] = []
        if not line.agrees:
            own = facts.get((line.day, line.model), [])
            matching = matched(calls.get((line.day, line.model), ()), own) if by_line else None
            found = reasons(line, own, zone, today, matching)
        explained.append((line, found))
    return Compared(bill, explained, notes)


def _listed(store: Store, bill: Bill, provider: str, zone: tzinfo, days: list[date]) -> dict[Key, list[Fact]]:
    """The attempts by line, where the bill lists calls that the books know by id; empty where it lists none of them."""
    calls = {line.call_id: line for line in bill.lines}
    first, last = days[0], days[-1]
    margins = store.attempts(
        provider=provider,
        since_ms=day_ms(first, zone) - MIDNIGHT_MS,
        until_ms=day_ms(first, zone),
        limit=ATTEMPTS_MAX,
    ) + store.attempts(
        provider=provider,
        since_ms=day_ms(last + timedelta(1), zone),
        until_ms=day_ms(last + timedelta(1), zone) + MIDNIGHT_MS,
        limit=ATTEMPTS_MAX,
    )
    facts = [fact for fact in margins if fact.request_id in calls]
    for day in days:
        facts += _attempts(store, provider, zone, day)
    known = any(fact.request_id in calls for fact in facts)
    return placed(bill, facts, zone, calls) if known else {}


def _attempts(store: Store, provider: str, zone: tzinfo, day: date) -> list[Fact]:
    """The attempts of a day."""
    until_ms = day_ms(day + timedelta(1), zone)
    return store.attempts(provider=provider, since_ms=day_ms(day, zone), until_ms=until_ms, limit=ATTEMPTS_MAX)


def _within(bill: Bill, span: tuple[str | None, str | None, int | None], zone: tzinfo) -> Bill:
    """The part of a bill that lies in a span."""
    since, until, last_ms = span
    if since is None and until is None and last_ms is None:
        return bill
    asked = span_of(since, until, last_ms, zone, now_ms())

    def wanted(day: date) -> bool:
        at_ms = day_ms(day, zone)
        return asked.since_ms <= at_ms and (asked.until_ms is None or at_ms < asked.until_ms)

    days = frozenset(day for day in bill.days if wanted(day))
    if not days:
        first, last = min(bill.days), max(bill.days)
        raise click.UsageError(
            f"the bill is of {first} to {last}, none of it in that span", click.get_current_context()
        )
    return Bill(bill.form, tuple(line for line in bill.lines if line.day in days), days, bill.notes)


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise click.UsageError(f"--day-zone: there is no time zone {name!r}", click.get_current_context()) from None
