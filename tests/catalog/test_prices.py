"""The price book: whose word counts, on which day, and that its sums are the list's own, exactly."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from bursar.catalog.fetched import FetchedPrices
from bursar.catalog.listing import Listing, compiled
from bursar.catalog.prices import CARDS_REMEMBERED_MAX, PriceBook, PriceSource
from bursar.rules.prices import PriceCard
from bursar.rules.usage import Usage

DAY = date(2026, 11, 22)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Given:
    """A price of the user's own."""

    provider: str
    model: str
    starts: date | None
    card: PriceCard
    tiers: Mapping[str, PriceCard] = field(default_factory=dict)


def card(usd: str, version: str = "bursar.yaml") -> PriceCard:
    return PriceCard.of({"input": usd, "output": usd}, version=version)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


USAGES: list[tuple[dict[str, int], tuple[int, int, dict[str, int]]]] = [
    ({"input_tokens": 1000, "output_tokens": 100}, (1000, 100, {})),
    ({"input_tokens": 1, "output_tokens": 1}, (1, 1, {})),
    (
        {"input_tokens": 1000, "output_tokens": 100, "cache_read_tokens": 300, "cache_write_tokens": 200},
        (1000, 100, {"cached_input": 300, "cache_write": 200}),
    ),
    # Past every long-context threshold there is.
    (
        {"input_tokens": 900_001, "output_tokens": 77, "cache_read_tokens": 300_003},
        (900_001, 77, {"cached_input": 300_003}),
    ),
    # At the thresholds themselves, which still have the base price.
    ({"input_tokens": 200_000, "output_tokens": 7}, (200_000, 7, {})),
    ({"input_tokens": 272_000, "output_tokens": 7}, (272_000, 7, {})),
]

MODELS = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4o-2024-05-13"),
    ("openai", "gpt-4.1-nano"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5.6-sol"),
    ("openai", "o3"),
    ("openai", "gpt-3.5-turbo"),
    ("groq", "llama-3.3-70b-versatile"),
    ("groq", "openai/gpt-oss-120b"),
    ("openrouter", "openai/gpt-4o-mini"),
    ("openrouter", "anthropic/claude-sonnet-4.5"),
    ("openrouter", "anthropic/claude-4.5-sonnet-20250929"),
    ("openrouter", "google/gemini-2.5-pro"),
    ("openrouter", "deepseek/deepseek-chat"),
]


