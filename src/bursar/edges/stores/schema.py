"""The tables of the books in SQLite, and the one place that makes or refuses a database file.

holds: attempts in flight. levels: what every allowance has spent and holds, by subject and window. ledger: one row an
attempt that ended. openings: what pruning has folded, so that no sum ever changes. allowances: the definitions; every
change of one raises `books.definitions`, by which a process knows whether what it remembers of them is still true.
breakers: what living processes have posted of their circuit breakers; alerts: what people were told; keys, teams: who
may call through the gateway; refusals: calls that were not sent; replays: calls under idempotency keys. These are no
part of the books.
"""

from __future__ import annotations

import sqlite3

from bursar.edges.stores.rows import Row
from bursar.errors import StoreUnavailableError

SCHEMA_VERSION = 1
# "BRSR": tells a Bursar database from any other SQLite file.
APPLICATION_ID = 0x42525352

_ACCOUNTS = '"provider", "model", "key", "user", "session", "tags"'

# A process reads again only what has a higher version than what it knows.
_RAISE = """
    UPDATE books SET definitions = definitions + 1;
    UPDATE allowances SET version = (SELECT definitions FROM books) WHERE name = NEW.name;
"""

# Everything that was ever charged: the rows, and what pruning has folded, which says no more who served it.
ENTRIES = f"""
SELECT reserved_ms, {_ACCOUNTS}, ending, coalesce(nullif(served_model, ''), asked_model) AS served_model, would_refuse,
    1 AS calls, cost_nano_usd IS NULL AS unknown_cost_calls, requests, charged_nano_usd,
    CASE WHEN certain THEN charged_nano_usd ELSE 0 END AS certain_nano_usd, NOT certain AS uncertain_calls,
    input_tokens, output_tokens, carried_input, carried_output
FROM ledger
UNION ALL
SELECT reserved_ms, {_ACCOUNTS}, ending, substr("model", length("provider") + 2), would_refuse,
    calls, unknown_cost_calls, requests, charged_nano_usd, charged_nano_usd, 0,
    input_tokens, output_tokens, carried_input, carried_output
FROM openings
"""  # noqa: S608 - names of columns

# No part of the books, so it needs no version: books that were made before it get it when they are opened.
_BOARD = """
CREATE TABLE IF NOT EXISTS breakers (
    owner_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    why TEXT NOT NULL,
    opened INTEGER NOT NULL,
    reset_asked INTEGER NOT NULL,
    PRIMARY KEY (owner_id, provider, model)
) WITHOUT ROWID
"""

_CLAIMS = """
CREATE TABLE IF NOT EXISTS alerts (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    step INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (kind, name, subject, step)
) WITHOUT ROWID
"""

_REFUSALS = f"""
CREATE TABLE IF NOT EXISTS refusals (
    call_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    {_ACCOUNTS},
    asked_provider TEXT NOT NULL,
    asked_model TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    wait_ms INTEGER NOT NULL,
    binding TEXT NOT NULL,
    final INTEGER NOT NULL,
    PRIMARY KEY (call_id, place)
) WITHOUT ROWID
"""

_REPLAYS = """
CREATE TABLE IF NOT EXISTS replays (
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    call_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    lease_until_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    kept INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    headers TEXT,
    body BLOB,
    PRIMARY KEY (key, name)
);
CREATE INDEX IF NOT EXISTS replays_expire ON replays (expires_ms);
"""

# A key's version is the keyring's at its last change: a process reads again only what is newer than what it knows.
_KEYRING = """
CREATE TABLE IF NOT EXISTS keyring (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL);
INSERT OR IGNORE INTO keyring VALUES (1, 0);
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_version ON keys (version);
CREATE TABLE IF NOT EXISTS key_digests (digest TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS key_digests_id ON key_digests (id);
CREATE TABLE IF NOT EXISTS teams (
    name TEXT PRIMARY KEY,
    organisation TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) WITHOUT ROWID;
"""

# Column names of this package are all that is put into it.
_TABLES = f"""
CREATE TABLE books (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    definitions INTEGER NOT NULL,
    removals INTEGER NOT NULL
);
INSERT INTO books VALUES (1, 1, 0);
CREATE TABLE allowances (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    sources TEXT NOT NULL,
    format INTEGER NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX allowances_version ON allowances (version);
CREATE TRIGGER allowance_added AFTER INSERT ON allowances BEGIN {_RAISE} END;
CREATE TRIGGER allowance_changed AFTER UPDATE OF sources, format, body ON allowances BEGIN {_RAISE} END;
CREATE TRIGGER allowance_removed AFTER DELETE ON allowances BEGIN
    UPDATE books SET definitions = definitions + 1, removals = removals + 1;
END;
CREATE TABLE owners (
    id TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    sources TEXT NOT NULL,
    locked INTEGER NOT NULL,
    lease_until_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE levels (
    allowance TEXT NOT NULL,
    subject TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    spent INTEGER NOT NULL,
    held INTEGER NOT NULL,
    credit INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    PRIMARY KEY (allowance, subject, start_ms)
) WITHOUT ROWID;
CREATE TABLE holds (
    attempt_id TEXT PRIMARY KEY,
    owner_id TEXT NOT NULL,
    body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE ledger (
    {", ".join(f'"{column}"' for column in Row._fields)},
    PRIMARY KEY (attempt_id)
);
CREATE INDEX ledger_time ON ledger (reserved_ms);
CREATE INDEX ledger_session ON ledger ("session", reserved_ms) WHERE "session" IS NOT NULL;
CREATE INDEX ledger_uncertain ON ledger (reserved_ms) WHERE certain = 0;
CREATE TABLE openings (
    reserved_ms INTEGER NOT NULL,
    {_ACCOUNTS},
    ending TEXT NOT NULL,
    would_refuse TEXT NOT NULL,
    calls INTEGER NOT NULL,
    unknown_cost_calls INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    charged_nano_usd INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    carried_input INTEGER NOT NULL,
    carried_output INTEGER NOT NULL
);
CREATE INDEX openings_time ON openings (reserved_ms);
CREATE INDEX openings_session ON openings ("session", reserved_ms) WHERE "session" IS NOT NULL;
CREATE VIEW entries AS {ENTRIES};
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""  # noqa: S608


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Make the tables in a new file; accept one of ours. To be called inside a write transaction.

    Raises StoreUnavailableError for a newer version and for a database of something else.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if ours and version == SCHEMA_VERSION:
        for statement in _beside():
            connection.execute(statement)
        return
    if ours:
        raise StoreUnavailableError(
            f"{path} has the books in version {version}, and this Bursar knows version {SCHEMA_VERSION}: "
            "upgrade Bursar, or name another file"
        )
    if version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreUnavailableError(f"{path} is a database of something else than Bursar: name another file")
    for statement in (*_statements(_TABLES), *_beside()):
        connection.execute(statement)


def _beside() -> list[str]:
    """What makes the tables that are no part of the books, where they are missing."""
    return [_BOARD, _CLAIMS, _REFUSALS, *_statements(_KEYRING), *_statements(_REPLAYS)]


def _statements(script: str) -> list[str]:
    """The statements of a script, one by one: executescript would commit the transaction that they belong to."""
    statements, start = [], ""
    for line in script.splitlines():
        start += line + "\n"
        if start.strip() and sqlite3.complete_statement(start):
            statements.append(start)
            start = ""
    return statements
