"""Where a request goes and what is put into it for one provider: address, field names, OpenRouter's routing.

Decides what of the settings reaches the body. What the caller's own body says of the same stands. Never picks the
provider or the model. Source: OpenRouter's API reference (`models` and `provider`), November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import quote

from bursar.catalog.providers import Provider
from bursar.rules.money import EXACT, PICO_PER_USD
from bursar.rules.prices import PriceCard
from bursar.wire.dialect import Request, Target

__all__ = ["Routed", "address_of", "target_of"]

# It has no fallback model: vectors of another one could not be compared with those there are.
_EMBEDDINGS = "embeddings"
_MILLION = 1_000_000


class Routed(Protocol):
    """What the user's settings say of where OpenRouter may send a request."""

    @property
    def enable_fallbacks(self) -> bool: ...
    @property
    def fallback_models(self) -> tuple[str, ...]: ...
    @property
    def provider_preferences(self) -> Mapping[str, Any]: ...
    @property
    def limit_route_price(self) -> bool: ...


def address_of(row: Provider, model: str, path: str) -> str:
    """The URL for a model in the dialect whose path this is.

    >>> address_of(Provider("a", "https://a/deployments/{model}", api_version="2024-10-21"), "my 4o", "/chat")
    'https://a/deployments/my%204o/chat?api-version=2024-10-21'
    """
    base = row.base_url
    if "{" in base:
        base = base.replace("{model}", quote(model, safe=""))
    url = f"{base}{row.prefixes.get(path, '')}{path}"
    return f"{url}?api-version={quote(row.api_version, safe='')}" if row.api_version else url


def target_of(
    row: Provider,
    model: str,
    settings: Routed,
    request: Request,
    price: Callable[[str], PriceCard | None] | None = None,
    *,
    imposes: bool = False,
) -> Target:
    """How a request is encoded for a provider, with the models that it may serve instead of the one asked.

    `fallback_models` go to OpenRouter as `models`, the asked one first, and `provider_preferences` as `provider`. What
    the caller's own body says of either stands. `enable_fallbacks: false` sends no models. price: of a model of this
    provider, for `limit_route_price`, which asks OpenRouter for no route dearer than the bound was made with. imposes:
    the preferences are somebody else's than the body, and what they say stands; the body may say what they do not.
    """
    extra: dict[str, Any] = {}
    imposed: dict[str, Any] = {}
    reaches: tuple[str, ...] = ()
    if row.fallbacks:
        if settings.enable_fallbacks and settings.fallback_models and request.dialect != _EMBEDDINGS:
            reaches = tuple(dict.fromkeys(name for name in settings.fallback_models if name != model))
            if reaches:
                extra["models"] = [model, *reaches]
        preferences = dict(settings.provider_preferences)
        if settings.limit_route_price and price is not None:
            most = _most([price(name) for name in (model, *reaches, *request.reaches)])
            if most:
                preferences["max_price"] = most | preferences.get("max_price", {})
        if preferences:
            (imposed if imposes else extra)["provider"] = preferences
    return Target(model, row.limit_field, row.usage_field, extra, imposed, reaches)


def _most(cards: Iterable[PriceCard | None]) -> dict[str, str]:
    """OpenRouter's `max_price` for what the dearest of these cards says; empty where one of them is not known."""
    known = list(cards)
    most: dict[str, str] = {}
    for name, leaf in (("prompt", "input"), ("completion", "output")):
        prices = [card.pico_usd.get(leaf) if card else None for card in known]
        if None not in prices:
            pico = max(price for price in prices if price is not None)
            most[name] = f"{EXACT.divide(Decimal(pico * _MILLION), PICO_PER_USD).normalize():f}"
    return most
