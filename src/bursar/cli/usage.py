"""`bursar usage`: what was spent, added up from the ledger.

What a call cost and is not known is counted and called unknown; it is never shown as $0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.opening import has_books, load_settings, now_ms, open_books
from bursar.cli.options import Pair, books_option, config_option, json_option
from bursar.cli.output import Column, counted, dollars, draw, echo_json, note
from bursar.cli.spans import span_of, span_options

if TYPE_CHECKING:
    from bursar.call.books import UsageRow

DIMENSIONS = ("model", "served_model", "provider", "key", "user", "session", "day", "hour", "ending")
GROUPS_MAX = 3
_FIELDS = (
    "calls",
    "ok",
    "errors",
    "input_tokens",
    "output_tokens",
    "charged_nano_usd",
    "certain_nano_usd",
    "uncertain_calls",
    "unknown_cost_calls",
)


class ByTag(click.Command):
    """Reads `--by tag NAME` as `--by tag:NAME`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        joined: list[str] = []
        for word in args:
            if joined[-2:] == ["--by", "tag"] and not word.startswith("-"):
                joined[-1] = f"tag:{word}"
            else:
                joined.append(word)
        return super().parse_args(ctx, joined)


@click.command("usage", cls=ByTag)
@click.option(
    "--by",
    "by",
    multiple=True,
    metavar="DIMENSION",
    help="model, served_model, provider, key, user, session, day, hour, ending, or tag NAME; up to three.",
)
@span_options
@click.option("--only", type=Pair(), multiple=True, metavar="NAME=VALUE", help="Only calls with this; repeatable.")
@click.option("--would-refuse", is_flag=True, help="What budgets that only observe would have refused.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@config_option
@books_option
@json_option
def usage(
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    last: int | None,
    only: tuple[tuple[str, str], ...],
    would_refuse: bool,
    as_csv: bool,
    config: Path | None,
    books: str | None,
    as_json: bool,
) -> None:
    """What was spent, by model or by anything else that calls carry.

    \b
    bursar usage --last 7d
    bursar usage --by provider --by day --since 2026-11-01
    bursar usage --by tag team --csv
    """
    from zoneinfo import ZoneInfo

    from bursar.call.books import UsageQuery

    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both", click.get_current_context())
    groups = groups_of(by)
    settings = load_settings(config, books)
    span = span_of(since, until, last, ZoneInfo(settings.time_zone), now_ms())
    query = UsageQuery(groups, span.since_ms, span.until_ms, dict(only), settings.time_zone, would_refuse)
    rows: list[UsageRow] = []
    if has_books(settings):
        with open_books(settings) as store:
            rows = store.usage(query)
        if not rows:
            note("No calls." if query.since_ms == 0 and not only else "No calls in this selection.")
    if as_json:
        echo_json([shown(groups, row, would_refuse) for row in rows])
    elif as_csv:
        click.echo(csv_of(groups, rows, would_refuse), nl=False)
    elif rows and would_refuse:
        _draw_refusals(groups, rows)
    elif rows:
        _draw(groups, rows)


def groups_of(by: Sequence[str]) -> tuple[str, ...]:
    """The dimensions that --by names, commas allowed; "model" where there are none. Raises click.UsageError."""
    names = [name.strip() for text in by for name in text.split(",")] or ["model"]
    found = tuple(dict.fromkeys(_dimension(name) for name in names))
    if len(found) > GROUPS_MAX:
        raise click.UsageError(f"--by: at most {GROUPS_MAX} at once", click.get_current_context())
    return found


def _dimension(name: str) -> str:
    if name.startswith("tag:") and len(name) > 4:
        return name[4:]
    if name in ("tag", "tag:", ""):
        raise click.UsageError("--by tag needs the tag's name: --by tag team", click.get_current_context())
    if name not in DIMENSIONS:
        from bursar.config.nearest import nearest

        near = nearest(name, DIMENSIONS)
        if near:
            problem = f"--by {name}: did you mean {near}? For a tag of that name: --by tag:{name}"
            raise click.UsageError(problem, click.get_current_context())
    return name


def shown(groups: Sequence[str], row: UsageRow, would_refuse: bool) -> dict[str, Any]:
    """A row as JSON: its group by name, then the sums."""
    values = {"group": dict(zip(groups, row.group, strict=True)), **{name: getattr(row, name) for name in _FIELDS}}
    return values | ({"would_refuse": dict(row.would_refuse)} if would_refuse else {})


def csv_of(groups: Sequence[str], rows: Sequence[UsageRow], would_refuse: bool) -> str:
    """The rows as CSV with a head; an amount is empty where nothing of it is known."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    writer.writerow([*groups, *_FIELDS, *(["would_refuse"] if would_refuse else [])])
    for row in rows:
        values = [getattr(row, name) for name in _FIELDS]
        if _all_unknown(row):
            values[_FIELDS.index("charged_nano_usd")] = ""
        refused = [" ".join(f"{name}={count}" for name, count in row.would_refuse.items())] if would_refuse else []
        writer.writerow([*row.group, *values, *refused])
    return page.getvalue()


def _all_unknown(row: UsageRow) -> bool:
    """True when no cost at all is known: an amount of 0 would be a lie."""
    return row.unknown_cost_calls > 0 and row.charged_nano_usd == 0


def _draw(groups: Sequence[str], rows: Sequence[UsageRow]) -> None:
    uncertain, unknown = any(row.uncertain_calls for row in rows), any(row.unknown_cost_calls for row in rows)
    columns = [*(Column(name) for name in groups)]
    columns += [Column(title, number=True) for title in ("calls", "errors", "tokens in", "out", "charged")]
    columns += [Column("uncertain", number=True)] if uncertain else []
    columns += [Column("no cost", number=True)] if unknown else []
    known = [None if _all_unknown(row) else row.charged_nano_usd for row in rows]
    whole = [amount for amount in known if amount is not None]
    charged = dollars([*known, sum(whole) if whole else None])
    cells = []
    for row, amount in zip(rows, charged, strict=False):
        sums = [row.calls, row.errors, row.input_tokens, row.output_tokens]
        cells.append([*(value or "-" for value in row.group), *(f"{value:,}" for value in sums), amount])
        cells[-1] += [_some(row.uncertain_calls)] if uncertain else []
        cells[-1] += [_some(row.unknown_cost_calls)] if unknown else []
    draw(columns, cells, footer=_total(groups, rows, charged[-1], uncertain, unknown) if len(rows) > 1 else None)
    if uncertain:
        note("uncertain: calls that are charged at the most they can have cost, until their cost is known.")
    if unknown:
        number = sum(row.unknown_cost_calls for row in rows)
        note(
            f"no cost: {counted(number, 'call')} whose cost is unknown; what they cost is not in the sums, but for"
            " what they are charged at most."
        )


def _total(groups: Sequence[str], rows: Sequence[UsageRow], charged: str, uncertain: bool, unknown: bool) -> list[str]:
    names = ("calls", "errors", "input_tokens", "output_tokens")
    total = ["total", *([""] * (len(groups) - 1)), *(f"{sum(getattr(row, name) for row in rows):,}" for name in names)]
    total.append(charged)
    total += [_some(sum(row.uncertain_calls for row in rows))] if uncertain else []
    total += [_some(sum(row.unknown_cost_calls for row in rows))] if unknown else []
    return total


def _some(number: int) -> str:
    return f"{number:,}" if number else ""


def _draw_refusals(groups: Sequence[str], rows: Sequence[UsageRow]) -> None:
    refused = [row for row in rows if row.would_refuse]
    if not refused:
        note("No observed budget would have refused a call.")
        return
    columns = [*(Column(name) for name in groups), Column("calls", number=True), Column("would have been refused")]
    cells = []
    for row in refused:
        names = ", ".join(f"{count:,} by {name}" for name, count in row.would_refuse.items())
        cells.append([*(value or "-" for value in row.group), f"{row.calls:,}", names])
    draw(columns, cells)
