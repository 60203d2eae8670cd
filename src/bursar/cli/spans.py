"""From when to when: --since, --until and --last, read in the time zone of the configuration."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

import click

from bursar.cli.options import Days, together

FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ")


class Span(NamedTuple):
    """The half-open interval [since_ms, until_ms) in epoch milliseconds; None for no end."""

    since_ms: int
    until_ms: int | None


span_options = together(
    click.option("--since", metavar="DATE", help="From 2026-11-01, or 2026-11-01T14:30 on."),
    click.option("--until", metavar="DATE", help="Up to a moment, or to the end of a day."),
    click.option("--last", type=Days(), metavar="SPAN", help="Of the last 24h, 7d, 4w."),
)
"""--since, --until and --last."""


def span_of(since: str | None, until: str | None, last_ms: int | None, zone: tzinfo, now_ms: int) -> Span:
    """The span that the options name. Raises click.UsageError for one that is empty or cannot be read."""
    if last_ms is not None and since is not None:
        raise click.UsageError("--last and --since both say where to begin: give one", click.get_current_context())
    since_ms = now_ms - last_ms if last_ms is not None else 0
    if since is not None:
        since_ms = _instant_ms("--since", since, zone, end=False)
    until_ms = None if until is None else _instant_ms("--until", until, zone, end=True)
    if until_ms is not None and until_ms <= since_ms:
        raise click.UsageError("the span is empty: --until is not after its beginning", click.get_current_context())
    return Span(since_ms, until_ms)


def _instant_ms(option: str, text: str, zone: tzinfo, *, end: bool) -> int:
    """A moment; of a whole day its beginning, or as an `end` the beginning of the next."""
    for form in FORMS:
        try:
            moment = datetime.strptime(text.strip(), form)  # noqa: DTZ007 - the zone is put to it below
        except ValueError:
            continue
        if form == FORMS[0]:
            return day_ms(moment.date() + timedelta(days=end), zone)
        return _ms(moment.replace(tzinfo=UTC if form.endswith("Z") else zone))
    raise click.UsageError(
        f"{option}: expected a date such as 2026-11-01, or 2026-11-01T14:30, got {text!r}", click.get_current_context()
    )


def day_ms(day: date, zone: tzinfo) -> int:
    """The first moment of a day, in epoch milliseconds."""
    return _ms(datetime(day.year, day.month, day.day, tzinfo=zone))


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
