"""What the commands about keys and teams share: the keysmith of the books, and their options and values."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.opening import now_ms, open_books
from bursar.cli.options import BUDGET_PERIODS, AnyType, Command, Days, Usd
from bursar.rules.money import nano_of

if TYPE_CHECKING:
    from bursar.config import Settings
    from bursar.edges.stores.sqlite import SqliteStore
    from bursar.gateway.keys import Keysmith
    from bursar.gateway.quotas import Budget
    from bursar.rules.allowances import Allowance


@contextmanager
def open_keys(settings: Settings) -> Iterator[tuple[SqliteStore, Keysmith]]:
    """The books, which are made where there are none, and who works on their keys."""
    from bursar.gateway.keys import Keysmith
    from bursar.gateway.secret import secret_of

    with open_books(settings) as store:
        secret = secret_of(settings.books, os.environ)
        yield store, Keysmith(store, secret, now_ms, mode=settings.mode, time_zone=settings.time_zone)


class LimitType(AnyType):
    """METER=AMOUNT/PERIOD, such as requests=600/minute; becomes a Limit."""

    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read one."""
        if not isinstance(value, str):
            return value
        from bursar.errors import ConfigError
        from bursar.gateway.quotas import limit_of

        try:
            return limit_of(value)
        except ConfigError as error:
            return self.fail(error.message, param, ctx)


class Moment(AnyType):
    """A span from now (30d, 12h), a day (2027-01-31, its midnight in UTC), or never; becomes epoch ms, 0 for never."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read one."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text == "never":
            return 0
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return now_ms() + Days().convert(text, param, ctx)
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


class Overlap(AnyType):
    """A span such as 24h, or 0; becomes seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read one."""
        if isinstance(value, int):
            return value
        return 0 if str(value).strip() == "0" else Days().convert(value, param, ctx) // 1000


def quota_options(command: Command) -> Command:
    """--budget-usd, --per and --limit."""
    for option in reversed((
        click.option("--budget-usd", type=Usd(), metavar="USD", help="The most that may be spent in one window."),
        click.option("--per", type=click.Choice(BUDGET_PERIODS), help="The budget's window; a new one's is a day."),
        click.option(
            "--limit",
            "limits",
            type=LimitType(),
            multiple=True,
            metavar="LIMIT",
            help="requests=600/minute, tokens=100000/minute, in_flight=20; repeatable. 0 takes one away.",
        ),
    )):  # fmt: skip
        command = option(command)
    return command


def budget_of(usd: Decimal | None, per: Any, before: Allowance | None = None) -> Budget | None:
    """The budget that is asked for; what is not said stays as it was."""
    from bursar.gateway.quotas import Budget

    if usd is None and per is None:
        return None
    if usd is None and before is None:
        raise click.UsageError("--per is the window of a budget: it needs --budget-usd", click.get_current_context())
    nano_usd = nano_of(usd) if usd is not None else before.capacity if before else 0
    return Budget(nano_usd, per or (before.period if before and before.period else "day"))


def own_budget(store: SqliteStore, name: str) -> Allowance | None:
    """The budget of this name in the books."""
    return next((allowance for allowance in store.allowances() if allowance.name == name), None)


def listed(values: tuple[str, ...]) -> tuple[str, ...]:
    """Names that were given one by one or with commas between them.

    >>> listed(("openai/*, fast", "local/qwen3"))
    ('openai/*', 'fast', 'local/qwen3')
    """
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
