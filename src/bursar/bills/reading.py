"""Which format a bill is in, and its lines.

Decides by what the file looks like unless it is told. Never guesses what a column of an unknown table means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Any

from bursar.bills import openai, openrouter
from bursar.bills.columns import COLUMNS, mapped_table
from bursar.bills.lines import BILL_BYTES_MAX, Bill, BillFault, naming
from bursar.bills.tables import Table, read_table

__all__ = ["FORMATS", "read_bill"]

FORMATS = ("openai-costs", "openai-usage", "openrouter-activity", "csv")
# Columns by which a table shows what it is.
_SHOWN_BY = {
    "openai-costs": ("start_time", "amount_value"),
    "openai-usage": ("start_time", "num_model_requests"),
    "openrouter-activity": ("created_at", "cost_total", "generation_id", "model_permaslug"),
    "openrouter-sums": ("date", "usage", "requests", "model"),
}


def read_bill(
    data: bytes, name: str = "the bill", *, form: str = "", columns: Mapping[str, str] | None = None, zone: tzinfo = UTC
) -> Bill:
    """Read an exported bill. form: one of FORMATS, "" to find out; columns: those of a table, by what they are.

    zone: in which the days of single calls, and of a table of one's own, are; buckets of OpenAI and rows of OpenRouter
    are UTC days whatever it is. Raises InvalidRequestError with the file's name, and the line or place in it.
    """
    with naming(name):
        text = _text(data)
        if text.lstrip()[:1] in ("{", "["):
            bill = _read_json(text, form)
        else:
            bill = _read_table(read_table(text), form, columns or {}, zone)
        if str(zone) != "UTC" and not bill.has_calls and bill.form != "csv":
            raise BillFault("its days are UTC; compare it without --day-zone")
        if not bill.days:
            raise BillFault("it has no lines")
        return bill


def _text(data: bytes) -> str:
    if len(data) > BILL_BYTES_MAX:
        raise BillFault(f"it is larger than {BILL_BYTES_MAX // 2**20} MB: compare it month by month")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BillFault("this is no text in UTF-8", f"line {line}") from None


def _read_json(text: str, form: str) -> Bill:
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise BillFault(f"this is no JSON: {error.msg}", f"line {error.lineno}") from None
    except (ValueError, RecursionError) as error:
        raise BillFault(f"this is no JSON: {error}") from None
    shown = _shown_by(value)
    if form and shown and form != shown:
        raise BillFault(f"it looks like {shown}, not like {form}")
    readers = {"openai-costs": openai.costs, "openai-usage": openai.usage, "openrouter-activity": openrouter.activity}
    reader = readers.get(form or shown)
    if reader is None:
        raise BillFault(f"which bill is this? JSON can be {', '.join(readers)}: say --format")
    return reader(value)


def _read_table(table: Table, form: str, columns: Mapping[str, str], zone: tzinfo) -> Bill:
    shown = next((each for each, names in _SHOWN_BY.items() if set(names) <= set(table.columns)), "")
    if columns or form == "csv":
        return mapped_table(table, columns or {name: name for name in COLUMNS if name in table.columns}, zone)
    if form and form != shown.replace("-sums", "-activity"):
        needed = ", ".join(_SHOWN_BY[form])
        raise BillFault(
            f"a table of {form} has the columns {needed}; this one has {', '.join(table.columns)}", "line 1"
        )
    if shown == "openai-costs":
        return openai.costs_table(table)
    if shown == "openai-usage":
        return openai.usage_table(table)
    if shown == "openrouter-activity":
        return openrouter.calls_table(table, zone)
    if shown == "openrouter-sums":
        return openrouter.activity_table(table)
    names = ", ".join(map(repr, table.columns[:12]))
    raise BillFault(
        f"which columns are these? Name those of the date, the model and the cost among {names}: "
        "--columns date=...,model=...,cost=...",
        "line 1",
    )


def _shown_by(value: Any) -> str:
    """The format that a JSON value looks like, "" for none."""
    while isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return ""
    kind = str(value.get("object", ""))
    if kind.startswith("organization.costs"):
        return "openai-costs"
    if kind.startswith("organization.usage"):
        return "openai-usage"
    if "byok_usage_inference" in value:
        return "openrouter-activity"
    inner = value.get("results") or value.get("data")
    for each in inner if isinstance(inner, list) else []:
        shown = _shown_by(each)
        if shown:
            return shown
    return ""


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")
