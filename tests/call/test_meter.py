"""Whose word on a cost counts, and whether it is the fact."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bursar.call.meter import meter
from bursar.rules.money import FREE, UNKNOWN_COST, Cost
from bursar.rules.prices import PriceCard, free_card
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered


def card(usd: str, version: str = "genai-prices 0.2.3", **more: str) -> PriceCard:
    return PriceCard.of({"input": usd, "output": usd} | more, version=version)


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


def test_the_providers_word_comes_first() -> None:
    reported = replace(USED, reported_nano_usd=7)
    assert meter(reported, asked_model="m", price=LISTED) == (Cost(7, "provider", certain=True), "")
    without_usage = replace(reported, usage=None)
    assert meter(without_usage, asked_model="m", price=Prices())[0] == Cost(7, "provider", certain=True)
    contradictory = replace(reported, usage=Usage.of(10, 0, {"cached_input": 40}))
    assert meter(contradictory, asked_model="m", price=LISTED)[0].certain
    free_and_billed = Prices(m=free_card("genai-prices 0.2.3"))
    assert meter(reported, asked_model="m", price=free_and_billed)[0] == Cost(7, "provider", certain=True)


def test_a_cost_that_some_server_makes_up_is_not_believed() -> None:
    reported = replace(USED, reported_nano_usd=7)
    assert meter(reported, asked_model="m", price=LISTED, reports_cost=False)[0].nano_usd == 15_000


def test_free_is_free_when_the_user_says_so() -> None:
    free = Prices(m=free_card("price: free"))
    for metered in (USED, Metered(), replace(USED, reported_nano_usd=7)):
        assert meter(metered, asked_model="m", price=free) == (FREE, "price: free")


def test_no_usage_is_unknown_and_not_free() -> None:
    for price in (LISTED, Prices(), Prices(m=free_card("genai-prices 0.2.3"))):
        assert meter(Metered(), asked_model="m", price=price) == (UNKNOWN_COST, "")


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
    by_the_hour = Prices(m=card("1", "genai-prices 0.2.3 (dearest of the day)"))
    assert not meter(USED, asked_model="m", price=by_the_hour)[0].certain
    assert not meter(USED, asked_model="m", price=LISTED, tools_ran=True)[0].certain
    searching = Prices(**{"gpt-4o-search-preview": card("1")})
    metered = replace(USED, served_model="gpt-4o-search-preview")
    assert not meter(metered, asked_model="m", price=searching)[0].certain
