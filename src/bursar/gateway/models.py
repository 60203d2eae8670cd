"""GET /v1/models and /v1/models/{id}: what a key may use, in OpenAI's form, or in Anthropic's for its speakers.

Decides nothing of prices: a model is listed where one is known (`naming.offers`). When a model was released nobody here
knows, so that `created` is 0, and `created_at` the epoch, as Anthropic has it for such.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from bursar.config import candidates
from bursar.errors import ConfigError
from bursar.gateway.naming import Offer, check_allowed, offers, unlisted, unserved
from bursar.gateway.problems import Problem

if TYPE_CHECKING:
    from bursar.config import Settings
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming
    from bursar.rules.keys import CallerKey

# Who sends this header reads Anthropic's form.
VERSION = b"anthropic-version"
EPOCH = "1970-01-01T00:00:00Z"
PAGE = 20
PAGE_MAX = 1_000


async def list_models(gateway: Gateway, incoming: Incoming) -> None:
    """Every model that the key may use."""
    state = gateway.state
    found = await asyncio.to_thread(offers, state.settings, state.engine.prices)
    settings = state.settings
    allowed = [one for one in found if _may_use(incoming.key, settings, one.id)]
    if VERSION in incoming.headers:
        await incoming.json(200, _page(allowed, incoming.query))
    else:
        await incoming.json(200, {"object": "list", "data": [_openai(one) for one in allowed]})


async def show_model(gateway: Gateway, incoming: Incoming) -> None:
    """One model, under the name that it was asked for. Raises Problem 404 and 403."""
    settings, prices = gateway.state.settings, gateway.state.engine.prices
    name = incoming.parts[0]
    check_allowed(incoming.key, settings, name, ())
    try:
        ways = candidates(settings, name)
    except ConfigError as error:
        raise await asyncio.to_thread(unserved, settings, prices, name, error) from None
    found = await asyncio.to_thread(offers, settings, prices)
    provider, model = ways[0]
    listed = next((one for one in found if one.id in (name, f"{provider}/{model}")), None)
    if listed is None:
        raise await asyncio.to_thread(unlisted, settings, prices, name)
    shown = Offer(name, listed.owner)
    await incoming.json(200, _anthropic(shown) if VERSION in incoming.headers else _openai(shown))


def _may_use(key: CallerKey, settings: Settings, name: str) -> bool:
    try:
        check_allowed(key, settings, name, ())
    except Problem:
        return False
    return True


def _openai(one: Offer) -> dict[str, Any]:
    return {"id": one.id, "object": "model", "created": 0, "owned_by": one.owner}


def _anthropic(one: Offer) -> dict[str, Any]:
    return {"type": "model", "id": one.id, "display_name": one.id, "created_at": EPOCH}


def _page(found: list[Offer], query: bytes) -> dict[str, Any]:
    """A page of Anthropic's list. Raises Problem 400."""
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    limit = asked.get("limit", str(PAGE))
    if not limit.isdecimal() or not 1 <= int(limit) <= PAGE_MAX:
        raise Problem(400, "invalid_limit", f"limit must be between 1 and {PAGE_MAX}")
    places = {one.id: place for place, one in enumerate(found)}
    if "before_id" in asked:
        end = places.get(asked["before_id"], 0)
        start = max(end - int(limit), 0)
        more = start > 0
    else:
        start = places[asked["after_id"]] + 1 if asked.get("after_id") in places else 0
        end = start + int(limit)
        more = end < len(found)
    page = [_anthropic(one) for one in found[start:end]]
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return {"data": page, "has_more": more, "first_id": first, "last_id": last}
