"""The data plane: a call comes in, is governed by the engine, and its reply goes out as the bytes that came.

Decides nothing about money. A stream's answer begins with its first payloads, so that what fails before them has a
status of its own; what fails after them is an event of the stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.call.flow import Result
from bursar.errors import BursarError
from bursar.gateway.asking import asked_of
from bursar.gateway.exchange import JSON
from bursar.gateway.facts import facts_of
from bursar.gateway.problems import Problem
from bursar.gateway.refusals import body_of, refused, status_of
from bursar.gateway.streaming import end_of, error_frame, frame_of

if TYPE_CHECKING:
    from bursar.edges.drive import AsyncRelay
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming
    from bursar.gateway.table import Handler
    from bursar.wire.dialect import Dialect

BODY_BYTES_MAX = 32 * 1024 * 1024
STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


def calls_in(dialect: Dialect) -> Handler:
    """What answers the calls of a dialect."""

    async def answer(gateway: Gateway, incoming: Incoming) -> None:
        try:
            await _govern(gateway, incoming, dialect)
        except (BursarError, Problem) as error:
            await incoming.reply(*refused(error, dialect.name))

    return answer


async def _govern(gateway: Gateway, incoming: Incoming, dialect: Dialect) -> None:
    state = gateway.state
    body = await incoming.body(BODY_BYTES_MAX)
    request = dialect.parse(body)
    asked = asked_of(incoming.headers, incoming.key, request.model, None)
    route = state.engine.route(dialect, body, asked)
    outcome = await state.driver.call(route, state.engine.observe)
    if isinstance(outcome, Result):
        await incoming.reply(200, [JSON, *facts_of(outcome)], outcome.body or b"")
    else:
        await _relay(incoming, outcome, dialect.name, route.first().call_id)


async def _relay(incoming: Incoming, relay: AsyncRelay, dialect: str, call_id: str) -> None:
    """Pass a stream on. Whoever leaves it lets the drain read the rest."""
    frame = frame_of(dialect)
    try:
        payloads = await relay.pull()
        await incoming.begin(200, (*STREAM, (b"x-bursar-call-id", call_id.encode())))
        while payloads:
            await incoming.send(frame(payloads))
            payloads = await relay.pull()
        await incoming.end(end_of(dialect))
    except BursarError as error:
        if not incoming.begun:
            raise
        status, code = status_of(error)
        await incoming.end(error_frame(dialect, body_of(status, code, error.message, dialect, {})))
    finally:
        relay.leave()
