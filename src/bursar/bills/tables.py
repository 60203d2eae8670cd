"""A table as a program exports it: delimiter found, cells by the name of their column, each row with its line.

Decides what parts the cells and what is a row; never what a cell means.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import NamedTuple

from bursar.bills.lines import BillFault

_DELIMITERS = (",", "\t", ";", "|")


class Row(NamedTuple):
    """Cells by column, stripped. `line`: that of the file in which the row ends, from 1."""

    line: int
    cells: dict[str, str]


class Table(NamedTuple):
    """The columns in their order, and the rows."""

    columns: tuple[str, ...]
    rows: list[Row]
    delimiter: str


def read_table(text: str) -> Table:
    """Read a table whose first row names its columns. Raises BillFault with the line of what is no row of it."""
    lines = text.splitlines(keepends=True)
    delimiter = _delimiter(next((line for line in lines if line.strip()), ""))
    reader = csv.reader(lines, delimiter=delimiter)
    rows = _cells(reader)
    columns: tuple[str, ...] = ()
    found: list[Row] = []
    for cells in rows:
        if not any(cells):
            continue
        if not columns:
            columns = _head(cells)
            continue
        if len(cells) != len(columns):
            raise BillFault(f"expected {len(columns)} cells, as in its first row, got {len(cells)}", _line(reader))
        found.append(Row(reader.line_num, dict(zip(columns, cells, strict=True))))
    if not columns:
        raise BillFault("the file is empty")
    return Table(columns, found, delimiter)


def _cells(reader: csv._reader) -> Iterator[list[str]]:  # type: ignore[name-defined]  # what csv.reader makes
    try:
        for cells in reader:
            yield [cell.strip() for cell in cells]
    except csv.Error as error:
        raise BillFault(f"this is no table: {error}", _line(reader)) from None


def _line(reader: csv._reader) -> str:  # type: ignore[name-defined]
    return f"line {reader.line_num}"


def _head(cells: list[str]) -> tuple[str, ...]:
    twice = next((cell for cell in cells if cell and cells.count(cell) > 1), None)
    if twice:
        raise BillFault(f"two columns are called {twice!r}", "line 1")
    return tuple(cells)


def _delimiter(head: str) -> str:
    """What occurs most in the first row, outside quotes."""
    bare = "".join(part for at, part in enumerate(head.split('"')) if at % 2 == 0)
    return max(_DELIMITERS, key=bare.count)
