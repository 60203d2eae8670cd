"""What an attempt cost: the provider's own word, else its usage at the price it was served for, else nothing known.

Decides which source is believed and whether the amount is the fact. The order of trust: the cost that the provider
reports, the user's override (`price: free` among them), the price lists, nobody. Never guesses: a reply without usage
has an unknown cost, and what the books carry for it is the flow's decision.

Source: DESIGN section 4, invariants 7 to 9.
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, Protocol

from bursar.catalog.models import server_tools
from bursar.catalog.providers import Provider
from bursar.rules.money import FREE, UNKNOWN_COST, Cost, nano_of_pico
from bursar.rules.prices import PriceCard
from bursar.rules.tiers import STANDARD, words
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered
from bursar.wire.extent import holds_sound

__all__ = ["Pricing", "meter", "untold", "with_fees"]

# What a served name adds to the one that was asked: gpt-4o is served as gpt-4o-2024-08-06.
_DATED = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4})")


class Pricing(Protocol):
    """The card of a model of one provider when a call began; None where its price (in that tier) is not known."""

    def __call__(self, model: str, tier: str = "", /) -> PriceCard | None: ...


def meter(
    metered: Metered,
    *,
    asked_model: str,
    price: Pricing,
    status: int = 200,
    bills_errors: bool = False,
    reports_cost: bool = True,
    tools_ran: bool = False,
    untold: tuple[str, ...] = (),
    asked_tier: str = "",
) -> tuple[Cost, str]:
    """What a reply cost and the version of the price it was reckoned with ("" where none was used).

    Args:
        metered: what the reply says.
        asked_model: stands in where the served model is not named, or has no price of its own.
        price: see `Pricing`.
        status: of the HTTP reply; 400 or more without usage costs nothing unless `bills_errors`.
        reports_cost: whether a cost in the reply is what the provider charges, and not some server's opinion.
        tools_ran: the request asked for tools at the provider's side (searches), which its usage need not count.
        untold: leaves that the call may have used and its usage would not tell from text; see `untold`.
        asked_tier: the tier of service that the request asked for; it counts where the reply says nothing.
    """
    if metered.reported_nano_usd is not None and reports_cost:
        return Cost(metered.reported_nano_usd, "provider", certain=True), ""
    asked = price(asked_model)
    said = asked is not None and not asked.listed  # by the user, and not read off a list
    if asked is not None and said and asked.free:
        return FREE, asked.version
    usage = metered.usage
    if usage is None:
        return (FREE, "") if status >= 400 and not bills_errors else (UNKNOWN_COST, "")
    names = [metered.served_model or asked_model, asked_model]
    theirs = said and _same(asked_model, metered.served_model)
    if theirs:
        names.reverse()
    for name in names:
        priced = _priced(usage, name, metered.service_tier, asked_tier, price)
        # The user's price of gpt-4o is not undone by the list's of gpt-4o-2024-08-06, nor are its gaps filled by it.
        if priced is not None and not (theirs and priced.card.listed):
            beside = _beside(metered, asked_tier, price)
            if beside is None:
                break
            # Read at its dearest, a bill can only turn out lower than this.
            certain = not (usage.contradictory or priced.card.at_most) and beside.certain
            if tools_ran or server_tools("", name) or _dearer(priced.card, untold):
                certain = False  # and these higher: a search is billed by the piece, a picture at its own price
            nano_usd = nano_of_pico(priced.pico_usd + beside.pico_usd)
            return Cost(nano_usd, "computed", certain=certain), priced.card.version
    return UNKNOWN_COST, ""


def untold(provider: Provider, body: bytes) -> tuple[str, ...]:
    """The leaves that a call may use and its provider's usage does not tell from text; none at nearly all providers."""
    if provider.tells_kinds:
        return ()
    heard = ("audio_input", "video_input") if holds_sound(body) else ()
    return (*heard, "audio_output", "image_output")


def _dearer(card: PriceCard, leaves: tuple[str, ...]) -> bool:
    """Whether one of the leaves costs more than the text of its side."""
    prices = card.pico_usd
    return any(prices.get(leaf, 0) > prices.get(leaf.rpartition("_")[2], 0) for leaf in leaves)


class _Priced(NamedTuple):
    """What a usage costs, exactly, and the card that says so."""

    pico_usd: int
    card: PriceCard


class _Beside(NamedTuple):
    """What other models than the served one cost."""

    pico_usd: int
    certain: bool


_NOTHING_BESIDE = _Beside(0, certain=True)


def _beside(metered: Metered, asked_tier: str, price: Pricing) -> _Beside | None:
    """What the models cost that worked beside the served one, at their own prices; None where one has none."""
    total = _NOTHING_BESIDE
    for model, usage in metered.apart:
        priced = _priced(usage, model, metered.service_tier, asked_tier, price)
        if priced is None:
            return None
        certain = total.certain and not (usage.contradictory or priced.card.at_most)
        total = _Beside(total.pico_usd + priced.pico_usd, certain)
    return total


def _priced(usage: Usage, model: str, tier: str, asked_tier: str, price: Pricing) -> _Priced | None:
    """What a usage costs in the tier that served it; None where that is not known."""
    tiers: tuple[str, ...] = ("" if tier in STANDARD else tier,)
    if asked_tier not in STANDARD:
        if not tier:
            # Asked for and not confirmed: given or not, the dearer of both is an upper bound.
            tiers = ("", asked_tier)
        elif words(tier) == ("priority",) and words(asked_tier) == ("fast",):
            tiers = (asked_tier,)  # OpenAI answers "priority" even where "fast" was asked for
    priced = []
    for one in tiers:
        card = price(model, one) if one else price(model)
        pico_usd = None if card is None else card.cost_pico_usd(with_fees(usage, card))
        if card is None or pico_usd is None:
            return None
        priced.append(_Priced(pico_usd, card))
    if priced[0].pico_usd == priced[-1].pico_usd:
        return priced[0]
    dearest = max(priced, key=lambda one: one.pico_usd)
    return dearest._replace(card=replace(dearest.card, at_most=True))


def _same(asked: str, served: str) -> bool:
    """Whether the served name is the asked one, with a date at most."""
    return served.startswith(asked) and (served == asked or _DATED.fullmatch(served, len(asked)) is not None)


def with_fees(usage: Usage, card: PriceCard) -> Usage:
    """A request that has a price of its own counts as one; providers do not say so in their usage."""
    if not card.pico_usd.get("requests") or "requests" in usage.leaves:
        return usage
    return replace(usage, leaves=MappingProxyType({**usage.leaves, "requests": 1}))
