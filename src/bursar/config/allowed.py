"""Budgets and limits of the file, of providers and of arguments, compiled into allowances.

Decides their names (a provider's own are "openai.daily_cost_limit" and so on, so no budget's name has a dot), shapes
and scopes. Whether they hold is decided by `rules.allowances`; nothing here counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from bursar.config import keys
from bursar.config.compounds import mapped
from bursar.config.nearest import did_you_mean, one_of
from bursar.config.reading import Node
from bursar.config.sections import Reading
from bursar.config.tree import Mode, Place, ProviderSettings
from bursar.errors import ConfigError
from bursar.rules.allowances import Allowance, Meter, Shape
from bursar.rules.windows import Period

# The budget of the keyword argument.
CLIENT = "client"
_BUCKET_PERIODS = ("second", "minute", "hour", "day")
_PROVIDER_LIMITS: tuple[tuple[str, Meter, Shape, Period | None], ...] = (
    ("requests_per_minute", "requests", "bucket", "minute"),
    ("tokens_per_minute", "tokens", "bucket", "minute"),
    ("requests_per_day", "requests", "bucket", "day"),
    ("tokens_per_day", "tokens", "bucket", "day"),
    ("concurrent_requests", "in_flight", "gauge", None),
)


class Compiler:
    """Turns what was read into allowances of one time zone, mode and source. Names are unique."""

    def __init__(self, reading: Reading, *, time_zone: str, mode: Mode, source: str, providers: set[str]) -> None:
        self.reading = reading
        self.time_zone = time_zone
        self.mode = mode
        self.source = source
        self.providers = providers
        self.allowances: dict[str, Allowance] = {}

    def budgets(self, node: Node) -> None:
        """The `budgets` section."""
        for name, given in self._named(node, "budgets"):
            values = self.reading.section(given, keys.BUDGET_KEYS, "a budget")
            if "usd" not in values:
                raise given.error("a budget needs usd, such as {usd: 50, per: day}")
            if "per" not in values:
                raise given.error(f"a budget needs per: {one_of(keys.BUDGET_PERIODS)}")
            rolling = values.pop("rolling", False)
            self._add(given, name, "nano_usd", values.pop("usd"), "rolling" if rolling else "calendar", values)

    def limits(self, node: Node) -> None:
        """The `limits` section."""
        for name, given in self._named(node, "limits"):
            values = self.reading.section(given, keys.LIMIT_KEYS, "a limit")
            meters = [meter for meter in keys.LIMIT_METERS if meter in values]
            if len(meters) != 1:
                raise given.error(f"a limit counts one of {one_of(keys.LIMIT_METERS)}; here are {len(meters)}")
            meter: Any = meters[0]
            window = values.pop("window", False)
            if meter == "in_flight":
                if "per" in values or window:
                    raise given.error("in_flight counts the calls of this moment: it has neither per nor window")
                self._add(given, name, meter, values.pop(meter), "gauge", values)
                continue
            if "per" not in values:
                raise given.error(f"a limit needs per: {one_of(_BUCKET_PERIODS)}")
            if not window and values["per"] not in _BUCKET_PERIODS:
                raise given.error(f"a limit per {values['per']} needs window: true; it does not refill by the second")
            self._add(given, name, meter, values.pop(meter), "calendar" if window else "bucket", values)

    def provider(self, provider: ProviderSettings) -> None:
        """A provider's own daily_cost_limit and limits."""
        only = (("provider", provider.name),)
        if provider.daily_cost_limit_nano_usd is not None:
            self._put(
                Allowance(
                    f"{provider.name}.daily_cost_limit", "nano_usd", provider.daily_cost_limit_nano_usd, "calendar",
                    "day", only=only, mode=self.mode, time_zone=self.time_zone, source=self.source,
                )
            )  # fmt: skip
        for key, meter, shape, period in _PROVIDER_LIMITS:
            capacity = getattr(provider, key)
            if capacity is not None:
                self._put(
                    Allowance(
                        f"{provider.name}.{key}", meter, capacity, shape, period, only=only, mode=self.mode,
                        time_zone=self.time_zone, source=self.source,
                    )
                )  # fmt: skip

    def argument(self, nano_usd: int, period: Any) -> None:
        """The budget of the keyword argument `budget_usd`."""
        if CLIENT in self.allowances:
            problem = f"{CLIENT} is the name of the budget that budget_usd makes; call the file's another"
            raise ConfigError(f"budgets.{CLIENT}: {problem}", key=f"budgets.{CLIENT}")
        self._put(
            Allowance(
                CLIENT, "nano_usd", nano_usd, "calendar", period, mode=self.mode, time_zone=self.time_zone,
                source="arguments",
            )
        )  # fmt: skip
        self.reading.places[f"budgets.{CLIENT}"] = Place("argument")

    def _named(self, node: Node, section: str) -> Iterator[tuple[str, Node]]:
        import re

        for name, given in mapped(node, section).items():
            if given.form not in ("mapping", "nothing"):
                raise given.error(f"{section} have names: {section}: {{NAME: {{...}}}}; {name} is not a mapping")
            if not re.fullmatch(keys.NAME, name):
                raise given.error("a name has up to 64 letters, digits, - and _")
            if name in self.allowances:
                raise given.error(f"a limit and a budget are both called {name}; the books know them by name")
            self.reading.remember(given)
            yield name, given

    def _add(self, node: Node, name: str, meter: Meter, capacity: int, shape: Shape, values: Mapping[str, Any]) -> None:
        only: tuple[tuple[str, str], ...] = values.get("only", ())
        self._check_only(node, only)
        if values.get("missing") and not values.get("each"):
            raise node.error("missing says what happens to calls without the value of each: it needs each")
        mode: Literal["enforce", "observe"] = "observe" if self.mode == "observe" else values.get("mode", "enforce")
        try:
            self._put(
                Allowance(
                    name, meter, capacity, shape, values.get("per"), only=only, each=values.get("each"),
                    missing=values.get("missing", "pool"), mode=mode, time_zone=self.time_zone, source=self.source,
                    alert_at=values.get("alert_at", ()),
                )
            )  # fmt: skip
        except ValueError as error:
            raise node.error(str(error).removeprefix(f"{name}: ")) from None

    def _check_only(self, node: Node, only: tuple[tuple[str, str], ...]) -> None:
        for dimension, value in only:
            name = value if dimension == "provider" else value.split("/")[0] if dimension == "model" else ""
            if dimension == "model" and "/" not in value:
                raise node.entries["only"].entries[dimension].error("a model is provider/model, as in openai/gpt-4o")
            if name and name not in self.providers:
                hint = did_you_mean(name, sorted(self.providers), "providers")
                raise node.entries["only"].entries[dimension].error(f"there is no provider {name}; {hint}")

    def _put(self, allowance: Allowance) -> None:
        self.allowances[allowance.name] = allowance
