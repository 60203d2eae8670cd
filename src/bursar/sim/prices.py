"""What a request costs: integer pico-USD per token, search or request, and the bill of one request in nano-USD.

USD per million tokens x 1,000,000 = pico-USD per token, so 0.15 is written 150_000. Never float, never rounded before
the end: a request is rounded up once. The prices themselves are in `models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bursar.sim.usage import Usage

PICO_PER_NANO = 1000
DAY_MS = 86_400_000
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class PriceCard:
    """Pico-USD per token, per `web_search` and per `request`.

    Where a price of input is None such tokens cost what input costs; of output, what output costs; an hour's cache
    write, what a cache write costs.
    """

    input: int
    output: int = 0
    cached: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    reasoning: int | None = None
    web_search: int = 0
    request: int = 0


@dataclass(frozen=True, slots=True)
class Override:
    """Another card for requests that meet every condition here.

    A prompt of more than `above_tokens`, a time of `from_ms` or later, a minute of the UTC day from `utc_start` up to
    `utc_end`, over midnight where it ends before it starts.
    """

    card: PriceCard
    above_tokens: int | None = None
    from_ms: int = 0
    utc_start: int | None = None
    utc_end: int | None = None

    def holds(self, prompt_tokens: int, at_ms: int) -> bool:
        if self.above_tokens is not None and prompt_tokens <= self.above_tokens:
            return False
        if at_ms < self.from_ms:
            return False
        if self.utc_start is None or self.utc_end is None:
            return True
        minute = at_ms % DAY_MS // MINUTE_MS
        if self.utc_start <= self.utc_end:
            return self.utc_start <= minute < self.utc_end
        return minute >= self.utc_start or minute < self.utc_end


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider: its price and what it can take. `served_as` is the dated name that replies carry.

    Of the overrides that hold the last one counts, for the whole request.
    """

    id: str
    card: PriceCard
    served_as: str = ""
    context_tokens: int = 128_000
    output_tokens_max: int = 16_384
    reasoning: bool = False
    embedding_size: int = 0
    overrides: tuple[Override, ...] = ()

    @property
    def reported_name(self) -> str:
        return self.served_as or self.id

    def card_at(self, prompt_tokens: int, at_ms: int) -> PriceCard:
        """The prices of a prompt of this length at this time, in wall-clock milliseconds."""
        held = [override.card for override in self.overrides if override.holds(prompt_tokens, at_ms)]
        return held[-1] if held else self.card


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms a request is billed: when, at which percentage of the token prices, on whose account.

    `own_key` is a request that a router pays with the caller's own key: the router's bill is then 0.
    """

    at_ms: int = 0
    percent: int = 100
    own_key: bool = False


LISTED = Terms()


@dataclass(frozen=True, slots=True)
class Bill:
    """What one request costs, in nano-USD.

    The total, its halves of tokens (each rounded up by itself), its fees, and the same total line by line: lines add
    up to it exactly. `upstream_nano_usd` is what the caller's own key is charged elsewhere; None where none is used.
    """

    nano_usd: int
    input_nano_usd: int
    output_nano_usd: int
    fees_nano_usd: int = 0
    lines: Mapping[str, int] | None = None
    upstream_nano_usd: int | None = None


NOTHING = Bill(0, 0, 0)


def bill(model: Model, usage: Usage, terms: Terms = LISTED) -> Bill:
    """The bill of one request, rounded up once from pico-USD.

    >>> bill(Model("m", PriceCard(150_000, 600_000, cached=75_000)), Usage(100, 7, cached_tokens=40)).nano_usd
    16200
    """
    card = model.card_at(usage.prompt_tokens, terms.at_ms)
    into = {name: amount * terms.percent for name, amount in input_lines(card, usage).items()}
    out = {name: amount * terms.percent for name, amount in output_lines(card, usage).items()}
    fees = {"web searches": usage.web_searches * card.web_search * 100, "requests": card.request * 100}
    total = _nano(sum(into.values()) + sum(out.values()) + sum(fees.values()))
    found = Bill(
        nano_usd=total,
        input_nano_usd=_nano(sum(into.values())),
        output_nano_usd=_nano(sum(out.values())),
        fees_nano_usd=_nano(sum(fees.values())),
        lines=whole_lines({**into, **out, **fees}, total),
    )
    if not terms.own_key:
        return found
    return Bill(0, found.input_nano_usd, found.output_nano_usd, found.fees_nano_usd, {}, found.nano_usd)


def input_lines(card: PriceCard, usage: Usage) -> dict[str, int]:
    """Pico-USD of each kind of prompt token, at the full price."""
    write = _or(card.cache_write, card.input)
    return {
        "input": usage.plain_prompt_tokens * card.input,
        "cached input": usage.cached_tokens * _or(card.cached, card.input),
        "cache writes": (usage.cache_write_tokens - usage.cache_write_1h_tokens) * write,
        "cache writes 1h": usage.cache_write_1h_tokens * _or(card.cache_write_1h, write),
        "audio input": usage.audio_prompt_tokens * _or(card.audio_input, card.input),
        "image input": usage.image_prompt_tokens * _or(card.image_input, card.input),
    }


def output_lines(card: PriceCard, usage: Usage) -> dict[str, int]:
    """Pico-USD of each kind of completion token, at the full price."""
    return {
        "output": usage.plain_completion_tokens * card.output,
        "reasoning": usage.reasoning_tokens * _or(card.reasoning, card.output),
        "audio output": usage.audio_completion_tokens * _or(card.audio_output, card.output),
        "image output": usage.image_completion_tokens * _or(card.image_output, card.output),
    }


def whole_lines(lines: Mapping[str, int], total_nano: int) -> dict[str, int]:
    """Lines of hundredths of pico-USD as whole nano-USD that add up to the total; the largest takes what is rounded.

    >>> whole_lines({"input": 150_000, "output": 250_000, "requests": 0}, 4)
    {'input': 1, 'output': 3}
    """
    whole = {name: amount // (100 * PICO_PER_NANO) for name, amount in lines.items() if amount}
    if whole:
        largest = max(lines, key=lambda name: lines[name])
        whole[largest] += total_nano - sum(whole.values())
    return whole


def _or(price: int | None, usual: int) -> int:
    return usual if price is None else price


def _nano(hundredths_of_pico_usd: int) -> int:
    return -(-hundredths_of_pico_usd // (100 * PICO_PER_NANO))


def usd(nano_usd: int) -> float:
    """USD credits as OpenRouter reports them: the shortest decimal that reads back as exactly this many nano-USD."""
    return nano_usd / 1_000_000_000


def decimal_usd(pico_usd: int) -> str:
    """USD as a decimal string without an exponent, as OpenRouter writes prices per token.

    >>> decimal_usd(150_000), decimal_usd(10_000_000_000)
    ('0.00000015', '0.01')
    """
    whole, rest = divmod(pico_usd, 10**12)
    digits = f"{rest:012d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
