"""POST /v1/messages/count_tokens: how many tokens a message would put in, in Anthropic's form, without asking anybody.

Decides by the bytes of the body alone, since Anthropic publishes no vocabulary: `input_tokens` is the estimate that
rate limits go by; beside it stands the bound that budgets go by, which no request of these bytes passes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bursar.catalog import models
from bursar.config import candidates
from bursar.errors import ConfigError
from bursar.gateway.calls import BODY_BYTES_MAX
from bursar.gateway.naming import check_request, unserved
from bursar.wire.anthropic_messages import AnthropicMessages

if TYPE_CHECKING:
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming

_MESSAGES = AnthropicMessages()


async def count_tokens(gateway: Gateway, incoming: Incoming) -> None:
    """Count a message's input. Raises Problem and InvalidRequestError."""
    settings = gateway.state.settings
    request = _MESSAGES.parse(await incoming.body(BODY_BYTES_MAX))
    check_request(incoming.key, settings, request)
    try:
        provider, model = candidates(settings, request.model)[0]
    except ConfigError as error:
        raise await asyncio.to_thread(unserved, settings, gateway.state.engine.prices, request.model, error) from None
    window = models.context_window(provider, model)
    size = _MESSAGES.size(request, output_tokens_min=1, output_tokens_max=1, context_tokens=window)
    told = {"input_tokens_max": size.input_tokens_max}
    await incoming.json(200, {"input_tokens": size.input_tokens_likely, "bursar": told})
