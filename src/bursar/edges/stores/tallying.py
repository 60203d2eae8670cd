"""Adding up the ledger for people: groups of entries become rows of a usage report.

A store hands over entries that are added up as far as it can, by quarter of an hour where days or hours are asked for;
here they are put into the days and hours of the query's time zone, whose boundaries all fall on a quarter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bursar.call.books import UsageQuery, UsageRow
from bursar.edges.stores.rows import names_of
from bursar.errors import InvalidRequestError
from bursar.rules.windows import calendar_window

QUARTER_MS = 900_000
TIME_DIMENSIONS = ("day", "hour")
DIMENSIONS_MAX = 3
# Endings after which the caller had no usable reply.
FAILED = ("error", "interrupted", "expired")


class Entry(NamedTuple):
    """Rows of the ledger added up. `values`: those of the dimensions that are not times, in the query's order."""

    at_ms: int
    values: tuple[str, ...]
    would_refuse: str
    calls: int
    ok: int
    errors: int
    input_tokens: int
    output_tokens: int
    charged_nano_usd: int
    certain_nano_usd: int
    uncertain_calls: int
    unknown_cost_calls: int


def plain_dimensions(query: UsageQuery) -> tuple[str, ...]:
    """The dimensions of a query that are not times. Raises InvalidRequestError when there are too many in all."""
    if len(query.group_by) > DIMENSIONS_MAX:
        raise InvalidRequestError(f"usage can be grouped by up to {DIMENSIONS_MAX} dimensions, not {query.group_by}")
    return tuple(dimension for dimension in query.group_by if dimension not in TIME_DIMENSIONS)


def by_time(query: UsageQuery) -> bool:
    """True when the entries must be kept apart by quarter of an hour."""
    return any(dimension in TIME_DIMENSIONS for dimension in query.group_by)


def tally(query: UsageQuery, entries: Iterable[Entry]) -> list[UsageRow]:
    """The rows of a report, ordered by their group."""
    labels = _Labels(query.time_zone)
    sums: dict[tuple[str, ...], list[int]] = {}
    refused: dict[tuple[str, ...], dict[str, int]] = {}
    for entry in entries:
        values = iter(entry.values)
        group = tuple(
            labels.of(dimension, entry.at_ms) if dimension in TIME_DIMENSIONS else next(values)
            for dimension in query.group_by
        )
        counts = sums.setdefault(group, [0] * 9)
        for place, amount in enumerate(entry[3:]):
            counts[place] += amount
        if query.would_refuse:
            names = refused.setdefault(group, {})
            for name in names_of(entry.would_refuse):
                names[name] = names.get(name, 0) + entry.calls
    return [_report(group, counts, refused.get(group, {})) for group, counts in sorted(sums.items())]


def _report(group: tuple[str, ...], counts: Sequence[int], would_refuse: Mapping[str, int]) -> UsageRow:
    calls, ok, errors, input_tokens, output_tokens, charged, certain, uncertain_calls, unknown_cost_calls = counts
    return UsageRow(
        group,
        calls,
        ok,
        errors,
        input_tokens,
        output_tokens,
        charged,
        certain,
        uncertain_calls,
        unknown_cost_calls,
        would_refuse,
    )


class _Labels:
    """Days and hours of one time zone, by quarter of an hour."""

    def __init__(self, time_zone: str) -> None:
        try:
            self._zone = ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError):
            raise InvalidRequestError(f"there is no time zone {time_zone!r}") from None
        self._known: dict[tuple[str, int], str] = {}

    def of(self, dimension: str, at_ms: int) -> str:
        """The local day or hour that an instant lies in, as "2026-03-29" or "2026-03-29T14:00+02:00"."""
        key = (dimension, at_ms // QUARTER_MS)
        if key not in self._known:
            window = calendar_window("day" if dimension == "day" else "hour", self._zone, at_ms)
            start = datetime.fromtimestamp(window.start_ms / 1000, self._zone)
            self._known[key] = start.date().isoformat() if dimension == "day" else start.isoformat(timespec="minutes")
        return self._known[key]
