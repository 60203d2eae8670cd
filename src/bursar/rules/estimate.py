"""The most that an attempt can cost, before it is sent.

Most = (input bound x dearest input leaf + output bound x dearest output leaf) x n + fees, over every model that the
call can reach. The input bound is in tokens and comes from the wire (UTF-8 bytes plus overhead are always enough; where
the money does not reach for them, tokens are counted); the output bound is the caller's own limit, or an elastic range
that the transaction narrows (see `allowances`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bursar.rules.allowances import Demand, Denial
from bursar.rules.money import PICO_PER_NANO, nano_of_pico
from bursar.rules.prices import PriceCard

# A caller who sets no limit gets at least this much output, or waits, or is refused: less is seldom an answer.
MIN_OUTPUT_TOKENS = 1_024
# Reasoning models spend output tokens before the first visible word.
MIN_OUTPUT_TOKENS_REASONING = 8_192

# Half of the likely replies to a prompt without a limit are shorter than this; only rate limits and quotes use it.
LIKELY_OUTPUT_TOKENS = 400


class Size(NamedTuple):
    """How large a request is, in tokens. Bounds are never below the fact; the estimates are for limits and quotes.

    input_tokens_max: the input bound. input_tokens_likely: the estimate.
    output_limit: the larger of the limits that the caller set, None when there is none.
    output_tokens_min, output_tokens_max: the elastic range for callers without a limit; the model's maximum above.
    choices: how many replies are asked for (n), at least 1.
    """

    input_tokens_max: int
    input_tokens_likely: int
    output_limit: int | None
    output_tokens_min: int
    output_tokens_max: int
    choices: int = 1


class Likely(NamedTuple):
    """What a call will probably use, in tokens, the output of each choice; for rate limits alone."""

    input_tokens: int
    output_tokens: int = LIKELY_OUTPUT_TOKENS


def demand_of(
    size: Size,
    cards: Sequence[PriceCard | None],
    *,
    cap_nano_usd: int | None = None,
    cap: str = "",
    likely: Likely | None = None,
    reserves: bool = False,
) -> Demand:
    """What an attempt of this size claims at most, over all cards it can reach (None: a price that is not known).

    `cap_nano_usd`, called `cap`, narrows an elastic range from above: a cap on the money of one call. likely: a better
    estimate than the size's own (see `calibration`). reserves: the provider counts an output limit in full against
    its rate limits from arrival on, however little comes of it.
    """
    low = high = size.output_limit if size.output_limit is not None else -1
    if size.output_limit is None:
        low, high = min(size.output_tokens_min, size.output_tokens_max), size.output_tokens_max
    base, unit = bound_pico_usd(size, cards)
    likely = likely or Likely(size.input_tokens_likely)
    likely_input = min(likely.input_tokens, size.input_tokens_max)
    limited = size.output_limit is not None
    likely_output = (high if reserves and limited else min(high, likely.output_tokens)) * size.choices
    reserved = size.choices if reserves and not limited else 0
    demand = Demand(base, unit, low, high, likely_input, likely_output, reserves=reserved)
    if cap_nano_usd is None or base is None or low == high:
        return demand
    affordable = demand.affordable_output_tokens(cap_nano_usd)
    if affordable >= high:
        return demand
    return demand._replace(output_tokens_max=max(low, affordable), capped_by=cap)


def bound_pico_usd(size: Size, cards: Sequence[PriceCard | None]) -> tuple[int | None, int]:
    """(base, unit): the most the attempt costs without output, and per token of output limit, in pico-USD.

    base is None when any price it can reach is not known.
    """
    base = unit = 0
    for card in cards:
        if card is None:
            return None, 0
        per_input, per_output = card.dearest_input_pico_usd(), card.dearest_output_pico_usd()
        if per_input is None or (per_output is None and size.output_tokens_max):
            return None, 0
        base = max(base, (size.input_tokens_max * per_input + card.fees_pico_usd()) * size.choices)
        unit = max(unit, (per_output or 0) * size.choices)
    return (base, unit) if cards else (None, 0)


def likely_nano_usd(size: Size, card: PriceCard | None) -> int | None:
    """What the attempt will probably cost: the estimated input and a usual reply, at plain prices."""
    if card is None or "input" not in card.pico_usd:
        return None
    output_tokens = LIKELY_OUTPUT_TOKENS if size.output_limit is None else min(size.output_limit, LIKELY_OUTPUT_TOKENS)
    output_tokens = min(output_tokens, size.output_tokens_max) * size.choices
    return nano_of_pico(
        size.input_tokens_likely * card.pico_usd["input"] + output_tokens * card.pico_usd.get("output", 0)
    )


def floor_nano_usd(demand: Demand) -> int:
    """The least that must be held for the attempt to be sent at all, in nano-USD."""
    return demand.nano_usd(demand.output_tokens_min)


def hinges_on_input(demand: Demand, needed_nano_usd: int, free_nano_usd: int) -> bool:
    """Whether a claim that does not fit could fit with a tighter bound of its input: all the rest of it does.

    free_nano_usd: the most that can be free for it without anything being paid back, so held money counts.
    """
    if demand.base_pico_usd is None:
        return False
    return needed_nano_usd - nano_of_pico(demand.base_pico_usd) <= free_nano_usd


def denied_for_input(demand: Demand, denial: Denial) -> bool:
    """Whether a denial is about money, and a tighter bound of the input could turn it."""
    if denial.reason != "over" or denial.allowance.meter != "nano_usd":
        return False
    return hinges_on_input(demand, denial.needed, denial.left + denial.held)


def squeezed_by_input(demand: Demand, output_tokens: int, capped_by: str) -> bool:
    """Whether the bound of the input costs at least as much as the output that money left: it may double by counting.

    output_tokens: what an elastic output was narrowed to. capped_by: the budget or cap that narrowed it, "" for none.
    """
    if not capped_by or demand.base_pico_usd is None:
        return False
    return demand.base_pico_usd >= output_tokens * demand.output_pico_usd > 0


__all__ = [
    "LIKELY_OUTPUT_TOKENS",
    "MIN_OUTPUT_TOKENS",
    "MIN_OUTPUT_TOKENS_REASONING",
    "PICO_PER_NANO",
    "Likely",
    "Size",
    "bound_pico_usd",
    "demand_of",
    "denied_for_input",
    "floor_nano_usd",
    "hinges_on_input",
    "likely_nano_usd",
    "squeezed_by_input",
]
