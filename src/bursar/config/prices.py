"""The user's own prices, compiled: USD per million tokens or thousand pieces of a leaf, from a date on.

Decides what an override may say (leaves, `above` a length of input, `tiers` of service) and what its parts start from:
a tier and a length begin with the model's own prices and change what they name. Decides nothing about which price
applies; the price book does. An unknown leaf or tier, a negative or absurd price is an error with its line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bursar.catalog.fetched import FetchedPrices
from bursar.catalog.prices import PriceBook
from bursar.config import keys
from bursar.config.compounds import listed, mapped
from bursar.config.kinds import number
from bursar.config.nearest import did_you_mean
from bursar.config.reading import Node, shown_text
from bursar.config.sections import Reading
from bursar.config.tree import PriceOverride, Settings
from bursar.errors import ConfigError
from bursar.rules.money import EXACT
from bursar.rules.prices import PriceCard
from bursar.rules.tiers import KNOWN, STANDARD, plain
from bursar.rules.usage import FEE_LEAVES, LEAVES, TOKENS_MAX

__all__ = ["ABOVE", "TIERS", "fetched_file", "price_book", "read_prices"]

ABOVE, TIERS = "above", "tiers"
_LONGEST_AGO = date.min
# Fees are given by the thousand, as price lists have them, and compiled by the million, as everything else.
_FEE_FACTOR = 1_000


@dataclass(slots=True)
class _Prices:
    """What a mapping of prices holds: by leaf, by leaf above a number of input tokens, and all of that by tier."""

    usd: dict[str, Decimal] = field(default_factory=dict)
    above: dict[int, dict[str, Decimal]] = field(default_factory=dict)
    tiers: dict[str, _Prices] = field(default_factory=dict)

    def card(self, version: str, base: Mapping[str, Decimal]) -> PriceCard:
        """The prices as a card; what they do not name stands in `base`."""
        prices = {**base, **self.usd}
        return PriceCard.of(
            _per_million(prices),
            version=version,
            tiers={start: _per_million(prices | changed) for start, changed in _stacked(self.above)},
        )

    def given(self) -> Mapping[str, Any]:
        """The same as the file has it."""
        plain_prices: dict[str, Any] = dict(self.usd)
        if self.above:
            plain_prices[ABOVE] = MappingProxyType({str(start): prices for start, prices in self.above.items()})
        if self.tiers:
            plain_prices[TIERS] = MappingProxyType({name: prices.given() for name, prices in self.tiers.items()})
        return MappingProxyType(plain_prices)


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
    """The price book of these settings: overrides, discounts, what was said to be free, and what was fetched."""
    providers = settings.providers.values()
    return PriceBook(
        settings.prices,
        {provider.name: provider.discount for provider in providers},
        [provider.name for provider in providers if provider.free],
        {provider.name: provider.base_url for provider in providers},
        rows={provider.name: provider.row for provider in providers},
        fetched=_reader(settings),
    )


def fetched_file(settings: Settings, provider: str) -> Path | None:
    """Where prices that were fetched of a provider are kept: beside the books. None for books in memory."""
    if settings.books == "memory:":
        return None
    books = Path(settings.books)
    return books.with_name(f"{books.name}-prices-{provider}.jsonl")


def _reader(settings: Settings) -> Callable[[str], FetchedPrices | None]:
    def read(name: str) -> FetchedPrices | None:
        file = fetched_file(settings, name)
        try:
            return FetchedPrices.read(name, file.read_bytes().splitlines()) if file else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"the fetched prices in {file} cannot be read: {error.strerror}") from error

    return read


def _override(node: Node, provider: str, model: str, reading: Reading) -> PriceOverride:
    starts: date | None = None
    if node.form == "text" and node.text == "free":
        prices = _Prices(dict.fromkeys(("input", "output", *FEE_LEAVES), Decimal(0)))
    elif node.form != "mapping":
        raise node.error(f"expected prices such as {{input: 2.50, output: 10.00}}, or free, got {node.shown()}")
    else:
        if keys.FROM_KEY.name in node.entries:
            starts = reading.value(node.entries[keys.FROM_KEY.name], keys.FROM_KEY)
        prices = _prices(node, reading, (keys.FROM_KEY.name, ABOVE, TIERS))
    version = f"{reading.name} {starts.isoformat()}" if starts else reading.name
    try:
        card = prices.card(version, {})
        tiers = {name: tier.card(f"{version} {name}", prices.usd) for name, tier in prices.tiers.items()}
    except ValueError as error:
        raise node.error(str(error)) from None
    return PriceOverride(provider, model, starts, prices.given(), card, MappingProxyType(tiers))


def _prices(node: Node, reading: Reading, further: tuple[str, ...] = ()) -> _Prices:
    """Prices by leaf; `further` are the other keys that may stand beside them."""
    prices = _Prices()
    for name, given in mapped(node, "prices").items():
        if name in LEAVES:
            prices.usd[name] = _price(given, name, reading)
        elif name not in further:
            raise given.error(f"unknown unit {shown_text(name)}; {did_you_mean(name, [*LEAVES, *further], 'units')}")
    if not prices.usd:
        raise node.error("holds no price; give USD per million tokens, such as {input: 2.50, output: 10.00}")
    if ABOVE in further and ABOVE in node.entries:
        prices.above = _above(node.entries[ABOVE], reading)
    if TIERS in further and TIERS in node.entries:
        prices.tiers = _tiers(node.entries[TIERS], reading, prices)
    return prices


def _above(node: Node, reading: Reading) -> dict[int, dict[str, Decimal]]:
    """Prices of the whole call once its input is longer than so many tokens."""
    above: dict[int, dict[str, Decimal]] = {}
    for text, given in mapped(node, "prices by length of input").items():
        digits = text.replace("_", "")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 12) or not 0 < int(digits) <= TOKENS_MAX:
            raise given.error(f"expected a number of input tokens such as 200000, got {shown_text(text)}")
        if int(digits) in above:
            raise given.error("the same number of input tokens is given twice")
        above[int(digits)] = _prices(given, reading).usd
    if not above:
        raise node.error("holds no price; give them by number of input tokens, such as {200000: {input: 5.00}}")
    return dict(sorted(above.items()))


def _tiers(node: Node, reading: Reading, base: _Prices) -> dict[str, _Prices]:
    """Prices of tiers of service other than the plain one."""
    tiers: dict[str, _Prices] = {}
    for name, given in mapped(node, "prices by tier of service").items():
        for word in name.split("+"):
            if word in STANDARD:
                raise given.error(f"{shown_text(word) or 'this'} is the plain tier: its prices stand beside `tiers`")
            if word not in KNOWN:
                raise given.error(f"unknown tier {shown_text(word)}; {did_you_mean(word, KNOWN, 'tiers')}")
        tier = _prices(given, reading, (ABOVE,))
        if base.above and not tier.above:
            raise given.error(f"has no prices {ABOVE} {min(base.above)} tokens of input, which the plain tier has")
        if plain(name) in tiers:
            raise given.error("the same tier is given twice")
        tiers[plain(name)] = tier
    if not tiers:
        raise node.error("holds no tier; give prices by tier, such as {flex: {input: 1.25, output: 5.00}}")
    return tiers


def _price(node: Node, leaf: str, reading: Reading) -> Decimal:
    unit = "thousand" if leaf in FEE_LEAVES else "million"
    price = number(node, reading.around, f"a price in USD per {unit}", "$")
    try:
        PriceCard.of(_per_million({leaf: price}), version="")
    except ValueError as error:
        raise node.error(str(error).partition(": ")[2] or str(error)) from None
    reading.remember(node)
    return price


def _per_million(prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {leaf: EXACT.multiply(usd, _FEE_FACTOR) if leaf in FEE_LEAVES else usd for leaf, usd in prices.items()}


def _stacked(above: Mapping[int, dict[str, Decimal]]) -> Iterable[tuple[int, dict[str, Decimal]]]:
    """What changes above each length, with what changed above the shorter ones."""
    so_far: dict[str, Decimal] = {}
    for start in sorted(above):
        so_far = so_far | above[start]
        yield start, so_far
