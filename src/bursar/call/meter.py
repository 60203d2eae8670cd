"""What an attempt cost: the provider's own word, else its usage at the price it was served for, else nothing known.

Decides which source is believed and whether the amount is the fact. Never guesses: a reply without usage has an unknown
cost, and what the books carry for it is the flow's decision. Source: DESIGN section 4, invariants 7 to 9.
"""

from __future__ import annotations

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from bursar.catalog.listing import DEAREST, LISTED, STANDARD_TIERS
from bursar.catalog.models import server_tools
from bursar.rules.money import FREE, UNKNOWN_COST, Cost
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered

__all__ = ["Pricing", "meter"]

# What a served name adds to the one that was asked: gpt-4o is served as gpt-4o-2024-08-06.
_DATED = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4})")


class Pricing(Protocol):
    """The card of a model of one provider on one day; None where its price (in that tier of service) is not known."""

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
) -> tuple[Cost, str]:
    """What a reply cost and the version of the price it was reckoned with ("" where none was used).

    Args:
        metered: what the reply says.
        asked_model: stands in where the served model is not named, or has no price of its own.
        price: see `Pricing`.
        status: of the HTTP reply; 400 or more without usage costs nothing unless `bills_errors`.
        reports_cost: whether a cost in the reply is what the provider charges, and not some server's opinion.
        tools_ran: the request asked for tools at the provider's side (searches), which its usage need not count.
    """
    asked = price(asked_model)
    said = asked is not None and not asked.version.startswith(LISTED)  # by the user, and not read off a list
    if asked is not None and said and asked.free:
        return FREE, asked.version
    if metered.reported_nano_usd is not None and reports_cost:
        return Cost(metered.reported_nano_usd, "provider", certain=True), ""
    usage = metered.usage
    if usage is None:
        return (FREE, "") if status >= 400 and not bills_errors else (UNKNOWN_COST, "")
    names = [metered.served_model or asked_model, asked_model]
    if said and _same(asked_model, metered.served_model):
        names.reverse()  # the user's price of gpt-4o is not undone by the list price of gpt-4o-2024-08-06
    for name in names:
        card = price(name) if metered.service_tier in STANDARD_TIERS else price(name, metered.service_tier)
        nano_usd = None if card is None else card.cost_nano_usd(_with_fees(usage, card))
        if card is not None and nano_usd is not None:
            # Read at its dearest, a bill can only turn out lower than this.
            certain = not (usage.contradictory or card.version.endswith(DEAREST))
            if tools_ran or server_tools("", name):
                certain = False  # and this one higher: a search is billed by the piece
            return Cost(nano_usd, "computed", certain=certain), card.version
    return UNKNOWN_COST, ""


def _same(asked: str, served: str) -> bool:
    """Whether the served name is the asked one, with a date at most."""
    return served.startswith(asked) and (served == asked or _DATED.fullmatch(served, len(asked)) is not None)


def _with_fees(usage: Usage, card: PriceCard) -> Usage:
    """A request that has a price of its own counts as one; providers do not say so in their usage."""
    if not card.pico_usd.get("requests") or "requests" in usage.leaves:
        return usage
    return replace(usage, leaves=MappingProxyType({**usage.leaves, "requests": 1}))
