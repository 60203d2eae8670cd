"""`bursar models`: what can be called, what it costs, and how much it writes."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.opening import load_settings, utc_today
from bursar.cli.options import config_option, json_option
from bursar.cli.output import Column, counted, draw, echo_json, note
from bursar.config.explaining import prices_of
from bursar.rules.usage import FEE_LEAVES

if TYPE_CHECKING:
    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings


@click.command("models")
@click.argument("part", default="")
@click.option("--provider", metavar="NAME", help="Of this provider; else of all whose key is there.")
@config_option
@json_option
def models(part: str, provider: str | None, config: Path | None, as_json: bool) -> None:
    """Known models with their prices (USD per million tokens) and output maxima; of those with PART in their names."""
    from bursar.config import price_book

    settings = load_settings(config)
    providers = [checked(settings, provider)] if provider else _callable(settings)
    rows = [row for name in providers for row in _rows(price_book(settings), name) if part.lower() in row["model"]]
    if as_json:
        echo_json(rows)
        return
    if not rows:
        what = f"with {part!r} in their names " if part else ""
        note(f"No models {what}have a price at {', '.join(providers)}.")
        return
    columns = [Column("model"), *(Column(title, number=True) for title in ("input", "cached", "output", "max out"))]
    draw(columns, [_cells(row) for row in rows])
    note(f"{counted(len(rows), 'model')}, USD per million tokens. `bursar prices show MODEL` has the source.")


def _callable(settings: Settings) -> list[str]:
    """The providers that can be called; without any, those of the catalog with a price list."""
    from bursar.catalog.providers import known_rows

    ready = [name for name, given in settings.providers.items() if given.has_key and (given.in_file or given.needs_key)]
    return ready or [name for name, row in known_rows().items() if row.price_provider]


def checked(settings: Settings, provider: str) -> str:
    """The provider, where there is one of that name; raises EndedError."""
    from bursar.catalog.providers import known_rows
    from bursar.config.nearest import did_you_mean

    known = sorted({*known_rows(), *settings.providers})
    if provider not in known:
        hint = did_you_mean(provider, known, "providers")
        raise EndedError(f"there is no provider {provider!r}; {hint}", code="no_provider")
    return provider


def _rows(book: PriceBook, provider: str) -> Iterator[dict[str, Any]]:
    from bursar.catalog import models as facts

    today = utc_today()
    for model in book.models(provider):
        card = book.card(provider, model, today)
        if card is not None:
            yield {
                "model": f"{provider}/{model}",
                "usd_per_million": prices_of(card),
                "output_tokens_max": facts.output_max(provider, model),
                "context_tokens": facts.context_window(provider, model),
                "reasoning": facts.is_reasoning(provider, model),
                "price_version": card.version,
            }


def unit_price(leaf: str, usd_per_million: str) -> str:
    """A unit price as it is published: of a million tokens, or of a thousand pieces.

    >>> unit_price("input", "2.50"), unit_price("web_searches", "10000.00")
    ('2.50', '10.00 a thousand')
    """
    if leaf not in FEE_LEAVES:
        return usd_per_million
    return f"{Decimal(usd_per_million).scaleb(-3).normalize() + Decimal('0.00'):f} a thousand"


def _cells(row: dict[str, Any]) -> list[str]:
    prices = row["usd_per_million"]
    plain, cached = prices.get("input", "-"), prices.get("cached_input", "-")
    writes = f"{row['output_tokens_max']:,}" if row["output_tokens_max"] else "-"
    return [row["model"], plain, "" if cached == plain else cached, prices.get("output", "-"), writes]
