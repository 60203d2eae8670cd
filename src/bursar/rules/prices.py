"""What one unit of each usage leaf costs, and the cost of a usage.

A PriceCard is a price list compiled into integers: pico-USD per token (or per piece, for fees). A leaf without a
price of its own is billed as the leaf it specialises (`PARENTS`): cached input as input, reasoning as output. A side
with no price at all makes the cost unknown, never 0. Long-context tiers are cliffs, as providers bill them: the
highest tier whose `above_input_tokens` the input exceeds prices the whole attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

from bursar.rules.money import EXACT, PICO_PER_USD, decimal_of, nano_of_pico
from bursar.rules.usage import FEE_LEAVES, INPUT_LEAVES, LEAVES, OUTPUT_LEAVES, Usage

__all__ = ["PARENTS", "USD_PER_MILLION_MAX", "CostLine", "PriceCard", "Tier", "dearest_of", "free_card"]

# Which leaf's price stands in for a leaf that has none.
PARENTS: Mapping[str, str] = {
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_30m": "cache_write",
    "cache_write_1h": "cache_write",
    "cache_write_12h": "cache_write_1h",
    "audio_input": "input",
    "image_input": "input",
    "video_input": "input",
    "cached_audio_input": "audio_input",
    "cached_image_input": "image_input",
    "reasoning_output": "output",
    "rejected_prediction": "output",
    "audio_output": "output",
    "image_output": "output",
}

# A unit price above this (1,000 USD a token) is a misplaced decimal point.
USD_PER_MILLION_MAX = 1_000 * 1_000_000


class CostLine(NamedTuple):
    """One leaf of a bill: so many units at so many pico-USD; None where the leaf has no price."""

    leaf: str
    units: int
    pico_usd: int | None
    amount_pico_usd: int | None


@dataclass(frozen=True, slots=True)
class Tier:
    """Prices that hold for the whole attempt once its input exceeds `above_input_tokens`."""

    above_input_tokens: int
    pico_usd: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PriceCard:
    """The compiled prices of one model on one date.

    pico_usd: pico-USD per unit by leaf name, complete (parents filled in); a leaf that is absent has no price.
    tiers: ascending by `above_input_tokens`.
    version: where the numbers come from, e.g. "genai-prices 0.2.3" or "bursar.yaml 2026-01-01".
    listed: read off a price list, and not the user's own word.
    at_most: the price that holds is not known, but it is none above these.
    """

    pico_usd: Mapping[str, int]
    version: str
    tiers: tuple[Tier, ...] = field(default=())
    listed: bool = False
    at_most: bool = False
    # Looked up by every call, and the same for as long as the card lives.
    _dearest: tuple[int | None, int | None, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        every = [self.pico_usd, *(tier.pico_usd for tier in self.tiers)]
        fees = max(prices.get("requests", 0) for prices in every)
        dearest = (
            _dearest_of_side(every, INPUT_LEAVES, "input"),
            _dearest_of_side(every, OUTPUT_LEAVES, "output"),
            fees,
        )
        object.__setattr__(self, "_dearest", dearest)

    @property
    def free(self) -> bool:
        """True when every unit of every tier costs nothing."""
        return not any(self.pico_usd.values()) and not any(any(tier.pico_usd.values()) for tier in self.tiers)

    def cost_nano_usd(self, usage: Usage) -> int | None:
        """Price a usage, rounded up once to nano-USD; None when a leaf that was used has no price.

        >>> card = PriceCard.of({"input": "2.50", "output": "10.00"}, version="example")
        >>> card.cost_nano_usd(Usage.of(1000, 100))
        3500000
        """
        pico_usd = self.cost_pico_usd(usage)
        return None if pico_usd is None else nano_of_pico(pico_usd)

    def cost_pico_usd(self, usage: Usage) -> int | None:
        """The same in pico-USD, exactly, for what is billed together with more."""
        prices = self.prices_at(usage.input_tokens) if self.tiers else self.pico_usd
        if usage.claims:
            usage = usage.dearest(prices)
        try:
            return sum([count * prices[leaf] for leaf, count in usage.leaves.items()])
        except KeyError:
            return None

    def lines(self, usage: Usage) -> list[CostLine]:
        """The same cost, leaf by leaf: their amounts add up to it, rounded up once at the end.

        >>> card = PriceCard.of({"input": "2.50", "output": "10.00"}, version="example")
        >>> card.lines(Usage.of(1000, 100))[0]
        CostLine(leaf='input', units=1000, pico_usd=2500000, amount_pico_usd=2500000000)
        """
        prices = self.prices_at(usage.input_tokens)
        lines = []
        for leaf, count in usage.dearest(prices).leaves.items():
            unit = prices.get(leaf)
            lines.append(CostLine(leaf, count, unit, None if unit is None else unit * count))
        return lines

    def prices_at(self, input_tokens: int) -> Mapping[str, int]:
        """Pico-USD per unit by leaf for an attempt with so many input tokens."""
        prices = self.pico_usd
        for tier in self.tiers:
            if input_tokens > tier.above_input_tokens:
                prices = tier.pico_usd
        return prices

    def dearest_input_pico_usd(self) -> int | None:
        """The highest price an input token can have in any tier, in pico-USD; None when input has no price."""
        return self._dearest[0]

    def dearest_output_pico_usd(self) -> int | None:
        """The highest price an output token can have in any tier, in pico-USD; None when output has no price."""
        return self._dearest[1]

    def fees_pico_usd(self) -> int:
        """What a request costs apart from its tokens, in pico-USD."""
        return self._dearest[2]

    @classmethod
    def of(
        cls,
        usd_per_million: Mapping[str, str | int | float | Decimal],
        *,
        version: str,
        tiers: Mapping[int, Mapping[str, str | int | float | Decimal]] | None = None,
        discount: Decimal = Decimal(0),
        listed: bool = False,
        at_most: bool = False,
    ) -> PriceCard:
        """Compile prices given in USD per million units, less a `discount` between 0 and 1.

        Raises ValueError naming the leaf for an unknown leaf, a price that is not a finite number, negative or
        absurd. A price finer than a pico-USD per unit is rounded up. A `tiers` entry starts from the base prices.
        """
        base = {leaf: _pico_per_unit(leaf, usd, discount) for leaf, usd in usd_per_million.items()}
        raised = [
            Tier(above, _complete(base | {leaf: _pico_per_unit(leaf, usd, discount) for leaf, usd in prices.items()}))
            for above, prices in sorted((tiers or {}).items())
        ]
        return cls(_complete(base), version, tuple(raised), listed, at_most)

    def times(self, factor: Decimal, version: str) -> PriceCard:
        """These prices with every token times `factor`, rounded up to a pico-USD; what is billed by the piece stays.

        >>> card = PriceCard.of({"input": 3, "output": 15, "web_searches": 10_000}, version="example")
        >>> [card.times(Decimal("1.1"), "us").pico_usd[leaf] for leaf in ("input", "web_searches")]
        [3300000, 10000000000]
        """
        tiers = tuple(Tier(tier.above_input_tokens, _scaled(tier.pico_usd, factor)) for tier in self.tiers)
        return replace(self, pico_usd=_scaled(self.pico_usd, factor), version=version, tiers=tiers)


def dearest_of(cards: Sequence[PriceCard], version: str) -> PriceCard:
    """One card out of several of which one holds: of each unit the highest price, at every length of input.

    >>> night, noon = (PriceCard.of({"input": usd, "output": 1}, version="v") for usd in (1, 2))
    >>> dearest_of([night, noon], "v (dearest)").pico_usd["input"], dearest_of([noon, noon], "") is noon
    (2000000, True)
    """
    first = cards[0]
    if all(card == first for card in cards):
        return first
    starts = sorted({tier.above_input_tokens for card in cards for tier in card.tiers})
    tiers = tuple(Tier(start, _highest(cards, start + 1)) for start in starts)
    return PriceCard(_highest(cards, 0), version, tiers, listed=first.listed, at_most=True)


def _highest(cards: Sequence[PriceCard], input_tokens: int) -> dict[str, int]:
    """The highest price of each leaf that all of the cards price, for an input of this length."""
    first, *others = [card.prices_at(input_tokens) for card in cards]
    shared = [leaf for leaf in first if all(leaf in prices for prices in others)]
    return {leaf: max(first[leaf], *(prices[leaf] for prices in others)) for leaf in shared}


def _dearest_of_side(every: Sequence[Mapping[str, int]], leaves: Iterable[str], plain: str) -> int | None:
    """The highest price of a side's leaves in any of these lists; None where one has no price for the side."""
    if any(plain not in prices for prices in every):
        return None
    return max(prices[leaf] for prices in every for leaf in leaves if leaf in prices)


