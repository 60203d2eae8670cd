"""Tiers, hours and pieces of the list: each price that the data names, and none that it does not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from bursar.catalog.listing import Listing, compiled
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LISTING = Listing()
NOTHING = Decimal(0)


def card(provider: str, model: str, when: date | datetime = NOON, tier: str = "") -> PriceCard:
    found = LISTING.card(provider, model, when, tier, NOTHING)
    assert found is not None, (provider, model, tier)
    return found


def test_every_tier_that_the_data_prices_has_that_price_and_a_typing_mistake_has_none() -> None:
    from genai_prices.data import providers

    tried = 0
    for provider in providers:
        for model in provider.models:
            for variant in model.price_variants or ():
                [(key, word)] = variant.when.items()
                active = variant.constraint is None or variant.constraint.active(NOON)
                found = LISTING.card(provider.id, model.id, NOON, word, NOTHING)
                if key not in ("service_tier", "processing", "speed") or word == "default":
                    continue
                listed = compiled(model.get_prices(NOON, {key: word}), "", NOTHING)
                if active and listed is not None and LISTING._find(provider.id, model.id) is model:
                    assert found is not None, (provider.id, model.id, word)
                    assert (found.pico_usd, found.tiers) == (listed.pico_usd, listed.tiers)
                    tried += 1
                # The library answers with the standard price.
                assert LISTING.card(provider.id, model.id, NOON, word + "x", NOTHING) is None
    assert tried > 150


def test_a_tier_of_a_model_that_is_another_providers_is_not_known() -> None:
    assert card("openai", "o4-mini", tier="priority") != card("openai", "o4-mini")
    lent = [name for name in ("gpt-5.6-sol", "o4-mini", "gpt-4.1") if LISTING.card("azure", name, NOON, "", NOTHING)]
    own = {model.id for model in LISTING._providers()["azure"].models}
    assert [name for name in lent if name not in own], "no model of Azure's price list is OpenAI's own"
    for name in lent:
        if name not in own:
            assert LISTING.card("azure", name, NOON, "priority", NOTHING) is None


def test_anthropics_speed_batch_and_geography() -> None:
    model = "claude-fable-5-2"
    plain, fast, batch = (card("anthropic", model, tier=tier) for tier in ("", "fast", "batch"))
    assert (fast.pico_usd["output"], batch.pico_usd["output"]) == (80_000_000, 20_000_000)
    for tier, base in (("us", plain), ("fast+us", fast), ("batch+us", batch)):
        here = card("anthropic", model, tier=tier)
        for leaf in ("input", "output", "cached_input", "cache_write", "cache_write_1h"):
            assert here.pico_usd[leaf] * 10 == base.pico_usd[leaf] * 11, (tier, leaf)
        assert here.pico_usd["web_searches"] == base.pico_usd["web_searches"]
        assert here.version.endswith(f" {tier}")
    for tier in ("eu", "us+eu", "priority", "batch+fast", "batch+eu"):
        assert LISTING.card("anthropic", model, NOON, tier, NOTHING) is None, tier
    assert LISTING.card("openai", "gpt-5", NOON, "us", NOTHING) is None


def test_groqs_flex_is_billed_as_the_plain_tier() -> None:
    plain, flex = (card("groq", "llama-3.1-8b-instant", tier=tier) for tier in ("", "flex"))
    assert (flex.pico_usd, flex.at_most) == (plain.pico_usd, False)
    assert LISTING.card("groq", "llama-3.1-8b-instant", NOON, "performance", NOTHING) is None


@pytest.mark.parametrize(
    ("moment", "dear", "at_most"),
    [
        (datetime(2026, 11, 23, 2, tzinfo=UTC), True, False),  # a Monday
        (datetime(2026, 11, 23, 5, tzinfo=UTC), False, False),
        (datetime(2026, 11, 22, 2, tzinfo=UTC), True, True),  # a Sunday, which the data does not know
        (datetime(2026, 11, 21, 9, 59, tzinfo=UTC), True, True),
        (datetime(2026, 11, 22, 12, tzinfo=UTC), False, False),
        (datetime(2026, 8, 10, 2, tzinfo=UTC), True, True),  # a Monday before there were peak hours
    ],
)
def test_peak_hours_where_they_may_not_hold_are_an_upper_bound(moment: datetime, dear: bool, at_most: bool) -> None:
    off = card("deepseek", "deepseek-v4-pro", NOON)
    found = card("deepseek", "deepseek-v4-pro", moment)
    assert (found.pico_usd["output"] > off.pico_usd["output"], found.at_most) == (dear, at_most)
    assert card("deepseek", "deepseek-v4-pro", moment.date()).at_most


def test_what_is_billed_by_the_piece_and_by_the_second() -> None:
    found = card("openai", "gpt-4o")
    pieces = Usage.of(0, 0, {"web_searches": 3, "file_searches": 2})
    assert found.cost_nano_usd(pieces) == 3 * 10_000_000 + 2 * 2_500_000
    spoken = card("mistral", "voxtral-small-24b-2507").cost_nano_usd(Usage.of(0, 0, {"audio_seconds": 3_600}))
    assert spoken is not None
    assert 240_000_000 <= spoken < 240_000_010
    assert card("openai", "gpt-realtime").pico_usd["cached_image_input"] == 500_000


def test_how_old_the_data_is() -> None:
    newest = LISTING.newest(date(2026, 11, 22))
    assert newest is not None
    assert date(2026, 10, 1) < newest <= date(2026, 11, 22)
    assert LISTING.newest(date(1990, 1, 1)) is None


def test_other_data_than_the_installed() -> None:
    from genai_prices.data import providers

    [openai] = [one for one in providers if one.id == "openai"]
    own = Listing([openai], "another")
    found = own.card("openai", "gpt-4o", NOON, "", NOTHING)
    assert found is not None
    assert (found.version, own.providers()) == ("another", ["openai"])
    assert own.card("anthropic", "claude-fable-5-2", NOON, "", NOTHING) is None
