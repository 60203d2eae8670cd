"""Pages of the SQLite books: what a transaction loads, in one statement where it can, and what it writes back.

The first statement returns one row: the version of the definitions, the lease, the holds and rows that the operations
name, and the levels they will most likely move. Each list comes as one JSON text, because every row that SQLite hands
over costs a change of the interpreter lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from bursar.edges.stores import bulk
from bursar.edges.stores.bindings import Key
from bursar.edges.stores.holds import Hold, decode_holds, encode_hold
from bursar.edges.stores.page import Page
from bursar.edges.stores.rows import Row
from bursar.edges.stores.standing import Stored, stored_of

_LEVELS = """
SELECT json_group_array(json_array(l.allowance, l.subject, l.start_ms, l.end_ms, l.spent, l.held, l.credit,
                                   l.updated_ms))
FROM json_each({keys}) AS k CROSS JOIN levels AS l
ON l.allowance = json_extract(k.value, '$[0]') AND l.subject = json_extract(k.value, '$[1]')
AND l.start_ms = json_extract(k.value, '$[2]')
"""
_OPEN = f"""
SELECT (SELECT definitions FROM books),
       (SELECT lease_until_ms FROM owners WHERE id = ?1),
       (SELECT group_concat(body, ',') FROM holds WHERE attempt_id IN (SELECT value FROM json_each(?2))),
       (SELECT json_group_array(attempt_id) FROM ledger WHERE attempt_id IN (SELECT value FROM json_each(?2))),
       ({_LEVELS.format(keys="?3")})
"""  # noqa: S608 - put together from constants
_LEVELS_OF_KEYS = _LEVELS.format(keys="?1")
_ROWS = "SELECT * FROM ledger WHERE attempt_id IN (SELECT value FROM json_each(?))"
_SUB_WINDOWS = """
SELECT json_group_array(json_array(allowance, subject, start_ms, end_ms, spent, held, credit, updated_ms))
FROM levels WHERE allowance = ? AND subject = ? AND start_ms >= ?
"""
_MOVE = """
ON CONFLICT (allowance, subject, start_ms) DO UPDATE SET
spent = excluded.spent, held = excluded.held, credit = excluded.credit, updated_ms = excluded.updated_ms
"""
_REPLACE_HOLD = "ON CONFLICT (attempt_id) DO UPDATE SET owner_id = excluded.owner_id, body = excluded.body"

_encode = msgspec.json.Encoder().encode
_decode_levels = msgspec.json.Decoder(list[Stored]).decode
_decode_ids = msgspec.json.Decoder(list[str]).decode


class Opening(NamedTuple):
    """What the first statement of a transaction finds. `rows`: ids that stand in the ledger already."""

    definitions: int
    lease_until_ms: int | None
    holds: list[Hold]
    rows: list[str]
    levels: dict[Key, Stored]


def open_page(
    connection: sqlite3.Connection, owner_id: str, attempt_ids: Sequence[str], keys: Sequence[Key]
) -> Opening:
    """Load what a batch of operations needs."""
    definitions, lease_until_ms, holds, rows, levels = connection.execute(
        _OPEN, (owner_id, text_of(attempt_ids), text_of(keys))
    ).fetchone()
    return Opening(
        definitions,
        lease_until_ms,
        decode_holds(f"[{holds}]") if holds else [],
        _decode_ids(rows) if rows != "[]" else [],
        _levels_of(levels),
    )


def rows_of(connection: sqlite3.Connection, attempt_ids: Sequence[str]) -> list[Row]:
    """The ledger's rows of these attempts."""
    return [Row(*values) for values in connection.execute(_ROWS, (text_of(attempt_ids),)).fetchall()]


class SqlShelf:
    """Levels that nobody foresaw, from the transaction's own connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def levels(self, keys: Iterable[Key]) -> Mapping[Key, Stored]:
        """The levels of these keys, as far as they are kept."""
        return _levels_of(self._connection.execute(_LEVELS_OF_KEYS, (text_of(list(keys)),)).fetchone()[0])

    def sub_windows(self, allowance: str, subject: str, from_ms: int) -> Mapping[int, Stored]:
        """A rolling allowance's levels that start at `from_ms` or later, by their start."""
        text = self._connection.execute(_SUB_WINDOWS, (allowance, subject, from_ms)).fetchone()[0]
        return {key[2]: stored for key, stored in _levels_of(text).items()}


def save_page(connection: sqlite3.Connection, page: Page) -> None:
    """Write what a page has changed, and nothing else."""
    if page.moved:
        save_levels(connection, [stored_of(level) for level in page.moved.values()])
    if page.opened:
        holds = [(hold.attempt_id, hold.owner_id, encode_hold(hold).decode()) for hold in page.opened.values()]
        bulk.insert(connection, "holds", 3, holds, _REPLACE_HOLD)
    if page.ended:
        delete_holds(connection, list(page.ended))
    if page.written:
        replaced = [attempt_id for attempt_id in page.written if attempt_id not in page.ended]
        if replaced:
            connection.execute(
                "DELETE FROM ledger WHERE attempt_id IN (SELECT value FROM json_each(?))", (text_of(replaced),)
            )
        bulk.insert(connection, "ledger", len(Row._fields), list(page.written.values()))


def save_levels(connection: sqlite3.Connection, levels: Sequence[Stored]) -> None:
    """Write levels, new ones and moved ones."""
    bulk.insert(connection, "levels", len(Stored._fields), levels, _MOVE)


def delete_holds(connection: sqlite3.Connection, attempt_ids: Sequence[str]) -> None:
    """Take holds off the books."""
    connection.execute(
        "DELETE FROM holds WHERE attempt_id IN (SELECT value FROM json_each(?))", (text_of(attempt_ids),)
    )


def text_of(value: object) -> str:
    """JSON as the text that SQLite's functions expect."""
    return _encode(value).decode()


def _levels_of(text: str) -> dict[Key, Stored]:
    if text == "[]":
        return {}
    return {stored[:3]: stored for stored in _decode_levels(text)}
