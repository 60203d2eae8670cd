"""`bursar prices show MODEL`: a model's price on a day, with where it comes from."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.models import checked, prices_of, usd_per_million
from bursar.cli.opening import load_settings
from bursar.cli.options import config_option, json_option
from bursar.cli.output import echo_json, note

if TYPE_CHECKING:
    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings

MATCHES_MAX = 20


@click.group("prices")
def prices() -> None:
    """Prices: `bursar prices show MODEL`. All of them: `bursar models`."""


@prices.command("show")
@click.argument("model")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="On this day; today by default (UTC).")
@config_option
@json_option
def show(model: str, day: datetime | None, config: Path | None, as_json: bool) -> None:
    """The price of MODEL: provider/model, or a name that several providers may have. USD per million tokens."""
    from bursar.config import price_book

    settings = load_settings(config)
    book = price_book(settings)
    on = day.date() if day else datetime.now(UTC).date()
    found = matches(settings, book, model, on)
    if not found:
        raise EndedError(_unknown(settings, book, model), code="price_unknown")
    rows = [_shown(book, provider, name, on) for provider, name in found[:MATCHES_MAX]]
    if as_json:
        echo_json(rows)
        return
    for at, row in enumerate(rows):
        if at:
            click.echo()
        _print(row)
    if len(found) > MATCHES_MAX:
        note(f"{len(found) - MATCHES_MAX} more match; say provider/model.")


def matches(settings: Settings, book: PriceBook, model: str, day: date) -> list[tuple[str, str]]:
    """The (provider, model) that a name can mean and that have a price; of a bare name every provider's."""
    provider, slash, rest = model.partition("/")
    names = providers_of(settings)
    if slash and provider in names and book.card(provider, rest, day) is not None:
        return [(provider, rest)]
    found = []
    for name in names:
        if book.card(name, model, day) is not None and not settings_free(settings, name):
            found.append((name, model))
        else:
            own = [each for each in book.models(name) if each.rpartition("/")[2] == model]
            found += [(name, each) for each in own if book.card(name, each, day) is not None]
    return found


def providers_of(settings: Settings) -> list[str]:
    """Every provider whose prices can be looked up."""
    from bursar.catalog.providers import known_rows

    return list(dict.fromkeys([*settings.providers, *known_rows()]))


def settings_free(settings: Settings, provider: str) -> bool:
    """True for a provider that was said to cost nothing: it would match every name."""
    return provider in settings.providers and settings.providers[provider].free


def _unknown(settings: Settings, book: PriceBook, model: str) -> str:
    provider, slash, rest = model.partition("/")
    names = providers_of(settings)
    if slash and provider in names:
        near = [f"{provider}/{each}" for each in book.nearest(provider, rest)]
        hint = f"near it: {', '.join(near)}" if near else f"bursar models --provider {provider} lists those that are"
    elif slash and "openrouter" not in settings.providers:
        return f"there is no price of {model!r}: {checked_message(settings, provider)}"
    else:
        near = [f"{name}/{each}" for name in names for each in book.nearest(name, model, 2)][:6]
        hint = f"near it: {', '.join(near)}" if near else "bursar models lists those that are"
    return f"the price of {model!r} is not known; {hint}"


def checked_message(settings: Settings, provider: str) -> str:
    """What `checked` says of a provider that does not exist."""
    try:
        checked(settings, provider)
    except EndedError as error:
        return error.message
    return ""


def _shown(book: PriceBook, provider: str, model: str, day: date) -> dict[str, Any]:
    card, source = book.card(provider, model, day), book.source(provider, model, day)
    assert card is not None
    assert source is not None
    tiers = [
        {
            "above_input_tokens": tier.above_input_tokens,
            "usd_per_million": {leaf: usd_per_million(pico) for leaf, pico in tier.pico_usd.items()},
        }
        for tier in card.tiers
    ]
    return {
        "model": f"{provider}/{model}",
        "date": day.isoformat(),
        "usd_per_million": prices_of(card),
        "tiers": tiers,
        "source": source.version,
        "url": source.url,
    }


def _print(row: dict[str, Any]) -> None:
    click.echo(f"{row['model']} on {row['date']}, USD per million tokens")
    _leaves(row["usd_per_million"], "  ")
    for tier in row["tiers"]:
        click.echo(f"  above {tier['above_input_tokens']:,} tokens of input, all of it:")
        _leaves(tier["usd_per_million"], "    ")
    click.echo("  source: " + ", ".join(part for part in (row["source"], row["url"]) if part))


def _leaves(prices: dict[str, str], indent: str) -> None:
    from bursar.rules.usage import FEE_LEAVES

    shown = {leaf: price for leaf, price in prices.items() if _own(leaf, price, prices) and leaf not in FEE_LEAVES}
    wide = max((len(price.partition(".")[0]) for price in shown.values()), default=0)
    for leaf, price in shown.items():
        click.echo(f"{indent}{leaf.replace('_', ' '):<22}{' ' * (wide - len(price.partition('.')[0]))}{price}")
    for leaf in FEE_LEAVES:
        if Decimal(prices.get(leaf, 0)):
            click.echo(f"{indent}{leaf.replace('_', ' '):<22}{Decimal(prices[leaf]) / 1000:f} a thousand")


def _own(leaf: str, price: str, prices: dict[str, str]) -> bool:
    """Whether a leaf has a price that its parent does not have anyway."""
    from bursar.rules.prices import PARENTS

    parent = PARENTS.get(leaf)
    return parent is None or prices.get(parent) != price
