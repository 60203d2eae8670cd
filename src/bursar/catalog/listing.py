"""List prices from genai-prices, compiled into integer price cards.

Decides which of a model's dated, conditional and tiered prices hold at a moment, and reads a price that depends on the
time of day as the dearest of the day where only the day is known. A tier of service has a price only where the data has
one under that very name: the library itself would answer with the standard price for a name it does not know. Holds a
snapshot of its own: whatever else in the process updates or replaces genai-prices' global data does not change what is
billed here. Never raises for a model or provider that has no price.

What the data cannot say and is read as an upper bound (`at_most`): DeepSeek's peak hours do not hold on weekends, nor
before the date they were introduced; nor on Chinese public holidays, which nothing here knows.

Source: genai-prices (https://github.com/pydantic/genai-prices), whose data is dated and sourced. Anthropic's factor for
inference in the US: https://platform.claude.com/docs/en/about-claude/pricing; Groq's flex:
https://console.groq.com/docs/flex-processing; November 2026.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from bursar.rules.prices import PriceCard, dearest_of
from bursar.rules.tiers import CHEAPER, plain, words

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

__all__ = ["DEAREST", "LISTED", "Listing", "compiled", "without_routing"]

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
    "cache_image_read_mtok": "cached_image_input",
    "input_video_mtok": "video_input",
    "output_mtok": "output",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "output_reasoning_mtok": "reasoning_output",
    "web_searches_kcount": "web_searches",
    "storage_searches_kcount": "file_searches",
    "requests_kcount": "requests",
    "input_audio_hours": "audio_seconds",
}
# Prices of what no usage object of ours counts: with one of these the tokens alone would be too low a bill.
_UNCOUNTED = frozenset({"output_citation_mtok", "output_video_mtok", "input_text_messages_kcount"})
_SECONDS_AN_HOUR = 3_600

# Some listed prices were floats once (0.18000000000000002); rounded up, that noise would be a pico-dollar a token.
_WRITTEN = Context(prec=12)

# What the library calls the ways to be served, in the contexts of its prices.
_CONTEXTS = ("service_tier", "processing", "speed")
# Tiers that are billed as the plain one: Groq's flex gives room, and no discount.
_SAME_PRICE = frozenset({("groq", "flex")})
# Where a geography makes every token dearer, and by how much.
_GEOGRAPHIES: Mapping[tuple[str, str], Decimal] = {("anthropic", "us"): Decimal("1.1")}
_SATURDAY = 5

_OTHER_NAMES: Mapping[str, str] = {"gemini": "google", "xai": "x-ai", "bedrock": "aws", "moonshot": "moonshotai"}
# OpenRouter's suffixes that choose among the same model's providers; they are not listed with prices of their own.
_ROUTING_SUFFIXES = (":nitro", ":floor", ":exacto", ":online")


class Listing:
    """One private copy of the list prices. Thread-safe; the data is read when first asked for (about 0.5 s).

    data: other prices than those of the installed package, of this `version`.
    """

    def __init__(self, data: Iterable[Provider] | None = None, version: str = "") -> None:
        self._lock = threading.Lock()
        self._by_id = None if data is None else {listed.id: listed for listed in data}
        self.version = version

    def card(self, provider: str, model: str, when: date | datetime, tier: str, discount: Decimal) -> PriceCard | None:
        """The card of a provider's model (genai-prices' name of the provider); None where no price is listed."""
        found = self._find(provider, model)
        if found is None:
            return None
        cards = []
        for moment in _moments(found, when):
            card = self._card_at(found, provider, model, moment, tier, discount)
            if card is None:
                return None
            cards.append(card)
        return dearest_of(cards, f"{cards[0].version} {DEAREST}")

    def by_the_hour(self, provider: str, model: str) -> bool:
        """True where the price of a model depends on the time of day."""
        found = self._find(provider, model)
        return found is not None and bool(_edges(found))

    def models(self, provider: str) -> list[str]:
        """The ids of every model with a list price at a provider, sorted."""
        listed = self._providers().get(provider)
        return sorted(model.id for model in listed.models) if listed else []

    def providers(self) -> list[str]:
        """genai-prices' names of the providers it lists."""
        return sorted(self._providers())

    def url(self, provider: str) -> str:
        """The page that a provider's prices were read from."""
        listed = self._providers().get(provider)
        return listed.pricing_urls[0] if listed and listed.pricing_urls else ""

    def newest(self, until: date) -> date | None:
        """The latest day up to `until` from which a listed price holds: the data is no older than that."""
        starts = [
            conditional.constraint.start_date
            for listed in self._providers().values()
            for model in listed.models
            for conditional in _conditional(model)
            if hasattr(conditional.constraint, "start_date")
        ]
        return max((start for start in starts if start <= until), default=None)

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

    def _card_at(
        self, found: ModelInfo, provider: str, model: str, moment: datetime, tier: str, discount: Decimal
    ) -> PriceCard | None:
        """The card of one moment in one tier of service."""
        served, factor = _split(provider, tier)
        if len(served) > 1:
            return None  # two ways to be served at once: no list says what they cost together
        price, at_most = found.get_prices(moment), _too_high(found, moment)
        if served:
            # The library takes contexts from a provider's own models only, not from those it has of another.
            own = any(found is one for one in self._providers()[provider].models)
            context = _context(found, served[0], moment) if own else None
            if context is not None:
                price = found.get_prices(moment, context)
            elif served[0] in CHEAPER:
                at_most = True
            else:
                return None
        version = f"{self.version} {plain(tier)}".rstrip()
        card = compiled(price, version, discount, free=model.endswith(":free"))
        if card is None:
            return None
        card = card if factor == 1 else card.times(factor, version)
        return replace(card, at_most=True) if at_most else card

    def _find(self, provider: str, model: str) -> ModelInfo | None:
        providers = self._providers()
        listed = providers.get(provider)
        if listed is None:
            return None
        name = without_routing(model) if provider == "openrouter" else model
        return listed.find_model(name, all_providers=list(providers.values()))

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
            listed=True,
        )
    except ValueError:
        return None  # negative or absurd: no price is better than that one


