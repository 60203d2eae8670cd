"""What an endpoint of the admin API is: a path, a role, what it takes and gives, and the deed that answers.

Decides how a request becomes values and a value becomes an answer, alike for all. A deed blocks, as the books do, and
is done in a thread, a few at a time; one that is a coroutine works on the loop. What it raises names its own status.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.errors import BursarError, ConfigError, InvalidRequestError
from bursar.gateway.admin.reading import body_of, query_of
from bursar.gateway.problems import Problem
from bursar.gateway.table import Entry, Handler

if TYPE_CHECKING:
    from bursar.call.books import Store
    from bursar.config import Settings
    from bursar.engine import Engine
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming
    from bursar.gateway.state import State
    from bursar.rules.keys import CallerKey, Role

BODY_BYTES_MAX = 256 * 1024
# Deeds at a time: reports over a large ledger leave threads, and the processor, to the calls.
DEEDS_MAX = 4


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to the admin API, read. parts: what stands at the variables of the path.

    query, body: of the types that the endpoint names; None where it names none.
    """

    gateway: Gateway
    state: State
    key: CallerKey
    parts: tuple[str, ...]
    query: Any = None
    body: Any = None

    @property
    def engine(self) -> Engine:
        """The engine that answers calls now."""
        return self.state.engine

    @property
    def store(self) -> Store:
        """The books."""
        return self.state.engine.store

    @property
    def settings(self) -> Settings:
        """The configuration."""
        return self.state.settings

    @property
    def now_ms(self) -> int:
        """Now, in epoch milliseconds."""
        return self.state.engine.clock()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method at one path.

    role: the least that a key needs. does: a sentence of what it does. query, takes, gives: the types of the query, the
    body and the answer. status: of success. conflicts: it can be refused for what there is already (409).
    """

    method: str
    path: str
    role: Role
    does: str
    deed: Callable[[Ask], Any]
    gives: type
    query: type | None = None
    takes: type | None = None
    status: int = 200
    conflicts: bool = False

    def entry(self, turns: asyncio.Semaphore) -> Entry:
        """What answers it in the gateway's table. turns: the deeds that are done at a time."""
        return Entry(_answering(self, turns), self.role)


def _answering(endpoint: Endpoint, turns: asyncio.Semaphore) -> Handler:
    async def answer(gateway: Gateway, incoming: Incoming) -> None:
        query = None if endpoint.query is None else query_of(endpoint.query, incoming.query)
        body: Any = None
        if endpoint.takes is not None:
            body = body_of(endpoint.takes, await incoming.body(BODY_BYTES_MAX))
        ask = Ask(gateway, gateway.state, incoming.key, incoming.parts, query, body)
        await incoming.json(endpoint.status, await _done(endpoint, ask, turns), SAFE)

    return answer


# No answer is kept by anybody on the way, and no browser takes it for a page.
SAFE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


async def _done(endpoint: Endpoint, ask: Ask, turns: asyncio.Semaphore) -> Any:
    try:
        if inspect.iscoroutinefunction(endpoint.deed):
            return await endpoint.deed(ask)
        async with turns:
            return await asyncio.to_thread(endpoint.deed, ask)
    except (ConfigError, InvalidRequestError) as error:
        raise problem_of(error) from None


def problem_of(error: BursarError) -> Problem:
    """What a deed could not do, as an answer: no such thing (404), in the way of another (409), a mistake (400)."""
    status = {"not_found": 404, "name_taken": 409, "conflict": 409}.get(error.code, 400)
    return Problem(status, error.code if status != 400 else "invalid_request", error.message)


def conflict(message: str, code: str = "conflict") -> Problem:
    """What is asked for stands against what there is."""
    return Problem(409, code, message)


def missing(what: str, name: str, hint: str) -> Problem:
    """There is nothing of this name."""
    return Problem(404, "not_found", f"there is no {what} {name[:80]!r}; {hint}")
