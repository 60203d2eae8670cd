"""Calls under idempotency keys: a table beside the books in SQLite, or a dict.

Like the board of breakers it is no part of the books. It is read where calls bring such a key, and nowhere else.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from bursar.call.replays import LEASE_MS, KeptReply, Replay, Wanted
from bursar.edges.stores.connections import Connections

# After the last character that an id has.
_BEYOND = "~"

_FIND = """
SELECT fingerprint, call_id, ended, lease_until_ms, status, headers, body FROM replays WHERE key = ? AND name = ?
"""
_FORGET_EXPIRED = "DELETE FROM replays WHERE expires_ms <= ? AND lease_until_ms <= ?"
_PUT = """
INSERT OR REPLACE INTO replays (key, name, fingerprint, call_id, owner, lease_until_ms, expires_ms, ended, waiting)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, coalesce((SELECT waiting FROM replays WHERE key = ?1 AND name = ?2), 0))
"""
_WAIT = "UPDATE replays SET waiting = waiting + 1 WHERE key = ? AND name = ?"
_LEAVE = "UPDATE replays SET waiting = max(waiting - 1, 0) WHERE key = ? AND name = ?"
_CLEAR = "UPDATE replays SET body = NULL, headers = NULL WHERE key = ? AND name = ? AND NOT kept AND waiting = 0"
_OWN = "key = ? AND name = ? AND call_id = ?"
_END = f"""
UPDATE replays SET ended = 1, kept = ?, status = ?, headers = ?, body = ? WHERE {_OWN}
"""  # noqa: S608 - names of columns
_GIVE_UP = f"UPDATE replays SET ended = 1 WHERE {_OWN}"  # noqa: S608
_FORGET = f"DELETE FROM replays WHERE {_OWN} AND NOT ended"  # noqa: S608
_RENEW = f"UPDATE replays SET lease_until_ms = ? WHERE {_OWN} AND NOT ended"  # noqa: S608
# What a call that nobody performs any more may have cost: its holds that still stand, and rows that are charged.
_CHARGED = """
SELECT EXISTS (SELECT 1 FROM holds WHERE attempt_id >= ?1 AND attempt_id < ?1 || ?2)
OR EXISTS (SELECT 1 FROM ledger WHERE attempt_id >= ?1 AND attempt_id < ?1 || ?2 AND charged_nano_usd > 0)
OR EXISTS (SELECT 1 FROM ledger WHERE attempt_id >= ?1 AND attempt_id < ?1 || ?2 AND ending = 'ok')
"""

_encode = msgspec.json.Encoder().encode
_headers = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


class SqliteReplays:
    """The table of books in a file."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def begin(self, wanted: Wanted, clock: Callable[[], int]) -> Replay:
        """Find the call, or write down that the caller performs it now."""
        with self._connections.committing() as connection:
            now_ms = clock()
            connection.execute(_FORGET_EXPIRED, (now_ms, now_ms))
            found = _found(connection, wanted, now_ms)
            if found is None:
                _put(connection, wanted, now_ms)
                return Replay("mine", wanted.call_id)
            if found.state == "under_way":
                connection.execute(_WAIT, wanted[:2])
            return found

    def look(self, wanted: Wanted, clock: Callable[[], int]) -> Replay:
        """What became of a call that was under way."""
        with self._connections.reading() as connection:
            row = connection.execute(_FIND, wanted[:2]).fetchone()
        now_ms = clock()
        if row is not None and (row[2] or row[3] > now_ms):
            return _replay_of(row, wanted)
        with self._connections.committing() as connection:
            found = _found(connection, wanted, now_ms)
            if found is not None:
                return found
            _put(connection, wanted, now_ms)
            return Replay("mine", wanted.call_id)

    def leave(self, key: str, name: str) -> None:
        """One who waited has the reply, or has gone."""
        with self._connections.committing() as connection:
            connection.execute(_LEAVE, (key, name))
            connection.execute(_CLEAR, (key, name))

    def end(self, wanted: Wanted, reply: KeptReply | None, *, keep: bool) -> None:
        """It was performed."""
        own = (*wanted[:2], wanted.call_id)
        kept = (None, None, None) if reply is None else (reply.status, _encode(reply.headers).decode(), reply.body)
        with self._connections.committing() as connection:
            connection.execute(_END, (keep, *kept, *own))
            connection.execute(_CLEAR, wanted[:2])

    def forget(self, wanted: Wanted) -> None:
        """The key is free again."""
        with self._connections.committing() as connection:
            connection.execute(_FORGET, (*wanted[:2], wanted.call_id))

    def renew(self, performed: Sequence[Wanted], clock: Callable[[], int]) -> None:
        """What this process performs is under way still."""
        with self._connections.committing() as connection:
            until_ms = clock() + LEASE_MS
            connection.executemany(_RENEW, [(until_ms, *one[:2], one.call_id) for one in performed])


