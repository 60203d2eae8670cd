"""Ids of calls, which sort by time and never repeat."""

from __future__ import annotations

import itertools
import os

__all__ = ["Ids"]


class Ids:
    """Ids of calls: 12 hexadecimal digits of the clock, 12 of chance drawn once a process, and a counter.

    They sort by time and never repeat, within a process or between any two. Drawing chance for each would cost more
    than all else that an id is made of.
    """

    def __init__(self) -> None:
        self.chance = os.urandom(6).hex()
        self._counter = itertools.count()

    def new(self, now_ms: int) -> str:
        """The next id."""
        return f"{now_ms:012x}{self.chance}{next(self._counter):06x}"
