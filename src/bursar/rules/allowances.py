"""Limits and budgets: one machine that decides all claims of an attempt at once.

An Allowance is a name, a scope, a meter, a shape and a capacity. A Level is what a store remembers of one allowance
for one subject (and window). `decide` looks at every level that binds an attempt and returns one Grant or the most
restrictive Denial; it changes nothing. `take`, `settle`, `void` and `expire` are the ways in which levels move; what
a provider says of its own limits lifts a bucket's (`observing`).

Shapes: "calendar" and "rolling" windows count what was spent and what is held; a "bucket" refills continuously (the
leaky bucket as a meter, its level an integer in units x milliseconds, hence exact and refundable); a "gauge" counts
what is in flight. Money is never a bucket: a budget that refills is not a budget.

Source: the two-phase transfer (pending, then post or void, each at most once; a pending already counts against the
limit) for money, and GCRA in its leaky-bucket form for rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bursar.rules.money import PICO_PER_NANO, nano_of_pico
from bursar.rules.windows import PERIOD_MS, SUB_WINDOWS, Period, sub_window_ms

Meter = Literal["nano_usd", "requests", "tokens", "input_tokens", "output_tokens", "in_flight"]
METERS: tuple[str, ...] = ("nano_usd", "requests", "tokens", "input_tokens", "output_tokens", "in_flight")
Shape = Literal["calendar", "rolling", "bucket", "gauge"]
Comeback = Literal["later", "on_release", "never"]

# Levels stay exact in any reader of JSON or double; above this a capacity is a typing mistake anyway.
LEVEL_MAX = 2**53 - 1

# An elastic claim takes at most this share of the tightest headroom, so that one call cannot starve its neighbours.
ELASTIC_SHARE = 4


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit or a budget.

    name: unique in the books. capacity: units of the meter (nano-USD for money), 0 or more.
    period: the window's or bucket's length; None for a gauge.
    only: the scope values a call must carry, as (dimension, value) pairs; empty for all calls.
    each: a dimension of which every value has a level of its own; None for one level in all.
    missing: what happens to a call without a value for `each`: "pool" (a level of their own) or "refuse".
    mode: "enforce", or "observe" (counts, refuses nothing). source: where it is defined.
    alert_at: shares of the capacity, in percent, at which an alert is due.
    """

    name: str
    meter: Meter
    capacity: int
    shape: Shape
    period: Period | None = None
    only: tuple[tuple[str, str], ...] = ()
    each: str | None = None
    missing: Literal["pool", "refuse"] = "pool"
    mode: Literal["enforce", "observe"] = "enforce"
    time_zone: str = "UTC"
    source: str = ""
    alert_at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.capacity < 0:
            raise ValueError(f"{self.name}: a capacity cannot be negative: {self.capacity}")
        if (self.shape == "gauge") != (self.period is None) or (self.shape == "gauge") != (self.meter == "in_flight"):
            raise ValueError(f"{self.name}: a gauge counts calls in flight and has no period; everything else has one")
        if self.shape == "bucket" and (self.meter == "nano_usd" or self.period == "total"):
            raise ValueError(f"{self.name}: a bucket refills; it holds neither money nor a total")
        if self.shape == "rolling" and self.period == "total":
            raise ValueError(f"{self.name}: a total does not roll")
        scale = PERIOD_MS[self.period] if self.shape == "bucket" and self.period else 1
        if self.capacity * scale > LEVEL_MAX and self.meter != "nano_usd":
            raise ValueError(
                f"{self.name}: a capacity of {self.capacity} per {self.period} is beyond what can be counted"
            )

    @property
    def enforced(self) -> bool:
        """True when this allowance refuses what does not fit."""
        return self.mode == "enforce"

    def subject_of(self, scopes: Mapping[str, str]) -> str | None:
        """Whose level a call with these scopes moves; None when the allowance does not bind it. "" stands for all."""
        for dimension, value in self.only:
            if scopes.get(dimension) != value:
                return None
        return "" if self.each is None else scopes.get(self.each, "")

    def refuses_missing(self, scopes: Mapping[str, str]) -> bool:
        """True when a call that it binds lacks the value that it is counted by, and must be refused for that."""
        return self.missing == "refuse" and self.each is not None and not scopes.get(self.each)


