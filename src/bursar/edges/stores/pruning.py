"""Forgetting old rows of the ledger without changing a balance.

Rows that are certain and older than a cut are added up into opening rows, so finely that every boundary of every
window still falls between two of them: by quarter of an hour (calendar windows of all time zones begin on one), cut
again every 24 minutes (sub-windows of rolling days, weeks and months begin on such a minute). Windows shorter than a
quarter are over long before the cut. Pending holds and uncertain rows are never touched, nothing is folded that is
younger than the oldest hold, and a level goes only with a window that counts no longer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from bursar.edges.stores.holds import Hold
from bursar.rules.allowances import Allowance
from bursar.rules.windows import FOREVER_MS, rolling_window

QUARTER_MS = 900_000
ROLLING_MS = 24 * 60_000
# Windows shorter than a quarter, and rolling hours, have ended by then, whatever the clock did within reason.
RECENT_MS = 2 * 3_600_000
# Rows folded in one transaction: a call that waits for it waits a few tens of milliseconds.
ROWS_MAX = 5_000

_CELL = f"max(reserved_ms - reserved_ms % {QUARTER_MS}, reserved_ms - reserved_ms % {ROLLING_MS})"
_GROUP = '"provider", "model", "key", "user", "session", "tags", ending, would_refuse'
_OLD = "certain = 1 AND reserved_ms >= ?1 AND reserved_ms < ?2"
_FOLD = f"""
INSERT INTO openings
SELECT {_CELL}, {_GROUP}, count(*), sum(cost_nano_usd IS NULL), sum(requests), sum(charged_nano_usd), sum(input_tokens),
       sum(output_tokens), sum(carried_input), sum(carried_output)
FROM ledger WHERE {_OLD} GROUP BY {_CELL}, {_GROUP}
"""  # noqa: S608 - put together from constants
_FORGET = f"DELETE FROM ledger WHERE {_OLD}"  # noqa: S608 - a constant
_OLDEST = "SELECT min(reserved_ms) FROM ledger WHERE certain = 1 AND reserved_ms < ?"
_ENOUGH = "SELECT reserved_ms FROM ledger WHERE certain = 1 AND reserved_ms < ? ORDER BY reserved_ms LIMIT 1 OFFSET ?"
_OLDEST_HELD = f"SELECT min(json_extract(body, '$[{Hold.__struct_fields__.index('reserved_ms')}]')) FROM holds"  # noqa: S608

Committing = Callable[[], AbstractContextManager[sqlite3.Connection]]


def prune(committing: Committing, before_ms: int, clock: Callable[[], int], allowances: Iterable[Allowance]) -> int:
    """Fold rows reserved before `before_ms`, in as many transactions as it takes; how many were folded."""
    folded = 0
    while True:
        with committing() as connection:
            cut_ms = _cut_ms(connection, before_ms, clock())
            oldest_ms = connection.execute(_OLDEST, (cut_ms,)).fetchone()[0]
            if oldest_ms is None:
                for allowance in allowances:
                    _forget_levels(connection, allowance, cut_ms, clock())
                return folded
            enough = connection.execute(_ENOUGH, (cut_ms, ROWS_MAX)).fetchone()
            # Whole quarters only, and at least one.
            until_ms = cut_ms if enough is None else min(cut_ms, enough[0] - enough[0] % QUARTER_MS + QUARTER_MS)
            connection.execute(_FOLD, (oldest_ms, until_ms))
            folded += connection.execute(_FORGET, (oldest_ms, until_ms)).rowcount


def _cut_ms(connection: sqlite3.Connection, before_ms: int, now_ms: int) -> int:
    """Up to where nothing is recent, and nothing is held that will post to the window of its reservation."""
    held_ms = connection.execute(_OLDEST_HELD).fetchone()[0]
    cut_ms = min(before_ms, now_ms - RECENT_MS, before_ms if held_ms is None else held_ms)
    return int(cut_ms - cut_ms % QUARTER_MS)


def _forget_levels(connection: sqlite3.Connection, allowance: Allowance, cut_ms: int, now_ms: int) -> None:
    """Remove the levels of windows that ended before the cut and count no longer."""
    if allowance.shape == "rolling" and allowance.period is not None:
        cut_ms = min(cut_ms, rolling_window(allowance.period, now_ms)[1])
    if allowance.shape in ("calendar", "rolling"):
        connection.execute(
            "DELETE FROM levels WHERE allowance = ? AND end_ms <= ? AND end_ms < ?",
            (allowance.name, cut_ms, FOREVER_MS),
        )
