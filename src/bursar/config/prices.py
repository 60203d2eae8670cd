"""The user's own prices, compiled: USD per million units of a leaf, from a date on.

Decides nothing about which price applies; the price book does. An unknown leaf, a negative or absurd price is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from types import MappingProxyType

from bursar.catalog.prices import PriceBook
from bursar.config import keys
from bursar.config.compounds import listed, mapped
from bursar.config.kinds import number
from bursar.config.nearest import did_you_mean
from bursar.config.reading import Node, shown_text
from bursar.config.sections import Reading
from bursar.config.tree import PriceOverride, Settings
from bursar.errors import ConfigError
from bursar.rules.prices import PriceCard
from bursar.rules.usage import FEE_LEAVES, LEAVES

_LONGEST_AGO = date.min


def read_prices(node: Node | None, reading: Reading, providers: Iterable[str]) -> tuple[PriceOverride, ...]:
    """The `prices` section: provider/model -> prices, `free`, or a list of prices by date. Oldest first in a model."""
    names = sorted(providers)
    overrides: list[PriceOverride] = []
    for name, given in (mapped(node, "prices") if node else {}).items():
        provider, _, model = name.partition("/")
        if not provider or not model or " " in name:
            raise given.error(f"prices are for a provider/model such as openai/gpt-4o, not {shown_text(name)}")
        if provider not in names:
            hint = did_you_mean(provider, names, "providers")
            raise given.error(f"there is no provider {shown_text(provider)}; {hint}")
        own = [
            _override(item, provider, model, reading)
            for item in (listed(given, "prices") if given.form == "list" else (given,))
        ]
        own.sort(key=lambda override: override.starts or _LONGEST_AGO)
        for earlier, later in pairwise(own):
            if earlier.starts == later.starts:
                raise given.error("two prices begin on the same date")
        reading.remember(given)
        overrides.extend(own)
    return tuple(overrides)


def price_book(settings: Settings) -> PriceBook:
    """The price book of these settings: overrides, discounts, and what was said to be free."""
    providers = settings.providers.values()
    return PriceBook(
        settings.prices,
        {provider.name: provider.discount for provider in providers},
        [provider.name for provider in providers if provider.free],
        {provider.name: provider.base_url for provider in providers},
    )


def _override(node: Node, provider: str, model: str, reading: Reading) -> PriceOverride:
    prices: dict[str, Decimal] = {}
    starts: date | None = None
    if node.form == "text" and node.text == "free":
        prices = dict.fromkeys(("input", "output", *FEE_LEAVES), Decimal(0))
    elif node.form != "mapping":
        raise node.error(f"expected prices such as {{input: 2.50, output: 10.00}}, or free, got {node.shown()}")
    for leaf, given in node.entries.items():
        if leaf == keys.FROM_KEY.name:
            starts = reading.value(given, keys.FROM_KEY)
        elif leaf not in LEAVES:
            raise given.error(f"unknown unit {shown_text(leaf)}; {did_you_mean(leaf, [*LEAVES, 'from'], 'units')}")
        else:
            prices[leaf] = _price(given, leaf, reading)
    if not prices:
        raise node.error("holds no price; give USD per million, such as {input: 2.50, output: 10.00}")
    version = f"{reading.name} {starts.isoformat()}" if starts else reading.name
    try:
        card = PriceCard.of(prices, version=version)
    except ValueError as error:
        raise node.error(str(error)) from None
    return PriceOverride(provider, model, starts, MappingProxyType(prices), card)


def _price(node: Node, leaf: str, reading: Reading) -> Decimal:
    price = number(node, reading.around, "a price in USD per million", "$")
    try:
        PriceCard.of({leaf: price}, version="")
    except ValueError as error:
        raise _priced(node, error) from None
    reading.remember(node)
    return price


def _priced(node: Node, error: ValueError) -> ConfigError:
    return node.error(str(error).partition(": ")[2] or str(error))
