"""OpenAI's exports: organization/costs and organization/usage, as JSON pages or as the table of the dashboard.

Their buckets are UTC days (or hours, or minutes). A line item of the costs names the model before its first comma
("gpt-4o-mini-2024-07-18, cached input"); what has no comma is a fee or a model, and keeps its name. Without
`group_by=line_item` (or `group_by=model`) an export tells no models apart, and is compared by day.

Source: OpenAI's API reference and OpenAPI document, tables of the usage dashboard, November 2026.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date
from typing import Any

from bursar.bills.lines import Bill, BillFault, BillLine, at
from bursar.bills.tables import Table
from bursar.bills.values import count_of, day_of, decimal_comma, decimal_in, usd_in

__all__ = ["costs", "costs_table", "usage", "usage_table"]

CUT = "it is one page of several (has_more): the rest is missing"


def costs(value: object) -> Bill:
    """The costs of an organization. Raises BillFault for what is no dollars."""
    lines = []
    for place, day, result in _results(value):
        with at(place):
            amount = _mapping(result.get("amount"), "amount")
            _check_currency(amount.get("currency"))
            lines.append(BillLine(day, _model(result.get("line_item")), decimal_in(amount.get("value"))))
    return Bill("openai-costs", tuple(lines), _days(value), _notes(value))


def usage(value: object) -> Bill:
    """The usage of an organization: tokens and requests, no money."""
    lines = []
    for place, day, result in _results(value):
        with at(place):
            lines.append(_used(day, result))
    return Bill("openai-usage", tuple(lines), _days(value), _notes(value))


def costs_table(table: Table) -> Bill:
    """The costs as the dashboard exports them. A row without an amount is a day on which nothing was charged."""
    lines, days = [], set()
    comma = decimal_comma((row.cells["amount_value"] for row in table.rows), table.delimiter)
    for row in table.rows:
        with at(f"line {row.line}"):
            day = day_of(row.cells["start_time"], UTC)
            days.add(day)
            if row.cells["amount_value"]:
                _check_currency(row.cells.get("amount_currency"))
                usd = usd_in(row.cells["amount_value"], comma=comma)
                lines.append(BillLine(day, _model(row.cells.get("line_item")), usd))
    return Bill("openai-costs", tuple(lines), frozenset(days))


def usage_table(table: Table) -> Bill:
    """The usage as the dashboard exports it. A row without requests is a day on which nothing was used."""
    lines, days = [], set()
    for row in table.rows:
        with at(f"line {row.line}"):
            day = day_of(row.cells["start_time"], UTC)
            days.add(day)
            if row.cells["num_model_requests"]:
                lines.append(_used(day, row.cells))
    return Bill("openai-usage", tuple(lines), frozenset(days))


def _used(day: date, said: Mapping[str, Any]) -> BillLine:
    return BillLine(
        day,
        str(said.get("model") or ""),
        requests=count_of(said.get("num_model_requests") or 0),
        input_tokens=count_of(said.get("input_tokens") or 0),
        output_tokens=count_of(said.get("output_tokens") or 0),
    )


def pages(value: object) -> list[Mapping[str, Any]]:
    """The buckets of a page, of several pages in a list, or as they are."""
    if isinstance(value, list):
        return [bucket for each in value for bucket in pages(each)]
    page = _mapping(value, "")
    if "results" in page:
        return [page]
    data = page.get("data")
    if not isinstance(data, list):
        raise BillFault("expected a page of buckets: an object with data")
    return [bucket for each in data for bucket in pages(each)]


def _results(value: object) -> Iterator[tuple[str, date, Mapping[str, Any]]]:
    """Every result with its place and the day of its bucket."""
    for number, bucket in enumerate(pages(value)):
        place = f"bucket {number + 1}"
        with at(place):
            day, results = day_of(bucket.get("start_time"), UTC), bucket["results"]
            if not isinstance(results, list):
                raise BillFault("expected a list of results")
        for index, result in enumerate(results):
            with at(place):
                found = _mapping(result, f"result {index + 1}")
            yield f"{place}, result {index + 1}", day, found


def _days(value: object) -> frozenset[date]:
    return frozenset(day_of(bucket.get("start_time"), UTC) for bucket in pages(value))


def _notes(value: object) -> tuple[str, ...]:
    last = value[-1] if isinstance(value, list) and value else value
    return (CUT,) if isinstance(last, dict) and last.get("has_more") is True else ()


def _model(line_item: object) -> str:
    return str(line_item or "").partition(",")[0].strip()


def _check_currency(currency: object) -> None:
    if currency and str(currency).lower() != "usd":
        raise BillFault(f"expected US dollars, got {str(currency)[:20]!r}")


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BillFault(f"expected an object{f' for {what}' if what else ''}")
    return value