def theirs(provider: str, model: str, usage: dict[str, int], at: datetime, tier: str = "") -> Decimal:
    """The library's own sum, in nano-USD."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import Usage as ListUsage

    snapshot = DataSnapshot(providers=providers, from_auto_update=False)
    context = {"service_tier": tier} if tier else None
    return snapshot.calc(ListUsage(**usage), model, provider, None, at, context).total_price * 10**9


@pytest.mark.parametrize(("provider", "model"), MODELS)
@pytest.mark.parametrize(("listed", "ours"), USAGES)
def test_the_sums_of_the_list_are_met_to_the_nano_dollar(
    book: PriceBook, provider: str, model: str, listed: dict[str, int], ours: tuple[int, int, dict[str, int]]
) -> None:
    input_tokens, output_tokens, parts = ours
    found = book.card(provider, model, DAY)
    assert found is not None
    cost = found.cost_nano_usd(Usage.of(input_tokens, output_tokens, parts))
    assert cost is not None
    # An Anthropic cache write of an hour and audio have no counterpart in these usages, so nothing is rounded twice.
    assert 0 <= cost - theirs(provider, model, listed, NOON) < 1


def test_every_listed_price_compiles_to_the_lists_own_sum() -> None:
    from genai_prices.data import providers
    from genai_prices.types import Usage as ListUsage

    usage, list_usage = Usage.of(300_000, 1_234), ListUsage(input_tokens=300_000, output_tokens=1_234)
    compared = 0
    for provider in providers:
        for model in provider.models:
            price = model.get_prices(NOON)
            made = compiled(price, "v", Decimal(0))
            cost = made.cost_nano_usd(usage) if made else None
            if made is None or cost is None:
                continue
            paid = price.calc_price(list_usage)["total_price"] * 10**9 - made.fees_pico_usd() // 1000
            # Some listed prices carry the noise of a float, which ours do not.
            assert Decimal("-0.001") < cost - paid < 1, (provider.id, model.id)
            compared += 1
    assert compared > 2_000


def test_prices_have_a_history(book: PriceBook) -> None:
    for day, usd in ((date(2025, 6, 9), "10"), (date(2025, 6, 10), "2")):
        found = book.card("openai", "o3", day)
        assert found is not None
        assert found.pico_usd["input"] == int(usd) * 10**6
    july = book.card("openai", "gpt-5.6-sol", date(2026, 7, 15))
    today = book.card("openai", "gpt-5.6-sol", DAY)
    assert july is not None
    assert today is not None
    assert july.pico_usd["output"] > today.pico_usd["output"]


def test_a_price_by_the_hour_is_the_dearest_of_the_day_where_only_the_day_is_known() -> None:
    book = PriceBook(base_urls={"mine": "https://api.deepseek.com/v1"})
    peak = book.card("mine", "deepseek-v4-pro", datetime(2026, 11, 23, 2, tzinfo=UTC))
    off = book.card("mine", "deepseek-v4-pro", datetime(2026, 11, 23, 12, tzinfo=UTC))
    day = book.card("mine", "deepseek-v4-pro", date(2026, 11, 23))
    assert peak is not None
    assert off is not None
    assert day is not None
    assert peak.pico_usd["output"] > off.pico_usd["output"]
    assert day.pico_usd == peak.pico_usd
    assert day.version.endswith("(dearest of the day)")
    assert not peak.version.endswith("(dearest of the day)")


def test_tiers_of_service_have_prices_of_their_own(book: PriceBook) -> None:
    def output(tier: str) -> int | None:
        found = book.card("openai", "gpt-5", DAY, tier)
        return found.pico_usd["output"] if found else None

    assert [output(tier) for tier in ("priority", "fast", "flex", "batch")] == [
        2 * 10**7,
        2 * 10**7,
        5 * 10**6,
        5 * 10**6,
    ]
    assert [output(tier) for tier in ("", "default", "auto", "Standard")] == [10**7, 10**7, 10**7, 10**7]
    # One that nobody lists is not at the plain price for want of a better one.
    assert [output(tier) for tier in ("scale", "ultrafast", "prioirty", "flex+fast")] == [None, None, None, None]
    assert book.card("openai", "gpt-5", date(2026, 1, 1), "priority") is None
    # Where the model has no cheaper price that is known, the plain one is at most too high.
    plain, flex = book.card("openai", "gpt-4o", DAY), book.card("openai", "gpt-4o", DAY, "flex")
    assert plain is not None
    assert flex == replace(plain, at_most=True, version=f"{plain.version} flex")


def test_unknown_is_none(book: PriceBook) -> None:
    for provider, model in (
        ("openai", "gpt-99"),
        ("openai", ""),
        ("openrouter", "openrouter/auto"),
        ("openrouter", "openai/gpt-4o-mini:free"),
        ("groq", "whisper-large-v3"),
        ("ollama", "qwen3"),
        ("nobody", "gpt-4o"),
        ("perplexity", "sonar-deep-research"),
        ("cerebras", "qwen-3-coder-480b"),
    ):
        assert book.card(provider, model, DAY) is None, (provider, model)


def test_openrouters_suffixes(book: PriceBook) -> None:
    plain = book.card("openrouter", "openai/gpt-4o-mini", DAY)
    for suffix in (":nitro", ":floor", ":exacto", ":online"):
        assert book.card("openrouter", f"openai/gpt-4o-mini{suffix}", DAY) == plain
    free = book.card("openrouter", "deepseek/deepseek-chat:free", DAY)
    assert free is not None
    assert (free.free, free.version.startswith("genai-prices ")) == (True, True)


def test_the_users_own_prices_by_date() -> None:
    overrides = [
        Given("openai", "gpt-4o", date(2026, 6, 1), card("3")),
        Given("openai", "gpt-4o", date(2026, 1, 1), card("2")),
        Given("openai", "mine", None, card("1")),
    ]
    book = PriceBook(overrides)
    listed = PriceBook().card("openai", "gpt-4o", date(2025, 12, 31))
    assert book.card("openai", "gpt-4o", date(2025, 12, 31)) == listed
    assert book.card("openai", "gpt-4o", date(2026, 1, 1)) == card("2")
    assert book.card("openai", "gpt-4o", date(2026, 5, 31)) == card("2")
    assert book.card("openai", "gpt-4o", date(2026, 6, 1)) == card("3")
    assert book.card("openai", "gpt-4o", datetime(2026, 6, 1, tzinfo=UTC)) == card("3")
    assert book.card("openai", "mine", date(2020, 1, 1)) == card("1")
    assert book.card("openai", "gpt-4o-2024-08-06", DAY) == PriceBook().card("openai", "gpt-4o-2024-08-06", DAY)
    assert book.card("openrouter", "gpt-4o", DAY) is None
    # They are the plain tier's: what a dearer one costs is not known by them, a cheaper one is not dearer.
    assert book.card("openai", "mine", DAY, "priority") is None
    assert book.card("openai", "mine", DAY, "flex") == replace(card("1"), at_most=True)


def test_the_users_own_tiers() -> None:
    own = Given("openai", "mine", None, card("4"), {"flex": card("2"), "batch+us": card("3")})
    book = PriceBook([own, Given("openai", "nothing", None, card("0"))])
    assert book.card("openai", "mine", DAY, "flex") == book.card("openai", "mine", DAY, "standard+FLEX") == card("2")
    assert book.card("openai", "mine", DAY, "batch+us") == card("3")
    assert book.card("openai", "mine", DAY, "batch") == replace(card("4"), at_most=True)
    for tier in ("priority", "us", "flex+us", "prioirty"):
        assert book.card("openai", "mine", DAY, tier) is None
        assert book.card("openai", "nothing", DAY, tier) == card("0")
    assert book.variants("openai", "mine", DAY) == {"flex": card("2"), "batch+us": card("3")}


def test_the_tiers_that_a_list_prices(book: PriceBook) -> None:
    assert list(book.variants("openai", "gpt-5", DAY)) == ["batch", "flex", "priority", "fast"]
    assert list(book.variants("anthropic", "claude-fable-5-2", DAY)) == ["batch", "fast", "us"]
    assert book.variants("groq", "openai/gpt-oss-120b", DAY).keys() <= {"batch"}
    assert book.variants("openai", "gpt-99", DAY) == {}


def test_a_minute_has_the_price_of_its_hour_and_an_old_call_keeps_its_own() -> None:
    book = PriceBook([Given("openai", "mine", date(2026, 11, 23), card("2")), Given("openai", "mine", None, card("1"))])

    def at(provider: str, model: str, *moment: int) -> PriceCard:
        found = book.card_at(provider, model, int(datetime(*moment, tzinfo=UTC).timestamp()) // 60)  # type: ignore[arg-type, misc]
        assert found is not None
        return found

    # A call that began before midnight keeps that day's price, whenever it is settled.
    assert at("openai", "mine", 2026, 11, 22, 23, 59) == card("1")
    assert at("openai", "mine", 2026, 11, 23, 0, 0) == card("2")
    assert at("openai", "o3", 2025, 6, 9, 23, 59).pico_usd["input"] == 10**7
    assert at("openai", "o3", 2025, 6, 10, 0, 0).pico_usd["input"] == 2 * 10**6
    hours = [
        at("deepseek", "deepseek-v4-pro", 2026, 11, 23, hour, minute)
        for hour, minute in ((0, 59), (1, 0), (3, 59), (4, 0))
    ]
    off, peak = hours[0].pico_usd["output"], hours[1].pico_usd["output"]
    assert [one.pico_usd["output"] for one in hours] == [off, peak, peak, off]
    assert peak > off
    assert not any(one.at_most for one in hours)
    assert at("deepseek", "deepseek-v4-pro", 2026, 11, 23, 1, 0) is at(
        "deepseek", "deepseek-v4-pro", 2026, 11, 23, 1, 0
    )
    # A model whose price has no hours is compiled once a day, not once a minute.
    assert at("openai", "gpt-4o", 2026, 11, 23, 1, 0) is at("openai", "gpt-4o", 2026, 11, 23, 9, 7)


def test_what_was_fetched_stands_between_the_users_word_and_the_list() -> None:
    asked: list[str] = []

    def fetched(name: str) -> FetchedPrices | None:
        asked.append(name)
        if name != "openrouter":
            return None
        prices = FetchedPrices(name)
        pricing = {"prompt": "0.000009", "completion": "0.00001"}
        prices.take(
            {"provider": name, "at": "2026-11-20T10:30:00Z", "models": {"openai/gpt-4o": pricing, "new/one": pricing}}
        )
        return prices

    own = Given("openrouter", "new/one", None, card("1"))
    book = PriceBook([own], {"openrouter": Decimal("0.5")}, fetched=fetched)
    found = book.card("openrouter", "openai/gpt-4o", DAY)
    assert found is not None
    assert (found.version, found.pico_usd["input"], found.listed) == ("openrouter 2026-11-20", 4_500_000, True)
    assert book.card("openrouter", "new/one", DAY) == card("1")
    # Before the fetch, and for what it does not have, the list holds.
    for model, day in (("openai/gpt-4o", date(2026, 11, 19)), ("openai/gpt-4o-mini", DAY)):
        listed = book.card("openrouter", model, day)
        assert listed is not None
        assert listed.version.startswith("genai-prices")
    assert "new/one" in book.models("openrouter")
    assert book.source("openrouter", "openai/gpt-4o", DAY) == PriceSource("openrouter 2026-11-20")
    noon = [
        book.card_at("openrouter", "openai/gpt-4o", int(datetime(2026, 11, 20, *at, tzinfo=UTC).timestamp()) // 60)
        for at in ((10, 29), (10, 30))
    ]
    assert [one.version.split()[0] for one in noon if one] == ["genai-prices", "openrouter"]
    assert book.list_dates(DAY)["openrouter"] == date(2026, 11, 20)
    assert len(asked) == len(set(asked))


def test_a_free_provider_is_free_but_for_what_the_user_prices() -> None:
    book = PriceBook([Given("local", "big", None, card("1"))], free_providers=["local"])
    free = book.card("local", "anything", DAY, "priority")
    assert free is not None
    assert (free.free, free.version) == (True, "price: free")
    assert book.card("local", "big", DAY) == card("1")


def test_a_discount_is_off_the_list_price_alone() -> None:
    book = PriceBook([Given("openai", "gpt-4o", None, card("1"))], {"openai": Decimal("0.1")})
    assert book.card("openai", "gpt-4o", DAY) == card("1")
    found = book.card("openai", "gpt-5", DAY)
    assert found is not None
    assert (found.pico_usd["input"], found.pico_usd["output"]) == (1_125_000, 9_000_000)


def test_an_address_says_whose_prices_they_are_and_a_name_only_without_one() -> None:
    at = PriceBook(base_urls={"mine": "https://api.openai.com/v1", "cohere": "http://gpu:8000/v1"})
    assert at.card("mine", "gpt-4o", DAY) == PriceBook().card("openai", "gpt-4o", DAY)
    assert at.card("cohere", "command-r", DAY) is None
    assert PriceBook().card("cohere", "command-r", DAY) is not None
    assert PriceBook().card("gemini", "gemini-2.5-flash", DAY) == PriceBook().card("google", "gemini-2.5-flash", DAY)
    # A row's own prices hold wherever its base URL was pointed.
    assert PriceBook(base_urls={"openai": "http://proxy"}).card("openai", "gpt-4o", DAY) is not None


def test_sources_models_and_near_names(book: PriceBook) -> None:
    version = Listing()
    version.models("openai")
    assert book.source("openai", "gpt-4o", DAY) == PriceSource(version.version, version.url("openai"))
    assert version.url("openai").startswith("https://")
    assert book.source("openai", "gpt-99", DAY) is None
    own = PriceBook([Given("openai", "mine", None, card("1", "bursar.yaml 2026-01-01"))])
    assert own.source("openai", "mine", DAY) == PriceSource("bursar.yaml 2026-01-01")
    assert {"gpt-4o", "mine"} <= set(own.models("openai"))
    assert own.models("local") == []
    assert book.nearest("openai", "gpt4o-mini")[0] == "gpt-4o-mini"
    assert "gpt-4o-mini" not in book.nearest("openai", "gpt-4o-mini")
    assert book.nearest("openai", "zzz") == []


def test_a_card_is_compiled_once_a_model_and_day_and_memory_is_bounded() -> None:
    book = PriceBook()
    assert book.card("openai", "gpt-4o", DAY) is book.card("openai", "gpt-4o", DAY)
    for number in range(CARDS_REMEMBERED_MAX + 10):
        book.card("ollama", f"m{number}", DAY)
    assert len(book._cards) <= CARDS_REMEMBERED_MAX


def test_other_peoples_snapshots_do_not_change_our_prices(book: PriceBook) -> None:
    from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

    set_custom_snapshot(DataSnapshot(providers=[], from_auto_update=True))
    try:
        assert PriceBook().card("openai", "gpt-4o", DAY) == book.card("openai", "gpt-4o", DAY)
    finally:
        set_custom_snapshot(None)


def test_threads_may_ask_at_once() -> None:
    book = PriceBook()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(book.card("openai", "gpt-4o", DAY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert all(one == found[0] is not None for one in found)


def test_an_absurd_list_price_is_no_price() -> None:
    from genai_prices.types import ModelPrice

    for usd in ("-1", "1e12"):
        assert compiled(ModelPrice(input_mtok=Decimal(usd)), "v", Decimal(0)) is None
