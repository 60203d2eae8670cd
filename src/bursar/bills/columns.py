"""Any table whose columns somebody names: date and cost (or tokens), and what else it has.

    date=Day, model=Model, cost=Amount (USD), requests=Calls, input_tokens=In, output_tokens=Out

A row that has no date, or is called a total, is a sum of others and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from bursar.bills.lines import Bill, BillFault, BillLine, at
from bursar.bills.tables import Row, Table
from bursar.bills.values import count_of, day_of, decimal_comma, usd_in

__all__ = ["COLUMNS", "mapped_table"]

COLUMNS = ("date", "model", "cost", "requests", "input_tokens", "output_tokens")
_COUNTS = COLUMNS[3:]


def mapped_table(table: Table, columns: Mapping[str, str], zone: tzinfo) -> Bill:
    """Read a table by the names of its columns. Raises BillFault where one is missing or unknown."""
    _check(table, columns)
    rows = [row for row in table.rows if not _is_sum(row, columns["date"])]
    numbers = (row.cells[columns[name]] for row in rows for name in ("cost", *_COUNTS) if name in columns)
    comma = decimal_comma(numbers, table.delimiter)
    lines = []
    for row in rows:
        with at(f"line {row.line}"):
            lines.append(_line(row, columns, comma, zone))
    left_out = len(table.rows) - len(rows)
    notes = (f"{left_out} of its rows have no date, and were taken for sums of the others",) if left_out else ()
    return Bill("csv", tuple(lines), frozenset(line.day for line in lines), notes)


def _line(row: Row, columns: Mapping[str, str], comma: bool, zone: tzinfo) -> BillLine:
    cells = {name: row.cells[column] for name, column in columns.items()}
    if "cost" in cells and not cells["cost"]:
        raise BillFault(f"expected an amount in {columns['cost']!r}, got nothing")
    requests, input_tokens, output_tokens = (
        count_of(cells[name], comma=comma) if cells.get(name) else None for name in _COUNTS
    )
    usd = usd_in(cells["cost"], comma=comma) if "cost" in cells else None
    return BillLine(day_of(cells["date"], zone), cells.get("model", ""), usd, requests, input_tokens, output_tokens)


def _is_sum(row: Row, date_column: str) -> bool:
    cells = list(row.cells.values())
    return not row.cells[date_column] or any(cell.lower().rstrip(":") in ("total", "sum") for cell in cells[:2])


def _check(table: Table, columns: Mapping[str, str]) -> None:
    for name, column in columns.items():
        if name not in COLUMNS:
            raise BillFault(f"--columns: there is no {name!r}; there are {', '.join(COLUMNS)}")
        if column not in table.columns:
            raise BillFault(f"there is no column {column!r}; there are {', '.join(map(repr, table.columns))}", "line 1")
    if "date" not in columns:
        raise BillFault("--columns: name the column of the date: date=...")
    if not {"cost", "input_tokens"} & set(columns):
        raise BillFault("--columns: name the column of the cost, or of the tokens: cost=...")
