"""The simulator's own prices agree with genai-prices, from which the books are computed; bills round up once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from bursar.sim.models import TABLE
from bursar.sim.prices import Model, PriceCard, Terms, bill, usd
from bursar.sim.shelf import Shelf, parse_model
from bursar.sim.usage import Usage

LISTED = [
    (provider, model)
    for provider, models in TABLE.items()
    for model in models
    if provider != "generic" and not model.id.startswith("sim/")
]
NAMES = [f"{provider}/{model.id}" for provider, model in LISTED]
LISTED_AS = {"gemini": "google", "xai": "x-ai"}
TIMES = (
    "2026-11-22T12:00",
    "2026-11-22T00:29",
    "2026-11-22T00:30",
    "2026-11-22T03:59",
    "2026-11-22T04:00",
    "2026-11-22T16:30",
    "2026-10-19T23:59",
    "2026-10-20T00:00",
    "2026-10-28T23:59",
    "2026-08-16T12:00",
    "2026-08-17T12:00",
)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def terms_at(text: str) -> Terms:
    return Terms(at_ms=int(moment(text).timestamp()) * 1000)


def listed_nano_usd(provider: str, name: str, usage: Usage, at: str) -> int:
    listed = ListedUsage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens or None,
        cache_read_tokens=usage.cached_tokens or None,
        cache_write_tokens=usage.cache_write_tokens or None,
        input_audio_tokens=usage.audio_prompt_tokens or None,
        output_audio_tokens=usage.audio_completion_tokens or None,
        output_image_tokens=usage.image_completion_tokens or None,
        web_searches=usage.web_searches or None,
    )
    found = calc_price(listed, name, provider_id=LISTED_AS.get(provider, provider), genai_request_timestamp=moment(at))
    return int((found.total_price * 10**9).to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize(("provider", "model"), LISTED, ids=NAMES)
def test_each_model_costs_what_genai_prices_lists(provider: str, model: Model) -> None:
    out = 0 if model.embedding_size else 77
    cases = [Usage(1, 0), Usage(12_345, out), Usage(1_000_000, out)]
    if not model.embedding_size:
        cases += [Usage(5_000, out, cached_tokens=1_234)]
    if model.card.cache_write is not None:
        cases += [Usage(5_000, out, 100, 200)]
    if model.card.audio_input is not None:
        cases += [Usage(5_000, out, audio_prompt_tokens=1_000)]
    if model.card.audio_output is not None:
        cases += [Usage(5_000, out, audio_prompt_tokens=1_000, audio_completion_tokens=33)]
    if model.card.image_output is not None:
        cases += [Usage(5_000, out, image_completion_tokens=33)]
    if model.card.web_search and provider != "openrouter":
        cases += [Usage(5_000, out, web_searches=3)]
    for override in model.overrides:
        above = override.above_tokens or 1
        cases += [Usage(above, out, 1), Usage(above + 1, out, 1)]
    for usage in cases:
        for name in {model.id, model.reported_name}:
            for at in TIMES if model.overrides else TIMES[:1]:
                expected = listed_nano_usd(provider, name, usage, at)
                assert bill(model, usage, terms_at(at)).nano_usd == expected, (name, usage, at)


def test_a_bill_is_rounded_up_once() -> None:
    model = Model("m", PriceCard(1, 1))
    assert bill(model, Usage(1, 0)).nano_usd == 1
    assert bill(model, Usage(500, 500)).nano_usd == 1
    assert bill(model, Usage(500, 501)).nano_usd == 2


def test_usd_reads_back_as_the_same_nano() -> None:
    for nano in (0, 1, 27_750, 4_050, 123_456_789_012, 999_999_999_999_999):
        assert Decimal(repr(usd(nano))) * 10**9 == nano


def test_models_are_found_by_id_dated_name_and_variant() -> None:
    openai = Shelf("openai")
    assert openai.find("gpt-4o-2024-08-06") is openai.find("gpt-4o") is not None
    assert openai.find("gpt-4o:nitro") is None
    assert openai.find("tiny-x") is None
    assert Shelf("openrouter").find("openai/gpt-4o:nitro") is not None
    tiny = Shelf("generic").find("tiny-x")
    assert tiny is not None
    assert tiny.card == PriceCard(0)


def test_a_written_model_is_read_or_refused_in_one_line() -> None:
    assert parse_model("groq/openai/mine=100,200,50") == ("groq", Model("openai/mine", PriceCard(100, 200, 50)))
    for wrong in ("mine=1,2", "nobody/mine=1,2", "groq/mine=1", "groq/mine=1,x", "groq/mine=-1,2", "groq/=1,2"):
        with pytest.raises(ValueError, match="expected") as caught:
            parse_model(wrong)
        assert "\n" not in str(caught.value)
