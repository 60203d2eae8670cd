"""`bursar prices diff`: the user's own prices beside the list's, or the installed list beside a newer one.

Nothing is fetched unless `--fetch` says so, and what is fetched is compared and not kept: newer prices come with a
newer genai-prices, or with `bursar prices update`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import PROVIDER_FAILED, EndedError
from bursar.cli.models import checked, unit_price
from bursar.cli.opening import load_settings, utc_today
from bursar.cli.options import config_option, json_option
from bursar.cli.output import Column, counted, draw, echo_json, note
from bursar.config.explaining import usd_per_million
from bursar.rules.usage import FEE_LEAVES

if TYPE_CHECKING:
    from bursar.catalog.listing import Listing
    from bursar.config import Settings
    from bursar.rules.prices import PriceCard

_NO_DISCOUNT = Decimal(0)
# Model, unit, and what the unit costs on either side.
Row = tuple[str, str, str | None, str | None]


@click.command("diff")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--fetch", is_flag=False, flag_value="-", metavar="[URL]", help="Fetch the newest genai-prices data.")
@click.option("--installed", is_flag=True, help="Your own prices beside the installed list; as without a FILE.")
@click.option("--provider", metavar="NAME", help="Of this provider only.")
@config_option
@json_option
def diff(
    file: Path | None, fetch: str | None, installed: bool, provider: str | None, config: Path | None, as_json: bool
) -> None:
    """Your own prices beside the list's; with FILE (data of genai-prices) or --fetch, the list's beside newer ones."""
    settings = load_settings(config)
    if [file is not None, fetch is not None, installed].count(True) > 1:
        raise click.UsageError("FILE, --fetch and --installed are three different comparisons; give one")
    if file is None and fetch is None:
        rows = list(_overridden(settings, provider))
        titles = ("model", "unit", "yours", "the list's")
        same = "Your own prices are those of the list." if settings.prices else "You have no prices of your own."
    else:
        newer = _read(file) if file else _fetched(fetch or "-")
        rows = list(_listed(newer, provider))
        titles = ("model", "unit", "installed", "newer")
        same = "The lists do not differ."
    if as_json:
        echo_json([dict(zip(("model", "unit", "before", "after"), row, strict=True)) for row in rows])
        return
    if not rows:
        note(same)
        return
    draw(
        [Column(titles[0]), Column(titles[1]), Column(titles[2], number=True), Column(titles[3], number=True)],
        [[row[0], row[1].replace("_", " "), *(_shown(row[1], usd) for usd in row[2:])] for row in rows],
    )
    names = {row[0] for row in rows}
    note(f"{counted(len(names), 'model differs', 'models differ')}; USD per million tokens.")


def _shown(unit: str, usd_per_million: str | None) -> str:
    return "-" if usd_per_million is None else unit_price(unit.partition(" ")[0], usd_per_million)


def _overridden(settings: Settings, provider: str | None) -> Iterator[Row]:
    """What the user's own prices of today say otherwise than the list, less the discount."""
    from bursar.config import price_book

    book, today = price_book(settings), utc_today()
    of = None if provider is None else checked(settings, provider)
    for name in dict.fromkeys((one.provider, one.model) for one in book.overrides() if of in (None, one.provider)):
        own, listed = book.card(*name, today), book.listed_card(*name, today)
        if own is not None and not own.listed:
            yield from _changes({f"{name[0]}/{name[1]}": own}, {f"{name[0]}/{name[1]}": listed} if listed else {})


def _listed(newer: Listing, provider: str | None) -> Iterator[Row]:
    """What a newer list says otherwise than the installed one, for today."""
    from bursar.catalog.listing import Listing

    installed, today = Listing(), utc_today()
    names = sorted({*installed.providers(), *newer.providers()})
    if provider is not None and provider not in names:
        provider = _list_name(provider, names)
    for name in [provider] if provider else names:
        yield from _changes(_cards(installed, name, today), _cards(newer, name, today))


def _list_name(provider: str, names: Collection[str]) -> str:
    """What genai-prices calls a provider that has another name here. Raises EndedError where it has none of them."""
    from bursar.catalog.providers import known_rows
    from bursar.config.nearest import did_you_mean

    row = known_rows().get(provider)
    if row is None or row.price_provider not in names:
        hint = did_you_mean(provider, names, "providers")
        raise EndedError(f"no list has a provider {provider!r}; {hint}", code="no_provider")
    return row.price_provider


def _cards(listing: Listing, provider: str, day: date) -> dict[str, PriceCard]:
    cards = {
        f"{provider}/{model}": listing.card(provider, model, day, "", _NO_DISCOUNT)
        for model in listing.models(provider)
    }
    return {name: card for name, card in cards.items() if card is not None}


def _changes(before: dict[str, PriceCard], after: dict[str, PriceCard]) -> Iterator[Row]:
    """Each unit of each model whose price differs; None on a side that has none."""
    for name in sorted({*before, *after}):
        old, new = _units(before.get(name)), _units(after.get(name))
        for unit in [*old, *(unit for unit in new if unit not in old)]:
            if old.get(unit) != new.get(unit):
                yield name, unit, old.get(unit), new.get(unit)


def _units(card: PriceCard | None) -> dict[str, str]:
    """The prices of a card that are its own, by unit and length of input."""
    from bursar.rules.prices import PARENTS

    units: dict[str, str] = {}
    if card is None:
        return units
    for above, prices in [(0, card.pico_usd), *((tier.above_input_tokens, tier.pico_usd) for tier in card.tiers)]:
        for leaf, pico in prices.items():
            parent = PARENTS.get(leaf)
            charged = pico or leaf not in FEE_LEAVES  # that nothing is charged for a piece goes without saying
            if charged and (parent is None or prices.get(parent) != pico):
                units[f"{leaf} above {above:,}" if above else leaf] = usd_per_million(pico)
    return units


def _read(file: Path) -> Listing:
    """The list in a file of genai-prices' data."""
    return _listing(lambda: json.loads(file.read_bytes()), str(file))


def _fetched(url: str) -> Listing:
    """The newest list, from where genai-prices publishes it or from a URL."""
    import httpx2
    from genai_prices.update_prices import DEFAULT_UPDATE_URL, UpdatePrices

    address = DEFAULT_UPDATE_URL if url == "-" else url
    try:
        snapshot = UpdatePrices(url=address).fetch()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise EndedError(f"{address}: {error}", PROVIDER_FAILED, code="not_fetched") from error
    from bursar.catalog.listing import Listing

    return Listing(snapshot.providers if snapshot else (), address)


def _listing(load: Callable[[], Iterable[Any]], name: str) -> Listing:
    # The library reads such data nowhere in public but over HTTP.
    from genai_prices.types import _providers_from_raw

    from bursar.catalog.listing import Listing

    try:
        raw = load()
        if not isinstance(raw, list):
            raise ValueError("it is not a list of providers")
        return Listing(_providers_from_raw(raw), name)
    except (ValueError, TypeError, AttributeError) as error:
        first = str(error).partition("\n")[0]
        raise EndedError(f"{name} is not data of genai-prices: {first}", code="not_prices") from error