def free_card(version: str) -> PriceCard:
    """The card of a model that was said to cost nothing."""
    return PriceCard(_complete(dict.fromkeys(("input", "output", *FEE_LEAVES), 0)), version)


def _pico_per_unit(leaf: str, usd_per_million: str | int | float | Decimal, discount: Decimal) -> int:
    if leaf not in LEAVES:
        raise ValueError(f"unknown unit {leaf!r}; known ones: {', '.join(LEAVES)}")
    try:
        amount = decimal_of(usd_per_million)
    except ValueError as error:
        raise ValueError(f"price of {leaf}: {error}") from None
    if amount < 0:
        raise ValueError(f"price of {leaf}: a price cannot be negative: {usd_per_million}")
    if amount > USD_PER_MILLION_MAX:
        raise ValueError(f"price of {leaf}: {usd_per_million} USD per million is absurd (more than 1,000 USD a unit)")
    return _up(EXACT.multiply(EXACT.multiply(amount, EXACT.subtract(1, discount)), PICO_PER_USD // 1_000_000))


def _scaled(prices: Mapping[str, int], factor: Decimal) -> dict[str, int]:
    return {
        leaf: pico if leaf in FEE_LEAVES else _up(EXACT.multiply(Decimal(pico), factor))
        for leaf, pico in prices.items()
    }


def _up(pico: Decimal) -> int:
    whole = int(pico)
    return whole if whole == pico else whole + 1


def _complete(prices: Mapping[str, int]) -> dict[str, int]:
    """Give each leaf without a price the price of the leaf it specialises."""
    complete = dict(prices)
    for leaf in PARENTS:
        name = leaf
        while name not in prices and name in PARENTS:
            name = PARENTS[name]
        if name in prices:
            complete[leaf] = prices[name]
    # A side that is not priced at all stays absent. A request that no list prices is not charged for; a web search is.
    complete.setdefault("requests", 0)
    return complete
