"""How a comparison with a bill is shown: as a table with its reasons, as JSON, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bursar.bills.comparing import Line, total_of
from bursar.cli.output import Column, counted, dollars, draw, note
from bursar.rules.money import format_usd, nano_of

if TYPE_CHECKING:
    from bursar.bills.explaining import Reason
    from bursar.cli.reconcile_bill import Asked, Compared

# Ids are there to look a few up, not to list a month.
IDS_MAX = 100
_SIDE = ("nano_usd", "calls", "input_tokens", "output_tokens")


def shown(compared: Compared, asked: Asked) -> dict[str, Any]:
    """The comparison as JSON."""
    total = total_of(line for line, _ in compared.lines)
    return {
        "provider": asked.provider,
        "bill": str(asked.file),
        "format": compared.bill.form,
        "agrees": compared.agrees,
        "first_day": str(min(compared.bill.days)),
        "last_day": str(max(compared.bill.days)),
        "day_zone": asked.day_zone,
        "tolerance_nano_usd": nano_of(asked.tolerance_usd),
        "total": None if total is None else _amounts(total),
        "lines": [
            {
                "day": str(line.day),
                "model": line.model or None,
                "agrees": line.agrees,
                **_amounts(line),
                "reasons": [_reason(reason) for reason in reasons],
            }
            for line, reasons in compared.lines
        ],
        "notes": list(compared.notes),
    }


def csv_of(compared: Compared) -> str:
    """The comparison as CSV with a head; what one side does not count is empty."""
    page = io.StringIO()
    writer = csv.writer(page, lineterminator="\n")
    columns = ["drift_nano_usd", *(f"{side}_{name}" for name in _SIDE for side in ("ours", "theirs"))]
    writer.writerow(["day", "model", "agrees", *columns, "reasons"])
    for line, reasons in compared.lines:
        amounts = _amounts(line)
        values = ["" if amounts[column] is None else amounts[column] for column in columns]
        writer.writerow(
            [line.day, line.model, str(line.agrees).lower(), *values, "; ".join(one.text for one in reasons)]
        )
    return page.getvalue()


def draw_comparison(compared: Compared, asked: Asked) -> None:
    """The comparison as a table, the reasons below it, and the verdict."""
    lines = [line for line, _ in compared.lines]
    total = total_of(lines)
    if total is not None:
        if compared.bill.has_money:
            _draw_money(lines, total)
        else:
            _draw_tokens(lines, total)
    for line, reasons in compared.lines:
        if not line.agrees:
            click.echo(f"\n{_name(line)}: {_drift(line)}")
            for reason in reasons:
                click.echo(f"  {reason.text}")
    for odd in compared.notes:
        note(f"{asked.file}: {odd}")
    differing = sum(not line.agrees for line in lines)
    if differing:
        click.echo(f"\nBooks and bill differ on {differing:,} of {counted(len(lines), 'line')}; --json has the ids.")
    else:
        click.echo(f"\nBooks and bill agree on {counted(len(lines), 'line')}.")


def _draw_money(lines: Sequence[Line], total: Line) -> None:
    every = [*lines, total]
    amounts = dollars(
        [amount for line in every for amount in (line.ours.nano_usd, line.theirs.nano_usd, _drifted(line))]
    )
    cells = []
    for place, line in enumerate(every):
        ours, theirs, drift = amounts[3 * place : 3 * place + 3]
        cells.append([ours, theirs, drift if line.drift_nano_usd else ""])
    _draw(lines, total, ("ours", "theirs", "drift"), cells)


def _draw_tokens(lines: Sequence[Line], total: Line) -> None:
    cells = []
    for line in (*lines, total):
        ours, theirs = line.ours, line.theirs
        counts = (ours.input_tokens, theirs.input_tokens, ours.output_tokens, theirs.output_tokens)
        cells.append([_count(count) for count in counts])
    _draw(lines, total, ("in", "theirs", "out", "theirs"), cells)


def _draw(lines: Sequence[Line], total: Line, titles: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """The table: day, model, the cells of each line, and the calls; `cells` has those of the total last."""
    counted_there = total.theirs.calls is not None
    numbers = [*titles, "calls", *(["theirs"] if counted_there else [])]
    rows = []
    for line, values in zip((*lines, total), cells, strict=True):
        calls = [_count(line.ours.calls), *([_count(line.theirs.calls)] if counted_there else [])]
        rows.append([str(line.day), line.model or "all", *values, *calls])
    columns = [Column("day", whole=True), Column("model"), *(Column(title, number=True) for title in numbers)]
    draw(columns, rows[:-1], footer=["total", "", *rows[-1][2:]] if len(lines) > 1 else None)


def _drifted(line: Line) -> int:
    return line.drift_nano_usd or 0


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _name(line: Line) -> str:
    return f"{line.day} {line.model}".rstrip()


def _drift(line: Line) -> str:
    drift = line.drift_nano_usd
    if drift is None:
        tokens = line.drift_tokens or 0
        return f"ours is {abs(tokens):,} tokens {'more' if tokens > 0 else 'less'}" if tokens else "tokens differ"
    return f"ours is {format_usd(abs(drift))} {'more' if drift > 0 else 'less'}"


def _amounts(line: Line) -> dict[str, int | None]:
    sides = {f"{side}_{name}": getattr(getattr(line, side), name) for name in _SIDE for side in ("ours", "theirs")}
    return {"drift_nano_usd": line.drift_nano_usd, **sides}


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "code": reason.code,
        "text": reason.text,
        "calls": reason.calls,
        "nano_usd": reason.nano_usd,
        "ids": list(reason.ids[:IDS_MAX]),
    }
