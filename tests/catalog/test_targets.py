"""Where a request goes, and what OpenRouter is told of where it may send it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from bursar.catalog.providers import Provider, provider_row
from bursar.catalog.targets import address_of, target_of
from bursar.rules.prices import PriceCard
from bursar.wire.dialect import Request

CHAT = Request(b"{}", "openai_chat", "m")
CARDS = {
    "m": PriceCard.of({"input": "0.15", "output": "0.60"}, version="t"),
    "a/b": PriceCard.of({"input": "3", "output": "0.5"}, version="t"),
    "e": PriceCard.of({"input": "0.02"}, version="t"),
}


@dataclass(frozen=True)
class Given:
    """Settings of a user, as far as routing needs them."""

    enable_fallbacks: bool = True
    fallback_models: tuple[str, ...] = ()
    provider_preferences: Mapping[str, Any] = field(default_factory=dict)
    limit_route_price: bool = False


def test_fallbacks_and_preferences_reach_openrouter() -> None:
    given = Given(
        fallback_models=("openai/gpt-4o-mini", "a/b", "a/b"), provider_preferences={"data_collection": "deny"}
    )
    target = target_of(provider_row("openrouter"), "openai/gpt-4o-mini", given, CHAT)
    assert target.extra == {"models": ["openai/gpt-4o-mini", "a/b"], "provider": {"data_collection": "deny"}}
    assert target.reaches == ("a/b",)
    assert (target.limit_field, target.usage_field) == ("max_tokens", "")


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_every_dialect_of_conversations_has_them(dialect: str) -> None:
    given = Given(fallback_models=("a/b",), provider_preferences={"zdr": True})
    target = target_of(provider_row("openrouter"), "m", given, Request(b"{}", dialect, "m"))
    assert target.extra == {"models": ["m", "a/b"], "provider": {"zdr": True}}


def test_an_embedding_has_preferences_and_no_fallbacks() -> None:
    given = Given(fallback_models=("a/b",), provider_preferences={"data_collection": "deny"})
    target = target_of(provider_row("openrouter"), "e", given, Request(b"{}", "embeddings", "e"))
    assert (target.extra, target.reaches) == ({"provider": {"data_collection": "deny"}}, ())


def test_fallbacks_can_be_turned_off_and_go_nowhere_else() -> None:
    given = Given(fallback_models=("a/b",), enable_fallbacks=False)
    assert target_of(provider_row("openrouter"), "m", given, CHAT).extra == {}
    reaching = Given(fallback_models=("a/b",), provider_preferences={"sort": "price"}, limit_route_price=True)
    assert target_of(provider_row("openai"), "m", reaching, CHAT, CARDS.get).extra == {}


def test_a_route_may_cost_what_the_dearest_model_does_that_it_reaches() -> None:
    row, given = provider_row("openrouter"), Given(fallback_models=("a/b",), limit_route_price=True)
    most = {"prompt": "3", "completion": "0.6"}
    assert target_of(row, "m", given, CHAT, CARDS.get).extra["provider"] == {"max_price": most}
    asked = Request(b"{}", "openai_chat", "m", reaches=("a/b",))
    assert target_of(row, "m", Given(limit_route_price=True), asked, CARDS.get).extra["provider"] == {"max_price": most}


def test_a_route_whose_price_is_not_known_is_not_limited() -> None:
    row, given = provider_row("openrouter"), Given(fallback_models=("unheard-of",), limit_route_price=True)
    assert target_of(row, "m", given, CHAT, CARDS.get).extra == {"models": ["m", "unheard-of"]}
    embedding = Request(b"{}", "embeddings", "e")
    limited = target_of(row, "e", Given(limit_route_price=True), embedding, CARDS.get)
    assert limited.extra == {"provider": {"max_price": {"prompt": "0.02"}}}


def test_the_users_own_limit_of_a_route_stands() -> None:
    own = Given(provider_preferences={"max_price": {"prompt": "9"}, "zdr": True}, limit_route_price=True)
    target = target_of(provider_row("openrouter"), "m", own, CHAT, CARDS.get)
    assert target.extra["provider"] == {"max_price": {"prompt": "9", "completion": "0.6"}, "zdr": True}
    assert own.provider_preferences["max_price"] == {"prompt": "9"}


ADDRESSES = [
    (provider_row("openai"), "/chat/completions", "https://api.openai.com/v1/chat/completions"),
    (provider_row("deepseek"), "/chat/completions", "https://api.deepseek.com/chat/completions"),
    (provider_row("deepseek"), "/messages", "https://api.deepseek.com/anthropic/v1/messages"),
    (
        Provider("azure", "https://r.openai.azure.com/openai/v1", api_version="preview"),
        "/responses",
        "https://r.openai.azure.com/openai/v1/responses?api-version=preview",
    ),
    (
        Provider("azure", "https://r.openai.azure.com/openai/deployments/{model}", api_version="2024-10-21"),
        "/chat/completions",
        "https://r.openai.azure.com/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21",
    ),
]


@pytest.mark.parametrize(("row", "path", "address"), ADDRESSES)
def test_addresses(row: Provider, path: str, address: str) -> None:
    assert address_of(row, "a/b", path) == address
