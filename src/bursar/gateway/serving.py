"""One worker: uvicorn's server around the gateway, on a socket that is listening already.

Decides how the server is set (no framework, no access log, nothing said of itself) and what signals mean: TERM and INT
stop, HUP reads the configuration again. At a stop, what is under way gets its time; what is left then is settled at
once. The books are closed last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from bursar.errors import BursarError
from bursar.gateway.app import Gateway
from bursar.gateway.opening import Opened
from bursar.gateway.protocol import Connection
from bursar.gateway.signals import heed_reload
from bursar.gateway.state import State

KEEP_ALIVE_SECONDS = 75
BACKLOG = 2_048

_log = logging.getLogger("bursar")


class Server(uvicorn.Server):
    """uvicorn's server, whose signals are the worker's to handle. ready: called once it answers."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise them again at the end, before the books are closed."""
        yield


class Worker:
    """Serves a gateway. open: opens what it works with. ready: called on its loop once it answers."""

    def __init__(
        self, open: Callable[[], Opened], stop_seconds: float, ready: Callable[[Worker], None] | None = None
    ) -> None:
        self._open = open
        self._stop_seconds = stop_seconds
        self._ready = ready
        self._reloads: set[asyncio.Task[None]] = set()
        self.gateway: Gateway
        self.server: Server
        self.loop: asyncio.AbstractEventLoop

    def run(self, listening: socket.socket, opened: Opened | None = None) -> None:
        """Serve until it is asked to stop. opened: what is open already. Raises what `open` raises."""
        opened = opened or self._open()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._serve(opened, listening))

    def stop(self) -> None:
        """Take no more requests, finish those under way within the bound; asked again, within none. Thread-safe."""
        if self.server.should_exit:
            self.server.force_exit = True
        self.gateway.stopping = self.server.should_exit = True

    def reload(self) -> None:
        """Read the configuration again; what is wrong with it is logged, and changes nothing."""
        task = self.loop.create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _serve(self, opened: Opened, listening: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        self.gateway = Gateway(State(opened), self._open)
        self.server = Server(_config(self.gateway, self._stop_seconds), self._answers)
        try:
            with self._signals():
                await self.server.serve([listening])
        finally:
            await self.gateway.close()

    def _answers(self) -> None:
        if self._ready is not None:
            self._ready(self)

    async def _reload(self) -> None:
        try:
            await self.gateway.reload()
        except BursarError as error:
            _log.error("the configuration was not read again, the old one stays: %s", error)
        else:
            _log.info("the configuration was read again")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle signals while it serves; also the end of the process that started this one."""
        parent = multiprocessing.parent_process()
        # A terminal interrupts all processes at once: with a supervisor, it alone says when a worker stops.
        interrupted = self.stop if parent is None else _ignored
        handlers = {signal.SIGTERM: self.stop, signal.SIGINT: interrupted, signal.SIGHUP: self.reload}
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: whoever made it stops it
            for number, handler in handlers.items():
                self.loop.add_signal_handler(number, handler)
            heed_reload()
        if parent is not None:
            self.loop.add_reader(parent.sentinel, self._orphaned, parent.sentinel)
        yield

    def _orphaned(self, sentinel: int) -> None:
        self.loop.remove_reader(sentinel)
        self.stop()


def _config(gateway: Gateway, stop_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        gateway,
        http=Connection,
        ws="none",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(stop_seconds),
    )


def _loop_factory() -> Callable[[], Any] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _ignored() -> None:
    """A signal that is somebody else's to heed."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that is listening. Raises OSError."""
    host = host.strip("[]")
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
