"""What a provider published and when: OpenRouter's prices in leaves, held from fetch to fetch."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.catalog.fetched import FetchedPrices, pricing_card
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage

NOTHING = Decimal(0)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAIN = {"prompt": "0.000003", "completion": "0.000015"}


def card(pricing: dict[str, Any], at: datetime = NOON) -> PriceCard:
    found = pricing_card(PLAIN | pricing, at, "v", NOTHING)
    assert found is not None
    return found


def fetch(prices: FetchedPrices, at: datetime, **models: dict[str, Any]) -> dict[str, Any]:
    entry = prices.changes([{"id": name, "pricing": one} for name, one in models.items()], at)
    prices.take(json.loads(json.dumps(entry)))
    return entry


def test_each_unit_lands_in_its_leaf() -> None:
    pricing = {
        "request": "0.005", "web_search": "0.01", "input_cache_read": "0.0000003", "input_cache_write": "0.00000375",
        "input_cache_write_1h": "0.000006", "internal_reasoning": "0.00002", "image_token": "0.000004",
        "image_output": "0.00003", "audio": "0.00001", "audio_output": "0.00004", "input_audio_cache": "0.000001",
    }  # fmt: skip
    found = card(pricing).pico_usd
    assert {leaf: found[leaf] for leaf in found if leaf in (
        "input", "output", "requests", "web_searches", "cached_input", "cache_write", "cache_write_1h",
        "reasoning_output", "image_input", "image_output", "audio_input", "audio_output", "cached_audio_input",
    )} == {
        "input": 3_000_000, "output": 15_000_000, "requests": 5_000_000_000, "web_searches": 10_000_000_000,
        "cached_input": 300_000, "cache_write": 3_750_000, "cache_write_1h": 6_000_000, "reasoning_output": 20_000_000,
        "image_input": 4_000_000, "image_output": 30_000_000, "audio_input": 10_000_000, "audio_output": 40_000_000,
        "cached_audio_input": 1_000_000,
    }  # fmt: skip
    assert card(pricing).listed


def test_nothing_is_free_because_a_special_unit_says_0() -> None:
    found = card({"internal_reasoning": "0", "input_cache_read": "0", "web_search": "0", "request": "0", "image": "0"})
    assert (found.pico_usd["reasoning_output"], found.pico_usd["cached_input"]) == (15_000_000, 3_000_000)
    assert "web_searches" not in found.pico_usd
    free = card({"prompt": "0", "completion": "0", "request": "0", "internal_reasoning": "0"})
    assert free.free
    assert free.cost_nano_usd(Usage.of(10, 10, {"reasoning_output": 3})) == 0


@pytest.mark.parametrize(
    "pricing",
    [
        {"prompt": "-1", "completion": "-1"},
        {"prompt": "0.1"},
        {},
        {"prompt": "cheap", "completion": "0"},
        {"prompt": "1e9", "completion": "0"},
        {"prompt": "0.1", "completion": {"a": 1}},
        PLAIN | {"overrides": [{"min_prompt_tokens": "many", "prompt": "1"}]},
        PLAIN | {"overrides": [{"utc_start": "noon", "utc_end": "5", "prompt": "x"}]},
    ],
)
def test_what_is_no_price_is_none(pricing: dict[str, Any]) -> None:
    assert pricing_card(pricing, NOON, "v", NOTHING) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**30) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["prompt", "utc_start"]), inner),
)
KEYS = ["prompt", "completion", "discount", "overrides", "input_cache_read", "min_prompt_tokens", "utc_end"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.dictionaries(st.sampled_from(KEYS), JSON))
def test_nothing_that_is_published_raises(pricing: dict[str, Any], override: dict[str, Any]) -> None:
    pricing_card(PLAIN | pricing | {"overrides": [override, pricing]}, NOON, "v", NOTHING)
    prices = FetchedPrices("openrouter")
    entry = prices.changes([{"id": "m", "pricing": pricing | {"overrides": [override]}}], NOON)
    prices.take(entry)
    prices.card("m", NOON.date(), "", NOTHING)


def test_long_prompts_and_later_overrides_that_win() -> None:
    overrides = [
        {"min_prompt_tokens": 200_000, "prompt": "0.000006", "completion": "0.00002"},
        {"min_prompt_tokens": 400_000, "prompt": "0.000012"},
        {"min_prompt_tokens": 200_000, "completion": "0.000025"},
    ]
    found = card({"overrides": overrides})
    at = [found.prices_at(tokens) for tokens in (199_999, 200_000, 400_000)]
    assert [(one["input"], one["output"]) for one in at] == [
        (3_000_000, 15_000_000), (6_000_000, 25_000_000), (12_000_000, 25_000_000)
    ]  # fmt: skip


@pytest.mark.parametrize(("start", "end"), [("22:00", "06:30"), (22, "6:30"), ("22", "06:30:00")])
def test_hours(start: Any, end: Any) -> None:
    pricing = {"overrides": [{"utc_start": start, "utc_end": end, "prompt": "0.000001"}]}
    units = [card(pricing, NOON.replace(hour=hour, minute=minute)).pico_usd["input"] for hour, minute in (
        (21, 59), (22, 0), (0, 0), (6, 29), (6, 30),
    )]  # fmt: skip
    assert units == [3_000_000, 1_000_000, 1_000_000, 1_000_000, 3_000_000]


def test_hours_that_cannot_be_read_may_be_any() -> None:
    for usd, pico in (("0.000001", 3_000_000), ("0.000009", 9_000_000)):
        found = card({"overrides": [{"utc_start": "dawn", "utc_end": "dusk", "prompt": usd}]})
        assert (found.pico_usd["input"], found.at_most) == (pico, True)


def test_a_discount_may_be_in_the_numbers_already() -> None:
    for discount, at_most in ((0.25, True), ("0.25", True), (0, False), ("0", False), (0.0, False), (None, False)):
        found = card({"discount": discount})
        assert (found.pico_usd["input"], found.at_most) == (3_000_000, at_most)


def test_an_old_call_keeps_its_price() -> None:
    prices = FetchedPrices("openrouter")
    first, second = datetime(2026, 11, 20, 10, 30, tzinfo=UTC), datetime(2026, 11, 22, 15, tzinfo=UTC)
    assert fetch(prices, first, **{"A/b": PLAIN, "a/gone": PLAIN})["models"].keys() == {"a/b", "a/gone"}
    assert fetch(prices, first.replace(day=21), **{"A/b": PLAIN, "a/gone": PLAIN})["models"] == {}
    dearer = PLAIN | {"prompt": "0.000004"}
    assert fetch(prices, second, **{"a/b": dearer})["models"] == {"a/b": dearer, "a/gone": None}

    def unit(model: str, when: date | datetime) -> Any:
        found = prices.card(model, when, "", NOTHING)
        return found and (found.version, found.pico_usd["input"])

    assert unit("a/b", first.replace(minute=29)) is None
    assert unit("a/b", first) == unit("a/b", date(2026, 11, 21)) == ("openrouter 2026-11-20", 3_000_000)
    assert unit("a/b", second.replace(hour=14)) == ("openrouter 2026-11-20", 3_000_000)
    assert unit("a/b", second) == unit("a/b", date(2027, 1, 1)) == ("openrouter 2026-11-22", 4_000_000)
    # Of the day alone, the dearest; of the first, from the first fetch on.
    assert unit("a/b", second.date()) == ("openrouter 2026-11-22 (dearest of the day)", 4_000_000)
    assert unit("a/b", first.date()) == ("openrouter 2026-11-20", 3_000_000)
    assert unit("a/gone", date(2026, 11, 21)) is not None
    assert unit("a/gone", second) is None
    assert prices.models() == ["a/b"]
    assert prices.by_the_hour("a/b", second.date())
    assert not prices.by_the_hour("a/b", date(2026, 11, 21))
    assert prices.fetched == second


def test_a_price_holds_for_the_call_that_follows_at_once() -> None:
    prices = FetchedPrices("openrouter")
    fetch(prices, datetime(2026, 11, 22, 12, 30, 59, tzinfo=UTC), **{"a/b": PLAIN})
    assert prices.card("a/b", datetime(2026, 11, 22, 12, 30, tzinfo=UTC), "", NOTHING) is not None
    assert prices.card("a/b", datetime(2026, 11, 22, 12, 29, tzinfo=UTC), "", NOTHING) is None


def test_names_that_replies_carry() -> None:
    prices = FetchedPrices("openrouter")
    listed: list[dict[str, Any]] = [
        {"id": "a/b-1", "canonical_slug": "a/b-20250929", "pricing": PLAIN},
        {"id": "a/c", "canonical_slug": "a/c", "pricing": PLAIN},
        {"id": 7, "pricing": PLAIN},
        {"id": "a/none"},
    ]
    prices.take(prices.changes(listed, NOON))
    for name in ("a/b-1", "a/b-20250929", "a/b-1:nitro", "A/B-1:floor"):
        assert prices.card(name, NOON, "", NOTHING) is not None, name
    assert prices.card("a/b-1:free", NOON, "", NOTHING) is None
    assert prices.card("a/none", NOON, "", NOTHING) is None


def test_a_free_twin_does_not_make_its_model_free() -> None:
    prices = FetchedPrices("openrouter")
    twin = {"id": "a/a:free", "canonical_slug": "a/b-2025", "pricing": {"prompt": "0", "completion": "0"}}
    model = {"id": "a/b", "canonical_slug": "a/b-2025", "pricing": PLAIN}
    for order in ([model, twin], [twin, model]):
        prices.take(prices.changes(order, NOON))
        served = prices.card("a/b-2025", NOON, "", NOTHING)
        assert served is None or not served.free


def test_tiers_are_not_published() -> None:
    prices = FetchedPrices("openrouter")
    fetch(prices, NOON, m=PLAIN)
    flex = prices.card("m", NOON, "flex", NOTHING)
    assert flex is not None
    assert (flex.at_most, flex.version) == (True, "openrouter 2026-11-22 flex")
    assert prices.card("m", NOON, "priority", NOTHING) is None
    assert prices.card("m", NOON, "flex+us", NOTHING) is None


def test_lines_that_cannot_be_read_are_passed_over() -> None:
    good = json.dumps({"provider": "openrouter", "at": "2026-11-20T00:00:00+00:00", "models": {"m": PLAIN}}).encode()
    lines = [
        b"{",
        b"[]",
        b"null",
        b'{"provider": "openrouter"}',
        b'{"provider": "other", "at": 3}',
        good,
        b"\xff",
        good[:40],
    ]
    prices = FetchedPrices.read("openrouter", lines)
    assert prices.models() == ["m"]
    assert FetchedPrices.read("other", [good]).models() == []
