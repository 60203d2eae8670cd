"""All endpoints of the admin API, as entries of the gateway's table."""

from __future__ import annotations

import asyncio

from bursar.gateway.admin import (
    budgets,
    calls,
    configuration,
    holders,
    keys,
    limits,
    me,
    openapi,
    prices,
    running,
    usage,
)
from bursar.gateway.admin.endpoint import DEEDS_MAX, Endpoint
from bursar.gateway.table import Entry

ENDPOINTS: tuple[Endpoint, ...] = (
    *me.ENDPOINTS,
    *keys.ENDPOINTS,
    *holders.ENDPOINTS,
    *budgets.ENDPOINTS,
    *limits.ENDPOINTS,
    *prices.ENDPOINTS,
    *usage.ENDPOINTS,
    *calls.ENDPOINTS,
    *running.ENDPOINTS,
    *configuration.ENDPOINTS,
)


def admin_entries() -> dict[tuple[str, str], Entry]:
    """What answers below /api, by method and path; its own description among it."""
    described = (*ENDPOINTS, openapi.describing(ENDPOINTS))
    turns = asyncio.Semaphore(DEEDS_MAX)
    return {(one.method, one.path): one.entry(turns) for one in described}
