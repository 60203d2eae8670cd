"""What an attempt cost: the provider's own word, else its usage at the price it was served for, else nothing known.

Decides which source is believed and whether the amount is the fact. Never guesses: a reply without usage has an unknown
cost, and what the books carry for it is the flow's decision. Source: DESIGN section 4, invariants 7 to 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from bursar.rules.money import FREE, UNKNOWN_COST, Cost
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered

__all__ = ["meter"]


def meter(
    metered: Metered,
    *,
    asked_model: str,
    price: Callable[[str], PriceCard | None],
    status: int = 200,
    bills_errors: bool = False,
    reports_cost: bool = True,
) -> tuple[Cost, str]:
    """What a reply cost and the version of the price it was reckoned with ("" where none was used).

    Args:
        metered: what the reply says.
        asked_model: stands in where the served model is not named, or has no price of its own.
        price: the card of a model of this provider on the day, None where its price is not known.
        status: of the HTTP reply; 400 or more without usage costs nothing unless `bills_errors`.
        reports_cost: whether a cost in the reply is what the provider charges, and not some server's opinion.
    """
    asked = price(asked_model)
    if asked is not None and asked.free:
        return FREE, asked.version
    if metered.reported_nano_usd is not None and reports_cost:
        return Cost(metered.reported_nano_usd, "provider", certain=True), ""
    usage = metered.usage
    if usage is None:
        return (FREE, "") if status >= 400 and not bills_errors else (UNKNOWN_COST, "")
    served = price(metered.served_model) if metered.served_model not in ("", asked_model) else None
    for card in (served, asked):
        nano_usd = None if card is None else card.cost_nano_usd(_with_fees(usage, card))
        if card is not None and nano_usd is not None:
            # A report that contradicts itself was read at its dearest: nothing more will be billed, perhaps less.
            return Cost(nano_usd, "computed", certain=not usage.contradictory), card.version
    return UNKNOWN_COST, ""


def _with_fees(usage: Usage, card: PriceCard) -> Usage:
    """A request that has a price of its own counts as one; providers do not say so in their usage."""
    if not card.fees_pico_usd() or "requests" in usage.leaves:
        return usage
    return replace(usage, leaves=MappingProxyType({**usage.leaves, "requests": 1}))
