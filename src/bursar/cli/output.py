"""What commands print: JSON, and tables that fit the terminal.

Where stdout is no terminal a table is as wide as it needs to be, so that nothing is folded before grep sees it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from rich.text import Text

# Wider than any row.
UNBOUNDED_COLUMNS = 1_000
# A column that is folded has this many characters a line at least.
FOLDED_COLUMNS_MIN = 4
_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class Column(NamedTuple):
    """A column of a table. Numbers stand right; neither they nor what is `whole` are ever folded."""

    title: str
    number: bool = False
    whole: bool = False


def echo_json(value: Any, *, line: bool = False) -> None:
    """Print a value as JSON: indented for one that stands alone, in a `line` for one of many."""
    text = msgspec.json.encode(value)
    click.echo(text if line else msgspec.json.format(text, indent=2))


def note(text: str) -> None:
    """Say something beside the data: on stderr."""
    click.echo(text, err=True)


def for_terminal(text: str) -> str:
    """A text of somebody else's, without what would steer a terminal; unchanged where stdout is none."""
    return text.translate(_CONTROL) if sys.stdout.isatty() else text


def plain(text: str) -> str:
    """A text of somebody else's in one line, without control characters."""
    return " ".join(text.translate(_CONTROL).split())


def draw(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, footer: Sequence[str] | None = None) -> None:
    """Print a table; `footer` is a last row below a rule. Wider than the terminal where numbers would be cut."""
    import io

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, show_footer=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            no_wrap=column.number or column.whole,
            overflow="fold",
        )
    lines = [[Text(plain(cell)) for cell in row] for row in rows]
    for line in lines:
        table.add_row(*line)
    if footer is not None:
        table.add_section()
        lines.append([Text(plain(cell), style="bold") for cell in footer])
        table.add_row(*lines[-1])
    page = io.StringIO()
    console = Console(
        file=page,
        width=max(width(), _narrowest(columns, lines)),
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=sys.stdout.isatty(),
        legacy_windows=False,
    )
    console.print(table)
    click.echo("\n".join(line.rstrip() for line in page.getvalue().splitlines()))


def _narrowest(columns: Sequence[Column], lines: Sequence[Sequence[Text]]) -> int:
    """How many columns a table needs so that what must not be folded stands there whole."""
    from rich.cells import cell_len

    needed = 0
    for at, column in enumerate(columns):
        widest = max([cell_len(column.title), *(line[at].cell_len for line in lines)])
        needed += 2 + (widest if column.number or column.whole else min(widest, FOLDED_COLUMNS_MIN))
    return needed


def width() -> int:
    """How many columns a table may take."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size((80, 24)).columns
    return UNBOUNDED_COLUMNS


def dollars(amounts: Sequence[int | None]) -> list[str]:
    """Amounts of nano-USD as a column: the same number of decimals in each, as many as the finest needs.

    >>> dollars([5_000_000_000, 42_000, None])
    ['$5.000000', '$0.000042', 'unknown']
    """
    shown = [format_usd(amount) for amount in amounts if amount is not None]
    digits = max((len(text.partition(".")[2]) for text in shown), default=2)
    return [format_usd(amount, digits_min=digits) for amount in amounts]


def instant(epoch_ms: int | None, zone: Any = UTC) -> str:
    """A moment in a time zone, to the minute; of midnight the day alone. "never" for None.

    >>> instant(0), instant(60_000), instant(None)
    ('1970-01-01', '1970-01-01 00:01', 'never')
    """
    if epoch_ms is None:
        return "never"
    moment = datetime.fromtimestamp(epoch_ms / 1000, zone)
    return moment.strftime("%Y-%m-%d %H:%M" if moment.hour or moment.minute else "%Y-%m-%d")


def iso(epoch_ms: int | None) -> str | None:
    """A moment for machines, in UTC; None for none."""
    if epoch_ms is None:
        return None
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(1200, "row"), counted(2, "entry", "entries")
    ('1 row', '1,200 rows', '2 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
