"""Many rows in few statements.

What costs in Python's sqlite3 beside a busy second thread is the handing over of the interpreter lock at every step:
measured at 64 rows of 34 columns, one INSERT with all rows as VALUES takes 6 us of CPU a row and waits 11 ms in all,
executemany 7 us (19 when contended) and 60 ms, a JSON array taken apart by json_each 23 us and 12 ms. So rows go as
VALUES, cut into powers of two, whose statements stay prepared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

# Up to this many rows every number has its own statement, so that a lone operation takes one step a table.
EXACT_MAX = 16
# The largest piece: 128 rows of 41 columns stay far below SQLite's 32,766 parameters.
ROWS_MAX = 128


def insert(
    connection: sqlite3.Connection, table: str, columns: int, rows: Sequence[Sequence[Any]], then: str = ""
) -> None:
    """Insert rows of `columns` values each. `table` and `then` (a conflict clause) are SQL of this package's own."""
    done, count = 0, len(rows)
    while done < count:
        size = count - done
        if size > EXACT_MAX:
            size = min(ROWS_MAX, 1 << (size.bit_length() - 1))
        values = list(chain.from_iterable(rows[done : done + size]))
        connection.execute(_statement(table, columns, size, then), values)
        done += size


@lru_cache(maxsize=256)
def _statement(table: str, columns: int, size: int, then: str) -> str:
    row = f"({','.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {','.join([row] * size)} {then}"  # noqa: S608 - names of this package
