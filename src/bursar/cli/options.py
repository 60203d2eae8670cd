"""Options that several commands share, and the kinds of value that they take."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bursar.cli.ending import JSON_ASKED
from bursar.rules.money import nano_of, usd_of

if TYPE_CHECKING:
    AnyType = click.ParamType[Any]
else:
    AnyType = click.ParamType  # generic to type checkers only, before click 8.4

Command = TypeVar("Command", bound=Callable[..., Any])
BUDGET_PERIODS = ("hour", "day", "week", "month", "total")


class Usd(AnyType):
    """An amount of dollars; becomes a Decimal that is not negative, nor finer than a nano-dollar."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read one."""
        try:
            return usd_of(nano_of(value))
        except ValueError as error:
            return self.fail(str(error), param, ctx)


class Rate(NamedTuple):
    """So many dollars in every window."""

    usd: Decimal
    period: str


class UsdPer(AnyType):
    """Dollars for a window, "5" (a day) or "5/month"."""

    name = "usd[/period]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rate:
        """Read one."""
        if isinstance(value, Rate):
            return value
        amount, slash, period = str(value).partition("/")
        if slash and period not in BUDGET_PERIODS:
            self.fail(f"expected one of {', '.join(BUDGET_PERIODS)} after the slash, got {period!r}", param, ctx)
        return Rate(Usd().convert(amount, param, ctx), period or "day")


class Pair(AnyType):
    """NAME=VALUE; becomes a pair of texts."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Read one."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not sign or not name or not text:
            self.fail(f"expected NAME=VALUE, got {value!r}", param, ctx)
        return name, text


class Pairs(AnyType):
    """NAME=VALUE,NAME=VALUE; becomes a dictionary of texts. A comma in a value is written twice."""

    name = "name=value,.."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        """Read them."""
        if isinstance(value, dict):
            return value
        pairs = [Pair().convert(text.replace("\0", ","), param, ctx) for text in value.replace(",,", "\0").split(",")]
        for name, _ in pairs:
            if [known for known, _ in pairs].count(name) > 1:
                self.fail(f"{name} is given twice", param, ctx)
        return dict(pairs)


class Days(AnyType):
    """A span of time such as 90d, 12h, 30m or 2w; becomes milliseconds."""

    name = "span"
    _unit_ms = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}  # noqa: RUF012 - never changed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read one."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6})([mhdw])", str(value).strip())
        if not found or not int(found[1]):
            self.fail(f"expected a span such as 24h, 7d or 4w, got {value!r}", param, ctx)
        return int(found[1]) * self._unit_ms[found[2]]


class Day(AnyType):
    """A calendar day such as 2026-11-01."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read one."""
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value).strip())
        except ValueError:
            return self.fail(f"expected a date such as 2026-11-01, got {value!r}", param, ctx)


class DayOrMinute(AnyType):
    """A day such as 2026-11-01, or a minute of it in UTC such as 2026-11-01T14:30; becomes a date or a datetime."""

    name = "date"
    _minutes = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%MZ")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date | datetime:
        """Read one."""
        if isinstance(value, date):
            return value
        for form in self._minutes:
            try:
                return datetime.strptime(str(value).strip(), form).replace(tzinfo=UTC)
            except ValueError:
                continue
        try:
            return date.fromisoformat(str(value).strip())
        except ValueError:
            return self.fail(f"expected a date such as 2026-11-01, or 2026-11-01T14:30, got {value!r}", param, ctx)


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator; help lists them in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def config_option(command: Command) -> Command:
    """--config FILE."""
    return click.option(
        "--config",
        "config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The configuration; else $BURSAR_CONFIG, else ./bursar.yaml.",
    )(command)


def books_option(command: Command) -> Command:
    """--books PATH."""
    return click.option(
        "--books",
        "books",
        metavar="PATH",
        help="The books; else those of the configuration, else $BURSAR_DB, else ./bursar.db.",
    )(command)


def json_option(command: Command) -> Command:
    """--json."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json, help="Print JSON, errors included."
    )(command)


def _remember_json(ctx: click.Context, param: click.Parameter, value: bool) -> bool:
    ctx.meta[JSON_ASKED] = value
    return value
