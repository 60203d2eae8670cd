"""The models of every simulated provider and their prices, in pico-USD per token: 0.15 USD per million is 150_000.

Data only. Source: the providers' price pages as of November 2026. A test holds each row against genai-prices, which
nothing here imports; rows that begin with `sim` exist nowhere else, and are there to practise what real ones do not
show: a price a request, a price for thinking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from bursar.sim.prices import Model, Override, PriceCard

PER_SEARCH = 10_000_000_000
"""A cent a web search."""


def _from(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000


_GPT_4O = PriceCard(2_500_000, 10_000_000, cached=1_250_000, web_search=PER_SEARCH)
_GPT_4O_MINI = PriceCard(150_000, 600_000, cached=75_000, web_search=PER_SEARCH)
_GPT_35 = PriceCard(500_000, 1_500_000)
_GPT_5_MINI = PriceCard(250_000, 2_000_000, cached=25_000, web_search=PER_SEARCH)
_GPT_54 = PriceCard(2_500_000, 15_000_000, cached=250_000, web_search=PER_SEARCH)
_GPT_54_LONG = PriceCard(5_000_000, 22_500_000, cached=500_000, web_search=PER_SEARCH)
_GPT_AUDIO = PriceCard(2_500_000, 10_000_000, audio_input=32_000_000, audio_output=64_000_000)
_O3_MINI = PriceCard(1_100_000, 4_400_000, cached=550_000)
_LLAMA_70B = PriceCard(590_000, 790_000)
_SONNET = PriceCard(3_000_000, 15_000_000, cached=300_000, cache_write=3_750_000, web_search=PER_SEARCH)
_SONNET_LONG = PriceCard(6_000_000, 22_500_000, cached=600_000, cache_write=7_500_000, web_search=PER_SEARCH)
_SONNET_45 = replace(_SONNET, cache_write_1h=6_000_000)
_SONNET_45_LONG = replace(_SONNET_LONG, cache_write_1h=12_000_000)
_HAIKU_45 = PriceCard(1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000, web_search=PER_SEARCH)
_SONNET_5 = PriceCard(2_000_000, 10_000_000, 200_000, 2_500_000, 4_000_000, web_search=PER_SEARCH)
_OPUS_55 = PriceCard(4_000_000, 20_000_000, 200_000, 5_000_000, 8_000_000, web_search=PER_SEARCH)
_GEMINI_FLASH = PriceCard(300_000, 2_500_000, cached=30_000, audio_input=1_000_000, web_search=35_000_000_000)
_GEMINI_PRO = PriceCard(1_250_000, 10_000_000, cached=125_000, web_search=35_000_000_000)
_GEMINI_PRO_LONG = PriceCard(2_500_000, 15_000_000, cached=250_000, web_search=35_000_000_000)
_GEMINI_IMAGE = PriceCard(300_000, 2_500_000, image_output=30_000_000)
_DEEPSEEK_CHAT_DAY = PriceCard(270_000, 1_100_000, cached=70_000)
_DEEPSEEK_CHAT_NIGHT = PriceCard(135_000, 550_000, cached=35_000)
_V4_FLASH_PEAK = PriceCard(300_000, 1_200_000, cached=6_000)

OPENAI = (
    Model("gpt-4o", _GPT_4O, "gpt-4o-2024-08-06"),
    Model("gpt-4o-mini", _GPT_4O_MINI, "gpt-4o-mini-2024-07-18"),
    Model("gpt-4.1", PriceCard(2_000_000, 8_000_000, cached=500_000), "gpt-4.1-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-mini", PriceCard(400_000, 1_600_000, cached=100_000), "gpt-4.1-mini-2025-04-14", 1_047_576, 32_768),
    Model("gpt-4.1-nano", PriceCard(100_000, 400_000, cached=25_000), "gpt-4.1-nano-2025-04-14", 1_047_576, 32_768),
    Model("gpt-3.5-turbo", _GPT_35, "gpt-3.5-turbo-0125", 16_385, 4_096),
    Model("gpt-4", PriceCard(30_000_000, 60_000_000), "gpt-4-0613", 8_192, 8_192),
    Model("gpt-5-mini", _GPT_5_MINI, "gpt-5-mini-2025-08-07", 400_000, 128_000, reasoning=True),
    Model(
        "gpt-5.4",
        _GPT_54,
        "gpt-5.4-2026-03-05",
        1_050_000,
        128_000,
        reasoning=True,
        overrides=(Override(_GPT_54_LONG, above_tokens=272_000),),
    ),
    Model("gpt-audio", _GPT_AUDIO, "gpt-audio-2025-08-28"),
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
        overrides=(Override(_SONNET_LONG, above_tokens=200_000),),
    ),
    Model("meta-llama/llama-3.3-70b-instruct", PriceCard(590_000, 790_000, cached=295_000), "", 131_072, 16_384),
    Model("meta-llama/llama-3.3-70b-instruct:free", PriceCard(0), "", 131_072, 16_384),
    Model("google/gemini-2.5-flash", PriceCard(300_000, 2_500_000, cached=30_000), "", 1_048_576, 65_535),
    Model(
        "sim/tides",
        PriceCard(1_000_000, 2_000_000),
        overrides=(
            Override(PriceCard(500_000, 1_000_000), utc_start=16 * 60 + 30, utc_end=30),
            Override(PriceCard(2_000_000, 4_000_000), above_tokens=100_000),
        ),
    ),
    Model("sim/fees", PriceCard(1_000_000, 2_000_000, request=5_000_000_000, web_search=PER_SEARCH)),
    Model("sim/thinker", PriceCard(1_000_000, 2_000_000, reasoning=6_000_000), reasoning=True),
    Model("sim/ears", PriceCard(1_000_000, 2_000_000, audio_input=8_000_000, image_input=3_000_000)),
)
ANTHROPIC = (
    Model("claude-haiku-4-5", _HAIKU_45, "claude-haiku-4-5-20251001", 200_000, 64_000),
    Model(
        "claude-sonnet-4-5",
        _SONNET_45,
        "claude-sonnet-4-5-20250929",
        1_000_000,
        64_000,
        overrides=(Override(_SONNET_45_LONG, above_tokens=200_000),),
    ),
    Model("claude-sonnet-5", _SONNET_5, "", 1_000_000, 64_000),
    Model("claude-opus-5-5", _OPUS_55, "", 1_000_000, 128_000),
)
AZURE = (
    Model("gpt-4o", _GPT_4O, "gpt-4o-2024-08-06"),
    Model("gpt-4o-mini", _GPT_4O_MINI, "gpt-4o-mini-2024-07-18"),
    Model("o3-mini", _O3_MINI, "o3-mini-2025-01-31", 200_000, 100_000, reasoning=True),
)
GEMINI = (
    Model("gemini-2.5-flash", _GEMINI_FLASH, "", 1_048_576, 65_536, reasoning=True),
    Model(
        "gemini-2.5-pro",
        _GEMINI_PRO,
        "",
        1_048_576,
        65_536,
        reasoning=True,
        overrides=(Override(_GEMINI_PRO_LONG, above_tokens=200_000),),
    ),
    Model("gemini-2.5-flash-image", _GEMINI_IMAGE, "", 32_768, 32_768),
)
MISTRAL = (
    Model("mistral-small-2603", PriceCard(150_000, 600_000, cached=15_000), "", 262_144),
    Model(
        "mistral-large-4",
        PriceCard(680_000, 2_090_000, cached=70_000),
        "",
        1_048_576,
        overrides=(
            Override(PriceCard(1_360_000, 4_180_000, cached=140_000), from_ms=_from(2026, 10, 20)),
            Override(PriceCard(700_000, 2_100_000, cached=70_000), from_ms=_from(2026, 10, 29)),
        ),
    ),
)
DEEPSEEK = (
    Model(
        "deepseek-chat",
        _DEEPSEEK_CHAT_NIGHT,
        "",
        64_000,
        8_192,
        overrides=(Override(_DEEPSEEK_CHAT_DAY, utc_start=30, utc_end=16 * 60 + 30),),
    ),
    Model(
        "deepseek-v4-flash",
        PriceCard(140_000, 280_000, cached=2_800),
        "",
        1_000_000,
        64_000,
        overrides=(
            Override(PriceCard(220_000, 660_000, cached=7_000), from_ms=_from(2026, 8, 17)),
            Override(PriceCard(150_000, 600_000, cached=3_000), from_ms=_from(2026, 9, 10)),
            Override(_V4_FLASH_PEAK, from_ms=_from(2026, 9, 10), utc_start=60, utc_end=4 * 60),
            Override(_V4_FLASH_PEAK, from_ms=_from(2026, 9, 10), utc_start=6 * 60, utc_end=10 * 60),
        ),
    ),
)
XAI = (
    Model("grok-4-fast-reasoning", PriceCard(200_000, 500_000, cached=50_000), "", 2_000_000, 30_000, reasoning=True),
    Model(
        "grok-4.20",
        PriceCard(1_250_000, 2_500_000, cached=200_000),
        "",
        1_000_000,
        30_000,
        overrides=(Override(PriceCard(2_500_000, 5_000_000, cached=400_000), above_tokens=199_999),),
    ),
)
TOGETHER = (Model("meta-llama/Llama-3.3-70B-Instruct-Turbo", PriceCard(880_000, 880_000), "", 131_072),)
FIREWORKS = (
    Model(
        "accounts/fireworks/models/deepseek-v3p2",
        PriceCard(560_000, 1_680_000, cached=280_000),
        context_tokens=163_840,
    ),
    Model("accounts/fireworks/models/gpt-oss-20b", PriceCard(70_000, 300_000, cached=35_000), reasoning=True),
)
CEREBRAS = (
    Model("llama3.1-8b", PriceCard(100_000, 100_000), "", 32_768, 8_192),
    Model("gpt-oss-120b", PriceCard(350_000, 750_000), "", 131_072, 32_768, reasoning=True),
)
GENERIC = (
    Model("tiny-chat", PriceCard(0)),
    Model("tiny-embed", PriceCard(0), context_tokens=8_192, embedding_size=384),
)
TABLE: Mapping[str, tuple[Model, ...]] = {
    "openai": OPENAI,
    "anthropic": ANTHROPIC,
    "azure": AZURE,
    "openrouter": OPENROUTER,
    "gemini": GEMINI,
    "groq": GROQ,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
    "xai": XAI,
    "together": TOGETHER,
    "fireworks": FIREWORKS,
    "cerebras": CEREBRAS,
    "generic": GENERIC,
}
