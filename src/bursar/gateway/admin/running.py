"""How the gateway is doing: circuit breakers and their reset, pools of connections, statistics.

Breakers are those of every process that uses the books; pools and statistics are of the worker that answers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.shapes import Instant, Usd, instant, instant_or_none


class BreakerShown(Struct, frozen=True):
    """The breaker of a model in one process. since: when it changed; until: when the next probe may go.

    opened: how often it has. reset_asked: its process has yet to close it.
    """

    provider: str
    model: str
    state: Literal["closed", "open", "half_open"]
    since: Instant
    until: Instant | None
    opened: int
    why: str
    pid: int
    host: str
    reset_asked: bool


class Breakers(Struct, frozen=True):
    """Breakers that have opened, in processes that still run."""

    data: list[BreakerShown]


class ResetBreakers(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose breakers to close: of a model of a provider, of a provider, or, without any, all."""

    provider: Annotated[str, Meta(max_length=64)] = ""
    model: Annotated[str, Meta(max_length=256)] = ""


class ResetAsked(Struct, frozen=True):
    """How many breakers are asked to close. Their processes do it within a second."""

    asked: int


class PoolShown(Struct, frozen=True):
    """The connections to one provider. seats_in_use: exchanges under way; waiting: those without a seat yet.

    idle: connections kept for reuse. Counts are since the worker started, or read its configuration again.
    """

    provider: str
    max_connections: int
    seats_in_use: int
    waiting: int
    idle: int
    exchanges: int
    opened: int
    reused: int
    waits: int
    failures: int
    failures_in_row: int
    last_failure: str | None
    last_failure_at: Instant | None


class Pools(Struct, frozen=True):
    """The pool of every provider that was asked."""

    data: list[PoolShown]


class Figures(Struct, frozen=True):
    """Calls of the last hour. Times in seconds, percentiles within 1 %. success_rate: from 0 to 1."""

    count: int
    success_rate: float | None
    avg_response_time: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    total_tokens: int
    total_cost_usd: Usd | None
    unknown_costs: int
    errors: dict[str, int]


class WentOn(Struct, frozen=True):
    """How many calls asked the same again after a failure, and how many asked another model."""

    retries: int
    fallbacks: int


class Statistics(Struct, frozen=True):
    """Figures by provider and by model over the last hour; refusals and retries since the start; queues of now."""

    providers: dict[str, Figures]
    models: dict[str, Figures]
    refused: dict[str, dict[str, int]]
    went_on: dict[str, WentOn]
    queues: dict[str, dict[str, Any]]


def list_breakers(ask: Ask) -> Breakers:
    """Breakers that have opened; closed ones for a day."""
    shown = []
    for posted in ask.store.board.posted(ask.now_ms):
        change = posted.change
        shown.append(
            BreakerShown(
                change.provider,
                change.model,
                change.state,
                instant(change.at_ms),
                instant(change.until_ms) if change.state == "open" else None,
                change.opened,
                change.why,
                posted.pid,
                posted.host,
                posted.reset_asked,
            )
        )
    return Breakers(shown)


def reset_breakers(ask: Ask) -> ResetAsked:
    """Ask the providers again at once."""
    wanted: ResetBreakers = ask.body
    return ResetAsked(ask.store.board.ask_reset(wanted.provider, wanted.model))


async def list_pools(ask: Ask) -> Pools:
    """The pools of this worker."""
    shown = []
    for provider, pool in sorted(ask.state.transport.statistics().items()):
        shown.append(
            PoolShown(
                provider,
                pool.limits.max_connections,
                pool.seats_in_use,
                pool.waiting,
                pool.idle,
                pool.exchanges,
                pool.opened,
                pool.reused,
                pool.waits,
                pool.failures,
                pool.failures_in_row,
                pool.last_failure,
                instant_or_none(pool.last_failure_ms),
            )
        )
    return Pools(shown)


def show_statistics(ask: Ask) -> Statistics:
    """The statistics of this worker."""
    told = ask.engine.statistics()
    return Statistics(
        {name: _figures(one) for name, one in told["providers"].items()},
        {name: _figures(one) for name, one in told["models"].items()},
        told["refused"],
        {name: WentOn(**one) for name, one in told["went_on"].items()},
        told["queues"],
    )


def _figures(told: dict[str, Any]) -> Figures:
    cost = told["total_cost"]
    rest = {name: told[name] for name in Figures.__struct_fields__ if name != "total_cost_usd"}
    return Figures(**rest, total_cost_usd=None if cost is None else f"{cost:f}")


ENDPOINTS = (
    Endpoint("GET", "/api/breakers", "view", "Circuit breakers that have opened.", list_breakers, Breakers),
    Endpoint(
        "POST", "/api/breakers/reset", "admin", "Close breakers: ask their providers again at once.", reset_breakers,
        ResetAsked, takes=ResetBreakers, status=202,
    ),
    Endpoint("GET", "/api/pools", "view", "Connections to providers, of this worker.", list_pools, Pools),
    Endpoint("GET", "/api/statistics", "view", "Figures of calls, of this worker.", show_statistics, Statistics),
)  # fmt: skip
