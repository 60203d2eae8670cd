"""Whose word on a cost counts, and whether it is the fact."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from bursar.call.meter import meter, untold
from bursar.catalog.providers import provider_row
from bursar.rules.money import FREE, UNKNOWN_COST, Cost
from bursar.rules.prices import PriceCard, free_card
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered

LIST = "genai-prices 0.2.3"


def card(usd: str, version: str = LIST, **more: str) -> PriceCard:
    return PriceCard.of({"input": usd, "output": usd} | more, version=version, listed=version.startswith(LIST))


class Prices:
    """The cards of one provider."""

    def __init__(self, **cards: PriceCard) -> None:
        self.cards = cards

    def __call__(self, model: str, tier: str = "", /) -> PriceCard | None:
        return self.cards.get(f"{model}_{tier}" if tier else model)


USED = Metered(Usage.of(10, 5), served_model="m")
LISTED = Prices(m=card("1"))


def test_usage_at_the_listed_price() -> None:
    assert meter(USED, asked_model="m", price=LISTED) == (Cost(15_000, "computed", certain=True), "genai-prices 0.2.3")


OWN, NOTHING = card("2", "bursar.yaml"), free_card("price: free")
LISTED_FREE = dataclasses.replace(free_card(LIST), listed=True)
REPORTED = replace(USED, reported_nano_usd=7)
SILENT = Metered(served_model="m")
ODD = Usage.of(9, 0, {"cached_input": 40})


@pytest.mark.parametrize(
    ("metered", "reports_cost", "known", "cost", "version"),
    [
        # What the provider reports, whoever says something else.
        (REPORTED, True, None, Cost(7, "provider", certain=True), ""),
        (REPORTED, True, card("1"), Cost(7, "provider", certain=True), ""),
        (REPORTED, True, OWN, Cost(7, "provider", certain=True), ""),
        (REPORTED, True, NOTHING, Cost(7, "provider", certain=True), ""),
        (REPORTED, True, LISTED_FREE, Cost(7, "provider", certain=True), ""),
        (replace(SILENT, reported_nano_usd=7), True, None, Cost(7, "provider", certain=True), ""),
        (replace(REPORTED, usage=ODD), True, None, Cost(7, "provider", certain=True), ""),
        # A report of who does not charge is an opinion: then the user's word,
        (REPORTED, False, OWN, Cost(30_000, "computed", certain=True), "bursar.yaml"),
        (REPORTED, False, NOTHING, FREE, "price: free"),
        (USED, True, OWN, Cost(30_000, "computed", certain=True), "bursar.yaml"),
        (USED, True, NOTHING, FREE, "price: free"),
        (SILENT, True, NOTHING, FREE, "price: free"),
        # then the list,
        (REPORTED, False, card("1"), Cost(15_000, "computed", certain=True), LIST),
        (USED, True, card("1"), Cost(15_000, "computed", certain=True), LIST),
        (USED, True, LISTED_FREE, FREE, LIST),
        # then nobody. No usage is unknown, and not free because a list says 0.
        (REPORTED, False, None, UNKNOWN_COST, ""),
        (USED, True, None, UNKNOWN_COST, ""),
        (SILENT, True, OWN, UNKNOWN_COST, ""),
        (SILENT, True, card("1"), UNKNOWN_COST, ""),
        (SILENT, True, LISTED_FREE, UNKNOWN_COST, ""),
    ],
)  # fmt: skip
def test_the_order_of_trust(
    metered: Metered, reports_cost: bool, known: PriceCard | None, cost: Cost, version: str
) -> None:
    prices = Prices(m=known) if known else Prices()
    assert meter(metered, asked_model="m", price=prices, reports_cost=reports_cost) == (cost, version)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_error_without_usage_costs_nothing_unless_errors_are_billed(status: int) -> None:
    assert meter(Metered(), asked_model="m", price=LISTED, status=status) == (FREE, "")
    assert meter(Metered(), asked_model="m", price=LISTED, status=status, bills_errors=True) == (UNKNOWN_COST, "")
    assert meter(USED, asked_model="m", price=LISTED, status=status)[0].nano_usd == 15_000


def test_the_served_model_is_what_is_billed() -> None:
    served = replace(USED, served_model="big")
    prices = Prices(m=card("1"), big=card("3"))
    assert meter(served, asked_model="m", price=prices)[0].nano_usd == 45_000
    assert meter(served, asked_model="m", price=LISTED)[0].nano_usd == 15_000  # for want of its own
    assert meter(replace(USED, served_model=""), asked_model="m", price=prices)[0].nano_usd == 15_000
    assert meter(served, asked_model="x", price=Prices()) == (UNKNOWN_COST, "")


@pytest.mark.parametrize("served", ["m-2024-08-06", "m-20240806", "m-0613", "m@20240806"])
def test_the_users_price_is_not_undone_by_the_date_of_the_served_model(served: str) -> None:
    prices = Prices(**{"m": card("2", "bursar.yaml"), served: card("9")})
    metered = replace(USED, served_model=served)
    assert meter(metered, asked_model="m", price=prices) == (Cost(30_000, "computed", certain=True), "bursar.yaml")
    listed = Prices(**{"m": card("2"), served: card("9")})
    assert meter(metered, asked_model="m", price=listed)[0].nano_usd == 135_000
    # Nor are the gaps of the user's price filled by the list; another price of theirs may be for that issue.
    prices = Prices(**{"m": card("2", "bursar.yaml"), served: card("9"), f"{served}_priority": card("9")})
    metered = replace(metered, service_tier="priority")
    assert meter(metered, asked_model="m", price=prices) == (UNKNOWN_COST, "")
    prices.cards[f"{served}_priority"] = card("3", "bursar.yaml")
    assert meter(metered, asked_model="m", price=prices)[0].nano_usd == 45_000


def test_the_users_price_is_not_that_of_another_model() -> None:
    prices = Prices(**{"m": card("2", "bursar.yaml"), "m-mini": card("9"), "m-2024-mini": card("9")})
    for served in ("m-mini", "m-2024-mini"):
        assert meter(replace(USED, served_model=served), asked_model="m", price=prices)[0].nano_usd == 135_000


def test_the_tier_of_service_that_was_given_is_billed() -> None:
    prices = Prices(m=card("1"), m_flex=card("0.5"))
    assert meter(replace(USED, service_tier="flex"), asked_model="m", price=prices)[0].nano_usd == 7_500
    for tier in ("", "default", "auto", "on_demand", "standard"):
        assert meter(replace(USED, service_tier=tier), asked_model="m", price=prices)[0].nano_usd == 15_000
    assert meter(replace(USED, service_tier="scale"), asked_model="m", price=prices) == (UNKNOWN_COST, "")


def test_a_tier_that_was_asked_for_counts_where_the_reply_does_not_say() -> None:
    prices = Prices(m=card("1"), m_flex=card("0.5"), m_priority=card("2"), m_same=card("1"))

    def cost(asked: str, served: str) -> Cost:
        metered = replace(USED, service_tier=served)
        return meter(metered, asked_model="m", price=prices, asked_tier=asked)[0]

    assert cost("priority", "") == Cost(30_000, "computed", certain=False)
    assert cost("flex", "") == Cost(15_000, "computed", certain=False)
    assert cost("same", "") == Cost(15_000, "computed", certain=True)
    assert cost("scale", "") == UNKNOWN_COST
    assert cost("auto", "") == Cost(15_000, "computed", certain=True)
    # What the reply says holds: flex that was not to be had is served, and billed, as plain.
    assert cost("flex", "default") == Cost(15_000, "computed", certain=True)
    assert cost("priority", "flex") == Cost(7_500, "computed", certain=True)


def test_fast_is_not_billed_as_the_priority_that_the_reply_calls_it() -> None:
    prices = Prices(m=card("1"), m_priority=card("2"), m_fast=card("3"))
    served = replace(USED, service_tier="priority")
    assert meter(served, asked_model="m", price=prices, asked_tier="fast")[0].nano_usd == 45_000
    assert meter(served, asked_model="m", price=prices, asked_tier="priority")[0].nano_usd == 30_000
    assert meter(served, asked_model="m", price=prices)[0].nano_usd == 30_000


def test_a_leaf_without_a_price_makes_the_cost_unknown() -> None:
    searched = replace(USED, usage=Usage.of(10, 5, {"web_searches": 1}))
    assert meter(searched, asked_model="m", price=LISTED) == (UNKNOWN_COST, "")
    priced = Prices(m=card("1", web_searches="10000"))
    assert meter(searched, asked_model="m", price=priced)[0].nano_usd == 10_015_000


def test_a_request_with_a_price_of_its_own_is_charged_for() -> None:
    assert meter(USED, asked_model="m", price=Prices(m=card("1", requests="5000")))[0].nano_usd == 5_015_000
    said = replace(USED, usage=Usage.of(10, 5, {"requests": 2}))
    assert meter(said, asked_model="m", price=Prices(m=card("1", requests="5000")))[0].nano_usd == 10_015_000


def test_what_cannot_be_the_fact_is_not_certain() -> None:
    contradictory = replace(USED, usage=Usage.of(10, 5, contradictory=True))
    assert meter(contradictory, asked_model="m", price=LISTED)[0] == Cost(15_000, "computed", certain=False)
    by_the_hour = Prices(m=dataclasses.replace(card("1"), at_most=True))
    assert not meter(USED, asked_model="m", price=by_the_hour)[0].certain
    assert not meter(USED, asked_model="m", price=LISTED, tools_ran=True)[0].certain
    searching = Prices(**{"gpt-4o-search-preview": card("1")})
    metered = replace(USED, served_model="gpt-4o-search-preview")
    assert not meter(metered, asked_model="m", price=searching)[0].certain


def test_what_the_usage_would_not_tell_is_not_certain_where_it_costs_more() -> None:
    gemini, openai = provider_row("gemini"), provider_row("openai")
    said, sound = b'{"text":"\\\\"input_audio\\\\""}', b'[{"type":"input_audio"}]'
    assert untold(openai, sound) == ()
    assert untold(gemini, said) == ("audio_output", "image_output")
    assert untold(gemini, sound) == ("audio_input", "video_input", "audio_output", "image_output")
    hears, draws = card("1", audio_input="2"), card("1", image_output="12")
    for known, body, certain in (
        (hears, said, True), (hears, sound, False), (draws, said, False), (card("1"), sound, True), (OWN, sound, True),
    ):  # fmt: skip
        cost, _ = meter(USED, asked_model="m", price=Prices(m=known), untold=untold(gemini, body))
        assert (cost.nano_usd, cost.certain) == (known.cost_nano_usd(Usage.of(10, 5)), certain)


def test_models_beside_the_served_one_are_billed_at_their_own_prices() -> None:
    advised = replace(USED, apart=(("big", Usage.of(3, 1)), ("big", Usage.of(1, 0))))
    prices = Prices(m=card("0.0000001"), big=card("0.0000003"))
    # 15 and 5 tokens at less than a nano-dollar each: rounded up once, and not once a model.
    assert meter(advised, asked_model="m", price=prices)[0] == Cost(1, "computed", certain=True)
    assert meter(advised, asked_model="m", price=Prices(m=card("1"), big=card("3")))[0].nano_usd == 15_000 + 15_000
    assert meter(advised, asked_model="m", price=LISTED) == (UNKNOWN_COST, "")
    reported = replace(advised, reported_nano_usd=7)
    assert meter(reported, asked_model="m", price=LISTED)[0] == Cost(7, "provider", certain=True)
    doubtful = replace(USED, apart=(("big", Usage.of(3, 1, contradictory=True)),))
    assert not meter(doubtful, asked_model="m", price=Prices(m=card("1"), big=card("3")))[0].certain
    fast = replace(advised, service_tier="fast")
    tiers = Prices(m=card("1"), m_fast=card("2"), big=card("3"), big_fast=card("6"))
    assert meter(fast, asked_model="m", price=tiers)[0].nano_usd == 30_000 + 30_000
