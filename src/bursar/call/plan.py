"""The plan of a call: everything about it that is known before the first effect. Made by a door, read by the flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bursar.call.meter import Pricing
from bursar.catalog.providers import Provider
from bursar.rules.allowances import Demand
from bursar.wire.dialect import Dialect, Request, Target


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that one call may cost, over all its attempts. `name` is the key or argument that set it."""

    name: str
    nano_usd: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One call to one provider.

    model: the provider's own name, as asked. scopes: see `books.Reserve`. price: the card of a model of this provider
    now, None when its price is not known. tracks_cost: False leaves the cost unknown (the seed's
    `enable_cost_tracking: false`). observes: the whole configuration only counts, so no output limit is imposed;
    observed: the budgets that only count.
    start_ms, wait_until_ms, deadline_ms: epoch milliseconds; no deadline is None.
    """

    call_id: str
    provider: Provider
    model: str
    dialect: Dialect
    request: Request
    target: Target
    url: str
    headers: Mapping[str, str]
    scopes: Mapping[str, str]
    demand: Demand
    price: Pricing
    start_ms: int
    wait_until_ms: int
    deadline_ms: int | None = None
    pool_timeout_seconds: float = 10.0
    caps: tuple[Cap, ...] = ()
    tracks_cost: bool = True
    observes: bool = False
    observed: frozenset[str] = frozenset()
    warn_nano_usd: int | None = None
    unpriced: tuple[str, ...] = field(default=())
