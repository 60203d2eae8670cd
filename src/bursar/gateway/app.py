"""The gateway as an ASGI callable: the table of what is served, who may ask for it, and what becomes of every error.

Every request walks through `__call__`: find what answers, know who asks, answer. Nothing is answered by default, and no
exception leaves: what nobody foresaw is a 500 without a word about the inside, and a line in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bursar.errors import BursarError, ConfigError, StoreUnavailableError
from bursar.gateway.admin.table import admin_entries
from bursar.gateway.auth import NotAllowedError
from bursar.gateway.calls import calls_in
from bursar.gateway.counting import count_tokens
from bursar.gateway.exchange import ClientGone, Incoming, Receive, Send
from bursar.gateway.health import Readiness, health, live, ready
from bursar.gateway.metering import metering
from bursar.gateway.metrics import metrics
from bursar.gateway.models import VERSION, list_models, show_model
from bursar.gateway.problems import Problem
from bursar.gateway.refusals import refused
from bursar.gateway.secret import MEMORY
from bursar.gateway.state import State
from bursar.gateway.table import Entry, Table
from bursar.rules.keys import allows
from bursar.wire.dialects import dialect_named

if TYPE_CHECKING:
    from bursar.gateway.opening import Opened

# The formats that calls come in, by their paths.
CALLS = {
    "/v1/chat/completions": "openai_chat",
    "/v1/responses": "openai_responses",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "anthropic_messages",
}
COUNT_TOKENS = "/v1/messages/count_tokens"


class Gateway:
    """The ASGI callable. state: what new requests begin with. open: opens all that anew, for a reload.

    stopping: set once no new request is taken.
    """

    def __init__(self, state: State, open: Callable[[], Opened]) -> None:
        self.state = state
        self.stopping = False
        self.table = Table(served())
        self.readiness = Readiness()
        self.metering = metering()
        self.metering.watch(state)
        self._open = open
        self._reloading = asyncio.Lock()
        self._retired: dict[asyncio.Task[None], State] = {}

    async def reload(self) -> None:
        """Read the configuration again: new requests find the new one, those under way keep theirs to their end.

        The books stay: others would know no key, and nothing of what was spent.
        Raises ConfigError or StoreUnavailableError; nothing has changed then.
        """
        async with self._reloading:
            if self.stopping:
                raise StoreUnavailableError("the gateway is stopping")
            books = self.state.settings.books
            if books == MEMORY:
                raise ConfigError("books in memory end with a reload, and with them keys and what was spent: restart")
            try:
                opened = await asyncio.to_thread(self._open)
            except OSError as error:  # a file of ours that cannot be read: the secret, a certificate
                raise ConfigError(f"{error.filename or 'a file'}: {error.strerror or error}") from error
            other = opened.engine.settings.books != books
            if other or opened.doorkeeper.secret != self.state.doorkeeper.secret:
                await asyncio.to_thread(opened.engine.close)
                what = "other books take" if other else "another secret takes"
                raise ConfigError(f"keys, and what was spent, are those of {books}: {what} a restart")
            old, self.state = self.state, State(opened)
            self.metering.watch(self.state)
            retired = asyncio.get_running_loop().create_task(old.retire())
            self._retired[retired] = old
            retired.add_done_callback(self._retired.pop)

    async def close(self) -> None:
        """Settle what is left, and close what the last reload left behind, too."""
        self.stopping = True
        async with self._reloading:
            pass  # one that is under way ends first: what it opens is closed here
        for state in self._retired.values():
            state.hurry()
        await asyncio.gather(*self._retired, return_exceptions=True)
        await self.state.close()
        await self.metering.close()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or live through the server's life span."""
        if scope["type"] == "http":
            await self._attend(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _attend(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer, and end the task when the caller leaves: `bursar.leavers` are called by then (`protocol`)."""
        state = self.state
        state.enter()
        leavers, task = scope.get("bursar.leavers"), asyncio.current_task()
        leave = None if task is None else task.cancel
        if leavers is not None:
            leavers.append(leave)
        try:
            await self._answer(scope, receive, send)
        except (ClientGone, asyncio.CancelledError):
            pass  # nobody is left to be answered
        finally:
            if leavers is not None and leave in leavers:
                leavers.remove(leave)
            state.leave()

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        incoming: Incoming | None = None
        try:
            incoming = Incoming(scope, receive, send)
            entry = self.table.find(incoming)
            if entry.role is not None:
                key = incoming.key = self.state.doorkeeper.who(incoming.headers)
                if not allows(key.role, entry.role):
                    raise Problem(403, "role_too_low", f"this needs the role {entry.role}; this key has {key.role}")
            await entry.handler(self, incoming)
        except (Problem, NotAllowedError, BursarError) as error:
            await _refuse(scope, send, incoming, error)
        except ClientGone:
            raise
        except asyncio.CancelledError:
            # A caller who is still there sees that it is the server that is stopping, and out of patience.
            await _refuse(scope, send, incoming, Problem(503, "stopping", "the gateway is stopping; ask again"))
        except Exception:
            logging.getLogger("bursar").exception("a request to %s failed", scope["path"][:100])
            await _refuse(scope, send, incoming, Problem(500, "internal_error", "the gateway failed; its log says why"))


async def _refuse(
    scope: dict[str, Any], send: Send, incoming: Incoming | None, error: Problem | NotAllowedError | BursarError
) -> None:
    if incoming is not None and incoming.begun:
        return  # the server closes what is not ended
    if isinstance(error, NotAllowedError):
        error = Problem(error.status, error.code, error.message)
    status, headers, body = refused(error, _form_of(scope, incoming))
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _form_of(scope: dict[str, Any], incoming: Incoming | None) -> str:
    """The dialect in whose form who asks reads errors."""
    path = scope["path"]
    if path.startswith("/v1/models") and incoming is not None and VERSION in incoming.headers:
        return "anthropic_messages"
    return "anthropic_messages" if path == COUNT_TOKENS else CALLS.get(path, "")


async def _live(receive: Receive, send: Send) -> None:
    """The life span is the server's own: what is opened before it and closed after it is not opened here."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def served() -> dict[tuple[str, str], Entry]:
    """All that is served, by method and path."""
    table: dict[tuple[str, str], Entry] = {}
    for path, name in CALLS.items():
        dialect = dialect_named(name)
        assert dialect is not None
        table["POST", path] = Entry(calls_in(dialect), "call")
    table["POST", COUNT_TOKENS] = Entry(count_tokens, "call")
    table["GET", "/v1/models"] = Entry(list_models, "call")
    table["GET", "/v1/models/{id:path}"] = Entry(show_model, "call")
    for method in ("GET", "HEAD"):
        # These say by themselves what needs a key.
        table[method, "/health"] = Entry(health, None)
        table[method, "/health/live"] = Entry(live, None)
        table[method, "/health/ready"] = Entry(ready, None)
    table["GET", "/metrics"] = Entry(metrics, None)
    return table | admin_entries()
