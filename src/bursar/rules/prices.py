"""What one unit of each usage leaf costs, and the cost of a usage.

A PriceCard is a price list compiled into integers: pico-USD per token (or per piece, for fees). A leaf without a
price of its own is billed as the leaf it specialises (`PARENTS`): cached input as input, reasoning as output. A side
with no price at all makes the cost unknown, never 0. Long-context tiers are cliffs, as providers bill them: the
highest tier whose `above_input_tokens` the input exceeds prices the whole attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bursar.rules.money import EXACT, PICO_PER_USD, decimal_of, nano_of_pico
from bursar.rules.usage import FEE_LEAVES, INPUT_LEAVES, LEAVES, OUTPUT_LEAVES, Usage

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
    "reasoning_output": "output",
    "rejected_prediction": "output",
    "audio_output": "output",
    "image_output": "output",
}

# A unit price above this (1,000 USD a token) is a misplaced decimal point.
USD_PER_MILLION_MAX = 1_000 * 1_000_000


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
    """

    pico_usd: Mapping[str, int]
    version: str
    tiers: tuple[Tier, ...] = field(default=())

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
        prices = self.pico_usd
        if self.tiers:
            prices = self._prices_at(usage.input_tokens)
        try:
            return nano_of_pico(sum([count * prices[leaf] for leaf, count in usage.leaves.items()]))
        except KeyError:
            return None

    def _prices_at(self, input_tokens: int) -> Mapping[str, int]:
        prices = self.pico_usd
        for tier in self.tiers:
            if input_tokens > tier.above_input_tokens:
                prices = tier.pico_usd
        return prices

    def dearest_input_pico_usd(self) -> int | None:
        """The highest price an input token can have in any tier, in pico-USD; None when input has no price."""
        return self._dearest(INPUT_LEAVES, "input")

    def dearest_output_pico_usd(self) -> int | None:
        """The highest price an output token can have in any tier, in pico-USD; None when output has no price."""
        return self._dearest(OUTPUT_LEAVES, "output")

    def fees_pico_usd(self) -> int:
        """What a request costs apart from its tokens, in pico-USD."""
        return max([prices.get("requests", 0) for prices in self._all_prices()])

    def _dearest(self, leaves: Iterable[str], plain: str) -> int | None:
        if any(plain not in prices for prices in self._all_prices()):
            return None
        return max(prices[leaf] for prices in self._all_prices() for leaf in leaves if leaf in prices)

    def _all_prices(self) -> list[Mapping[str, int]]:
        return [self.pico_usd, *(tier.pico_usd for tier in self.tiers)]

    @classmethod
    def of(
        cls,
        usd_per_million: Mapping[str, str | int | float | Decimal],
        *,
        version: str,
        tiers: Mapping[int, Mapping[str, str | int | float | Decimal]] | None = None,
        discount: Decimal = Decimal(0),
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
        return cls(_complete(base), version, tuple(raised))


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
    pico = EXACT.multiply(EXACT.multiply(amount, EXACT.subtract(1, discount)), PICO_PER_USD // 1_000_000)
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
