"""On which terms a request is billed: tiers, caches, sound and sight, fees, thinking, long prompts, hours and dates."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.prices import PriceCard, Terms, bill
from bursar.sim.promptcache import PromptCache
from bursar.sim.shelf import Shelf
from bursar.sim.usage import Usage
from bursar.sim.wallclock import parse_moment
from tests.sim.client import Caller, calling

LONG = "a word of many " * 1200


async def billed(caller: Caller) -> Any:
    return (await caller.record())[-1]["billed_nano_usd"]


@pytest.mark.parametrize(
    ("asked", "reported", "halves"),
    [
        ("auto", "default", 2),
        ("default", "default", 2),
        ("flex", "flex", 1),
        ("batch", "batch", 1),
        ("priority", "priority", 4),
        ("fast", "priority", 4),
    ],
)
async def test_a_tier_has_its_share_of_the_price_and_is_echoed(asked: str, reported: str, halves: int) -> None:
    async with calling() as caller:
        plain = await caller.chat("openai", "[[tokens=8]]")
        full = await billed(caller)
        whole = await caller.chat("openai", "[[tokens=8]]", service_tier=asked)
        assert await billed(caller) == full * halves // 2
        stream = await caller.chat("openai", "[[tokens=8]]", service_tier=asked, stream=True)
        assert await billed(caller) == full * halves // 2
        entry = (await caller.record())[-1]
    assert plain.json["service_tier"] == "default"
    assert whole.json["service_tier"] == stream.events[0]["service_tier"] == entry["tier"] == reported


async def test_tiers_have_names_and_belong_to_providers() -> None:
    async with calling() as caller:
        unknown = await caller.chat("openai", service_tier="cheap")
        groq = await caller.chat("groq", service_tier="flex")
        full = await billed(caller)
        await caller.chat("groq")
        assert await billed(caller) == full
        assert (await caller.chat("groq", service_tier="priority")).status == 400
        routed = await caller.chat("openrouter", "[[tokens=8]]", service_tier="flex")
        half = await billed(caller)
        await caller.chat("openrouter", "[[tokens=8]]")
        assert await billed(caller) == half * 2 == 2 * round(routed.json["usage"]["cost"] * 10**9)
        assert (await caller.chat("generic", service_tier="anything")).status == 200
    assert (unknown.status, unknown.json["error"]["param"]) == (400, "service_tier")
    assert groq.json["service_tier"] == "flex"
    assert routed.json["service_tier"] == "flex"


async def test_what_was_seen_before_is_cached_where_it_is_asked_for() -> None:
    async def cached(caller: Caller, content: str, **fields: Any) -> Any:
        answer = await caller.chat("openai", content, **fields)
        return answer.json["usage"]["prompt_tokens_details"]["cached_tokens"]

    async with calling() as caller:
        assert [await cached(caller, LONG) for _ in range(2)] == [0, 0]
        assert await cached(caller, LONG, prompt_cache_key="k") == 0
        seen = await cached(caller, LONG, prompt_cache_key="k")
        full = (await caller.record())[-1]["usage"]["prompt_tokens"]
        assert seen % 128 == 0
        assert full - 128 < seen <= full
        assert await billed(caller) < (await caller.record())[-2]["billed_nano_usd"]
        assert await cached(caller, LONG, prompt_cache_key="other") == 0
        assert await cached(caller, LONG, prompt_cache_key="k", model="gpt-4o") == 0
        assert await cached(caller, LONG[:8000] + "then otherwise" * 300, prompt_cache_key="k") == 1920
        assert await cached(caller, "short [[cache]]") == 0
        first, second = [await cached(caller, f"{LONG}[[cache]]") for _ in range(2)]
        assert (first, second >= seen) == (0, True)
        await caller.send("POST", "/sim/reset")
        failed = {"x-sim-fault": "status:500"}
        assert (await caller.chat("openai", LONG, failed, prompt_cache_key="k")).status == 500
        assert await cached(caller, LONG, prompt_cache_key="k") == 0


def test_a_cache_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bursar.sim.promptcache.PREFIXES_MAX", 2)
    cache = PromptCache()
    texts = ["x" * 4096, "y" * 4096, "z" * 4096]
    assert [cache.hit("m", "", [text]) for text in (*texts, texts[2], texts[0])] == [0, 0, 0, 1024, 0]


async def test_sound_and_sight_have_their_own_prices_and_no_token_two() -> None:
    async with calling() as caller:
        answer = await caller.chat("openai", "[[tokens=9]][[audio=5]][[audio_out=4]]", model="gpt-audio")
        entry = (await caller.record())[-1]
        prompt = entry["usage"]["prompt_tokens"]
        pico = (prompt - 5) * 2_500_000 + 5 * 32_000_000 + 5 * 10_000_000 + 4 * 64_000_000
        assert entry["billed_nano_usd"] == -(-pico // 1000)
        details = answer.json["usage"]
        assert details["prompt_tokens_details"]["audio_tokens"] == 5
        assert details["completion_tokens_details"]["audio_tokens"] == 4
        await caller.chat("openai", "[[tokens=9]][[cached=999999]][[audio=5]][[audio_out=99]]", model="gpt-audio")
        usage = (await caller.record())[-1]["usage"]
        assert (usage["cached_tokens"], usage["audio_prompt_tokens"]) == (usage["prompt_tokens"], 0)
        assert usage["audio_completion_tokens"] == 9
        await caller.chat("openai", "[[tokens=9]][[audio_out=6]][[image_out=6]]", model="gpt-audio")
        usage = (await caller.record())[-1]["usage"]
        assert (usage["audio_completion_tokens"], usage["image_completion_tokens"]) == (6, 3)
        await caller.chat("gemini", "[[tokens=9]][[image_out=9]]", model="gemini-2.5-flash-image")
        entry = (await caller.record())[-1]
        assert entry["billed_nano_usd"] == entry["usage"]["prompt_tokens"] * 300 + 9 * 30_000
        await caller.chat("openrouter", "[[tokens=1]][[image=4]][[audio=3]]", model="sim/ears")
        entry = (await caller.record())[-1]
        plain = entry["usage"]["prompt_tokens"] - 7
        assert entry["billed_nano_usd"] == plain * 1000 + 4 * 3000 + 3 * 8000 + 2000


async def test_searches_and_requests_cost_fees_that_no_tier_changes() -> None:
    async with calling() as caller:
        plain = await caller.chat("openai", "[[tokens=5]][[searches=3]]")
        without = await billed(caller)
        await caller.chat("openai", "[[tokens=5]][[searches=3]]", web_search_options={})
        assert await billed(caller) == without + 3 * 10_000_000
        await caller.chat("openai", "[[tokens=5]][[searches=3]]", web_search_options={}, service_tier="flex")
        assert await billed(caller) == without // 2 + 3 * 10_000_000
        once = await caller.chat("openrouter", plugins=[{"id": "web"}])
        assert once.json["usage"]["server_tool_use_details"] == {"web_search_requests": 1}
        assert once.json["usage"]["cost_details"]["server_tool_cost"] == 0.01
        assert round(once.json["usage"]["cost"] * 10**9) == await billed(caller)
        assert (await caller.chat("openrouter", model="openai/gpt-4o:online")).json["usage"]["cost"] > 0.01
        assert (await caller.chat("openrouter", plugins=[{"id": "file-parser"}])).json["usage"]["cost"] < 0.01
        await caller.chat("openrouter", "[[tokens=1]]", model="sim/fees")
        entry = (await caller.record())[-1]
        assert entry["billed_nano_usd"] == entry["usage"]["prompt_tokens"] * 1000 + 2000 + 5_000_000
        assert entry["lines"]["requests"] == 5_000_000
        await caller.chat("openrouter", "[[fault=status:500]]", model="sim/fees")
        assert await billed(caller) == 0
    assert plain.status == 200


async def test_thinking_may_be_wished_for_and_may_have_its_own_price() -> None:
    async with calling() as caller:
        answer = await caller.chat("openrouter", "[[tokens=9]][[reasoning=4]]", model="sim/thinker")
        entry = (await caller.record())[-1]
        assert answer.json["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4
        assert entry["billed_nano_usd"] == entry["usage"]["prompt_tokens"] * 1000 + 5 * 2000 + 4 * 6000
        none = await caller.chat("openai", "[[tokens=9]][[reasoning=0]]", model="o3-mini")
        assert none.json["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_above_a_length_the_whole_request_costs_more() -> None:
    async with calling() as caller:
        sonnet: dict[str, Any] = {"model": "anthropic/claude-sonnet-4.5"}
        await caller.chat("openrouter", "x" * 4 * 199_000 + "[[tokens=10]]", **sonnet)
        short = (await caller.record())[-1]
        assert short["billed_nano_usd"] == short["usage"]["prompt_tokens"] * 3_000 + 150_000
        await caller.chat("openrouter", "x" * 4 * 201_000 + "[[tokens=10]]", **sonnet)
        long = (await caller.record())[-1]
        assert long["billed_nano_usd"] == long["usage"]["prompt_tokens"] * 6_000 + 225_000


@pytest.mark.parametrize(
    ("provider", "model", "moment", "input_pico_usd", "output_pico_usd"),
    [
        ("deepseek", "deepseek-chat", "2026-11-22T00:29:30Z", 135_000, 550_000),
        ("deepseek", "deepseek-chat", "2026-11-22T00:30:00Z", 270_000, 1_100_000),
        ("deepseek", "deepseek-chat", "2026-11-22T16:29:00Z", 270_000, 1_100_000),
        ("deepseek", "deepseek-chat", "2026-11-22T16:30:00Z", 135_000, 550_000),
        ("openrouter", "sim/tides", "2026-11-22T16:29:00Z", 1_000_000, 2_000_000),
        ("openrouter", "sim/tides", "2026-11-22T16:30:00Z", 500_000, 1_000_000),
        ("openrouter", "sim/tides", "2026-11-22T00:10:00Z", 500_000, 1_000_000),
        ("openrouter", "sim/tides", "2026-11-22T00:30:00Z", 1_000_000, 2_000_000),
        ("mistral", "mistral-large-4", "2026-10-19T23:59:00Z", 680_000, 2_090_000),
        ("mistral", "mistral-large-4", "2026-10-20T00:00:00Z", 1_360_000, 4_180_000),
        ("mistral", "mistral-large-4", "2026-10-29T00:00:00Z", 700_000, 2_100_000),
    ],
)
async def test_hours_and_dates_change_prices_by_the_simulators_calendar(
    provider: str, model: str, moment: str, input_pico_usd: int, output_pico_usd: int
) -> None:
    async with calling() as caller:
        answer = await caller.send("POST", "/sim/clock", {"now": moment})
        assert (answer.status, answer.json["now"][:16]) == (200, moment[:16])
        await caller.chat(provider, "[[tokens=1]]" + "x" * 400, model=model)
        entry = (await caller.record())[-1]
    pico_usd = entry["usage"]["prompt_tokens"] * input_pico_usd + output_pico_usd
    assert entry["billed_nano_usd"] == -(-pico_usd // 1000)


async def test_the_calendar_is_set_skipped_shown_and_reset() -> None:
    start = parse_moment("2026-03-01")
    async with calling(SimConfig(now_ms=start)) as caller:
        assert (await caller.send("GET", "/sim/clock")).json["now"].startswith("2026-03-01T00:00:0")
        skipped = await caller.send("POST", "/sim/clock", {"advance_seconds": 86_400})
        assert skipped.json["now"].startswith("2026-03-02T00:00:0")
        assert (await caller.chat("openai")).json["created"] * 1000 >= start + 86_400_000
        assert (await caller.send("POST", "/sim/clock", {"now": "soon"})).status == 400
        assert (await caller.send("POST", "/sim/clock", {"then": 1})).status == 400
        await caller.send("POST", "/sim/reset")
        assert (await caller.send("GET", "/sim/clock")).json["now"].startswith("2026-03-01T00:00:0")


def test_generation_that_ends_early_used_no_more_than_it_made() -> None:
    whole = Usage(9, 10, reasoning_tokens=2, audio_completion_tokens=3, image_completion_tokens=4)
    counts = [
        (used.completion_tokens, used.reasoning_tokens, used.audio_completion_tokens, used.image_completion_tokens)
        for used in (whole.after(tokens) for tokens in (0, 1, 4, 6, 99))
    ]
    assert counts == [(0, 0, 0, 0), (1, 1, 0, 0), (4, 2, 2, 0), (6, 2, 3, 1), (10, 2, 3, 4)]


async def test_an_error_before_the_first_token_bills_the_prompt_at_its_own_prices() -> None:
    fault = {"x-sim-fault": "error_in_stream"}
    async with calling() as caller:
        await caller.chat("openai", "[[audio=5]]", fault, model="gpt-audio")
        entry = (await caller.record())[-1]
    pico = (entry["usage"]["prompt_tokens"] - 5) * 2_500_000 + 5 * 32_000_000
    assert entry["billed_nano_usd"] == -(-pico // 1000)


def test_lines_of_a_bill_add_up_to_it() -> None:
    card = PriceCard(1, 3, cached=1, cache_write=7, cache_write_1h=11, reasoning=5, web_search=13, request=17)
    model = Shelf("openai").find("gpt-4o")
    assert model is not None
    usage = Usage(1_001, 333, 17, 13, 9, cache_write_1h_tokens=5, web_searches=1)
    for percent in (50, 100, 110, 200):
        found = bill(type(model)("m", card), usage, Terms(percent=percent))
        assert found.lines is not None
        assert sum(found.lines.values()) == found.nano_usd
        tokens = 971 + 17 + 8 * 7 + 5 * 11 + 324 * 3 + 9 * 5
        assert found.nano_usd == -(-(tokens * percent + (13 + 17) * 100) // 100_000)
