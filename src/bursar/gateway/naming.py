"""Names of models as callers use them: what is on offer, what a key may use, and what an unknown name is told.

Decides what is listed: routes, and the models of configured providers whose prices are known. A model that is not
listed can be asked all the same, since its provider may know it. Says nothing of where a key would have to be set: that
is for whoever runs the gateway, who finds it in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from bursar.catalog.providers import known_rows
from bursar.config import candidates
from bursar.config.nearest import nearest
from bursar.errors import ConfigError, PriceUnknownError
from bursar.gateway.problems import Problem
from bursar.rules.keys import may_use
from bursar.wire.server_side import leaves_open, models_of_tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.catalog.prices import PriceBook
    from bursar.config import Settings
    from bursar.rules.keys import CallerKey
    from bursar.wire.dialect import Request

SHOWN_MAX = 128
# Fields whose models are among those that a request reaches, by dialect.
_LISTED = {"anthropic_messages": ("fallbacks",)}
ROUTE_OWNER = "bursar"


class Offer(NamedTuple):
    """A name that calls can be sent to, and whose it is: a provider's, or ours for a route."""

    id: str
    owner: str


def offers(settings: Settings, prices: PriceBook) -> list[Offer]:
    """Everything on offer, routes first. Reads whole price lists the first time, which takes a moment."""
    found = [Offer(name, ROUTE_OWNER) for name in sorted(settings.routes)]
    for name, given in settings.providers.items():
        if given.has_key:
            named = {*prices.models(name), *given.deployments, *([given.model] if given.model else [])}
            found += [Offer(f"{name}/{model}", name) for model in sorted(named)]
    return found


def check_request(key: CallerKey, settings: Settings, request: Request) -> None:
    """Refuse a call that the key's allow-list does not cover, whatever of its body leads to a model. Raises Problem."""
    if not key.models:
        return
    fields = request.fields
    check_allowed(key, settings, request.model, [*request.reaches, *models_of_tools(fields)])
    for name in leaves_open(fields, _LISTED.get(request.dialect, ())):
        raise Problem(403, "model_not_allowed", f"the key {key.name!r} may not leave the choice of a model to {name}")


def check_allowed(key: CallerKey, settings: Settings, model: str, reaches: Sequence[str]) -> None:
    """Refuse a model that the key may not use, by whatever name it is asked for. Raises Problem 403.

    reaches: further models that the body lets the provider choose.
    """
    if not key.models:
        return
    try:
        ways = candidates(settings, model)
    except ConfigError:
        ways = ()
    named = may_use(key, model) or (bool(ways) and all(_may_reach(key, settings, *way) for way in ways))
    if not named:
        raise Problem(403, "model_not_allowed", f"the key {key.name!r} may not use the model {_shown(model)}")
    for other in reaches:
        if not all(_may_reach(key, settings, provider, other) for provider, _ in ways):
            raise Problem(403, "model_not_allowed", f"the key {key.name!r} may not use the model {_shown(other)}")


def _may_reach(key: CallerKey, settings: Settings, provider: str, model: str) -> bool:
    """Whether the allow-list has a model of a provider, by its full name or by a bare one that stands for it."""
    if may_use(key, f"{provider}/{model}"):
        return True
    for listed in key.models:
        if "/" not in listed and "*" not in listed and listed not in settings.routes:
            try:
                if candidates(settings, listed) == ((provider, model),):
                    return True
            except ConfigError:
                continue
    return False


def unserved(settings: Settings, prices: PriceBook, model: str, error: ConfigError) -> Problem:
    """The answer to a call whose model leads nowhere here."""
    try:
        provider = candidates(settings, model)[0][0]
    except ConfigError:
        return unlisted(settings, prices, model)
    if _usable(settings, provider):
        # The name is fine: what is configured for it fails.
        logging.getLogger("bursar").error("calls to %s fail: %s", provider, error)
        return Problem(503, "provider_misconfigured", f"{provider} cannot be used here now; its operator was told why")
    return unlisted(settings, prices, model)


def unpriced(settings: Settings, prices: PriceBook, model: str, error: PriceUnknownError) -> Problem | None:
    """The answer to a model without a price that its provider most likely does not have: mistyped, or long gone.

    None where a provider's prices are not listed by model, or where it is a tier that has no price.
    """
    ways = candidates(settings, model)
    provider, name = ways[0]
    listed = prices.models(provider)
    if len(ways) > 1 or f"{provider}/{name}" not in error.models or not listed:
        return None
    if settings.providers[provider].priced_as(name) in listed:
        return None
    return unlisted(settings, prices, model)


def unlisted(settings: Settings, prices: PriceBook, model: str) -> Problem:
    """The answer to a name that is not on offer, with the one that it is most like."""
    provider = _provider_of(settings, model)
    if provider in known_rows() and not _usable(settings, provider):
        return Problem(404, "model_not_found", f"{_shown(model)}: the provider {provider} is not configured here")
    if not any(given.has_key and (given.needs_key or given.in_file) for given in settings.providers.values()):
        return Problem(404, "model_not_found", f"there is no model {_shown(model)} here: no provider is set up yet")
    close = nearest(model, [one.id for one in offers(settings, prices)])
    hint = f"did you mean {close}? " if close else ""
    return Problem(404, "model_not_found", f"there is no model {_shown(model)} here; {hint}GET /v1/models lists them")


def _usable(settings: Settings, provider: str) -> bool:
    given = settings.providers.get(provider)
    return given is not None and given.has_key


def _provider_of(settings: Settings, model: str) -> str:
    try:
        return next(provider for provider, _ in candidates(settings, model))
    except ConfigError:
        return model.partition("/")[0] if "/" in model else ""


def _shown(model: str) -> str:
    return repr(model[:SHOWN_MAX])
