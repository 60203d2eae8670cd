"""Figures as families of samples: what a worker counted, and what all workers counted together. Pure.

Decides how samples of several workers become one: counters and histograms are added up over every worker that ever
was, so that they never go back; gauges only over those that live, each in its own way. Numbers stay integers, in units
of `1 / scale`, so that money is exact however often it is added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

# Names come from people and from callers; what is longer tells nothing more.
LABEL_CHARACTERS_MAX = 200

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "min", "max"]
Labels = tuple[str, ...]
Number = int | float
Value = Number | list[int]
"""Of a histogram: how many fell into each bucket, those beyond the last one, and the sum of all."""


class Family(Struct, gc=False):
    """Samples of one name. labels: their names; samples: their values with the sample's number.

    scale: what a number is divided by to be in the unit of the name. bounds: upper ends of a histogram's buckets, in
    units of `1 / scale`. merge: how a gauge of several workers becomes one.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    samples: list[tuple[Labels, Value]] = []
    scale: int = 1
    bounds: tuple[int, ...] = ()
    merge: Merge = "sum"


class Snapshot(Struct, gc=False):
    """What one worker had counted at a moment, epoch milliseconds. ended: it will count no more.

    number: of this worker's snapshots, in the order in which they were taken.
    """

    worker: str
    at_ms: int
    families: list[Family]
    ended: bool = False
    number: int = 0


def label_of(text: str) -> str:
    """A name as a label's value: it ends, can be written as UTF-8, and has nothing that cannot be seen.

    >>> label_of("gpt-4o"), label_of("a\\nb")
    ('gpt-4o', 'a\\\\nb')
    """
    text = text[:LABEL_CHARACTERS_MAX]
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def added_up(snapshots: Iterable[Snapshot], now_ms: int, *, silent_ms: int) -> list[Family]:
    """All workers as one, by name. Whoever has ended, or was not heard of for `silent_ms`, has no gauges any more."""
    total: dict[str, tuple[Family, dict[Labels, Value]]] = {}
    for snapshot in sorted(snapshots, key=lambda one: one.at_ms):
        lives = not snapshot.ended and now_ms - snapshot.at_ms < silent_ms
        for family in snapshot.families:
            if family.kind != "gauge" or lives:
                into = total.setdefault(family.name, (family, {}))
                _add(into, family)
    return [_with(family, samples) for _, (family, samples) in sorted(total.items())]


def _add(into: tuple[Family, dict[Labels, Value]], family: Family) -> None:
    first, samples = into
    if (family.labels, family.bounds, family.scale) != (first.labels, first.bounds, first.scale):
        return  # written by another version, while one replaces the other
    for labels, value in family.samples:
        known = samples.get(labels)
        samples[labels] = value if known is None else _together(known, value, first.merge)


def _together(one: Value, other: Value, merge: Merge) -> Value:
    if isinstance(one, list) and isinstance(other, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    assert not isinstance(one, list)
    assert not isinstance(other, list)
    return one + other if merge == "sum" else min(one, other) if merge == "min" else max(one, other)


def _with(family: Family, samples: dict[Labels, Value]) -> Family:
    return Family(
        family.name, family.kind, family.help, family.labels, sorted(samples.items(), key=_label), family.scale,
        family.bounds, family.merge,
    )  # fmt: skip


def _label(sample: tuple[Labels, Value]) -> Labels:
    return sample[0]


class Onward:
    """Keeps counters of things that are replaced (a pool, a store) from going back: each begins where it was."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, Labels], tuple[Number, Number]] = {}

    def __call__(self, families: Sequence[Family]) -> list[Family]:
        """The families with what their predecessors had counted."""
        return [self._carried(family) if family.kind == "counter" else family for family in families]

    def _carried(self, family: Family) -> Family:
        samples: list[tuple[Labels, Value]] = []
        for labels, value in family.samples:
            assert not isinstance(value, list)
            key = (family.name, labels)
            base, last = self._seen.get(key, (0, 0))
            if value < last:
                base += last
            self._seen[key] = (base, value)
            samples.append((labels, base + value))
        return Family(family.name, family.kind, family.help, family.labels, samples, family.scale)