def without_routing(model: str) -> str:
    """A model of OpenRouter's without what only chooses among its providers.

    >>> without_routing("openai/gpt-4o:nitro"), without_routing("qwen/qwen3:free")
    ('openai/gpt-4o', 'qwen/qwen3:free')
    """
    for suffix in _ROUTING_SUFFIXES:
        model = model.removesuffix(suffix)
    return model


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
        if key.endswith("_kcount"):
            usd *= 1_000
        elif key.endswith("_hours"):
            usd = usd * 1_000_000 / _SECONDS_AN_HOUR
        prices[leaf] = _WRITTEN.create_decimal(usd)
    return prices


def _split(provider: str, tier: str) -> tuple[list[str], Decimal]:
    """The words of a tier that are ways to be served, and the factor of those that are geographies."""
    served, factor = [], Decimal(1)
    for word in words(tier):
        if (provider, word) in _GEOGRAPHIES:
            factor *= _GEOGRAPHIES[provider, word]
        elif (provider, word) not in _SAME_PRICE:
            served.append(word)
    return served, factor


def _context(model: ModelInfo, word: str, moment: datetime) -> dict[str, str] | None:
    """The context under which the data has a price of a tier at a moment; None where it has none."""
    for variant in model.price_variants or ():
        holds = variant.constraint is None or variant.constraint.active(moment)
        if holds and any(variant.when == {key: word} for key in _CONTEXTS):
            return variant.when
    return None


def _conditional(model: ModelInfo) -> Sequence[Any]:
    return model.prices if isinstance(model.prices, list) else ()


def _edges(model: ModelInfo) -> list[time]:
    """The times of day at which the price of a model can change."""
    return [
        getattr(conditional.constraint, end)
        for conditional in _conditional(model)
        for end in ("start_time", "end_time")
        if hasattr(conditional.constraint, end)
    ]


def _moments(model: ModelInfo, when: date | datetime) -> Iterator[datetime]:
    """The moments of a day between which a model's price can change; the moment itself where it is known."""
    if isinstance(when, datetime):
        yield when
        return
    edges = _edges(model)
    if not edges:
        yield datetime.combine(when, time(12), UTC)
        return
    midnight = datetime.combine(when, time(), UTC)
    yield midnight
    yield midnight + timedelta(days=1, microseconds=-1)
    yield from (datetime.combine(when, edge, edge.tzinfo or UTC) for edge in edges)


def _too_high(model: ModelInfo, moment: datetime) -> bool:
    """Whether a price of certain hours is listed for a day on which those hours are not, or may not be, dearer."""
    constraints = [conditional.constraint for conditional in _conditional(model)]
    peak = any(hasattr(one, "start_time") and one.active(moment) for one in constraints)
    if not peak:
        return False
    begun = all(one.active(moment) for one in constraints if hasattr(one, "start_date"))
    return moment.astimezone(UTC).weekday() >= _SATURDAY or not begun
