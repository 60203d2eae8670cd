"""What the models of one provider cost in one minute, and what those that a call can reach may cost and do together.

Decides which cards bound a call. It is worked out once for all calls of a minute that reach the same models: prices
change by the minute at most, and what models can do does not change at all.
"""

from __future__ import annotations

from typing import NamedTuple

from bursar.catalog import models
from bursar.catalog.prices import PriceBook
from bursar.catalog.providers import Provider
from bursar.catalog.tokens import own_vocabularies
from bursar.config import ProviderSettings
from bursar.rules.prices import PriceCard

__all__ = ["Offer", "Tariff"]

# Names of models may come from callers, so what is remembered of a minute is bounded.
OFFERS_MAX = 1_024


class Offer(NamedTuple):
    """Models of one provider, any of which may serve a call.

    cards: of each, in the tiers that it may be served in; None where a price is not known. unpriced: whose those are.
    reach: what they can do. vocabularies: of their text, empty where one is not known.
    """

    cards: tuple[PriceCard | None, ...]
    unpriced: tuple[str, ...]
    reach: models.Reach
    vocabularies: tuple[str, ...]


class Tariff:
    """The prices of one provider in the minute in which a call began: it keeps them, whenever it is settled.

    Called with a model and a tier, it is the `Pricing` of a plan. minute: since 1970. Thread-safe.
    """

    __slots__ = ("_book", "_offers", "_row", "_settings", "minute")

    def __init__(self, settings: ProviderSettings, row: Provider, book: PriceBook, minute: int) -> None:
        self.minute = minute
        self._settings = settings
        self._row = row
        self._book = book
        self._offers: dict[tuple[tuple[str, ...], str], Offer] = {}

    def __call__(self, model: str, tier: str = "", /) -> PriceCard | None:
        """The card of a model, as this provider names it; None where its price is not known."""
        return self._book.card_at(self._settings.name, self._settings.priced_as(model), self.minute, tier)

    def offer(self, reachable: tuple[str, ...], tier: str) -> Offer:
        """What the models that a call can reach may cost, with the tier that it asks for ("" for none), and do."""
        offer = self._offers.get((reachable, tier))
        if offer is None:
            if len(self._offers) >= OFFERS_MAX:
                self._offers.clear()
            offer = self._offers[reachable, tier] = self._offer(reachable, tier)
        return offer

    def _offer(self, reachable: tuple[str, ...], tier: str) -> Offer:
        name = self._settings.name
        named = tuple(map(self._settings.priced_as, reachable))
        # A tier that was asked for may not be given: the bound covers it and the plain one.
        tiers = ("", tier) if tier else ("",)
        cards = {(model, each): self(model, each) for model in reachable for each in tiers}
        unpriced = tuple(dict.fromkeys(f"{name}/{model}" for (model, _), card in cards.items() if card is None))
        reach = models.reach(name, named)
        return Offer(tuple(cards.values()), unpriced, reach, own_vocabularies(self._row.price_provider, named))
