"""Prices: how old they are, what a model costs and whose word that is, and what a usage of it comes to."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from bursar.config.explaining import explained, matches, price_shown, providers_of, reasons
from bursar.config.nearest import did_you_mean
from bursar.gateway.admin.calls import CostLine
from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.reading import day_of, pairs_of
from bursar.gateway.admin.shapes import GivenInstant, Usd, usd_or_none
from bursar.gateway.problems import Problem
from bursar.rules.usage import LEAVES, TOKENS_MAX, Usage

if TYPE_CHECKING:
    from bursar.rules.prices import PriceCard

MATCHES_MAX = 20
Prices = dict[str, Usd]


class PriceLists(Struct, frozen=True):
    """Where prices come from here. overrides: how many are the configuration's own.

    lists: the day of the newest price of each list, null where that is not known.
    """

    overrides: int
    lists: dict[str, str | None]


class PricesAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """on: a day, or a minute where prices have hours; now by default. tier: of service, such as batch.

    usage: a unit and its count, as in input=1000, each once: what it comes to is told as well.
    """

    on: GivenInstant | None = None
    tier: Annotated[str, Meta(max_length=64)] = ""
    usage: list[Annotated[str, Meta(max_length=64)]] = []


class TierPrices(Struct, frozen=True):
    """Prices that hold for all of a request whose input is longer than so many tokens."""

    above_input_tokens: int
    usd_per_million: Prices


class CardPrices(Struct, frozen=True):
    """Prices by unit, and those of long requests."""

    usd_per_million: Prices
    tiers: list[TierPrices]


class UsageCost(Struct, frozen=True):
    """What a usage comes to, line by line; rounded up once, to nano-USD."""

    lines: list[CostLine]
    sum_usd: Usd | None
    cost_usd: Usd | None
    certain: bool


class PriceShown(Struct, frozen=True):
    """The price of a model. date: on which it holds. at_most: what holds is not known, but it is not more than this.

    source, url, newest_price: whose word it is, and of which day. because: the same in sentences.
    """

    model: str
    date: str
    usd_per_million: Prices
    tiers: list[TierPrices]
    service_tiers: dict[str, CardPrices]
    at_most: bool
    source: str
    url: str | None
    newest_price: str | None
    because: list[str]
    cost: UsageCost | None


class ModelPrices(Struct, frozen=True):
    """The prices of every model that a name can mean."""

    data: list[PriceShown]


def show_lists(ask: Ask) -> PriceLists:
    """Where prices come from, and how old they are."""
    today = day_of(None, ask.now_ms)
    dates = ask.engine.prices.list_dates(today if not isinstance(today, datetime) else today.date())
    return PriceLists(len(ask.settings.prices), {name: day.isoformat() if day else None for name, day in dates.items()})


def show_price(ask: Ask) -> ModelPrices:
    """What a model costs: provider/model, or a name that several providers may have."""
    query: PricesAsked = ask.query
    (model,) = ask.parts
    on, usage = day_of(query.on, ask.now_ms), usage_of(query.usage)
    found = matches(ask.settings, ask.engine.prices, model, on)[:MATCHES_MAX]
    if not found:
        raise Problem(404, "not_found", f"the price of {model[:80]!r} is not known; {_hint(ask, model)}")
    shown = []
    for provider, name in found:
        card = ask.engine.prices.card(provider, name, on, query.tier)
        if card is None:
            known = ", ".join(ask.engine.prices.variants(provider, name, on)) or "none"
            raise Problem(
                404,
                "not_found",
                f"the price of {provider}/{name} in the tier {query.tier!r} is not known; known: {known}",
            )
        shown.append(_shown(ask, (provider, name), card, on, usage))
    return ModelPrices(shown)


def usage_of(given: list[str]) -> Usage | None:
    """A usage as a query has it; None where there is none. Raises Problem (400)."""
    counts = {}
    for leaf, count in pairs_of("usage", given).items():
        if leaf not in LEAVES:
            raise Problem(400, "invalid_request", f"there is no unit {leaf!r}; {did_you_mean(leaf, LEAVES, 'units')}")
        if not (count.isascii() and count.isdigit() and len(count) < 12) or int(count) > TOKENS_MAX:
            raise Problem(400, "invalid_request", f"usage: {leaf} needs a count from 0 to {TOKENS_MAX:,}")
        counts[leaf] = int(count)
    return Usage({leaf: count for leaf, count in counts.items() if count}) if counts else None


def _shown(ask: Ask, model: tuple[str, str], card: PriceCard, on: date | datetime, usage: Usage | None) -> PriceShown:
    provider, name = model
    told: dict[str, Any] = price_shown(ask.engine.prices, provider, name, on)
    because = list(reasons(ask.settings, ask.engine.prices, provider, name, card))
    cost = None
    if usage is not None:
        lines = explained(card, usage)
        cost = UsageCost(
            [CostLine(**line) for line in lines["lines"]],
            lines["sum_usd"],
            usd_or_none(lines["cost_nano_usd"]),
            lines["certain"],
        )
    told["tiers"] = [TierPrices(**one) for one in told["tiers"]]
    told["service_tiers"] = {
        tier: CardPrices(one["usd_per_million"], [TierPrices(**each) for each in one["tiers"]])
        for tier, one in told["service_tiers"].items()
    }
    told["url"] = told["url"] or None
    return PriceShown(**told, because=because, cost=cost)


def _hint(ask: Ask, model: str) -> str:
    book = ask.engine.prices
    names = providers_of(ask.settings)
    provider, slash, rest = model.partition("/")
    if slash and provider in names:
        near = [f"{provider}/{each}" for each in book.nearest(provider, rest)]
    else:
        near = [f"{name}/{each}" for name in names for each in book.nearest(name, model, 2)][:6]
    return f"near it: {', '.join(near)}" if near else "GET /v1/models lists those that can be called"


ENDPOINTS = (
    Endpoint("GET", "/api/prices", "view", "Where prices come from, and how old they are.", show_lists, PriceLists),
    Endpoint(
        "GET", "/api/prices/{model:path}", "view", "What a model costs, whose word that is, and what a usage comes to.",
        show_price, ModelPrices, query=PricesAsked,
    ),
)  # fmt: skip
