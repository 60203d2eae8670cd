"""Why something costs what it does: the price of a model with its source, and a cost line by line.

Decides nothing about money: it asks the price book for the card that held, says what the card makes of each leaf, whose
word it is and who said nothing. The sum is rounded up once, as it was when it was charged.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bursar.call.meter import with_fees
from bursar.catalog.providers import known_rows
from bursar.rules.money import EXACT, PICO_PER_USD, format_usd, nano_of_pico
from bursar.rules.tiers import KNOWN

if TYPE_CHECKING:
    from bursar.call.books import Fact
    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings
    from bursar.rules.prices import PriceCard
    from bursar.rules.usage import Usage


def matches(settings: Settings, book: PriceBook, model: str, day: date | datetime) -> list[tuple[str, str]]:
    """The (provider, model) that a name can mean and that have a price; of a bare name every provider's."""
    provider, slash, rest = model.partition("/")
    names = providers_of(settings)
    if slash and provider in names and book.card(provider, rest, day) is not None:
        return [(provider, rest)]
    found = []
    for name in names:
        if book.card(name, model, day) is not None and not _free(settings, name):
            found.append((name, model))
        else:
            own = [each for each in book.models(name) if each.rpartition("/")[2] == model]
            found += [(name, each) for each in own if book.card(name, each, day) is not None]
    return found


def providers_of(settings: Settings) -> list[str]:
    """Every provider whose prices can be looked up."""
    return list(dict.fromkeys([*settings.providers, *known_rows()]))


def _free(settings: Settings, provider: str) -> bool:
    """True for a provider that was said to cost nothing: it would match every name."""
    return provider in settings.providers and settings.providers[provider].free


def price_shown(book: PriceBook, provider: str, model: str, on: date | datetime) -> dict[str, Any]:
    """The price of a model on a day, or in a minute, with its tiers, its source and its date."""
    card, source = book.card(provider, model, on), book.source(provider, model, on)
    assert card is not None
    assert source is not None
    services = {tier: _card_shown(one) for tier, one in book.variants(provider, model, on).items()}
    day = on.date() if isinstance(on, datetime) else on
    newest = book.list_dates(day).get(card.version.partition(" (")[0])
    return {
        "model": f"{provider}/{model}",
        "date": f"{on:%Y-%m-%dT%H:%MZ}" if isinstance(on, datetime) else on.isoformat(),
        **_card_shown(card),
        "service_tiers": services,
        "at_most": card.at_most,
        "source": source.version,
        "url": source.url,
        "newest_price": newest.isoformat() if newest else None,
    }


def _card_shown(card: PriceCard) -> dict[str, Any]:
    tiers = [
        {
            "above_input_tokens": tier.above_input_tokens,
            "usd_per_million": {leaf: usd_per_million(pico) for leaf, pico in tier.pico_usd.items()},
        }
        for tier in card.tiers
    ]
    return {"usd_per_million": prices_of(card), "tiers": tiers}


def fact_explained(settings: Settings, book: PriceBook, fact: Fact) -> dict[str, Any]:
    """The row of the ledger, with the lines that make up its cost where it was reckoned here."""
    row = {
        "attempt_id": fact.attempt_id,
        "model": f"{fact.provider}/{fact.served_model or fact.model}",
        "at": _iso(fact.reserved_ms),
        "cost_source": fact.cost_source,
        "price_version": fact.price_version,
        "held_nano_usd": fact.bound_nano_usd,
        "charged_nano_usd": fact.charged_nano_usd,
    }
    found = _card_of(settings, book, fact)
    if found is None:
        empty: dict[str, Any] = {
            "lines": [],
            "above_input_tokens": None,
            "sum_usd": None,
            "source": fact.price_version or None,
        }
        return (
            row | empty | {"cost_nano_usd": fact.cost_nano_usd, "certain": fact.certain, "because": _said(fact, None)}
        )
    name, card = found
    lines = explained(card, fact.usage)
    said = _said(fact, lines["cost_nano_usd"])
    because = [*said, *reasons(settings, book, fact.provider, name, card)]
    return row | lines | {"cost_nano_usd": fact.cost_nano_usd, "certain": fact.certain, "because": because}


