"""List prices from genai-prices, compiled into integer price cards.

Decides which of a model's dated, conditional and tiered prices hold at a moment, and reads a price that depends on the
time of day as the dearest of the day where only the day is known. Holds a snapshot of its own: whatever else in the
process updates or replaces genai-prices' global data does not change what is billed here. Never raises for a model or
provider that has no price.

Source: genai-prices (https://github.com/pydantic/genai-prices), whose data is dated and sourced.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from bursar.rules.prices import PriceCard

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

__all__ = ["CHEAPER_TIERS", "DEAREST", "LISTED", "STANDARD_TIERS", "Listing"]

# How a version begins whose prices are list prices, and how it ends where the hour of the day would have decided.
LISTED = "genai-prices"
DEAREST = "(dearest of the day)"

_LEAVES: Mapping[str, str] = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_write",
    "cache_write_5m_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "cache_audio_read_mtok": "cached_audio_input",
    "input_image_mtok": "image_input",
    "input_video_mtok": "video_input",
    "output_mtok": "output",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "output_reasoning_mtok": "reasoning_output",
    "web_searches_kcount": "web_searches",
    "requests_kcount": "requests",
}
# Prices of what no usage object of ours counts: with one of these the tokens alone would be too low a bill.
_UNCOUNTED = frozenset({"output_citation_mtok", "output_video_mtok", "input_text_messages_kcount"})

# Some listed prices were floats once (0.18000000000000002); rounded up, that noise would be a pico-dollar a token.
_WRITTEN = Context(prec=12)

# Tiers of service at the plain price, and those that are cheaper where they have a price of their own.
STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
CHEAPER_TIERS = frozenset({"flex", "batch"})
_OTHER_NAMES: Mapping[str, str] = {"gemini": "google", "xai": "x-ai", "bedrock": "aws", "moonshot": "moonshotai"}
# OpenRouter's suffixes that choose among the same model's providers; they are not listed with prices of their own.
_ROUTING_SUFFIXES = (":nitro", ":floor", ":exacto", ":online")


class Listing:
    """One private copy of the list prices. Thread-safe; the data is read when first asked for (about 0.5 s)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, Provider] | None = None
        self.version = ""

    def card(self, provider: str, model: str, when: date | datetime, tier: str, discount: Decimal) -> PriceCard | None:
        """The card of a provider's model (genai-prices' name of the provider); None where no price is listed."""
        found = self._find(provider, model)
        if found is None:
            return None
        at_noon = when if isinstance(when, datetime) else datetime.combine(when, time(12), UTC)
        choices = [found.get_prices(moment) for moment in _moments(found, when)]
        variant = None if tier in STANDARD_TIERS else found.get_prices(at_noon, {"service_tier": tier})
        if variant is not None:
            # The library gives the standard price for a tier it does not know; only a lower one may be read so.
            if variant == found.get_prices(at_noon) and tier not in CHEAPER_TIERS:
                return None
            choices = [variant]
        cards = [compiled(price, self.version, discount, free=model.endswith(":free")) for price in choices]
        return _dearest([card for card in cards if card is not None], self.version) if all(cards) else None

    def models(self, provider: str) -> list[str]:
        """The ids of every model with a list price at a provider, sorted."""
        listed = self._providers().get(provider)
        return sorted(model.id for model in listed.models) if listed else []

    def url(self, provider: str) -> str:
        """The page that a provider's prices were read from."""
        listed = self._providers().get(provider)
        return listed.pricing_urls[0] if listed and listed.pricing_urls else ""

    def provider_at(self, base_url: str) -> str:
        """genai-prices' name of the provider that serves an address; "" for a server it does not know.

        >>> Listing().provider_at("https://api.mistral.ai/v1"), Listing().provider_at("http://gpu:8000/v1")
        ('mistral', '')
        """
        for name, listed in self._providers().items():
            if re.match(listed.api_pattern, base_url):
                return name
        return ""

    def provider_named(self, name: str) -> str:
        """genai-prices' name of a provider that calls itself so; "" for one it does not know."""
        name = _OTHER_NAMES.get(name, name)
        return name if name in self._providers() else ""

    def _find(self, provider: str, model: str) -> ModelInfo | None:
        providers = self._providers()
        listed = providers.get(provider)
        if listed is None:
            return None
        if provider == "openrouter":
            for suffix in _ROUTING_SUFFIXES:
                model = model.removesuffix(suffix)
        return listed.find_model(model, all_providers=list(providers.values()))

    def _providers(self) -> dict[str, Provider]:
        with self._lock:
            if self._by_id is None:
                from importlib.metadata import version

                from genai_prices.data import providers

                self.version = f"{LISTED} {version('genai-prices')}"
                self._by_id = {listed.id: listed for listed in providers}
            return self._by_id


def compiled(price: ModelPrice, version: str, discount: Decimal, *, free: bool = False) -> PriceCard | None:
    """A price as a card; None for one that prices no tokens.

    free: the provider lists the model as costing nothing, which the data says by naming no price.
    """
    named: dict[str, Any] = {key: value for key, value in price.__dict__.items() if value is not None}
    if free and not named:
        named = dict.fromkeys(("input_mtok", "output_mtok"), Decimal(0))
    if _UNCOUNTED & named.keys() or not {"input_mtok", "output_mtok"} & named.keys():
        return None
    starts = sorted({tier.start for value in named.values() for tier in getattr(value, "tiers", ())})
    try:
        return PriceCard.of(
            _prices_above(named, -1),
            version=version,
            tiers={start: _prices_above(named, start) for start in starts},
            discount=discount,
        )
    except ValueError:
        return None  # negative or absurd: no price is better than that one


def _prices_above(named: Mapping[str, Any], start: int) -> dict[str, Decimal]:
    """USD per million by leaf for an input above `start` tokens."""
    prices: dict[str, Decimal] = {}
    for key, leaf in _LEAVES.items():
        value = named.get(key)
        if value is None:
            continue
        usd = getattr(value, "base", value)
        for tier in getattr(value, "tiers", ()):
            if tier.start <= start:
                usd = tier.price
        prices[leaf] = _WRITTEN.create_decimal(usd * 1000 if key.endswith("_kcount") else usd)
    return prices


def _moments(model: ModelInfo, when: date | datetime) -> Iterable[datetime]:
    """The moments of a day between which a model's price can change; the moment itself where it is known."""
    if isinstance(when, datetime):
        return [when]
    noon = datetime.combine(when, time(12), UTC)
    if not isinstance(model.prices, list):
        return [noon]
    edges: list[time] = [
        getattr(conditional.constraint, end)
        for conditional in model.prices
        for end in ("start_time", "end_time")
        if hasattr(conditional.constraint, end)
    ]
    if not edges:
        return [noon]
    midnight = datetime.combine(when, time(), UTC)
    return [midnight, midnight + timedelta(days=1, microseconds=-1), *(datetime.combine(when, edge) for edge in edges)]


def _dearest(cards: list[PriceCard], version: str) -> PriceCard | None:
    """One card out of those that may hold: of each unit the highest price."""
    if not cards:
        return None
    first = cards[0]
    if all(card == first for card in cards):
        return first
    if any(card.tiers for card in cards):
        return None  # prices by the hour and by length at once: nobody bills so yet
    highest = {
        leaf: max(card.pico_usd[leaf] for card in cards if leaf in card.pico_usd)
        for leaf in first.pico_usd
        if all(leaf in card.pico_usd for card in cards)
    }
    return PriceCard(highest, f"{version} {DEAREST}")
