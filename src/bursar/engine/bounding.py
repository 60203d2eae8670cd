"""What a call may use at most, and what it will probably use: its size at its prices, and the lessons of calls like it.

Decides when a bound can be made tighter by counting, and what a settled call teaches. The bound never hears of those
lessons: they serve rate limits alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from bursar.call.books import Fact
from bursar.call.plan import Cap, Tightening
from bursar.catalog.providers import Provider
from bursar.catalog.tokens import count_at_most
from bursar.engine.tariffs import Offer
from bursar.rules.allowances import Demand
from bursar.rules.calibration import Calibration, Series
from bursar.rules.estimate import MIN_OUTPUT_TOKENS, MIN_OUTPUT_TOKENS_REASONING, Likely, Size, demand_of
from bursar.rules.prices import PriceCard
from bursar.wire.dialect import Count, Dialect, Request

__all__ = ["Bounded", "Lessons"]

_UNKNOWN: tuple[PriceCard | None, ...] = (None,)


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


class Bounded:
    """A request against what the models that it can reach offer: what it claims, and what it teaches once it has ended.

    priced: False where nobody asks what it costs. demand: the claim with its input bounded by bytes. tightening: see
    `Plan`. unpriced: models whose price is not known.
    """

    __slots__ = (
        "_cap", "_cards", "_dialect", "_lessons", "_likely", "_offer", "_request", "_reserves", "_series", "_size",
        "demand", "tightening", "unpriced",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        dialect: Dialect,
        offer: Offer,
        row: Provider,
        series: Series,
        caps: Sequence[Cap],
        lessons: Lessons,
        *,
        priced: bool = True,
    ) -> None:
        self._request = request
        self._dialect = dialect
        self._offer = offer
        self._series = series
        self._lessons = lessons
        self._reserves = not row.refunds
        self._size = self._measure()
        self._likely = lessons.likely(series, self._size)
        self._cap = min(caps, key=lambda cap: cap.nano_usd) if caps and priced else None
        bounds_nothing = not priced or request.unbounded or offer.reach.server_tools
        self._cards = _UNKNOWN if bounds_nothing else offer.cards
        self.unpriced = offer.unpriced if priced else ()
        self.demand = self._claim(self._size)
        self.tightening: Tightening | None = None
        if priced and offer.vocabularies and self.demand.base_pico_usd:
            self.tightening = Tightening(self._tighter, offer.vocabularies, len(request.body))

    def learn(self, fact: Fact) -> None:
        """Take in what became of an attempt."""
        self._lessons.learn(self._series, self._size, fact)

    def _measure(self, count: Count | None = None) -> Size:
        reach = self._offer.reach
        return self._dialect.size(
            self._request,
            output_tokens_min=MIN_OUTPUT_TOKENS_REASONING if reach.reasoning else MIN_OUTPUT_TOKENS,
            output_tokens_max=reach.output_max,
            context_tokens=reach.context_window,
            count=count,
        )

    def _claim(self, size: Size) -> Demand:
        cap = self._cap
        nano_usd, name = (None, "") if cap is None else (cap.nano_usd, cap.name)
        return demand_of(
            size, self._cards, cap_nano_usd=nano_usd, cap=name, likely=self._likely, reserves=self._reserves
        )

    def _tighter(self) -> Demand | None:
        """The claim with the input bounded by its tokens; None where they are no fewer than its bytes, or not known."""
        vocabularies = self._offer.vocabularies
        try:
            counted = self._measure(lambda text: count_at_most(text, vocabularies))
        except Exception:
            # A vocabulary that cannot be read is no reason to refuse a call.
            logging.getLogger("bursar").exception("the tokens of a request could not be counted; its bytes bound it")
            return None
        return self._claim(counted) if counted.input_tokens_max < self._size.input_tokens_max else None
