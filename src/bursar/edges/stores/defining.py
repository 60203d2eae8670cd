"""How definitions change: what is new, changed or gone, and from what a level starts.

An allowance keeps its levels as long as it counts the same thing (scope, meter, shape, period, zone). Where that
changes, and where a name is new, its levels start from the ledger and the pending holds, so that renaming or changing
a budget never loses spend. A bucket starts empty: what leaked in the past is not on record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from bursar.call.books import Claim
from bursar.edges.stores.bindings import Key, window_of
from bursar.edges.stores.holds import Hold
from bursar.edges.stores.standing import Stored
from bursar.errors import ConfigError
from bursar.rules.allowances import Allowance, Meter
from bursar.rules.money import format_usd
from bursar.rules.windows import FOREVER_MS, Window, rolling_window, sub_window_ms

# The form in which definitions are kept; a later one must read this one too.
FORMAT = 1
# The source of an allowance that was put by hand, unless it names another.
COMMAND_LINE = "cli"
# How the source of what a program gives as arguments begins; each program has its own, which ends with it.
PROGRAM = "program:"


class Defined(NamedTuple):
    """A definition in the books, and every file or program that defines it so; none when it was put by hand."""

    allowance: Allowance
    sources: tuple[str, ...]


class Carried(NamedTuple):
    """What ledger rows of one set of scopes carry in one window, added up."""

    scopes: Mapping[str, str]
    start_ms: int
    requests: int
    nano_usd: int
    input_tokens: int
    output_tokens: int

    def amount(self, meter: Meter) -> int:
        """The sum of a meter."""
        if meter == "tokens":
            return self.input_tokens + self.output_tokens
        if meter in ("requests", "in_flight"):
            return self.requests
        if meter == "nano_usd":
            return self.nano_usd
        return self.input_tokens if meter == "input_tokens" else self.output_tokens


@dataclass(frozen=True, slots=True)
class Change:
    """What `define` has to do: definitions to write, names to remove, and those whose levels start anew."""

    write: tuple[Defined, ...]
    remove: tuple[str, ...]
    restart: tuple[Allowance, ...]

    def __bool__(self) -> bool:
        return bool(self.write or self.remove)


def plan(
    known: Mapping[str, Defined],
    allowances: Sequence[Allowance],
    source: str,
    others: Collection[str],
    living: Collection[str] = (),
) -> Change:
    """Compare what `source` defines with the books.

    others: sources that other live processes use. living: sources that anybody uses; what only programs that have
    ended defined is removed.

    Raises ConfigError when one of these defines an allowance of the same name differently, when a name stands twice,
    and for an unknown time zone.
    """
    new = {allowance.name: allowance for allowance in allowances}
    if len(new) < len(allowances):
        names = [allowance.name for allowance in allowances]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"the allowance {twice!r} is defined twice in {source or 'one place'}")
    write, restart, remove = [], [], []
    for allowance in new.values():
        _check_zone(allowance)
        before = known.get(allowance.name)
        defined = _joined(before, allowance, source, others, living)
        if before is None or not counts_alike(before.allowance, allowance):
            restart.append(allowance)
        if defined != before:
            write.append(defined)
    for name, before in known.items():
        if name in new:
            continue
        left = tuple(each for each in before.sources if each != source and not _ended(each, living))
        if left == before.sources:
            continue
        if left:
            write.append(before._replace(sources=left))
        else:
            remove.append(name)
    return Change(tuple(write), tuple(remove), tuple(restart))


def plan_one(known: Mapping[str, Defined], allowance: Allowance) -> Change:
    """Put one allowance by hand. Raises ConfigError when a file or a program defines that name."""
    before = known.get(allowance.name)
    if before is not None:
        _refuse_elsewhere(before)
    _check_zone(allowance)
    defined = Defined(replace(allowance, source=allowance.source or COMMAND_LINE), ())
    if before == defined:
        return Change((), (), ())
    restarts = before is None or not counts_alike(before.allowance, allowance)
    return Change((defined,), (), (allowance,) if restarts else ())


def plan_removal(known: Mapping[str, Defined], name: str, in_use: Callable[[str], bool]) -> Change:
    """Remove an allowance from the command line. `in_use`: whether a source still exists, or a live process uses it.

    Raises ConfigError for a name that is not defined, and for one that a source in use defines.
    """
    defined = _find(known, name)
    _refuse_elsewhere(defined._replace(sources=tuple(source for source in defined.sources if in_use(source))))
    return Change((), (name,), ())


def topped_up(
    defined: Mapping[str, Defined],
    levels: Callable[[Key], Stored | None],
    name: str,
    amount: int,
    subject: str,
    now_ms: int,
) -> Stored:
    """The current level of an allowance with `amount` more credit, in units of its meter.

    Raises ConfigError for a name that is not defined, a shape without a window to credit, a subject that it does not
    count, and an amount that would take away more than was credited.
    """
    allowance = _find(defined, name).allowance
    if allowance.shape != "calendar":
        raise ConfigError(f"{name!r} has no calendar window to top up: change its capacity instead", key=name)
    if allowance.each is None and subject:
        raise ConfigError(f"{name!r} is one for all: it cannot be topped up for {subject!r}", key=name)
    window = window_of(allowance, now_ms)
    key = (name, subject, window.start_ms)
    stored = levels(key) or Stored(*key, window.end_ms, 0, 0, 0, now_ms)
    if stored.credit + amount < 0:
        raise ConfigError(f"{name!r} was topped up by {stored.credit} only: {-amount} cannot be taken back", key=name)
    return stored._replace(credit=stored.credit + amount)


def _find(known: Mapping[str, Defined], name: str) -> Defined:
    if name not in known:
        raise ConfigError(f"there is no allowance {name!r}; there are: {', '.join(known) or 'none'}", key=name)
    return known[name]


def _refuse_elsewhere(defined: Defined) -> None:
    if defined.sources:
        where = " and ".join(dict.fromkeys(place(source) for source in defined.sources))
        raise ConfigError(f"{defined.allowance.name!r} is defined in {where}: change it there", key=defined[0].name)


def counts_alike(one: Allowance, other: Allowance) -> bool:
    """True when both count the same thing, so that levels of one are levels of the other."""
    return _counted(one) == _counted(other)


def _counted(allowance: Allowance) -> tuple[object, ...]:
    zone = allowance.time_zone if allowance.shape == "calendar" else ""
    return (allowance.meter, allowance.shape, allowance.period, frozenset(allowance.only), allowance.each, zone)


def _ended(source: str, living: Collection[str]) -> bool:
    return source.startswith(PROGRAM) and source not in living


def _joined(
    before: Defined | None, allowance: Allowance, source: str, others: Collection[str], living: Collection[str]
) -> Defined:
    """The definition with its sources: a live process elsewhere may define the same, but nothing else."""
    if before is None or before.sources == (source,):
        return Defined(allowance, (source,))
    if replace(before.allowance, source="") == replace(allowance, source=""):
        return before if source in before.sources else before._replace(sources=(*before.sources, source))
    rivals = [each for each in before.sources if each != source and each in others]
    if rivals:
        raise ConfigError(
            f"{allowance.name!r} is defined as {describe(allowance)} in {place(source)}, and as "
            f"{describe(before.allowance)} in {place(rivals[0])}, which a running process uses: "
            "make both the same, or give one another name",
            key=allowance.name,
        )
    # Another client of this process may count on the name; it gets the later definition, and keeps it alive.
    kept = tuple(each for each in before.sources if each.startswith(PROGRAM) and each in living and each != source)
    return Defined(allowance, (*kept, source))


def place(source: str) -> str:
    """A source as people call it."""
    return "the arguments of a program" if source.startswith(PROGRAM) or not source else source


def describe(allowance: Allowance) -> str:
    """An allowance in a few words, for messages."""
    per = f" per {allowance.period}" if allowance.period else ""
    each = f" each {allowance.each}" if allowance.each else ""
    money = allowance.meter == "nano_usd"
    amount = format_usd(allowance.capacity) if money else f"{allowance.capacity} {allowance.meter.replace('_', ' ')}"
    return f"{amount}{per}{each} ({allowance.mode})"


def _check_zone(allowance: Allowance) -> None:
    try:
        ZoneInfo(allowance.time_zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(
            f"{allowance.name!r}: there is no time zone {allowance.time_zone!r}", key=allowance.name
        ) from None


class Span(NamedTuple):
    """Ledger rows to be added up: of an interval, per `width_ms` counted from the epoch (0: as one).

    only: scope values that the rows must carry, as far as the store can tell cheaply; it may hand out others, too.
    """

    window: Window
    width_ms: int
    only: tuple[tuple[str, str], ...] = ()


def spans(allowance: Allowance, holds: Iterable[Hold], now_ms: int) -> list[Span]:
    """What the levels of a restarted allowance must cover: the current window, and those of pending holds.

    And all that is reserved later than now, should the clock have gone back: its windows are still to come.
    """
    if allowance.shape not in ("calendar", "rolling") or allowance.period is None:
        return []
    windows = {window_of(allowance, hold.reserved_ms) for hold in holds}
    current, width_ms = window_of(allowance, now_ms), 0
    whole = current
    if allowance.shape == "rolling":
        whole = Window(rolling_window(allowance.period, now_ms)[1], current.end_ms)
        width_ms = sub_window_ms(allowance.period)
    apart = [Span(window, 0, allowance.only) for window in windows if window.end_ms <= whole.start_ms]
    coming = Span(Window(current.end_ms, FOREVER_MS), width_ms or 1, allowance.only)
    return [Span(whole, width_ms, allowance.only), coming, *apart]


class Restart(NamedTuple):
    """Levels of an allowance from scratch, and the claims that pending holds get, by attempt."""

    levels: dict[Key, Stored]
    claims: dict[str, Claim]


def restart(
    allowance: Allowance,
    holds: Iterable[Hold],
    add_up: Callable[[Span], Iterable[Carried]],
    credits: Mapping[Key, int],
    now_ms: int,
) -> Restart:
    """Levels as they would stand had the allowance been there: spent from the ledger, held from the pending holds.

    credits: top-ups of the levels that it had so far; those of windows that stay the same are kept.
    """
    bound = [(hold, subject) for hold in holds if (subject := allowance.subject_of(hold.scopes)) is not None]
    spent: dict[Key, int] = {}
    held: dict[Key, int] = {}
    ends: dict[Key, int] = {}
    for span in spans(allowance, [hold for hold, _ in bound], now_ms):
        for carried in add_up(span):
            subject = allowance.subject_of(carried.scopes)
            if subject is not None:
                window = window_of(allowance, carried.start_ms) if span.width_ms else span.window
                key = (allowance.name, subject, window.start_ms)
                spent[key] = spent.get(key, 0) + carried.amount(allowance.meter)
                ends[key] = window.end_ms
    claims = {}
    for hold, subject in bound if allowance.shape != "bucket" else ():
        window = window_of(allowance, hold.reserved_ms)
        key = (allowance.name, subject, window.start_ms)
        claim = claims[hold.attempt_id] = Claim(*key, allowance.meter, hold.amount(allowance.meter))
        held[key] = held.get(key, 0) + claim.amount
        ends[key] = window.end_ms
    now_window = window_of(allowance, now_ms)
    for key in credits:
        if key[2] == now_window.start_ms:
            ends.setdefault(key, now_window.end_ms)
    levels = {
        key: Stored(*key, end_ms, spent.get(key, 0), held.get(key, 0), credits.get(key, 0), now_ms)
        for key, end_ms in ends.items()
    }
    return Restart(levels, claims)


def encode_allowance(allowance: Allowance) -> str:
    """A definition as it is kept."""
    return msgspec.json.encode(allowance).decode()


decode_allowance = msgspec.json.Decoder(Allowance).decode
