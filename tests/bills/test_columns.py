"""Any table, by the names of its columns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from bursar.bills.lines import BillLine
from bursar.bills.reading import read_bill
from bursar.errors import InvalidRequestError

GERMAN = """\
Tag;Modell;Betrag (USD);Aufrufe
20.11.2026;llama-3.1-8b;1.234,50;1.204
21.11.2026;llama-3.1-8b;0,000027;3

Summe;;1.234,500027;
"""
COLUMNS = {"date": "Tag", "model": "Modell", "cost": "Betrag (USD)", "requests": "Aufrufe"}


def test_a_table_of_another_country() -> None:
    bill = read_bill(GERMAN.replace("Summe", "Total").encode(), columns=COLUMNS)
    assert bill.lines == (
        BillLine(date(2026, 11, 20), "llama-3.1-8b", Decimal("1234.50"), 1204),
        BillLine(date(2026, 11, 21), "llama-3.1-8b", Decimal("0.000027"), 3),
    )
    assert bill.notes == ("1 of its rows have no date, and were taken for sums of the others",)


def test_columns_that_have_our_names_need_no_map() -> None:
    bill = read_bill(b"date,model,cost,other\n2026-11-20,m,$0.5,x\n", form="csv")
    assert bill.lines == (BillLine(date(2026, 11, 20), "m", Decimal("0.5")),)


def test_tokens_alone_and_no_models() -> None:
    columns = {"date": "when", "input_tokens": "in", "output_tokens": "out"}
    bill = read_bill(b"when,in,out\n2026-11-20T20:00:00Z,1000,\n", columns=columns, zone=ZoneInfo("Asia/Kolkata"))
    assert bill.lines == (BillLine(date(2026, 11, 21), "", None, None, 1000, None),)
    assert not bill.has_money


def test_a_byte_order_mark_and_utf_16_as_spreadsheets_write_them() -> None:
    text = "date,cost\n2026-11-20,1\n"
    for data in (text.encode("utf-8-sig"), text.encode("utf-16")):
        assert read_bill(data, form="csv").lines[0].usd == 1


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        (GERMAN, {**COLUMNS, "cost": "Betrag"}, "line 1: there is no column 'Betrag'; there are 'Tag', 'Modell'"),
        (GERMAN, {**COLUMNS, "price": "Betrag"}, "there is no 'price'; there are date, model, cost"),
        (GERMAN, {"cost": "Betrag (USD)"}, "name the column of the date"),
        (GERMAN, {"date": "Tag"}, "name the column of the cost"),
        (GERMAN, COLUMNS, "line 5: expected a date such as 2026-11-01, got 'Summe'"),
        (GERMAN.replace("0,000027", ""), COLUMNS, "line 3: expected an amount in 'Betrag"),
        (GERMAN.replace("0,000027", "0,000027 EUR"), COLUMNS, "line 3: expected an amount of US dollars"),
        (GERMAN.replace(";3\n", ";drei\n"), COLUMNS, "line 3: expected a number, got 'drei'"),
    ],
)
def test_what_cannot_be_read_says_its_line(text: str, columns: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_bill(text.encode(), "bill.csv", columns=columns)
    assert said in str(raised.value)
    assert str(raised.value).startswith("bill.csv")
