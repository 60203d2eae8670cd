"""What a key, a team, a user or an organisation may spend and use: ordinary budgets and limits, kept in the books.

Decides their names and whom they bind: `key:<name>` is the budget of a key, `key:<name>:requests` its limit on
requests; the same for `team:`, `user:` and `organisation:`. A name in a file has no colon, so neither takes the
other's place. What is taken away ends for good; what was spent stays in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from bursar.call.books import Store
from bursar.config.nearest import did_you_mean, one_of
from bursar.errors import ConfigError
from bursar.rules.allowances import METERS, Allowance, Meter
from bursar.rules.windows import Period

Holder = Literal["key", "team", "user", "organisation"]
HOLDERS: tuple[str, ...] = get_args(Holder)
BUDGET_PERIODS: tuple[str, ...] = ("hour", "day", "week", "month", "total")
BUCKET_PERIODS: tuple[str, ...] = ("second", "minute", "hour", "day")
LIMIT_METERS = tuple(meter for meter in METERS if meter != "nano_usd")
# What an organisation or a user may be called: what calls may be counted under.
NAME_CHARACTERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent in one window, in nano-USD."""

    nano_usd: int
    per: Period = "day"

    def __post_init__(self) -> None:
        if self.nano_usd < 0:
            raise ConfigError(f"a budget cannot be negative: {self.nano_usd} nano-USD")
        if self.per not in BUDGET_PERIODS:
            raise ConfigError(f"a budget is per {one_of(BUDGET_PERIODS)}, not {self.per!r}")


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of a meter: in a period that refills by the second, or, of calls in flight, at one time (per is None).

    amount: 1 or more. 0 takes the limit of this meter away (see `set_quota`).
    """

    meter: Meter
    amount: int
    per: Period | None

    def __post_init__(self) -> None:
        if self.meter not in LIMIT_METERS:
            raise ConfigError(
                f"there is nothing to limit called {self.meter!r}; {did_you_mean(self.meter, LIMIT_METERS)}"
            )
        if self.amount < 0:
            raise ConfigError(f"a limit cannot be negative: {self.amount}")
        if self.meter == "in_flight":
            if self.per is not None:
                raise ConfigError("in_flight counts the calls of this moment: it has no period, as in in_flight=20")
        elif self.per not in BUCKET_PERIODS and self.amount:
            raise ConfigError(f"a limit on {self.meter} is per {one_of(BUCKET_PERIODS)}, as in {self.meter}=600/minute")


def limit_of(text: str) -> Limit:
    """A limit as it is written; 0 takes it away. Raises ConfigError.

    >>> limit_of("requests=600/minute")
    Limit(meter='requests', amount=600, per='minute')
    >>> limit_of("in_flight=20").per, limit_of("tokens=0").amount
    (None, 0)
    """
    found = re.fullmatch(r"([a-z_]+)=([0-9][0-9_]{0,18})(?:/([a-z]+))?", text.strip(), re.ASCII)
    if found is None:
        raise ConfigError(f"expected a limit such as requests=600/minute or in_flight=20, not {text[:80]!r}")
    meter, amount, per = found.groups()
    checked: Any = (meter, int(amount), per)
    return Limit(*checked)


def quota_name(holder: Holder, name: str, meter: Meter = "nano_usd") -> str:
    """What the books call an allowance of this holder.

    >>> quota_name("key", "ci"), quota_name("team", "search", "requests")
    ('key:ci', 'team:search:requests')
    """
    return f"{holder}:{name}" if meter == "nano_usd" else f"{holder}:{name}:{meter}"


def quotas_of(store: Store, holder: Holder, name: str) -> list[Allowance]:
    """The budget and the limits of one holder, the budget first."""
    names = [quota_name(holder, name, meter) for meter in ("nano_usd", *LIMIT_METERS)]  # type: ignore[arg-type]
    known = {allowance.name: allowance for allowance in store.allowances()}
    return [known[each] for each in names if each in known]


class Quotas:
    """Sets what holders may spend and use. mode, time_zone: of what is made; as the configuration has them."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        *,
        mode: Literal["enforce", "observe"] = "enforce",
        time_zone: str = "UTC",
    ) -> None:
        self._store = store
        self._clock = clock
        self._mode: Literal["enforce", "observe"] = mode
        self._time_zone = time_zone

    def drawn(
        self, holder: Holder, name: str, budget: Budget | None = None, limits: Sequence[Limit] = ()
    ) -> list[Allowance]:
        """These as allowances, without entering them. Raises ConfigError for what cannot be counted."""
        only = ((holder, name),)
        source = quota_name(holder, name)
        twice = {limit.meter for limit in limits if [other.meter for other in limits].count(limit.meter) > 1}
        if twice:
            raise ConfigError(f"there are two limits on {', '.join(sorted(twice))}: give one")
        drawn = []
        try:
            if budget is not None:
                drawn.append(
                    Allowance(
                        source, "nano_usd", budget.nano_usd, "calendar", budget.per, only=only, mode=self._mode,
                        time_zone=self._time_zone, source=source,
                    )
                )  # fmt: skip
            drawn += [
                Allowance(
                    quota_name(holder, name, limit.meter), limit.meter, limit.amount,
                    "gauge" if limit.meter == "in_flight" else "bucket", limit.per, only=only, mode=self._mode,
                    time_zone=self._time_zone, source=source,
                )
                for limit in limits
                if limit.amount
            ]  # fmt: skip
        except ValueError as error:
            raise ConfigError(str(error)) from None
        return drawn

    def set(
        self, holder: Holder, name: str, budget: Budget | None = None, limits: Sequence[Limit] = ()
    ) -> list[Allowance]:
        """Give a holder a budget, limits, or both; what is not given stays. What was spent in the window counts.

        A limit of 0 is taken away. Returns all that the holder has now. Raises ConfigError.
        """
        drawn = self.drawn(holder, name, budget, limits)
        for allowance in drawn:
            self._store.put_allowance(allowance, self._clock)
        known = {allowance.name for allowance in self._store.allowances()}
        for limit in limits:
            quota = quota_name(holder, name, limit.meter)
            if not limit.amount and quota in known:
                self._store.remove_allowance(quota, self._clock)
        return quotas_of(self._store, holder, name)

    def remove_budget(self, holder: Holder, name: str) -> bool:
        """Let a holder spend what other budgets allow; whether it had one of its own."""
        quota = quota_name(holder, name)
        if not any(allowance.name == quota for allowance in self._store.allowances()):
            return False
        self._store.remove_allowance(quota, self._clock)
        return True


def holder_checked(holder: str, name: str) -> str:
    """A name that calls can be counted under. Raises ConfigError."""
    if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
        raise ConfigError(f"{holder} must be 1 to {NAME_CHARACTERS_MAX} printable characters")
    return name
