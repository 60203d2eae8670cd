"""The definitions of allowances as the SQLite books keep them: read, written, and restarted from the ledger.

What a definition means, and what a change of it entails, `defining` decides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping

import msgspec

from bursar.edges.stores import bulk
from bursar.edges.stores.accounts import DIMENSIONS, scopes_of
from bursar.edges.stores.bindings import Bindings
from bursar.edges.stores.defining import (
    FORMAT,
    Carried,
    Change,
    Defined,
    Span,
    decode_allowance,
    encode_allowance,
    restart,
)
from bursar.edges.stores.holds import Hold, decode_holds, encode_hold
from bursar.edges.stores.shelving import text_of
from bursar.errors import StoreUnavailableError

_ADD_UP = """
SELECT "provider", "model", "key", "user", "session", "tags", reserved_ms - reserved_ms % :width AS start_ms,
       sum(requests), sum(charged_nano_usd), sum(carried_input), sum(carried_output)
FROM entries WHERE {conditions} GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
# Wider than any instant: everything falls in one interval.
_AS_ONE_MS = 2**62


def read(connection: sqlite3.Connection, names: Collection[str] = ()) -> dict[str, Defined]:
    """Definitions by name, all of them unless named. Raises StoreUnavailableError for one that a newer Bursar wrote."""
    wanted = " WHERE name IN (SELECT value FROM json_each(?))" if names else ""
    values = (text_of(list(names)),) if names else ()
    rows = connection.execute(f"SELECT name, sources, format, body FROM allowances{wanted} ORDER BY name", values)  # noqa: S608
    return {row[0]: _defined(*row) for row in rows.fetchall()}


class Known:
    """What a store remembers of the definitions, and how it learns what changed since."""

    def __init__(self) -> None:
        self.bindings = Bindings()
        self.version = -1
        self._removals = -1

    def learn(self, connection: sqlite3.Connection) -> None:
        """Read what has changed; to be called when the books have another version than this."""
        version, removals = connection.execute("SELECT definitions, removals FROM books").fetchone()
        if removals != self._removals:
            # Something was removed, and what is gone has no version: begin anew.
            self.bindings = Bindings()
            self.version = -1
        rows = connection.execute(
            "SELECT name, sources, format, body FROM allowances WHERE version > ?", (self.version,)
        ).fetchall()
        self.bindings.put(_defined(*row).allowance for row in rows)
        self.version, self._removals = version, removals


def _defined(name: str, sources: str, form: int, body: str) -> Defined:
    if form > FORMAT:
        raise StoreUnavailableError(
            f"the allowance {name!r} is kept in form {form}, and this Bursar knows form {FORMAT}: upgrade Bursar"
        )
    return Defined(decode_allowance(body), msgspec.json.decode(sources, type=tuple[str, ...]))


def write(connection: sqlite3.Connection, change: Change, now_ms: int) -> None:
    """Carry a change out: definitions, levels and the claims of pending holds, all in the caller's transaction."""
    again = [allowance.name for allowance in change.restart]
    removed = text_of([*change.remove, *again])
    credits = {
        (name, subject, start_ms): credit
        for name, subject, start_ms, credit in connection.execute(
            "SELECT allowance, subject, start_ms, credit FROM levels "
            "WHERE credit <> 0 AND allowance IN (SELECT value FROM json_each(?))",
            (removed,),
        ).fetchall()
    }
    meters = {name: defined.allowance.meter for name, defined in read(connection, again).items()} if again else {}
    connection.execute("DELETE FROM levels WHERE allowance IN (SELECT value FROM json_each(?))", (removed,))
    connection.execute(
        "DELETE FROM allowances WHERE name IN (SELECT value FROM json_each(?))", (text_of(change.remove),)
    )
    for allowance, sources in change.write:
        connection.execute(
            "INSERT INTO allowances VALUES (?1, 0, ?2, ?3, ?4) "
            "ON CONFLICT (name) DO UPDATE SET sources = ?2, format = ?3, body = ?4",
            (allowance.name, text_of(sources), FORMAT, encode_allowance(allowance)),
        )
    if change.restart or change.remove:
        kept = {key: credit for key, credit in credits.items() if _same_meter(change, key[0], meters)}
        _restart(connection, change, kept, now_ms)


def _same_meter(change: Change, name: str, meters: Mapping[str, str]) -> bool:
    return any(allowance.name == name and allowance.meter == meters.get(name) for allowance in change.restart)


def _restart(
    connection: sqlite3.Connection, change: Change, credits: Mapping[tuple[str, str, int], int], now_ms: int
) -> None:
    text = connection.execute("SELECT group_concat(body, ',') FROM holds").fetchone()[0]
    holds: list[Hold] = decode_holds(f"[{text}]") if text else []
    gone = {*change.remove, *(allowance.name for allowance in change.restart)}
    claims = {hold.attempt_id: [claim for claim in hold.claims if claim.allowance not in gone] for hold in holds}
    for allowance in change.restart:
        own = {key: credit for key, credit in credits.items() if key[0] == allowance.name}
        again = restart(allowance, holds, lambda span: add_up(connection, span), own, now_ms)
        bulk.insert(connection, "levels", 8, list(again.levels.values()))
        for attempt_id, claim in again.claims.items():
            claims[attempt_id].append(claim)
    changed = [hold.claiming(tuple(claims[hold.attempt_id])) for hold in holds]
    changed = [new for new, old in zip(changed, holds, strict=True) if new.claims != old.claims]
    for hold in changed:
        connection.execute(
            "UPDATE holds SET body = ? WHERE attempt_id = ?", (encode_hold(hold).decode(), hold.attempt_id)
        )


def add_up(connection: sqlite3.Connection, span: Span) -> Iterator[Carried]:
    """What the ledger and the opening rows carry in a span, by scopes and interval."""
    window, width_ms, only = span
    values: dict[str, int | str] = {
        "since": window.start_ms,
        "until": window.end_ms,
        "width": width_ms or _AS_ONE_MS,
    }
    conditions = ["reserved_ms >= :since", "reserved_ms < :until"]
    for dimension, value in only:
        if dimension in DIMENSIONS:
            conditions.append(f'"{dimension}" = :{dimension}')
            values[dimension] = value
    for row in connection.execute(_ADD_UP.format(conditions=" AND ".join(conditions)), values).fetchall():
        yield Carried(scopes_of(row[:5], row[5]), *row[6:])
