"""Sends answers that are not streams, and failures, over real sockets; and bends them as the fault says.

The bill is settled before the first byte of the answer leaves: generation ends, then the entry is written, then the
client hears of it. A client that goes away meanwhile is billed in full, or for what was generated where the provider
stops on cancel.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from aiohttp import web

from bursar.sim.admission import fault_failure
from bursar.sim.exchange import Exchange
from bursar.sim.failures import Failure, RefusedRequestError
from bursar.sim.faults import Fault
from bursar.sim.forms import HeaderList, Json, encode_json
from bursar.sim.usage import Usage

JSON_TYPE = "application/json"
WATCH_SECONDS = 0.05
HTML_PAGE = b"<!DOCTYPE html>\n<html><head><title>%d</title></head><body><h1>%d</h1><hr>sim</body></html>\n"
COUNTS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "cost")
ABSURD_NUMBERS: dict[str, Any] = {
    "negative": -5,
    "strings": "many",
    "enormous": 10**18,
    "floats": 12.5,
    "null": None,
}


class ClientLeftError(Exception):
    """The client closed the connection while we were waiting to answer."""


async def read_body(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RefusedRequestError(Failure(413, "request_too_large", "The request body is too large.")) from error


def left(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()


async def pause(exchange: Exchange, request: web.Request, seconds: float) -> None:
    """Wait. Raises ClientLeftError soon after the client has gone."""
    clock = exchange.desk.clock
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not clock.hurried:
        rest = until - loop.time()
        if left(request):
            raise ClientLeftError
        if rest <= 0:
            return
        await clock.wait(min(rest, WATCH_SECONDS))


def failure_json(exchange: Exchange, failure: Failure) -> bytes:
    """A provider's own error body."""
    body = exchange.form.failure_body(failure)
    if exchange.form.errors_name_request and isinstance(body, dict):
        body["request_id"] = exchange.stamp.request_id
    return encode_json(body)


async def send_failure(exchange: Exchange, failure: Failure) -> web.StreamResponse:
    """A provider's own error. The entry is written first, unless the exchange is settled."""
    exchange.settle(failure.status, failure=failure)
    body = failure_json(exchange, failure)
    served = [header for header in exchange.answer_headers() if header[0].lower() != "retry-after"]
    headers = served + exchange.form.failure_headers(failure, exchange.at_ms)
    return answer(body, headers, status=failure.status)


async def send_unserved(
    exchange: Exchange, request: web.Request, fault: Fault, usage: Usage | None
) -> web.StreamResponse | None:
    """The answer of a fault that serves nothing: a status, a page, an error object, no byte; None for others."""
    if fault.kind not in ("status", "html", "refuse", "error_body", "model_down"):
        return None
    billed = usage if fault.bills else None
    failure = fault_failure(fault)
    if exchange.pace.first_token_seconds:
        await exchange.desk.clock.wait(exchange.pace.first_token_seconds)
    if fault.kind == "refuse":
        exchange.settle(0, billed, failure=failure)
        return close_without_a_byte(request)
    if fault.kind == "error_body":
        exchange.settle(200, billed, failure=failure)
        return answer(failure_json(exchange, failure), exchange.answer_headers())
    exchange.settle(failure.status, billed, failure=failure)
    if fault.kind == "html":
        page = HTML_PAGE % (failure.status, failure.status)
        return answer(page, [], status=failure.status, content_type="text/html")
    return await send_failure(exchange, failure)


async def send_whole(exchange: Exchange, request: web.Request, body: Json, usage: Usage) -> web.StreamResponse:
    """Generate, settle, answer. `body` is the reply with the true usage; a fault bends it on the way out."""
    fault = exchange.fault
    await generate_for(exchange, request, usage)
    if fault is None:
        exchange.settle(200, usage)
        return answer(exchange.form.body_lead + encode_json(body), exchange.answer_headers())
    if fault.kind == "error_in_stream":
        failure = fault_failure(fault)
        exchange.settle(200, usage.after(0) if fault.bills else None, failure=failure)
        return answer(failure_json(exchange, failure), exchange.answer_headers())
    exchange.settle(200, usage if fault.bills else None)
    if fault.kind == "stall":
        await pause(exchange, request, fault.seconds)
    bend_body(body, fault)
    encoded = encode_json(body)
    if fault.kind in ("drop", "truncate"):
        return await cut(request, exchange.answer_headers(), encoded, reset=fault.kind == "drop")
    if fault.kind == "malformed_json":
        encoded = encoded[: len(encoded) * 2 // 3]
    elif fault.kind == "empty":
        encoded = b""
    content_type = "text/plain" if fault.kind == "wrong_content_type" else JSON_TYPE
    return answer(encoded, exchange.answer_headers(), content_type=content_type)


async def generate_for(exchange: Exchange, request: web.Request, usage: Usage) -> None:
    """Wait while generating. If the client leaves: settle as the provider does, and raise ClientLeftError."""
    pace = exchange.pace
    seconds = pace.generation_seconds(usage.completion_tokens)
    if not seconds:
        return
    began = asyncio.get_running_loop().time()
    try:
        await pause(exchange, request, seconds)
    except ClientLeftError:
        if exchange.stops_when_left and exchange.generation is not None:
            spent = asyncio.get_running_loop().time() - began - pace.first_token_seconds
            usage = exchange.generation.usage_after(max(0, int(spent / pace.token_seconds)))
        exchange.settle(0, usage, aborted=True)
        raise


def bend_usage(usage: Json, fault: Fault | None) -> Json | None:
    """The usage as the fault shows it: absent, absurd, or true."""
    if fault is None or fault.kind not in ("missing_usage", "absurd_usage"):
        return usage
    if fault.kind == "missing_usage":
        return None
    absurd = ABSURD_NUMBERS[fault.variant]
    return {name: absurd if name in COUNTS else value for name, value in usage.items()}


def bend_body(body: Json, fault: Fault) -> None:
    if fault.kind in ("missing_usage", "absurd_usage"):
        bent = bend_usage(body.pop("usage"), fault)
        if bent is not None:
            body["usage"] = bent
    elif fault.kind == "oversized":
        if "choices" in body:
            body["choices"][0]["message"]["content"] = "x" * fault.body_bytes
        else:
            body["padding"] = "x" * fault.body_bytes


def answer(body: bytes, headers: HeaderList, *, status: int = 200, content_type: str = JSON_TYPE) -> web.StreamResponse:
    return web.Response(body=body, status=status, headers=[*headers, ("Content-Type", content_type)])


async def cut(request: web.Request, headers: HeaderList, body: bytes, *, reset: bool) -> web.StreamResponse:
    """Headers that promise the whole body, then half of it and the end: by reset at once, or by an ordinary close."""
    response = web.StreamResponse(headers=[*headers, ("Content-Type", JSON_TYPE)])
    response.content_length = len(body)
    await response.prepare(request)
    if not reset:
        await response.write(body[: len(body) // 2])
    await hang_up(request, reset=reset)
    return response


async def hang_up(request: web.Request, *, reset: bool) -> None:
    """End the connection here. A reset throws away what the kernel has not sent, so let that leave first."""
    transport = request.transport
    if transport is None:
        return
    if reset:
        await asyncio.sleep(0.01)
        linger = struct.pack("ii", 1, 0)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()


def close_without_a_byte(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
