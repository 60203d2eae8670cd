"""Choices that are made in every possible way: a program that asks what happens next is run once for each answer.

The first option is what usually happens, and free; every other is a deviation, of which a run has so many at most. All
runs with up to one, two, ... deviations are therefore tried, each exactly once, in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class Fates:
    """The choices of one run. `chosen` tells them, for people."""

    def __init__(self, path: Sequence[int], deviations_max: int) -> None:
        self.chosen: list[str] = []
        self.taken: list[tuple[int, int]] = []
        self._path = path
        self._left = deviations_max

    def choose(self, what: str, *options: str) -> str:
        """One of the options."""
        at = len(self.taken)
        index = self._path[at] if at < len(self._path) else 0
        self.taken.append((index, len(options) if self._left else 1))
        if index:
            self._left -= 1
            self.chosen.append(f"{what}: {options[index]}")
        return options[index]


def every(deviations_max: int) -> Iterator[Fates]:
    """Every run, one after the other: use each to its end before the next is asked for.

    >>> for fates in every(1):
    ...     fates.choose("weather", "sun", "rain"), fates.choose("meal", "bread", "rice", "soup")
    ('sun', 'bread')
    ('sun', 'rice')
    ('sun', 'soup')
    ('rain', 'bread')
    """
    path: list[int] | None = []
    while path is not None:
        fates = Fates(path, deviations_max)
        yield fates
        path = following(fates.taken)


def following(taken: list[tuple[int, int]]) -> list[int] | None:
    """The choices of the next run: the last one that has another option takes it."""
    for at in range(len(taken) - 1, -1, -1):
        index, count = taken[at]
        if index + 1 < count:
            return [*(one for one, _ in taken[:at]), index + 1]
    return None
