"""GET /health, /health/live and /health/ready: whether this worker lives, can take calls, and how its parts are.

Decides what being ready is: not stopping, books that can be written, and a provider that can be called. The books are
tried at most once a second however often anybody asks, so that asking costs nobody his turn at them. Without a key
nothing is told but whether all is well; the sections need the role view.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bursar
from bursar.errors import BursarError
from bursar.rules.keys import allows

if TYPE_CHECKING:
    from bursar.engine import Engine
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming
    from bursar.gateway.state import State

# How long a look at the books holds good, and how long one may take before they count as busy.
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 2.0
# With less room than this, the next commit may be the one that fails.
FREE_BYTES_MIN = 1024 * 1024

NO_STORE = ((b"cache-control", b"no-store"),)


class Readiness:
    """What keeps a worker from taking calls. To be used on its loop."""

    def __init__(self, *, look_seconds: float = LOOK_SECONDS, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._look_seconds = look_seconds
        self._patience_seconds = patience_seconds
        self._looked = -look_seconds
        self._looked_at: Engine | None = None
        self._problem = ""
        self._looking: asyncio.Future[str] | None = None

    async def problems(self, gateway: Gateway) -> list[str]:
        """Sentences, the worst first; empty when calls can be taken."""
        state = gateway.state
        stopping = ["the gateway is stopping"] if gateway.stopping else []
        usable = any(provider.has_key for provider in state.settings.providers.values())
        providers = [] if usable else ["no provider is configured that could be called"]
        books = await self._books(state.engine)
        return [*stopping, *([books] if books else []), *providers]

    async def _books(self, engine: Engine) -> str:
        """What is wrong with the books, as of at most a second ago; "" for nothing."""
        fresh = self._looked_at is engine and time.monotonic() - self._looked < self._look_seconds
        if fresh:
            return self._problem
        if self._looking is None:
            self._looking = asyncio.ensure_future(asyncio.to_thread(_looked_at, engine))
            self._looking.add_done_callback(self._found)
            self._looked_at = engine
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), self._patience_seconds)
        except TimeoutError:
            return "the books are busy: no turn at them within seconds"

    def _found(self, looking: asyncio.Future[str]) -> None:
        self._looking = None
        self._looked = time.monotonic()
        self._problem = "the look at the books was ended" if looking.cancelled() else looking.result()


def _looked_at(engine: Engine) -> str:
    try:
        return books_problem(engine)
    except Exception:
        logging.getLogger("bursar").exception("the books could not be looked at")
        return "the books could not be looked at; the log says why"


def books_problem(engine: Engine) -> str:
    """Take a turn at writing, without anything to write; "" when that goes well. Blocks."""
    store, settings = engine.store, engine.settings
    try:
        store.board.post((), engine.clock)
    except BursarError as error:
        return error.message
    if engine.teller.unsettled:
        return f"{engine.teller.unsettled} calls wait to be settled: the books could not be written"
    if settings.books != "memory:":
        try:
            free = shutil.disk_usage(Path(settings.books).parent).free
        except OSError as error:
            return f"the folder of the books cannot be looked at: {error.strerror}"
        if free < FREE_BYTES_MIN:
            return f"the disk of the books is full: {free} bytes are free"
    return ""


async def live(gateway: Gateway, incoming: Incoming) -> None:
    """The loop turns: that is all."""
    await incoming.json(200, {"status": "ok"}, NO_STORE)


async def ready(gateway: Gateway, incoming: Incoming) -> None:
    """200 while calls can be taken, else 503; why not is told at /health to those who may know."""
    problems = await gateway.readiness.problems(gateway)
    await incoming.json(503 if problems else 200, {"status": "unavailable" if problems else "ok"}, NO_STORE)


async def health(gateway: Gateway, incoming: Incoming) -> None:
    """Whether it lives and is ready; with a key of the role view, how everything is."""
    state = gateway.state
    detailed = _shows_key(incoming) and allows(state.doorkeeper.who(incoming.headers).role, "view")
    problems = await gateway.readiness.problems(gateway)
    told: dict[str, Any] = {"status": "unavailable" if problems else "ok", "live": True, "ready": not problems}
    if detailed:
        told |= {"problems": problems, **about(), **sections(state)}
    await incoming.json(503 if problems else 200, told, NO_STORE)


def about() -> dict[str, Any]:
    """Which worker answers. The figures are its own: other workers have theirs, and /metrics adds them up."""
    from bursar.gateway.figures import STARTED_SECONDS

    return {
        "version": bursar.__version__,
        "worker": os.getpid(),
        "uptime_seconds": round(time.time() - STARTED_SECONDS, 3),
    }


def sections(state: State) -> dict[str, Any]:
    """How the parts of a worker are: its providers, its repository, its sockets."""
    return {
        "llm_client_stats": _providers(state),
        "repository_stats": _repository(state),
        # No socket is served yet; the section is there for those who watch for it.
        "websocket_stats": {"active_connections": 0, "max_connections": 0},
        "requests_under_way": state.under_way,
    }


def _providers(state: State) -> dict[str, Any]:
    """Each provider's connections, breakers and figures of the last hour."""
    figures = state.engine.statistics()
    breakers: dict[str, dict[str, Any]] = {}
    for name, breaker in state.engine.breakers.snapshot().items():
        provider, _, model = name.partition("/")
        breakers.setdefault(provider, {})[model] = breaker
    return {
        provider: {
            "pool": _pool(pool),
            "breaker": _breaker(breakers.get(provider, {})),
            "success_rate": figures["providers"].get(provider, {}).get("success_rate"),
            "statistics": figures["providers"].get(provider),
            "refused": figures["refused"].get(provider, {}),
        }
        for provider, pool in state.transport.statistics().items()
    }


def _pool(pool: Any) -> dict[str, Any]:
    return {
        "max_connections": pool.limits.max_connections,
        "max_keepalive": pool.limits.max_keepalive,
        "in_use": pool.seats_in_use,
        "idle": pool.idle,
        "waiting": pool.waiting,
        "exchanges": pool.exchanges,
        "opened": pool.opened,
        "reused": pool.reused,
        "waits": pool.waits,
        "failures": pool.failures,
        "failures_in_row": pool.failures_in_row,
        "last_failure": pool.last_failure,
        "last_failure_ms": pool.last_failure_ms,
    }


def _breaker(models: dict[str, Any]) -> dict[str, Any]:
    """The worst state of a provider's models, and those that have ever opened."""
    order = ("closed", "half_open", "open")
    worst = max((order.index(one["state"]) for one in models.values()), default=0)
    return {"state": order[worst], "models": models}


def _repository(state: State) -> dict[str, Any]:
    repository, teller = state.engine.store.repository(), state.engine.teller
    return {
        "readers": {
            "open": repository.readers_open,
            "in_use": repository.readers_in_use,
            "max": repository.readers_max,
        },
        "writers": {"open": repository.writers_open, "max": repository.writers_max},
        "queue": {"operations": teller.queued, "waiting": teller.waiting, "unsettled": teller.unsettled},
        "wal_bytes": repository.wal_bytes,
        "file_bytes": repository.file_bytes,
        "commits": repository.commits,
        "last_commit_ms": repository.last_commit_ms,
    }


def _shows_key(incoming: Incoming) -> bool:
    """Whether a request shows a key at all: a wrong one is refused rather than taken for none."""
    return any(name in incoming.headers for name in (b"authorization", b"x-api-key", b"api-key"))
