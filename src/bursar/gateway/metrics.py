"""GET /metrics: for Prometheus, and for whoever may see what the gateway does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.gateway.problems import Problem
from bursar.rules.keys import allows
from bursar.telemetry.prometheus import CONTENT_TYPE

if TYPE_CHECKING:
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming

_HEADERS = ((b"content-type", CONTENT_TYPE.encode("ascii")), (b"cache-control", b"no-store"))


async def metrics(gateway: Gateway, incoming: Incoming) -> None:
    """The page, for keys of the role view; for everybody where `gateway.metrics` is open."""
    state = gateway.state
    if state.settings.gateway.metrics != "open":
        key = state.doorkeeper.who(incoming.headers)
        if not allows(key.role, "view"):
            raise Problem(403, "role_too_low", f"this needs the role view; this key has {key.role}")
    page = await gateway.metering.page()
    await incoming.reply(200, _HEADERS, page.encode())