def _put(connection: sqlite3.Connection, wanted: Wanted, now_ms: int) -> None:
    key, name, fingerprint, call_id, owner, expires_ms = wanted
    connection.execute(_PUT, (key, name, fingerprint, call_id, owner, now_ms + LEASE_MS, expires_ms))


def _found(connection: sqlite3.Connection, wanted: Wanted, now_ms: int) -> Replay | None:
    """What the table knows; None where the caller may perform it."""
    row = connection.execute(_FIND, wanted[:2]).fetchone()
    if row is None:
        return None
    replay = _replay_of(row, wanted)
    if replay.state != "under_way" or row[3] > now_ms:
        return replay
    # Its process is gone. What it may have been charged for is not sent again.
    if not connection.execute(_CHARGED, (replay.call_id, _BEYOND)).fetchone()[0]:
        return None
    connection.execute(_GIVE_UP, (*wanted[:2], replay.call_id))
    return Replay("ended", replay.call_id)


def _replay_of(row: tuple[str, str, int, int, int | None, str | None, bytes | None], wanted: Wanted) -> Replay:
    fingerprint, call_id, ended, _, status, headers, body = row
    if fingerprint != wanted.fingerprint:
        return Replay("other", call_id)
    if not ended:
        return Replay("under_way", call_id)
    if status is None or headers is None or body is None:
        return Replay("ended", call_id)
    return Replay("ended", call_id, KeptReply(status, _headers(headers), body))


@dataclass(slots=True)
class _Kept:
    wanted: Wanted
    ended: bool = False
    kept: bool = False
    waiting: int = 0
    reply: KeptReply | None = None


class MemoryReplays:
    """The dict of books in memory: of one process, so that nothing is ever left by a dead one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], _Kept] = {}

    def begin(self, wanted: Wanted, clock: Callable[[], int]) -> Replay:
        """Find the call, or remember that the caller performs it now."""
        now_ms = clock()
        with self._lock:
            self._known = {
                key: one for key, one in self._known.items() if not one.ended or one.wanted.expires_ms > now_ms
            }
            one = self._known.get(wanted[:2])
            if one is None:
                self._known[wanted[:2]] = _Kept(wanted)
                return Replay("mine", wanted.call_id)
            replay = self._replay(one, wanted)
            one.waiting += replay.state == "under_way"
            return replay

    def look(self, wanted: Wanted, clock: Callable[[], int]) -> Replay:
        """What became of a call that was under way."""
        with self._lock:
            one = self._known.setdefault(wanted[:2], _Kept(wanted))
            mine = one.wanted.call_id == wanted.call_id
            return Replay("mine", wanted.call_id) if mine else self._replay(one, wanted)

    def leave(self, key: str, name: str) -> None:
        """One who waited has the reply, or has gone."""
        with self._lock:
            one = self._known.get((key, name))
            if one is not None:
                one.waiting = max(one.waiting - 1, 0)
                self._clear(one)

    def end(self, wanted: Wanted, reply: KeptReply | None, *, keep: bool) -> None:
        """It was performed."""
        with self._lock:
            one = self._known.get(wanted[:2])
            if one is not None and one.wanted.call_id == wanted.call_id:
                one.ended, one.kept, one.reply = True, keep, reply
                self._clear(one)

    def forget(self, wanted: Wanted) -> None:
        """The key is free again."""
        with self._lock:
            one = self._known.get(wanted[:2])
            if one is not None and one.wanted.call_id == wanted.call_id and not one.ended:
                del self._known[wanted[:2]]

    def renew(self, performed: Sequence[Wanted], clock: Callable[[], int]) -> None:
        """Nothing: this process lives as long as what it remembers."""

    @staticmethod
    def _replay(one: _Kept, wanted: Wanted) -> Replay:
        if one.wanted.fingerprint != wanted.fingerprint:
            return Replay("other", one.wanted.call_id)
        return Replay("ended" if one.ended else "under_way", one.wanted.call_id, one.reply)

    @staticmethod
    def _clear(one: _Kept) -> None:
        if one.ended and not one.kept and not one.waiting:
            one.reply = None
