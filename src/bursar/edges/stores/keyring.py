"""The keyrings: tables beside the books in SQLite, or dicts.

What is kept of a key's text is a digest. Every value is a parameter of its statement, never a part of it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import msgspec

from bursar.call.keyring import NameTakenError
from bursar.edges.stores.connections import Connections
from bursar.errors import ConfigError
from bursar.rules.keys import CallerKey, Team

_VERSION = "SELECT version FROM keyring"
_RAISE = "UPDATE keyring SET version = version + 1"
_KEYS = "SELECT body FROM keys WHERE version > ? ORDER BY name"
_NAMED = "SELECT body FROM keys WHERE name = ?"
_BY_DIGEST = "SELECT body FROM keys JOIN key_digests USING (id) WHERE digest = ?"
_TAKEN = "SELECT 1 FROM keys WHERE name = ? AND id <> ?"
_DIGEST_TAKEN = "SELECT 1 FROM key_digests WHERE digest = ? AND id <> ?"
_PUT = """
INSERT INTO keys (id, name, version, body) VALUES (?, ?, (SELECT version FROM keyring), ?)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = excluded.version, body = excluded.body
"""
_FORGET_DIGESTS = "DELETE FROM key_digests WHERE id = ?"
_PUT_DIGEST = "INSERT INTO key_digests (digest, id) VALUES (?, ?)"
_TEAMS = "SELECT name, organisation, created_ms FROM teams ORDER BY name"
_PUT_TEAM = """
INSERT INTO teams (name, organisation, created_ms) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET organisation = excluded.organisation, created_ms = excluded.created_ms
"""
_REMOVE_TEAM = "DELETE FROM teams WHERE name = ?"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CallerKey).decode


class SqliteKeyring:
    """The keyring of books in a file."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def version(self) -> int:
        """A number that every change raises."""
        with self._connections.reading() as connection:
            return int(connection.execute(_VERSION).fetchone()[0])

    def keys(self, since: int = 0) -> list[CallerKey]:
        """Keys that were made or changed after this version, by name."""
        with self._connections.reading() as connection:
            rows = connection.execute(_KEYS, (since,)).fetchall()
        return [_decode(body) for (body,) in rows]

    def by_digest(self, digest: str) -> CallerKey | None:
        """The key that has this digest."""
        with self._connections.reading() as connection:
            row = connection.execute(_BY_DIGEST, (digest,)).fetchone()
        return None if row is None else _decode(row[0])

    def put(self, key: CallerKey) -> None:
        """Make or change a key. Raises NameTakenError, and ConfigError where one of its digests is another key's."""
        with self._connections.committing() as connection:
            _put(connection, key)

    def alter(self, name: str, change: Callable[[CallerKey], CallerKey]) -> CallerKey | None:
        """Change the key of this name in one transaction; None where there is none. Raises ConfigError as `put`."""
        with self._connections.committing() as connection:
            row = connection.execute(_NAMED, (name,)).fetchone()
            if row is None:
                return None
            key = change(_decode(row[0]))
            _put(connection, key)
            return key

    def teams(self) -> list[Team]:
        """The teams, by name."""
        with self._connections.reading() as connection:
            return [Team(*row) for row in connection.execute(_TEAMS).fetchall()]

    def put_team(self, team: Team) -> None:
        """Make or change a team."""
        with self._connections.committing() as connection:
            connection.execute(_RAISE)
            connection.execute(_PUT_TEAM, (team.name, team.organisation, team.created_ms))

    def remove_team(self, name: str) -> bool:
        """Forget a team; whether there was one."""
        with self._connections.committing() as connection:
            connection.execute(_RAISE)
            return bool(connection.execute(_REMOVE_TEAM, (name,)).rowcount)


class MemoryKeyring:
    """The keyring of books in memory: of one process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._version = 0
        self._keys: dict[str, tuple[int, CallerKey]] = {}
        self._teams: dict[str, Team] = {}

    def version(self) -> int:
        """A number that every change raises."""
        return self._version

    def keys(self, since: int = 0) -> list[CallerKey]:
        """Keys that were made or changed after this version, by name."""
        with self._lock:
            return [key for _, (version, key) in sorted(self._keys.items()) if version > since]

    def by_digest(self, digest: str) -> CallerKey | None:
        """The key that has this digest."""
        with self._lock:
            for _, key in self._keys.values():
                if any(own == digest for own, _ in key.digests):
                    return key
            return None

    def put(self, key: CallerKey) -> None:
        """Make or change a key. Raises NameTakenError, and ConfigError where one of its digests is another key's."""
        with self._lock:
            same = self._keys.get(key.name)
            if same is not None and same[1].id != key.id:
                raise NameTakenError(key.name)
            for digest, _ in key.digests:
                other = self.by_digest(digest)
                if other is not None and other.id != key.id:
                    raise _text_taken()
            self._version += 1
            self._keys[key.name] = (self._version, key)

    def alter(self, name: str, change: Callable[[CallerKey], CallerKey]) -> CallerKey | None:
        """Change the key of this name in one step; None where there is none. Raises ConfigError as `put`."""
        with self._lock:
            found = self._keys.get(name)
            if found is None:
                return None
            key = change(found[1])
            self.put(key)
            return key

    def teams(self) -> list[Team]:
        """The teams, by name."""
        with self._lock:
            return [team for _, team in sorted(self._teams.items())]

    def put_team(self, team: Team) -> None:
        """Make or change a team."""
        with self._lock:
            self._version += 1
            self._teams[team.name] = team

    def remove_team(self, name: str) -> bool:
        """Forget a team; whether there was one."""
        with self._lock:
            self._version += 1
            return self._teams.pop(name, None) is not None


def _put(connection: sqlite3.Connection, key: CallerKey) -> None:
    if connection.execute(_TAKEN, (key.name, key.id)).fetchone():
        raise NameTakenError(key.name)
    if any(connection.execute(_DIGEST_TAKEN, (digest, key.id)).fetchone() for digest, _ in key.digests):
        raise _text_taken()
    connection.execute(_RAISE)
    connection.execute(_PUT, (key.id, key.name, _encode(key).decode()))
    connection.execute(_FORGET_DIGESTS, (key.id,))
    connection.executemany(_PUT_DIGEST, [(digest, key.id) for digest, _ in key.digests])


def _text_taken() -> ConfigError:
    """The error of a key's text that is another key's already."""
    return ConfigError("another key has this text already: take another one")
