"""The definitions of allowances as the SQLite books keep them: read, written, and restarted from the ledger.

What a definition means, and what a change of it entails, `defining` decides.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

import msgspec

from bursar.edges.stores import bulk
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
from bursar.edges.stores.rows import scopes_of
from bursar.edges.stores.shelving import text_of
from bursar.errors import StoreUnavailableError

_ADD_UP = """
SELECT "provider", "model", "key", "user", "session", "tags", reserved_ms - reserved_ms % ?3 AS start_ms,
       sum(requests), sum(charged_nano_usd), sum(carried_input), sum(carried_output)
FROM entries WHERE reserved_ms >= ?1 AND reserved_ms < ?2 GROUP BY 1, 2, 3, 4, 5, 6, 7
"""
# Wider than any instant: everything falls in one interval.
_AS_ONE_MS = 2**62


def version_of(connection: sqlite3.Connection) -> int:
    """A number that changes with every change of the definitions."""
    return int(connection.execute("SELECT definitions FROM books").fetchone()[0])


def read(connection: sqlite3.Connection) -> dict[str, Defined]:
    """All definitions by name. Raises StoreUnavailableError when a newer Bursar has written one of them."""
    defined = {}
    for name, sources, form, body in connection.execute("SELECT * FROM allowances ORDER BY name").fetchall():
        if form > FORMAT:
            raise StoreUnavailableError(
                f"the allowance {name!r} is kept in form {form}, and this Bursar knows form {FORMAT}: upgrade Bursar"
            )
        defined[name] = Defined(decode_allowance(body), msgspec.json.decode(sources, type=tuple[str, ...]))
    return defined


def write(connection: sqlite3.Connection, change: Change, now_ms: int) -> None:
    """Carry a change out: definitions, levels and the claims of pending holds, all in the caller's transaction."""
    removed = text_of([*change.remove, *(allowance.name for allowance in change.restart)])
    credits = {
        (name, subject, start_ms): credit
        for name, subject, start_ms, credit in connection.execute(
            "SELECT allowance, subject, start_ms, credit FROM levels "
            "WHERE credit <> 0 AND allowance IN (SELECT value FROM json_each(?))",
            (removed,),
        ).fetchall()
    }
    meters = {name: defined.allowance.meter for name, defined in read(connection).items()}
    connection.execute("DELETE FROM levels WHERE allowance IN (SELECT value FROM json_each(?))", (removed,))
    connection.execute(
        "DELETE FROM allowances WHERE name IN (SELECT value FROM json_each(?))", (text_of(change.remove),)
    )
    for allowance, sources in change.write:
        connection.execute(
            "INSERT INTO allowances VALUES (?1, ?2, ?3, ?4) "
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
    window, width_ms = span
    values = (window.start_ms, window.end_ms, width_ms or _AS_ONE_MS)
    for row in connection.execute(_ADD_UP, values).fetchall():
        yield Carried(scopes_of(row[:5], row[5]), *row[6:])
