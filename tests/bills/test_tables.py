"""Tables as programs write them."""

from __future__ import annotations

import pytest

from bursar.bills.lines import BillFault
from bursar.bills.tables import read_table


@pytest.mark.parametrize(
    ("delimiter", "text"), [(",", "a,b\n1,2\n"), (";", "a;b\r\n1;2\r\n"), ("\t", "a\tb\n1\t2"), ("|", "a|b\n1|2")]
)
def test_what_parts_the_cells_is_found(delimiter: str, text: str) -> None:
    table = read_table(text)
    assert (table.delimiter, table.columns, [row.cells for row in table.rows]) == (
        delimiter,
        ("a", "b"),
        [{"a": "1", "b": "2"}],
    )


def test_a_delimiter_inside_quotes_is_none() -> None:
    table = read_table('"Cost, in USD, net";Day\n"1,5";2026-11-20\n')
    assert table.columns == ("Cost, in USD, net", "Day")
    assert table.rows[0].cells["Cost, in USD, net"] == "1,5"


def test_rows_know_their_line_and_empty_ones_are_none() -> None:
    table = read_table('a,b\n\n1,"two\nlines"\n,\n3,4\n')
    assert [(row.line, row.cells["b"]) for row in table.rows] == [(4, "two\nlines"), (6, "4")]


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "", "the file is empty"),
        ("\n\n", "", "the file is empty"),
        ("a,b\n1,2\n1,2,3\n", "line 3", "expected 2 cells, as in its first row, got 3"),
        ("a,b\n1\n", "line 2", "expected 2 cells"),
        ("a,b,a\n", "line 1", "two columns are called 'a'"),
        ("a,b\n" + "x" * 200_000 + ",2\n", "line 2", "this is no table"),
    ],
)
def test_what_is_no_table(text: str, place: str, problem: str) -> None:
    with pytest.raises(BillFault, match=problem) as raised:
        read_table(text)
    assert raised.value.place == place
