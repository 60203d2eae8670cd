"""What the SQLite books answer: balances, sums of the ledger, and its rows. Short read transactions; changes nothing.

Days and hours are those of the query's time zone: their boundaries are computed by the rules of windows, and SQLite
only compares instants with them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from bursar.call.books import Balance, Fact, UsageQuery, UsageRow
from bursar.edges.stores import definitions
from bursar.edges.stores.accounts import DIMENSIONS
from bursar.edges.stores.rows import Row, fact_of
from bursar.edges.stores.schema import ENTRIES
from bursar.edges.stores.standing import Stored, counted_from_ms, standing
from bursar.edges.stores.tallying import QUARTER_MS, Entry, by_time, plain_dimensions, tally
from bursar.rules.allowances import Allowance
from bursar.rules.windows import FOREVER_MS


def balances(connection: sqlite3.Connection, now_ms: int, names: Sequence[str], subject: str | None) -> list[Balance]:
    """Where every allowance stands now."""
    found: list[Balance] = []
    for defined in definitions.read(connection, names).values():
        found += _balances_of(connection, defined.allowance, now_ms, subject)
    return found


def _balances_of(
    connection: sqlite3.Connection, allowance: Allowance, now_ms: int, subject: str | None
) -> list[Balance]:
    since_ms, until_ms = counted_from_ms(allowance, now_ms)
    rows = connection.execute(
        "SELECT * FROM levels WHERE allowance = ?1 AND start_ms BETWEEN ?2 AND ?3 AND (?4 IS NULL OR subject = ?4) "
        "ORDER BY subject, start_ms",
        (allowance.name, since_ms, until_ms, subject),
    ).fetchall()
    return standing(allowance, [Stored(*row) for row in rows], subject, now_ms)


def usage(connection: sqlite3.Connection, query: UsageQuery) -> list[UsageRow]:
    """Add up the ledger and the opening rows."""
    values: dict[str, Any] = {
        "since": query.since_ms,
        "until": FOREVER_MS if query.until_ms is None else query.until_ms,
    }
    dimensions = [_value_of(dimension, values) for dimension in plain_dimensions(query)]
    wanted = [f"{_value_of(dimension, values)} = {_bind(value, values)}" for dimension, value in query.only.items()]
    columns = [
        f"reserved_ms - reserved_ms % {QUARTER_MS}" if by_time(query) else "0",
        "would_refuse" if query.would_refuse else "''",
        *dimensions,
    ]
    rows = connection.execute(
        f"SELECT {', '.join(columns)}, {_SUMS} FROM ({ENTRIES}) "  # noqa: S608 - constants and names of parameters
        f"WHERE {' AND '.join(['reserved_ms >= :since', 'reserved_ms < :until', *wanted])} "
        f"GROUP BY {', '.join(str(place + 1) for place in range(len(columns)))}",
        values,
    ).fetchall()
    count = len(columns)
    return tally(query, (Entry(row[0], row[2:count], row[1], *row[count:]) for row in rows))


_SUMS = """
sum(calls), sum((ending = 'ok') * calls), sum((ending IN ('error', 'interrupted', 'expired')) * calls),
sum(input_tokens), sum(output_tokens), sum(charged_nano_usd), sum(certain_nano_usd), sum(uncertain_calls),
sum(unknown_cost_calls)
"""


def _value_of(dimension: str, values: dict[str, Any]) -> str:
    """SQL for an entry's value of a dimension, "" where it has none. What the caller named becomes a parameter."""
    if dimension in DIMENSIONS:
        return f"coalesce(\"{dimension}\", '')"
    if dimension == "ending":
        return "ending"
    if dimension == "served_model":
        return "coalesce(served_model, '')"
    tag = _bind(dimension, values)
    return f"coalesce((SELECT value FROM json_each(tags) WHERE key = {tag}), '')"  # noqa: S608 - a parameter's name


def _bind(value: str, values: dict[str, Any]) -> str:
    name = f"p{len(values)}"
    values[name] = value
    return f":{name}"


def attempts(
    connection: sqlite3.Connection,
    *,
    call_id: str,
    provider: str,
    since_ms: int,
    until_ms: int | None,
    uncertain: bool,
    limit: int,
) -> list[Fact]:
    """Rows of the ledger, newest first. Those of a call are found by their ids, which begin with the call's."""
    wanted = {
        "attempt_id >= :call_id AND attempt_id < :call_id || '~' AND call_id = :call_id": bool(call_id),
        "asked_provider = :provider": bool(provider),
        "reserved_ms >= :since_ms": since_ms > 0,
        "reserved_ms < :until_ms": until_ms is not None,
        "certain = 0": uncertain,
    }
    conditions = " AND ".join(condition for condition, applies in wanted.items() if applies)
    rows = connection.execute(
        f"SELECT * FROM ledger WHERE {conditions or 'TRUE'} ORDER BY reserved_ms DESC, rowid DESC LIMIT :limit",  # noqa: S608 - constants
        {"call_id": call_id, "provider": provider, "since_ms": since_ms, "until_ms": until_ms, "limit": limit},
    ).fetchall()
    return [fact_of(Row(*values)) for values in rows]
