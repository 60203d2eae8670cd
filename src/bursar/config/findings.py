"""What a check of the configuration finds, and how it says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "note"]


class Finding(NamedTuple):
    """One contradiction. key: its path in the file. line: where that stands, None when it is not in a file."""

    level: Level
    key: str
    line: int | None
    message: str


# Takes the level, the path of the key and what is wrong.
Find = Callable[[Level, str, str], None]
