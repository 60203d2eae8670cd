"""What the simulated providers charge: integer pico-USD per token, and the bill of one request in nano-USD.

USD per million tokens x 1,000,000 = pico-USD per token, so 0.15 is written 150_000. Never float, never rounded before
the end: a request is rounded up once. Source: the providers' price pages as of November 2026. A test holds the table
against genai-prices, which this module never imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bursar.sim.usage import Usage

PICO_PER_NANO = 1000


@dataclass(frozen=True, slots=True)
class PriceCard:
    """Pico-USD per token. Where `cached` or `cache_write` is None such tokens cost what input costs."""

    input: int
    output: int = 0
    cached: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider: its price and what it can take. `served_as` is the dated name that replies carry."""

    id: str
    card: PriceCard
    served_as: str = ""
    context_tokens: int = 128_000
    output_tokens_max: int = 16_384
    reasoning: bool = False
    embedding_size: int = 0
    long_card: PriceCard | None = None
    long_above_tokens: int = 0

    @property
    def reported_name(self) -> str:
        return self.served_as or self.id


@dataclass(frozen=True, slots=True)
class Bill:
    """What one request costs, in nano-USD: the total, and its two halves, each rounded up by itself."""

    nano_usd: int
    input_nano_usd: int
    output_nano_usd: int


NOTHING = Bill(0, 0, 0)


def bill(model: Model, usage: Usage) -> Bill:
    """The bill of one request, rounded up once from pico-USD.

    >>> bill(Model("m", PriceCard(150_000, 600_000, cached=75_000)), Usage(100, 7, cached_tokens=40)).nano_usd
    16200
    """
    card = model.card
    if model.long_card is not None and usage.prompt_tokens > model.long_above_tokens:
        card = model.long_card
    cached_price = card.input if card.cached is None else card.cached
    write_price = card.input if card.cache_write is None else card.cache_write
    plain = usage.prompt_tokens - usage.cached_tokens - usage.cache_write_tokens
    into = plain * card.input + usage.cached_tokens * cached_price + usage.cache_write_tokens * write_price
    out = usage.completion_tokens * card.output
    return Bill(_nano(into + out), _nano(into), _nano(out))


