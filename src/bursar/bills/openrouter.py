"""OpenRouter's activity: `GET /activity` (a row a day, model and provider) and the website's export (a line a call).

What a call cost is what was taken from the credits and, with one's own key, what its maker charged. The days of the
former are UTC; the latter has the instant of each call, in UTC.

Source: OpenRouter's API reference and SDK schema 1.3.84, the columns of an export of September 2026. Not verified:
whether `cost_total` has `byok_usage_inference` in it already; it is read as the credits of `GET /activity`: without.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from decimal import Decimal

from bursar.bills.lines import Bill, BillFault, BillLine, at
from bursar.bills.tables import Table
from bursar.bills.values import count_of, day_of, decimal_in

__all__ = ["activity", "activity_table", "calls_table"]


def activity(value: object) -> Bill:
    """The answer of GET /activity."""
    rows = value.get("data") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise BillFault("expected an object with data, a list of rows")
    lines = []
    for number, row in enumerate(rows):
        with at(f"row {number + 1}"):
            if not isinstance(row, dict):
                raise BillFault("expected an object")
            lines.append(_sum(row))
    return Bill("openrouter-activity", tuple(lines), frozenset(line.day for line in lines))


def activity_table(table: Table) -> Bill:
    """The same rows as a table."""
    lines = []
    for row in table.rows:
        with at(f"line {row.line}"):
            lines.append(_sum(row.cells))
    return Bill("openrouter-activity", tuple(lines), frozenset(line.day for line in lines))


def calls_table(table: Table, zone: tzinfo) -> Bill:
    """The website's export. A call that it lists twice (two exports in one file) is taken once."""
    lines: dict[str, BillLine] = {}
    for row in table.rows:
        with at(f"line {row.line}"):
            line = _call(row.cells, zone)
            if not line.call_id:
                raise BillFault("expected a generation_id")
            if lines.setdefault(line.call_id, line) != line:
                raise BillFault(f"{line.call_id} stands in the file with another cost before")
    repeated = len(table.rows) - len(lines)
    notes = (f"{repeated} of its lines are repetitions, taken once",) if repeated else ()
    return Bill("openrouter-activity", tuple(lines.values()), frozenset(line.day for line in lines.values()), notes)


def _sum(row: Mapping[str, object]) -> BillLine:
    return BillLine(
        day_of(row.get("date"), UTC),
        str(row.get("model_permaslug") or row.get("model") or ""),
        _usd(row.get("usage")) + _usd(row.get("byok_usage_inference")),
        _count(row.get("requests")),
        _count(row.get("prompt_tokens")),
        _count(row.get("completion_tokens")),
        also=str(row.get("model") or ""),
    )


def _call(row: Mapping[str, str], zone: tzinfo) -> BillLine:
    model, variant = row.get("model_permaslug", ""), row.get("variant", "")
    return BillLine(
        day_of(row["created_at"], zone, naive=UTC),
        f"{model}:{variant}" if variant and variant != "standard" else model,
        _usd(row["cost_total"]) + _usd(row.get("byok_usage_inference")),
        1,
        _count(row.get("tokens_prompt")),
        _count(row.get("tokens_completion")),
        call_id=row["generation_id"],
    )


def _usd(value: object) -> Decimal:
    """An amount; a column that does not apply is empty."""
    return Decimal(0) if value is None or value == "" else decimal_in(value)


def _count(value: object) -> int | None:
    return None if value is None or value == "" else count_of(value)
