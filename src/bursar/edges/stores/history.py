"""The history of calls in SQLite and in memory: refusals in a table beside the books, and calls found in both.

Like the board of breakers, the table is no part of the books. Ids of attempts begin with that of their call, and those
of calls sort by time: a page of calls is read along the primary keys, and ends as soon as it is full.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from bursar.call.books import Fact
from bursar.call.history import REFUSED, CallQuery, CallRecord, Refusal
from bursar.edges.stores.accounts import DIMENSIONS, account_of, scopes_of
from bursar.edges.stores.connections import Connections
from bursar.edges.stores.rows import Row, fact_of
from bursar.rules.windows import FOREVER_MS

# Refusals come in floods, when a program asks again and again: what is kept of them is bounded in number and in time.
ROWS_MAX = 100_000
KEPT_MS = 30 * 86_400_000
# Rows of a span that are sorted rather than read in the order of their ids: milliseconds of work.
SORTED_MAX = 20_000
# After the last character that an id has.
_BEYOND = "~"

_FIELDS = ("call_id", "place", "at_ms", *DIMENSIONS, "tags", "asked_provider", "asked_model", "code", "message",
           "wait_ms", "binding", "final")  # fmt: skip
_RECORD = f"INSERT OR IGNORE INTO refusals VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608 - question marks
_FORGET = """
DELETE FROM refusals
WHERE at_ms < ?1 OR call_id <= (SELECT call_id FROM refusals ORDER BY call_id DESC LIMIT 1 OFFSET ?2)
"""


class SqliteHistory:
    """The history of books in a file."""

    def __init__(self, connections: Connections, rows_max: int = ROWS_MAX) -> None:
        self._connections = connections
        self._rows_max = rows_max

    def record(self, refusals: Sequence[Refusal], now_ms: int) -> None:
        """Remember refusals, each once; forget the oldest beyond what is kept."""
        with self._connections.committing() as connection:
            connection.executemany(_RECORD, [_row_of(one) for one in refusals])
            connection.execute(_FORGET, (now_ms - KEPT_MS, self._rows_max))

    def calls(self, query: CallQuery) -> list[CallRecord]:
        """Calls that a query is about, newest first."""
        with self._connections.reading() as connection:
            found = {*_ledger_ids(connection, query), *_refused_ids(connection, query)}
            newest = sorted(found, reverse=True)[: query.limit]
            return [_record_of(connection, call_id) for call_id in newest]

    def call(self, call_id: str) -> CallRecord | None:
        """One call; None where nothing is known of it."""
        with self._connections.reading() as connection:
            record = _record_of(connection, call_id)
        return record if record.attempts or record.refusals else None


def _row_of(one: Refusal) -> tuple[Any, ...]:
    account = account_of(one.scopes)
    told = (one.provider, one.model, one.code, one.message, one.wait_ms, one.binding, int(one.final))
    return (one.call_id, one.place, one.at_ms, *account, *told)


def _refusal_of(row: Sequence[Any]) -> Refusal:
    call_id, place, at_ms, *account = row[:9]
    provider, model, code, message, wait_ms, binding, final = row[9:]
    scopes = scopes_of(account[:5], account[5])
    return Refusal(call_id, place, at_ms, provider, model, scopes, code, message, wait_ms, binding, bool(final))


def _record_of(connection: sqlite3.Connection, call_id: str) -> CallRecord:
    attempts = connection.execute(
        "SELECT * FROM ledger WHERE attempt_id >= ?1 AND attempt_id < ?1 || ?2 AND call_id = ?1 "
        "ORDER BY reserved_ms, rowid",
        (call_id, _BEYOND),
    ).fetchall()
    refusals = connection.execute("SELECT * FROM refusals WHERE call_id = ? ORDER BY place", (call_id,)).fetchall()
    return CallRecord(call_id, tuple(fact_of(Row(*row)) for row in attempts), tuple(map(_refusal_of, refusals)))


def _ledger_ids(connection: sqlite3.Connection, query: CallQuery) -> list[str]:
    if query.ending == REFUSED:
        return []
    values: dict[str, Any] = {}
    wanted = [*_common(query, values, "reserved_ms", "attempt_id")]
    if query.ending:
        wanted.append(f"ending = {_bind(query.ending, values)}")
    if query.code:
        wanted.append(f"error_code = {_bind(query.code, values)}")
    if query.status is not None:
        wanted.append(f"status = {_bind(query.status, values)}")
    key = "+attempt_id" if _short(connection, query) else "attempt_id"  # the plus keeps SQLite from that index
    rows = connection.execute(
        f"SELECT call_id FROM ledger WHERE {' AND '.join(wanted)} ORDER BY {key} DESC",  # noqa: S608 - constants and names of parameters
        values,
    )
    return _first((row[0] for row in rows), query.limit)


def _short(connection: sqlite3.Connection, query: CallQuery) -> bool:
    """Whether so few rows lie in the span that they are found by their time and sorted, rather than by their ids."""
    if not query.since_ms:
        return False
    until_ms = FOREVER_MS if query.until_ms is None else query.until_ms
    found = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM ledger WHERE reserved_ms >= ? AND reserved_ms < ? LIMIT ?)",
        (query.since_ms, until_ms, SORTED_MAX + 1),
    ).fetchone()
    return bool(found[0] <= SORTED_MAX)


def _refused_ids(connection: sqlite3.Connection, query: CallQuery) -> list[str]:
    if query.ending not in ("", REFUSED) or query.status is not None:
        return []
    values: dict[str, Any] = {}
    wanted = [*_common(query, values, "at_ms", "call_id")]
    if query.ending:
        wanted.append("final")
    if query.code:
        wanted.append(f"code = {_bind(query.code, values)}")
    rows = connection.execute(
        f"SELECT call_id FROM refusals WHERE {' AND '.join(wanted)} ORDER BY call_id DESC",  # noqa: S608 - the same
        values,
    )
    return _first((row[0] for row in rows), query.limit)


def _common(query: CallQuery, values: dict[str, Any], time: str, key: str) -> Iterator[str]:
    yield f"{time} >= {_bind(query.since_ms, values)}"
    if query.until_ms is not None:
        yield f"{time} < {_bind(query.until_ms, values)}"
    if query.before:
        yield f"{key} < {_bind(query.before, values)}"
    for dimension, value in query.only.items():
        if dimension in DIMENSIONS:
            yield f'"{dimension}" = {_bind(value, values)}'
        else:
            tag = _bind(dimension, values)
            yield f"(SELECT value FROM json_each(tags) WHERE key = {tag}) = {_bind(value, values)}"  # noqa: S608 - names


def _bind(value: Any, values: dict[str, Any]) -> str:
    name = f"p{len(values)}"
    values[name] = value
    return f":{name}"


def _first(ids: Iterable[str], limit: int) -> list[str]:
    """The first so many that differ, from rows that are fetched one by one."""
    found: dict[str, None] = {}
    for call_id in ids:
        found[call_id] = None
        if len(found) > limit:
            break
    return list(found)


class MemoryHistory:
    """The history of books in memory. rows: the ledger of now, in its order."""

    def __init__(self, rows: Callable[[], list[Row]], rows_max: int = ROWS_MAX) -> None:
        self._rows = rows
        self._rows_max = rows_max
        self._lock = threading.Lock()
        self._refusals: dict[tuple[str, int], Refusal] = {}

    def record(self, refusals: Sequence[Refusal], now_ms: int) -> None:
        """Remember refusals, each once; forget the oldest beyond what is kept."""
        with self._lock:
            for one in refusals:
                self._refusals.setdefault((one.call_id, one.place), one)
            newest = sorted({key[0] for key in self._refusals}, reverse=True)
            kept = _kept(newest, self._refusals, self._rows_max)
            self._refusals = {
                key: one for key, one in self._refusals.items() if key[0] in kept and one.at_ms >= now_ms - KEPT_MS
            }

    def calls(self, query: CallQuery) -> list[CallRecord]:
        """Calls that a query is about, newest first."""
        found = {fact.call_id for fact in self._facts() if _fits_fact(query, fact)}
        found |= {one.call_id for one in self._known() if _fits_refusal(query, one)}
        if query.before:
            found = {call_id for call_id in found if call_id < query.before}
        return [self._record(call_id) for call_id in sorted(found, reverse=True)[: query.limit]]

    def call(self, call_id: str) -> CallRecord | None:
        """One call; None where nothing is known of it."""
        record = self._record(call_id)
        return record if record.attempts or record.refusals else None

    def _record(self, call_id: str) -> CallRecord:
        attempts = sorted((fact for fact in self._facts() if fact.call_id == call_id), key=lambda one: one.reserved_ms)
        refusals = sorted((one for one in self._known() if one.call_id == call_id), key=lambda one: one.place)
        return CallRecord(call_id, tuple(attempts), tuple(refusals))

    def _facts(self) -> list[Fact]:
        return [fact_of(row) for row in self._rows()]

    def _known(self) -> list[Refusal]:
        with self._lock:
            return list(self._refusals.values())


def _kept(newest: Sequence[str], refusals: Iterable[tuple[str, int]], rows_max: int) -> set[str]:
    """The calls whose refusals are kept: the newest, as long as there is room."""
    keys = sorted((key[0] for key in refusals), reverse=True)
    return set(newest) if len(keys) <= rows_max else {call_id for call_id in newest if call_id > keys[rows_max]}


def _fits_fact(query: CallQuery, fact: Fact) -> bool:
    return (
        _in_span(query, fact.reserved_ms)
        and all(fact.scopes.get(dimension) == value for dimension, value in query.only.items())
        and query.ending in ("", fact.ending)
        and query.code in ("", fact.error_code)
        and query.status in (None, fact.status)
    )


def _fits_refusal(query: CallQuery, one: Refusal) -> bool:
    return (
        _in_span(query, one.at_ms)
        and all(one.scopes.get(dimension) == value for dimension, value in query.only.items())
        and (not query.ending or (query.ending == REFUSED and one.final))
        and query.code in ("", one.code)
        and query.status is None
    )


def _in_span(query: CallQuery, at_ms: int) -> bool:
    return query.since_ms <= at_ms < (FOREVER_MS if query.until_ms is None else query.until_ms)