def _nano(pico_usd: int) -> int:
    return -(-pico_usd // PICO_PER_NANO)


def usd(nano_usd: int) -> float:
    """USD credits as OpenRouter reports them: the shortest decimal that reads back as exactly this many nano-USD."""
    return nano_usd / 1_000_000_000


_GPT_4O = PriceCard(2_500_000, 10_000_000, cached=1_250_000)
_GPT_4O_MINI = PriceCard(150_000, 600_000, cached=75_000)
_GPT_35 = PriceCard(500_000, 1_500_000)
_GPT_5_MINI = PriceCard(250_000, 2_000_000, cached=25_000)
_O3_MINI = PriceCard(1_100_000, 4_400_000, cached=550_000)
_LLAMA_70B = PriceCard(590_000, 790_000)
_SONNET = PriceCard(3_000_000, 15_000_000, cached=300_000, cache_write=3_750_000)
_SONNET_LONG = PriceCard(6_000_000, 22_500_000, cached=600_000, cache_write=7_500_000)

OPENAI = (
    Model("gpt-4o", _GPT_4O, "gpt-4o-2024-08-06"),
    Model("gpt-4o-mini", _GPT_4O_MINI, "gpt-4o-mini-2024-07-18"),
    Model("gpt-4.1", PriceCard(2_000_000, 8_000_000, cached=500_000), "gpt-4.1-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-mini", PriceCard(400_000, 1_600_000, cached=100_000), "gpt-4.1-mini-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-nano", PriceCard(100_000, 400_000, cached=25_000), "gpt-4.1-nano-2025-04-14", 1_047_576, 32_768),
    Model("gpt-3.5-turbo", _GPT_35, "gpt-3.5-turbo-0125", 16_385, 4_096),
    Model("gpt-4", PriceCard(30_000_000, 60_000_000), "gpt-4-0613", 8_192, 8_192),
    Model("gpt-5-mini", _GPT_5_MINI, "gpt-5-mini-2025-08-07", 400_000, 128_000, reasoning=True),
    Model("o3-mini", _O3_MINI, "o3-mini-2025-01-31", 200_000, 100_000, reasoning=True),
    Model("text-embedding-3-small", PriceCard(20_000), context_tokens=8_192, embedding_size=1_536),
    Model("text-embedding-3-large", PriceCard(130_000), context_tokens=8_192, embedding_size=3_072),
)
GROQ = (
    Model("llama-3.3-70b-versatile", _LLAMA_70B, "", 131_072, 32_768),
    Model("llama-3.1-8b-instant", PriceCard(50_000, 80_000), "", 131_072, 131_072),
    Model("openai/gpt-oss-20b", PriceCard(75_000, 300_000, cached=37_500), "", 131_072, 65_536, reasoning=True),
)
OPENROUTER = (
    Model("openai/gpt-4o-mini", _GPT_4O_MINI),
    Model("openai/gpt-4o", _GPT_4O),
    Model("openai/gpt-3.5-turbo", _GPT_35, "", 16_385, 4_096),
    Model("openai/gpt-5-mini", _GPT_5_MINI, "", 400_000, 128_000, reasoning=True),
    Model("anthropic/claude-3-haiku", PriceCard(250_000, 1_250_000), "", 200_000, 4_096),
    Model(
        "anthropic/claude-sonnet-4.5",
        _SONNET,
        "anthropic/claude-4.5-sonnet-20250929",
        1_000_000,
        64_000,
        long_card=_SONNET_LONG,
        long_above_tokens=200_000,
    ),
    Model("meta-llama/llama-3.3-70b-instruct", PriceCard(590_000, 790_000, cached=295_000), "", 131_072, 16_384),
)
GENERIC = (
    Model("tiny-chat", PriceCard(0)),
    Model("tiny-embed", PriceCard(0), context_tokens=8_192, embedding_size=384),
)
TABLE: Mapping[str, tuple[Model, ...]] = {
    "openai": OPENAI,
    "groq": GROQ,
    "openrouter": OPENROUTER,
    "generic": GENERIC,
}
ROUTING_VARIANTS = (":nitro", ":floor", ":exacto")


class Shelf:
    """The models of one provider, found by id, by the dated name they are served as, or by a free `tiny-` name."""

    def __init__(self, provider: str, extra: Iterable[Model] = ()) -> None:
        self.models: dict[str, Model] = {model.id: model for model in (*TABLE[provider], *extra)}
        self._by_name = {model.reported_name: model for model in self.models.values()} | self.models
        self._tiny = provider == "generic"
        self._variants = ROUTING_VARIANTS if provider == "openrouter" else ()

    def find(self, name: str) -> Model | None:
        """The model of this name, else None."""
        model = self._by_name.get(name)
        if model is not None:
            return model
        for variant in self._variants:
            if name.endswith(variant):
                return self._by_name.get(name.removesuffix(variant))
        if self._tiny and name.startswith("tiny-"):
            return Model(name, PriceCard(0), embedding_size=384 if "embed" in name else 0)
        return None


def parse_model(text: str) -> tuple[str, Model]:
    """Read `provider/model=INPUT,OUTPUT[,CACHED]`, prices in pico-USD per token; the first segment names the provider.

    Raises ValueError with one clear line.

    >>> parse_model("generic/house-7b=100,200")[1].card
    PriceCard(input=100, output=200, cached=None, cache_write=None)
    """
    name, _, prices = text.partition("=")
    provider, _, model = name.partition("/")
    parts = prices.split(",")
    if provider not in TABLE or not model:
        raise ValueError(f"model {text!r}: expected provider/model=INPUT,OUTPUT, provider one of {', '.join(TABLE)}")
    if len(parts) not in (2, 3) or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"model {text!r}: expected two or three prices in pico-USD per token, as in 150000,600000")
    numbers = [int(part) for part in parts]
    card = PriceCard(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None)
    return provider, Model(model, card)
