"""`bursar prices`: what a model costs, why a call cost what it did, how lists differ, and how old they are.

This file has the group and `show`; the others are beside it.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.group import Lazy, LazyGroup
from bursar.cli.models import checked, unit_price
from bursar.cli.opening import load_settings, utc_today
from bursar.cli.options import DayOrMinute, config_option, json_option
from bursar.cli.output import counted, echo_json, note
from bursar.config.explaining import matches, price_shown, providers_of
from bursar.rules.usage import FEE_LEAVES

if TYPE_CHECKING:
    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings

MATCHES_MAX = 20
_COMMANDS = {
    "show": Lazy("bursar.cli.prices", "show", "The price of a model, with its tiers, its source and its date."),
    "why": Lazy("bursar.cli.prices_why", "why", "A cost line by line: of a usage, or of a call in the books."),
    "diff": Lazy("bursar.cli.prices_diff", "diff", "Your prices beside the list, or the list beside a newer one."),
    "update": Lazy("bursar.cli.prices_update", "update", "Fetch the prices that a provider publishes."),
}


class PricesGroup(LazyGroup):
    """Takes `--why` for the command of that name, wherever it stands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--why" in args:
            rest = [word for word in args if word != "--why"]
            args = ["why", *(rest[1:] if rest[:1] in (["show"], ["why"]) else rest)]
        return super().parse_args(ctx, args)


@click.group("prices", cls=PricesGroup, lazy=_COMMANDS, invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def prices(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Prices: how old they are; `bursar prices show MODEL` has a model's, `bursar prices --why` explains a cost.

    All of them: `bursar models`.
    """
    if ctx.invoked_subcommand is None:
        _overview(load_settings(config), as_json)


def _overview(settings: Settings, as_json: bool) -> None:
    """Where prices come from here, in the order of trust, and how old each source is."""
    from bursar.config import price_book

    book, own, today = price_book(settings), settings.prices, utc_today()
    dates = book.list_dates(today)
    if as_json:
        ages = {name: day and day.isoformat() for name, day in dates.items()}
        echo_json({"overrides": len(own), "lists": ages})
        return
    if own:
        click.echo(f"your own: {counted(len(own), 'price')} in {settings.file}")
    for name, day in reversed(dates.items()):
        click.echo(f"{name}: {_age(day, today)}")
    click.echo("`bursar prices show MODEL` has the price of one, `bursar models` those of all.", err=True)


def _age(day: date | None, today: date) -> str:
    if day is None:
        return "of an unknown day"
    days = (today - day).days
    return f"newest price of {day.isoformat()}, {counted(days, 'day')} old"


def moment_option(command: Any) -> Any:
    """--date DAY or --date MOMENT."""
    return click.option(
        "--date",
        "when",
        type=DayOrMinute(),
        metavar="DATE",
        help="On this day, or in this minute (UTC); today by default. Some prices have hours.",
    )(command)


@click.command("show")
@click.argument("model")
@moment_option
@config_option
@json_option
def show(model: str, when: date | None, config: Path | None, as_json: bool) -> None:
    """The price of MODEL: provider/model, or a name that several providers may have. USD per million tokens."""
    from bursar.config import price_book

    settings = load_settings(config)
    book, on = price_book(settings), when or utc_today()
    found = matches(settings, book, model, on)
    if not found:
        raise EndedError(unknown(settings, book, model), code="price_unknown")
    rows = [price_shown(book, provider, name, on) for provider, name in found[:MATCHES_MAX]]
    if as_json:
        echo_json(rows)
        return
    for at, row in enumerate(rows):
        if at:
            click.echo()
        _print(row)
    if len(found) > MATCHES_MAX:
        note(f"{len(found) - MATCHES_MAX} more match; say provider/model.")


def unknown(settings: Settings, book: PriceBook, model: str) -> str:
    """What is said of a name without a price: those near it, and the lines that would give it one."""
    provider, slash, rest = model.partition("/")
    names = providers_of(settings)
    lines = ""
    if slash and provider in names:
        lines = f"\n\nTo give it one, add to bursar.yaml:\n\nprices:\n  {model}: {{input: 0.00, output: 0.00}}"
        lines += "   # USD per million tokens"
        near = [f"{provider}/{each}" for each in book.nearest(provider, rest)]
        hint = f"near it: {', '.join(near)}" if near else f"bursar models --provider {provider} lists those that are"
    elif slash and "openrouter" not in settings.providers:
        return f"there is no price of {model!r}: {checked_message(settings, provider)}"
    else:
        near = [f"{name}/{each}" for name in names for each in book.nearest(name, model, 2)][:6]
        hint = f"near it: {', '.join(near)}" if near else "bursar models lists those that are"
    return f"the price of {model!r} is not known; {hint}{lines}"


def checked_message(settings: Settings, provider: str) -> str:
    """What `checked` says of a provider that does not exist."""
    try:
        checked(settings, provider)
    except EndedError as error:
        return error.message
    return ""


def _print(row: dict[str, Any]) -> None:
    click.echo(f"{row['model']} on {row['date']}, USD per million tokens{' at most' if row['at_most'] else ''}")
    _print_card(row, "  ", {})
    for name, service in row["service_tiers"].items():
        click.echo(f"  tier {name}:")
        _print_card(service, "    ", row["usd_per_million"])
    newest = row["newest_price"] and f"newest price of {row['newest_price']}"
    click.echo("  source: " + ", ".join(part for part in (row["source"], newest) if part))
    if row["url"]:
        click.echo(f"          {row['url']}")


def _print_card(card: dict[str, Any], indent: str, plain: dict[str, str]) -> None:
    _leaves(card["usd_per_million"], indent, plain)
    for tier in card["tiers"]:
        click.echo(f"{indent}above {tier['above_input_tokens']:,} tokens of input, all of it:")
        _leaves(tier["usd_per_million"], indent + "  ", card["usd_per_million"])


def _leaves(prices: dict[str, str], indent: str, plain: dict[str, str]) -> None:
    """The prices that say something of their own: not what their parent says, nor what the plain prices say."""
    said = {leaf: price for leaf, price in prices.items() if _own(leaf, price, prices) and plain.get(leaf) != price}
    shown = {leaf: price for leaf, price in said.items() if leaf not in FEE_LEAVES}
    wide = max((len(price.partition(".")[0]) for price in shown.values()), default=0)
    for leaf, price in shown.items():
        click.echo(f"{indent}{leaf.replace('_', ' '):<22}{' ' * (wide - len(price.partition('.')[0]))}{price}")
    for leaf in FEE_LEAVES:
        if Decimal(said.get(leaf, 0)):
            click.echo(f"{indent}{leaf.replace('_', ' '):<22}{unit_price(leaf, said[leaf])}")


def _own(leaf: str, price: str, prices: dict[str, str]) -> bool:
    """Whether a leaf has a price that its parent does not have anyway."""
    from bursar.rules.prices import PARENTS

    parent = PARENTS.get(leaf)
    return parent is None or prices.get(parent) != price