def _card_of(settings: Settings, book: PriceBook, fact: Fact) -> tuple[str, PriceCard] | None:
    """The card by which a row was reckoned, or would be, under the name that it has; None where there is none."""
    last = fact.price_version.rpartition(" ")[2]
    tier = last if last and all(word in KNOWN for word in last.split("+")) else ""
    chosen = settings.providers.get(fact.provider)
    known = []
    for asked in (fact.served_model, fact.model):
        name = chosen.priced_as(asked) if chosen else asked
        card = book.card_at(fact.provider, name, fact.reserved_ms // 60_000, tier) if name else None
        if card is not None:
            known.append((name, card))
    same = [(name, card) for name, card in known if card.version == fact.price_version]
    return next(iter([*same, *known]), None)


def _said(fact: Fact, computed_nano_usd: int | None) -> list[str]:
    """What the row itself says about its cost."""
    if fact.cost_source == "provider":
        list_says = "" if computed_nano_usd is None else f" (these lines come to {format_usd(computed_nano_usd)})"
        said = [f"the provider reported {format_usd(fact.cost_nano_usd)}, which counts before any price{list_says}"]
    elif fact.cost_nano_usd is None:
        what = "there was no usage" if not fact.usage.leaves else "no price was known for what was used"
        said = [f"the cost is not known: {what}"]
    else:
        said = ["the provider reported no cost that counts"]
        if computed_nano_usd not in (None, fact.cost_nano_usd):
            said.append(
                f"the books have {format_usd(fact.cost_nano_usd)} by {fact.price_version!r}: the prices at hand now "
                "differ, or other models worked beside this one"
            )
    if not fact.certain:
        said.append(f"it is not certain, so the bound of {format_usd(fact.bound_nano_usd)} stays charged")
    return said


def reasons(settings: Settings, book: PriceBook, provider: str, model: str, card: PriceCard) -> Iterator[str]:
    """Whose price it is, and who said nothing before."""
    own = settings.file or "a bursar.yaml"
    if not card.listed:
        yield f"the price is your own: {card.version}"
        return
    yield f"no price of {provider}/{model} holds in {own}"
    chosen = settings.providers.get(provider)
    if chosen is not None and chosen.discount:
        yield f"the price is that of {card.version}, less {(chosen.discount * 100).normalize():f}% of discount"
    else:
        yield f"the price is that of {card.version}"
    if card.at_most:
        yield "it is at most this: what holds in this tier, or on this day, is not known"


def explained(card: PriceCard, usage: Usage) -> dict[str, Any]:
    """What a card makes of a usage, line by line."""
    lines = card.lines(with_fees(usage, card))
    amounts = [line.amount_pico_usd for line in lines]
    whole = None if None in amounts else sum(amount for amount in amounts if amount is not None)
    above = [tier.above_input_tokens for tier in card.tiers if usage.input_tokens > tier.above_input_tokens]
    return {
        "source": card.version,
        "above_input_tokens": above[-1] if above else None,
        "lines": [
            {
                "leaf": line.leaf,
                "units": line.units,
                "usd_per_million": None if line.pico_usd is None else usd_per_million(line.pico_usd),
                "usd": None if line.amount_pico_usd is None else exact(line.amount_pico_usd),
            }
            for line in lines
        ],
        "sum_usd": None if whole is None else exact(whole),
        "cost_nano_usd": None if whole is None else nano_of_pico(whole),
        "certain": whole is not None and not card.at_most,
    }


def prices_of(card: PriceCard) -> dict[str, str]:
    """The prices of a card by leaf, in USD per million, as exact decimals."""
    return {leaf: usd_per_million(pico) for leaf, pico in card.pico_usd.items()}


def usd_per_million(pico_usd: int) -> str:
    """A unit price as people know it.

    >>> usd_per_million(2_500_000), usd_per_million(75_000), usd_per_million(0)
    ('2.50', '0.075', '0.00')
    """
    whole, rest = divmod(pico_usd * 1_000_000, PICO_PER_USD)
    return f"{whole}.{f'{rest:012d}'.rstrip('0').ljust(2, '0')}"


def exact(pico_usd: int) -> str:
    """Pico-USD as dollars, no digit lost.

    >>> exact(2_500_000), exact(0), exact(10**12)
    ('0.0000025', '0', '1')
    """
    return f"{EXACT.add(Decimal(pico_usd).scaleb(-12, EXACT).normalize(EXACT), 0) if pico_usd else Decimal(0):f}"


def _iso(epoch_ms: int) -> str:
    """A moment for machines, in UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