class Level:
    """What a store remembers of one allowance, for one subject in one window. Mutable; only this module moves it.

    spent and held are in units of the meter; for a bucket `spent` is the level in units x milliseconds as of
    `updated_ms`. `credit` is what was topped up for this window, `limit` the capacity with it. `start_ms` identifies
    the (sub-)window and `end_ms` is its end. `others` are the rolling window's earlier sub-windows as
    (start_ms, spent + held), oldest first.
    """

    __slots__ = (
        "allowance", "before", "credit", "end_ms", "held", "limit", "meter", "others", "scale", "spent", "start_ms",
        "subject", "updated_ms",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - made for every level of every transaction, where keywords cost
        self,
        allowance: Allowance,
        subject: str = "",
        start_ms: int = 0,
        end_ms: int = 0,
        spent: int = 0,
        held: int = 0,
        credit: int = 0,
        updated_ms: int = 0,
        others: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.allowance = allowance
        self.meter = allowance.meter
        # Milliseconds of a bucket's period; 0 says that the shape is not a bucket.
        self.scale = PERIOD_MS[allowance.period or "minute"] if allowance.shape == "bucket" else 0
        self.limit = allowance.capacity + credit
        self.subject = subject
        self.start_ms = start_ms
        self.end_ms = end_ms
        self.spent = spent
        self.held = held
        self.credit = credit
        self.updated_ms = updated_ms
        self.others = others
        self.before = sum([used for _, used in others]) if others else 0

    @property
    def key(self) -> tuple[str, str, int]:
        """The identity of the level in a store: allowance, subject, start of the window."""
        return (self.allowance.name, self.subject, self.start_ms)

    def free(self, now_ms: int) -> int:
        """Units that can still be claimed at `now_ms`; below 0 when the level is above its capacity."""
        if self.scale:
            return (self.limit * self.scale - self.leaked(now_ms)) // self.scale
        return self.limit - self.spent - self.held - self.before

    def leaked(self, now_ms: int) -> int:
        """A bucket's level at `now_ms`, in units x milliseconds. A clock that went back leaks nothing."""
        passed_ms = now_ms - self.updated_ms
        if passed_ms <= 0:
            return max(self.spent, 0)
        left = self.spent - passed_ms * self.limit
        return left if left > 0 else 0


class Demand(NamedTuple):
    """What an attempt may use at most.

    base_pico_usd: the most that everything but output can cost, over all choices; None when a price is not known.
    output_pico_usd: the most that one more token of output limit can cost, over all choices.
    output_tokens_min, output_tokens_max: the elastic range of the output limit; equal when the caller set one.
    rate_input_tokens, rate_output_tokens: estimates for rate limits (money never uses them).
    reserves: how often the provider counts an elastic output limit against its rate limits once it is sent one: for
    each choice; 0 where it counts what is used.
    capped_by: what already narrowed `output_tokens_max` below the model's own maximum, "" for nothing.
    """

    base_pico_usd: int | None
    output_pico_usd: int
    output_tokens_min: int
    output_tokens_max: int
    rate_input_tokens: int = 0
    rate_output_tokens: int = 0
    capped_by: str = ""
    reserves: int = 0

    def nano_usd(self, output_tokens: int) -> int:
        """The most the attempt can cost with this output limit; 0 when no price is known (no money is claimed then)."""
        return (
            0 if self.base_pico_usd is None else nano_of_pico(self.base_pico_usd + output_tokens * self.output_pico_usd)
        )

    def affordable_output_tokens(self, nano_usd: int) -> int:
        """The largest output limit, 0 or more, whose bound `nano_usd` can carry; `output_tokens_max` at the most."""
        if self.base_pico_usd is None:
            return self.output_tokens_max
        left_pico_usd = nano_usd * PICO_PER_NANO - self.base_pico_usd
        if not self.output_pico_usd:
            return self.output_tokens_max if left_pico_usd >= 0 else 0
        return max(0, min(self.output_tokens_max, left_pico_usd // self.output_pico_usd))


class Grant(NamedTuple):
    """All claims are granted: `amounts[i]` of level i's meter. `capped_by` names what limited an elastic output.

    output_rate: what rate limits count of the output.
    """

    nano_usd: int
    output_tokens: int
    amounts: tuple[int, ...]
    capped_by: str
    would_refuse: tuple[str, ...]
    output_rate: int = 0


@dataclass(frozen=True, slots=True)
class Denial:
    """Nothing was granted; the binding allowance, and when to come back.

    comeback: "later" (in `wait_ms`), "on_release" (calls in flight hold what is needed), "never" (spent, or larger
    than the capacity; `resets_at_ms` says when a spent window ends, None when that does not help).
    needed, left, spent, held, limit: units of the allowance's meter.
    reason: "over", "missing" (a value that the allowance counts by), "price" (a price that is not known), or "behind"
    (others wait for the allowance, and come first; all figures but `needed` are those that made them wait).
    """

    allowance: Allowance
    subject: str
    reason: Literal["over", "missing", "price", "behind"]
    comeback: Comeback
    needed: int
    left: int
    spent: int
    held: int
    limit: int
    wait_ms: int = 0
    resets_at_ms: int | None = None
    affordable_output_tokens: int | None = None


def decide(levels: Sequence[Level], demand: Demand, now_ms: int) -> Grant | Denial:
    """Decide all claims of an attempt at once, without changing anything.

    `levels` are those of every allowance that binds the attempt, as a store remembers them.
    """
    output_tokens, output_rate, capped_by = demand.output_tokens_max, demand.rate_output_tokens, demand.capped_by
    if demand.output_tokens_min < output_tokens or demand.reserves:
        output_tokens, output_rate, capped_by = _elastic(levels, demand, now_ms)
    nano_usd = demand.nano_usd(output_tokens)
    amount_of = {
        "nano_usd": nano_usd,
        "requests": 1,
        "tokens": demand.rate_input_tokens + output_rate,
        "input_tokens": demand.rate_input_tokens,
        "output_tokens": output_rate,
        "in_flight": 1,
    }
    over = []
    amounts = []
    for level in levels:
        amount = amount_of[level.meter]
        amounts.append(amount)
        if amount > (level.free(now_ms) if level.scale else level.limit - level.spent - level.held - level.before):
            over.append(level)
    grant = Grant(nano_usd, output_tokens, tuple(amounts), capped_by, (), output_rate)
    if over or demand.base_pico_usd is None:
        return _weigh(levels, over, amount_of, demand, grant, now_ms)
    return grant


def _elastic(levels: Sequence[Level], demand: Demand, now_ms: int) -> tuple[int, int, str]:
    """Fix the output limit of a caller who set none: a share of the tightest headroom, within the demand's range.

    Returns it with what rate limits count of it, and what narrowed it. Where money makes it go to a provider that
    reserves it, rates are headroom, too: a maximum that nobody asked for must not use up a minute's tokens.
    """
    tokens, capped_by = demand.output_tokens_max, demand.capped_by
    enforced = [level for level in levels if level.allowance.enforced]
    reserved = demand.reserves if capped_by or any(level.meter == "nano_usd" for level in enforced) else 0
    for level in enforced:
        if level.meter == "nano_usd":
            affordable = demand.affordable_output_tokens(level.free(now_ms) // ELASTIC_SHARE)
        elif reserved and level.meter in ("tokens", "output_tokens"):
            input_tokens = demand.rate_input_tokens if level.meter == "tokens" else 0
            affordable = (level.free(now_ms) // ELASTIC_SHARE - input_tokens) // reserved
        else:
            continue
        if affordable < tokens:
            tokens, capped_by = affordable, level.allowance.name
    tokens = max(tokens, demand.output_tokens_min)
    return tokens, tokens * reserved or min(demand.rate_output_tokens, tokens), capped_by


def _weigh(
    levels: Sequence[Level], over: list[Level], amount_of: Mapping[str, int], demand: Demand, grant: Grant, now_ms: int
) -> Grant | Denial:
    """Something does not fit: the most restrictive denial, or the grant with what observation would have refused."""
    # A claim of nothing fits even where a level is overdrawn: a model that is free stays open to all.
    denials = [deny(level, amount, demand, now_ms) for level in over if (amount := amount_of[level.meter])]
    if demand.base_pico_usd is None:
        denials += [_unpriced(level) for level in levels if level.meter == "nano_usd"]
    binding = [denial for denial in denials if denial.allowance.enforced]
    if not binding:
        return grant._replace(would_refuse=tuple(sorted({denial.allowance.name for denial in denials})))
    return max(binding, key=_severity)


def _severity(denial: Denial) -> tuple[int, int]:
    if denial.comeback == "later":
        return 0, denial.wait_ms
    rank, at_last_ms = (1, 0) if denial.comeback == "on_release" else (2, LEVEL_MAX)
    if rank == 1 and denial.allowance.period == "total":
        at_last_ms = LEVEL_MAX  # what is held may be spent, and then never comes back
    return rank, at_last_ms if denial.resets_at_ms is None else denial.resets_at_ms


def deny_missing(allowance: Allowance) -> Denial:
    """The denial of a call that lacks the value which the allowance counts by."""
    return Denial(allowance, "", "missing", "never", 0, 0, 0, 0, allowance.capacity)


def _unpriced(level: Level) -> Denial:
    return Denial(
        level.allowance, level.subject, "price", "never", 0, 0, level.spent, level.held, level.allowance.capacity
    )


def deny(level: Level, amount: int, demand: Demand, now_ms: int) -> Denial:
    """The denial of one claim that does not fit its level, with the way back."""
    allowance, free, limit = level.allowance, level.free(now_ms), level.limit
    spent = limit - free - level.held if allowance.shape != "gauge" else 0
    comeback, wait_ms, resets_at_ms = _way_back(level, amount, free, now_ms)
    affordable = demand.affordable_output_tokens(max(free, 0)) if allowance.meter == "nano_usd" else None
    told = (amount, free, spent, level.held, limit, wait_ms, resets_at_ms, affordable)
    return Denial(allowance, level.subject, "over", comeback, *told)


def _way_back(level: Level, amount: int, free: int, now_ms: int) -> tuple[Comeback, int, int | None]:
    allowance = level.allowance
    if amount > level.limit:
        return "never", 0, None
    if allowance.shape == "gauge":
        return "on_release", 0, None
    if allowance.shape == "bucket":
        over = level.leaked(now_ms) + (amount - level.limit) * level.scale
        return "later", -(-over // level.limit), None
    if allowance.period == "total":
        return "on_release" if level.held and free + level.held >= amount else "never", 0, None
    frees_at_ms = level.end_ms if allowance.shape == "calendar" else _rolls_free_at_ms(level, amount - free)
    if allowance.meter == "nano_usd":
        # Held money comes back when calls end; spent money only with the window.
        return "on_release" if level.held and free + level.held >= amount else "never", 0, frees_at_ms
    return "later", max(frees_at_ms - now_ms, 1), frees_at_ms


def _rolls_free_at_ms(level: Level, missing: int) -> int:
    """When enough of the oldest sub-windows have left a rolling window."""
    width_ms = sub_window_ms(level.allowance.period or "hour")
    for start_ms, used in (*level.others, (level.start_ms, level.spent + level.held)):
        missing -= used
        if missing <= 0:
            return start_ms + width_ms * (SUB_WINDOWS + 1)
    return level.start_ms + width_ms * (SUB_WINDOWS + 1)


def take(level: Level, amount: int, now_ms: int) -> None:
    """Claim `amount`, as decided."""
    if level.scale:
        _pour(level, amount, now_ms)
    else:
        level.held += amount


def settle(level: Level, claimed: int, actual: int, now_ms: int, *, refunds: bool = True) -> None:
    """End a claim with the fact. `refunds`: the provider counts what was used, not what was reserved."""
    if level.scale:
        if refunds or actual > claimed:
            _pour(level, actual - claimed, now_ms)
        return
    level.held -= claimed
    if level.allowance.shape != "gauge":
        level.spent += actual


def void(level: Level, claimed: int, now_ms: int) -> None:
    """End a claim of an attempt that was provably never sent."""
    take(level, -claimed, now_ms)


def expire(level: Level, claimed: int) -> None:
    """End an orphan's claim: its money counts as spent, its place in flight is free, its rates stay as they are."""
    if level.allowance.shape != "bucket":
        level.held -= claimed
        if level.allowance.shape != "gauge":
            level.spent += claimed


def correct(level: Level, charged: int, actual: int) -> None:
    """Replace what an earlier end charged (an expiry, or an uncertain settle) by the fact."""
    if level.allowance.shape not in ("bucket", "gauge"):
        level.spent += actual - charged


def _pour(level: Level, amount: int, now_ms: int) -> None:
    """Raise (or lower) a bucket by `amount` units, having let it leak first."""
    spent = level.leaked(now_ms) + amount * level.scale
    level.spent = 0 if spent < 0 else spent if spent < LEVEL_MAX else LEVEL_MAX
    if level.updated_ms < now_ms:
        level.updated_ms = now_ms
