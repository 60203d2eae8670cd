"""The price book: what one model of one provider costs at one moment, or that nobody knows.

Decides whose word on a price counts: the user's override with the latest date, then `price: free`, then what the
provider itself published and was fetched, then the list price, the latter two less the user's discount, then nobody's.
Unknown is None, never 0. Cards are compiled once a model and day, or minute where a price depends on the hour. Never
reads the clock or the network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple, Protocol

from bursar.catalog.fetched import FetchedPrices
from bursar.catalog.listing import LISTED, Listing
from bursar.catalog.providers import known_rows
from bursar.rules.prices import PriceCard, free_card
from bursar.rules.tiers import CHEAPER, KNOWN, plain

__all__ = ["SAID_FREE", "Override", "PriceBook", "PriceSource"]

# Model names come from callers and from replies: what is remembered of them is bounded.
CARDS_REMEMBERED_MAX = 4_096
SAID_FREE = "price: free"
MINUTES_A_DAY = 1_440
# The ordinal of 1970-01-01.
_EPOCH = date(1970, 1, 1).toordinal()
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Override(Protocol):
    """A price of the user's own for one model, from the start of a UTC date on (None: always).

    tiers: the cards of the tiers of service that have a price of their own, by the tier's words ("flex", "batch+us").
    """

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def starts(self) -> date | None: ...
    @property
    def card(self) -> PriceCard: ...
    @property
    def tiers(self) -> Mapping[str, PriceCard]: ...


class PriceSource(NamedTuple):
    """Where a price comes from: its version, and the page it was read from ("" for the user's own)."""

    version: str
    url: str = ""


class PriceBook:
    """Prices for one set of settings. Thread-safe.

    overrides: the user's prices. discounts: by provider, a share of the list price between 0 and 1. free_providers:
    those that were said to cost nothing. base_urls: by provider, for names that have no row of the catalog: the address
    then says whose prices they are, or that nobody lists them. Without an address the name does. rows: by provider, the
    row of the catalog that it follows, where that is not its name.
    fetched: brings what a provider of that list published, None where nothing was fetched; asked once a list.
    """

    def __init__(
        self,
        overrides: Iterable[Override] = (),
        discounts: Mapping[str, Decimal] | None = None,
        free_providers: Collection[str] = (),
        base_urls: Mapping[str, str] | None = None,
        *,
        rows: Mapping[str, str] | None = None,
        fetched: Callable[[str], FetchedPrices | None] | None = None,
    ) -> None:
        self._overrides: dict[tuple[str, str], list[Override]] = {}
        for override in sorted(overrides, key=lambda one: one.starts or date.min):
            self._overrides.setdefault((override.provider, override.model), []).append(override)
        self._discounts = dict(discounts or {})
        self._free = frozenset(free_providers)
        self._base_urls = dict(base_urls or {})
        self._rows = dict(rows or {})
        self._fetch = fetched
        self._fetched: dict[str, FetchedPrices | None] = {}
        self._listing = Listing()
        self._list_names: dict[str, str] = {}
        self._cards: dict[tuple[str, str, date | datetime | int, str], PriceCard | None] = {}

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
        return self._remember(key, self._card(provider, model, when, tier))

    def card_at(self, provider: str, model: str, epoch_minute: int, tier: str = "") -> PriceCard | None:
        """The card that holds in a minute since 1970, for the way of a call: found in well under a microsecond.

        >>> PriceBook(free_providers=["local"]).card_at("local", "qwen3", 29_900_000).free
        True
        """
        key = (provider, model, epoch_minute, tier)
        try:
            return self._cards[key]
        except KeyError:
            pass
        day = date.fromordinal(_EPOCH + epoch_minute // MINUTES_A_DAY)
        if self._changes_within(provider, model, day):
            card = self._card(provider, model, _BEGINNING + timedelta(minutes=epoch_minute), tier)
        else:
            card = self.card(provider, model, day, tier)
        return self._remember(key, card)

    def source(self, provider: str, model: str, when: date | datetime) -> PriceSource | None:
        """Where the price of a model comes from; None where it has none."""
        card = self.card(provider, model, when)
        if card is None:
            return None
        # What was fetched came from the provider itself, by no page.
        url = self._listing.url(self._list_name(provider)) if card.version.startswith(LISTED) else ""
        return PriceSource(card.version, url)

    def variants(self, provider: str, model: str, when: date | datetime) -> dict[str, PriceCard]:
        """The tiers of service that have a price of their own, with their cards."""
        standard, own = self.card(provider, model, when), self._override(provider, model, _utc_day(when))
        known = (*KNOWN, *own.tiers) if own else KNOWN
        cards = {tier: self.card(provider, model, when, tier) for tier in dict.fromkeys(known)}
        return {
            tier: card
            for tier, card in cards.items()
            if card and standard and not card.at_most and not card.free and _differ(card, standard)
        }

    def models(self, provider: str) -> list[str]:
        """Every model of a provider that has a price here, sorted; none for a free provider, which names none."""
        own = [model for name, model in self._overrides if name == provider]
        name = self._list_name(provider)
        fetched = self._fetched_of(name)
        return sorted({*own, *(fetched.models() if fetched else ()), *self._listing.models(name)})

    def nearest(self, provider: str, model: str, count: int = 3) -> list[str]:
        """The other models with a price whose names are most like this one, for an error to show.

        >>> PriceBook().nearest("openai", "gpt-4o-mni")[0]
        'gpt-4o-mini'
        """
        from difflib import get_close_matches

        others = [name for name in self.models(provider) if name != model]
        return get_close_matches(model[:256].lower(), others, count, 0.6)

    def overrides(self) -> list[Override]:
        """The user's own prices, oldest first within a model."""
        return [override for own in self._overrides.values() for override in own]

    def listed_card(self, provider: str, model: str, when: date | datetime, tier: str = "") -> PriceCard | None:
        """The card that holds where the user gives no price of their own, discount taken off; None where none does."""
        name = self._list_name(provider)
        if not name:
            return None
        discount = self._discounts.get(provider, Decimal(0))
        fetched = self._fetched_of(name)
        card = fetched.card(model, when, tier, discount) if fetched else None
        return card or self._listing.card(name, model, when, tier, discount)

    def list_dates(self, today: date) -> dict[str, date | None]:
        """How old the prices are: by version of a list, the day of its newest price, or on which it was fetched."""
        newest = self._listing.newest(today)
        dates = {self._listing.version: newest}
        for name in [self._list_name(provider) for provider in known_rows()]:
            fetched = self._fetched_of(name)
            if fetched and fetched.fetched:
                dates[name] = fetched.fetched.date()
        return dates

    def _remember(self, key: tuple[str, str, date | datetime | int, str], card: PriceCard | None) -> PriceCard | None:
        if len(self._cards) >= CARDS_REMEMBERED_MAX:
            self._cards.clear()
        self._cards[key] = card
        return card

    def _card(self, provider: str, model: str, when: date | datetime, tier: str) -> PriceCard | None:
        own = self._override(provider, model, _utc_day(when))
        if own is not None:
            return _own_card(own, plain(tier))
        if provider in self._free:
            return free_card(SAID_FREE)
        return self.listed_card(provider, model, when, tier)

    def _override(self, provider: str, model: str, day: date) -> Override | None:
        started = [
            override
            for override in self._overrides.get((provider, model), ())
            if override.starts is None or override.starts <= day
        ]
        return started[-1] if started else None

    def _changes_within(self, provider: str, model: str, day: date) -> bool:
        """Whether the price of a model may differ between two moments of a day."""
        if provider in self._free or self._override(provider, model, day) is not None:
            return False
        name = self._list_name(provider)
        fetched = self._fetched_of(name)
        if fetched is not None and fetched.by_the_hour(model, day):
            return True
        return bool(name) and self._listing.by_the_hour(name, model)

    def _fetched_of(self, name: str) -> FetchedPrices | None:
        if self._fetch is None or not name:
            return None
        if name not in self._fetched:
            self._fetched[name] = self._fetch(name)
        return self._fetched[name]

    def _list_name(self, provider: str) -> str:
        """Whose list prices a provider has: its row's, else those of whoever serves its address or has its name."""
        name = self._list_names.get(provider)
        if name is None:
            row = known_rows().get(self._rows.get(provider, provider))
            base_url = self._base_urls.get(provider, "")
            if row:
                name = row.price_provider
            else:
                name = self._listing.provider_at(base_url) if base_url else self._listing.provider_named(provider)
            self._list_names[provider] = name
        return name


def _differ(card: PriceCard, other: PriceCard) -> bool:
    return (card.pico_usd, card.tiers) != (other.pico_usd, other.tiers)


def _own_card(own: Override, tier: str) -> PriceCard | None:
    """The user's price of a tier. Theirs are of the plain one, unless they say more; a cheaper one is none above it."""
    if not tier or own.card.free:
        return own.card
    if tier in own.tiers:
        return own.tiers[tier]
    return replace(own.card, at_most=True) if tier in CHEAPER else None


def _utc_day(when: date | datetime) -> date:
    return when.astimezone(UTC).date() if isinstance(when, datetime) else when
