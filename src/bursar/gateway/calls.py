"""The data plane: a call comes in, is governed by the engine, and its reply goes out as the bytes that came.

Decides nothing about money. A stream's answer begins with its first payloads, so that what fails before them has a
status of its own; what fails after them is an event of the stream.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bursar.call.flow import Result
from bursar.errors import BursarError, ConfigError, PriceUnknownError
from bursar.gateway.asking import asked_of
from bursar.gateway.costing import HEADER, Tail, costed, with_cost
from bursar.gateway.exchange import JSON
from bursar.gateway.facts import facts_begun, facts_of
from bursar.gateway.naming import check_request, unpriced, unserved
from bursar.gateway.refusals import error_event
from bursar.gateway.replaying import IDEMPOTENCY_KEY, once
from bursar.gateway.streaming import end_of, frame_of

if TYPE_CHECKING:
    from bursar.call.route import Route
    from bursar.edges.drive import AsyncRelay
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming
    from bursar.gateway.replaying import Outlet
    from bursar.gateway.state import State
    from bursar.gateway.table import Handler
    from bursar.wire.dialect import Dialect

BODY_BYTES_MAX = 32 * 1024 * 1024
STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


def calls_in(dialect: Dialect) -> Handler:
    """What answers the calls of a dialect."""

    async def answer(gateway: Gateway, incoming: Incoming) -> None:
        await _govern(gateway.state, incoming, dialect)

    return answer


async def _govern(state: State, incoming: Incoming, dialect: Dialect) -> None:
    engine, headers, key = state.engine, incoming.headers, incoming.key
    request = dialect.parse(await incoming.body(BODY_BYTES_MAX))
    costs = False
    if HEADER in headers or "usage" in request.fields:
        priced = costed(headers, dialect, request)
        if priced is not None:
            request, costs = priced, True
    if key.models:
        check_request(key, state.settings, request)
    try:
        route = engine.route(dialect, request.body, asked_of(headers, key, request), request)
    except ConfigError as error:
        raise await asyncio.to_thread(unserved, state.settings, engine.prices, request.model, error) from None
    try:
        if IDEMPOTENCY_KEY not in headers:
            await _answer(state, incoming, route, dialect.name, costs)
        else:

            async def perform(outlet: Outlet) -> None:
                await _answer(state, outlet, route, dialect.name, costs)

            await once(state, incoming, dialect.name, request.body, route.first().call_id, perform)
    except PriceUnknownError as error:
        raise await asyncio.to_thread(unpriced, state.settings, engine.prices, request.model, error) or error from None


async def _answer(state: State, outlet: Outlet, route: Route, dialect: str, costs: bool) -> None:
    outcome = await state.driver.call(route, state.engine.observe)
    if isinstance(outcome, Result):
        body = outcome.body or b""
        await outlet.reply(200, [JSON, *facts_of(outcome, dialect)], with_cost(body, outcome) if costs else body)
    else:
        await _relay(outlet, outcome, dialect, Tail(dialect) if costs else None)


async def _relay(outlet: Outlet, relay: AsyncRelay, dialect: str, tail: Tail | None) -> None:
    """Pass a stream on. Whoever leaves it lets the drain read the rest."""
    frame, events = frame_of(dialect), 0
    try:
        payloads = await relay.pull()
        plan, grant = relay.effect.plan, relay.effect.grant
        assert plan is not None
        assert grant is not None
        await outlet.begin(200, (*STREAM, *facts_begun(plan, grant, dialect)))
        while payloads:
            events += len(payloads)
            if tail is not None:
                payloads = tail.passed(payloads)
            if payloads:
                await outlet.send(relay.mark() + frame(payloads))
            payloads = await relay.pull()
        last = tail.settled(relay.result) if tail is not None and relay.result is not None else []
        await outlet.end(frame(last) + end_of(dialect) if last else end_of(dialect))
    except BursarError as error:
        if not outlet.begun:
            raise
        held = tail.rest() if tail is not None else []
        await outlet.end((frame(held) if held else b"") + error_event(error, dialect, events))
    finally:
        relay.leave()
