"""What a call may use at most, and what it will probably use: its size at its prices, and the lessons of calls like it.

Decides which models and tiers a bound covers, when it can be made tighter by counting, and what a settled call teaches.
The bound never hears of those lessons: they serve rate limits alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from bursar.call.books import Fact
from bursar.call.meter import Pricing
from bursar.call.plan import Cap, Tightening
from bursar.catalog import models
from bursar.catalog.providers import Provider
from bursar.catalog.tokens import count_at_most, own_vocabularies
from bursar.config import ProviderSettings
from bursar.rules.allowances import Demand
from bursar.rules.calibration import Calibration, Series
from bursar.rules.estimate import MIN_OUTPUT_TOKENS, MIN_OUTPUT_TOKENS_REASONING, Likely, Size, demand_of
from bursar.rules.prices import PriceCard
from bursar.wire.dialect import Dialect, Request

__all__ = ["Bounded", "Lessons", "bounded"]

_TOOLS_KEY = b'"tools"'


class Bounded(NamedTuple):
    """What a call claims. unpriced: models whose price is not known. tightening, learn: see `Plan`."""

    demand: Demand
    unpriced: tuple[str, ...]
    tightening: Tightening | None
    learn: Callable[[Fact], None]


class Lessons:
    """The estimates of an engine, corrected by what its calls used. Thread-safe."""

    def __init__(self) -> None:
        self._calibration = Calibration()
        self._learning = threading.Lock()

    def likely(self, series: Series, size: Size) -> Likely:
        """What a call of this size will probably use."""
        return self._calibration.likely(series, size.input_tokens_likely)

    def learn(self, series: Series, size: Size, fact: Fact) -> None:
        """Take in what became of a call; one that did not end well, or says nothing of its use, teaches nothing."""
        usage = fact.usage
        if fact.ending != "ok" or not usage.leaves or usage.contradictory:
            return
        with self._learning:
            self._calibration.learn(
                series,
                estimated_tokens=size.input_tokens_likely,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens // size.choices,
            )


def bounded(
    settings: ProviderSettings,
    row: Provider,
    dialect: Dialect,
    request: Request,
    reachable: tuple[str, ...],
    prices: Pricing,
    caps: Sequence[Cap],
    *,
    lessons: Lessons,
) -> Bounded:
    """What a call to one provider claims, over every model of it that can answer; the first is the one asked."""
    named = tuple(map(settings.priced_as, reachable))
    facts = models.reach(settings.name, named)
    measure = partial(
        dialect.size,
        request,
        output_tokens_min=MIN_OUTPUT_TOKENS_REASONING if facts.reasoning else MIN_OUTPUT_TOKENS,
        output_tokens_max=facts.output_max,
        context_tokens=facts.context_window,
    )
    size = measure()
    series = Series(settings.name, reachable[0], _TOOLS_KEY in request.body)
    likely = lessons.likely(series, size)
    learn = partial(lessons.learn, series, size)
    if not settings.enable_cost_tracking:
        return Bounded(demand_of(size, [None], likely=likely, reserves=not row.refunds), (), None, learn)
    # A tier that was asked for may not be given: the bound covers it and the plain one.
    tiers = ("", request.tier) if request.tier else ("",)
    cards = {(model, tier): prices(model, tier) for model in reachable for tier in tiers}
    unpriced = tuple(dict.fromkeys(f"{settings.name}/{model}" for (model, _), card in cards.items() if card is None))
    priced: list[PriceCard | None] = list(cards.values())
    if request.unbounded or facts.server_tools:
        priced = [None]
    tightest = min(caps, key=lambda cap: cap.nano_usd, default=None)
    cap_nano_usd, cap = (None, "") if tightest is None else (tightest.nano_usd, tightest.name)
    claim = partial(
        demand_of, cards=priced, cap_nano_usd=cap_nano_usd, cap=cap, likely=likely, reserves=not row.refunds
    )
    demand = claim(size)
    tightening = None
    if demand.base_pico_usd and (vocabularies := own_vocabularies(row.price_provider, named)):
        tighter = partial(_tighter, measure, claim, size, vocabularies)
        tightening = Tightening(tighter, vocabularies, len(request.body))
    return Bounded(demand, unpriced, tightening, learn)


def _tighter(
    measure: Callable[..., Size], claim: Callable[[Size], Demand], size: Size, vocabularies: tuple[str, ...]
) -> Demand | None:
    """The claim with the input bounded by its tokens; None where they are no fewer than its bytes, or not known."""
    try:
        counted = measure(count=lambda text: count_at_most(text, vocabularies))
    except Exception:
        # A vocabulary that cannot be read is no reason to refuse a call.
        logging.getLogger("bursar").exception("the tokens of a request could not be counted; its bytes bound it")
        return None
    return claim(counted) if counted.input_tokens_max < size.input_tokens_max else None
