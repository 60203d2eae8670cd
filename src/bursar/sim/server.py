"""The simulator on a port: routes, start and stop.

`running` starts it inside a test's event loop; `serve` blocks until Ctrl-C or SIGTERM, after saying where it is in
one JSON line on stdout. Stopping wakes every answer that is still being generated, so that each is billed before the
process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from bursar.sim.admission import admit_embedding, check_key
from bursar.sim.asks import read_embedding
from bursar.sim.chat import answer_chat
from bursar.sim.config import SimConfig
from bursar.sim.control import add_control_routes, show
from bursar.sim.delivery import ClientLeftError, read_body, send_failure, send_unserved, send_whole
from bursar.sim.embeddings import embed
from bursar.sim.exchange import FORMS, Desk, Exchange
from bursar.sim.exportpages import add_export_routes
from bursar.sim.failures import Failure, RefusedRequestError, unknown_model
from bursar.sim.forms import Form
from bursar.sim.keys import key_failure
from bursar.sim.lookups import add_lookup_routes
from bursar.sim.messages import answer_count, answer_message
from bursar.sim.openrouter_messages import OPENROUTER_MESSAGES
from bursar.sim.responses import answer_response
from bursar.sim.usage import Usage

SHUTDOWN_SECONDS = 2.0
Answering = Callable[[Exchange, web.Request], Awaitable[web.StreamResponse]]
Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def answer_embedding(exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """POST embeddings."""
    check_key(exchange, request.headers)
    ask = read_embedding(await read_body(request))
    admit_embedding(exchange, ask, request.headers)
    if exchange.fault is not None:
        unserved = await send_unserved(exchange, request, exchange.fault, Usage(ask.prompt_tokens(), 0))
        if unserved is not None:
            return unserved
    body, usage = embed(exchange, ask)
    return await send_whole(exchange, request, body, usage)


KINDS: dict[str, tuple[str, Answering]] = {
    "chat": ("/chat/completions", answer_chat),
    "embeddings": ("/embeddings", answer_embedding),
    "responses": ("/responses", answer_response),
    "messages": ("/messages", answer_message),
    "count_tokens": ("/messages/count_tokens", answer_count),
}


def make_app(desk: Desk) -> web.Application:
    """All routes over one desk."""
    app = web.Application(client_max_size=desk.config.body_bytes_max)
    for form in (*FORMS, OPENROUTER_MESSAGES):
        for kind in form.speaks:
            path, answering = KINDS[kind]
            app.router.add_post(form.prefix + path, billed_route(desk, form, kind, answering))
    for form in FORMS:
        add_model_routes(app, desk, form)
    add_lookup_routes(app, desk)
    add_control_routes(app, desk)
    add_export_routes(app, desk)
    for form in FORMS:
        app.router.add_route("*", form.prefix + "/{tail:.*}", unknown_page(form))
    return app


def billed_route(desk: Desk, form: Form, kind: str, answering: Answering) -> Route:
    """One billed route: whatever is refused on the way becomes the provider's own error."""

    async def respond(request: web.Request) -> web.StreamResponse:
        exchange = desk.open(form, kind, request.headers)
        try:
            return await answering(exchange, request)
        except RefusedRequestError as refused:
            return await send_failure(exchange, refused.failure)
        except (ClientLeftError, ConnectionError):
            return web.Response()  # nobody is there to read it

    return respond


def add_model_routes(app: web.Application, desk: Desk, form: Form) -> None:
    shelf = desk.shelves[form.name]

    def refused(request: web.Request) -> web.StreamResponse | None:
        """OpenRouter shows its models to everybody, all others to good keys."""
        if form.falls_back or not form.needs_key:
            return None
        failure = key_failure(request.headers, desk.config.key_prefixes, form.key_header)
        return None if failure is None else show(form.failure_body(failure), status=failure.status)

    async def models(request: web.Request) -> web.StreamResponse:
        if unknown := refused(request):
            return unknown
        rows = [form.model_row(model) for model in shelf.models.values()]
        if "messages" in form.speaks:
            return show({"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]})
        return show({"object": "list", "data": rows} if not form.falls_back else {"data": rows})

    async def model(request: web.Request) -> web.StreamResponse:
        if unknown := refused(request):
            return unknown
        name = request.match_info["model"]
        found = shelf.find(name)
        if found is None:
            return show(form.failure_body(unknown_model(name)), status=404)
        return show(form.model_row(found))

    app.router.add_get(f"{form.prefix}/models", models)
    app.router.add_get(form.prefix + "/models/{model:.+}", model)


def unknown_page(form: Form) -> Route:
    async def respond(request: web.Request) -> web.StreamResponse:
        failure = Failure(404, "unknown_url", f"Invalid URL ({request.method} {request.path})")
        return show(form.failure_body(failure), status=404)

    return respond


@dataclass(frozen=True, slots=True)
class RunningSim:
    """A simulator that listens. `url` has no slash at its end; a client's base_url is `url + "/openai/v1"`."""

    url: str
    desk: Desk


@contextlib.asynccontextmanager
async def running(config: SimConfig | None = None) -> AsyncIterator[RunningSim]:
    """A simulator inside this event loop, listening until the block ends. Raises OSError where it cannot listen."""
    config = config or SimConfig()
    desk = Desk(config)
    runner = web.AppRunner(make_app(desk), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handle_signals=False)
    try:
        await runner.setup()
        await web.TCPSite(runner, config.host, config.port, backlog=1024).start()
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield RunningSim(f"http://{host}:{runner.addresses[0][1]}", desk)
    finally:
        desk.clock.hurry()
        await runner.cleanup()
        desk.close()


def serve(config: SimConfig, *, until_stdin_ends: bool = False) -> int:
    """Run until Ctrl-C, SIGTERM or, if asked, the end of stdin. Returns the exit code."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, until_stdin_ends=until_stdin_ends))
    return 0


def stop_at_end_of_stdin(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


async def _serve(config: SimConfig, *, until_stdin_ends: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: asyncio.run turns Ctrl-C into KeyboardInterrupt
            loop.add_signal_handler(number, stop.set)
    if until_stdin_ends:
        loop.add_reader(sys.stdin.fileno(), stop_at_end_of_stdin, stop)
    async with running(config) as sim:
        sys.stdout.buffer.write(msgspec.json.encode({"url": sim.url, "seed": config.seed}) + b"\n")
        sys.stdout.buffer.flush()
        await stop.wait()
