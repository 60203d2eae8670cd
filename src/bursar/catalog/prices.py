"""The price book: what one model of one provider costs on one day, or that nobody knows.

Decides whose word on a price counts: the user's override with the latest date, then `price: free`, then the list price
less the user's discount, then nobody's. Unknown is None, never 0. Cards are compiled once a model and day. Never
reads the clock, a file or the network.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from bursar.catalog.listing import CHEAPER_TIERS, LISTED, STANDARD_TIERS, Listing
from bursar.catalog.providers import known_rows
from bursar.rules.prices import PriceCard, free_card

__all__ = ["Override", "PriceBook", "PriceSource"]

# Model names come from callers and from replies: what is remembered of them is bounded.
CARDS_REMEMBERED_MAX = 4_096
SAID_FREE = "price: free"


class Override(Protocol):
    """A price of the user's own for one model, from the start of a UTC date on (None: always)."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def starts(self) -> date | None: ...
    @property
    def card(self) -> PriceCard: ...


class PriceSource(NamedTuple):
    """Where a price comes from: its version, and the page it was read from ("" for the user's own)."""

    version: str
    url: str = ""


class PriceBook:
    """Prices for one set of settings. Thread-safe.

    overrides: the user's prices. discounts: by provider, a share of the list price between 0 and 1. free_providers:
    those that were said to cost nothing. base_urls: by provider, for names that have no row of the catalog: the address
    then says whose prices they are, or that nobody lists them. Without an address the name does.
    """

    def __init__(
        self,
        overrides: Iterable[Override] = (),
        discounts: Mapping[str, Decimal] | None = None,
        free_providers: Collection[str] = (),
        base_urls: Mapping[str, str] | None = None,
    ) -> None:
        self._overrides: dict[tuple[str, str], list[Override]] = {}
        for override in sorted(overrides, key=lambda one: one.starts or date.min):
            self._overrides.setdefault((override.provider, override.model), []).append(override)
        self._discounts = dict(discounts or {})
        self._free = frozenset(free_providers)
        self._base_urls = dict(base_urls or {})
        self._listing = Listing()
        self._list_names: dict[str, str] = {}
        self._cards: dict[tuple[str, str, date | datetime, str], PriceCard | None] = {}

    def card(self, provider: str, model: str, when: date | datetime, tier: str = "") -> PriceCard | None:
        """The card of a model, as its provider names it; None where its price is not known.

        when: a UTC date; prices by the hour are then the dearest of the day. A datetime with a zone takes the hour's.
        tier: the tier of service that was asked for or given; one without a known price has none.

        >>> book = PriceBook(free_providers=["local"])
        >>> book.card("local", "qwen3", date(2026, 11, 1)).version, book.card("openai", "gpt-99", date(2026, 11, 1))
        ('price: free', None)
        """
        key = (provider, model, when, tier)
        try:
            return self._cards[key]
        except KeyError:
            pass
        if len(self._cards) >= CARDS_REMEMBERED_MAX:
            self._cards.clear()
        card = self._cards[key] = self._card(provider, model, when, tier)
        return card

    def source(self, provider: str, model: str, when: date | datetime) -> PriceSource | None:
        """Where the price of a model comes from; None where it has none."""
        card = self.card(provider, model, when)
        if card is None:
            return None
        url = self._listing.url(self._list_name(provider)) if card.version.startswith(LISTED) else ""
        return PriceSource(card.version, url)

    def models(self, provider: str) -> list[str]:
        """Every model of a provider that has a price here, sorted; none for a free provider, which names none."""
        own = [model for name, model in self._overrides if name == provider]
        return sorted({*own, *self._listing.models(self._list_name(provider))})

    def nearest(self, provider: str, model: str, count: int = 3) -> list[str]:
        """The models with a price whose names are most like this one, for an error to show.

        >>> PriceBook().nearest("openai", "gpt-4o-mni")[0]
        'gpt-4o-mini'
        """
        from difflib import get_close_matches

        return get_close_matches(model[:256].lower(), self.models(provider), count, 0.6)

    def _card(self, provider: str, model: str, when: date | datetime, tier: str) -> PriceCard | None:
        own = self._override(provider, model, _utc_day(when))
        if own is not None:
            # The user's prices are those of the plain tier; a dearer one is not known by them.
            return own if tier in STANDARD_TIERS | CHEAPER_TIERS or own.free else None
        if provider in self._free:
            return free_card(SAID_FREE)
        name = self._list_name(provider)
        discount = self._discounts.get(provider, Decimal(0))
        return self._listing.card(name, model, when, tier, discount) if name else None

    def _override(self, provider: str, model: str, day: date) -> PriceCard | None:
        started = [
            override.card
            for override in self._overrides.get((provider, model), ())
            if override.starts is None or override.starts <= day
        ]
        return started[-1] if started else None

    def _list_name(self, provider: str) -> str:
        """Whose list prices a provider has: its row's, else those of whoever serves its address or has its name."""
        name = self._list_names.get(provider)
        if name is None:
            row = known_rows().get(provider)
            base_url = self._base_urls.get(provider, "")
            if row:
                name = row.price_provider
            else:
                name = self._listing.provider_at(base_url) if base_url else self._listing.provider_named(provider)
            self._list_names[provider] = name
        return name


def _utc_day(when: date | datetime) -> date:
    return when.astimezone(UTC).date() if isinstance(when, datetime) else when
