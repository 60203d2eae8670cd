"""Calls that come with an Idempotency-Key: performed once, however often they are sent.

Decides what a call that is sent again gets: the reply of the first, once that has ended, or a 409 with its id. Such a
call goes on when its caller leaves, since who leaves because of a timeout comes back with the same key. A call for
which nothing was charged (refused, or failed for free) leaves its key free: who is told to try again can.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from bursar.call.replays import LEASE_MS, KeptReply, Replay, Replays, Wanted
from bursar.errors import BursarError
from bursar.gateway.problems import Problem
from bursar.gateway.refusals import refused

if TYPE_CHECKING:
    from bursar.gateway.exchange import Headers, Incoming
    from bursar.gateway.state import State

IDEMPOTENCY_KEY = b"idempotency-key"
KEY_CHARACTERS_MAX = 255
# A larger reply is not kept; who sends such a call again is told its id.
REPLY_BYTES_MAX = 4 * 1024 * 1024
# How long who sends a call again waits for the first, and how often it looks.
WAIT_SECONDS_MAX = 600.0
LOOK_SECONDS, LOOK_SECONDS_MAX = 0.02, 0.5
# Those who wait look into the books again and again: more of them at once are told that the first is busy.
WAITING_MAX = 256
HOUR_MS = 3_600_000
REPLAYED = (b"x-bursar-replayed", b"true")


class Outlet(Protocol):
    """Where an answer goes: to the caller, or to the caller and into the books."""

    begun: bool

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""

    async def begin(self, status: int, headers: Headers) -> None:
        """The head of an answer in pieces."""

    async def send(self, data: bytes) -> None:
        """The next piece."""

    async def end(self, data: bytes = b"") -> None:
        """The last piece."""


Perform = Callable[[Outlet], Awaitable[None]]


class Leases:
    """What this process performs under idempotency keys is known to be under way as long as it lives.

    waiting: how many requests wait here for one that is under way.
    """

    def __init__(self, replays: Replays, clock: Callable[[], int]) -> None:
        self.replays = replays
        self.clock = clock
        self.owner = os.urandom(8).hex()
        self.waiting = 0
        self._under_way: dict[str, Wanted] = {}
        self._renewing: asyncio.Task[None] | None = None

    def enter(self, wanted: Wanted) -> None:
        """A call begins."""
        self._under_way[wanted.call_id] = wanted
        if self._renewing is None:
            self._renewing = asyncio.get_running_loop().create_task(self._renew())

    def leave(self, wanted: Wanted) -> None:
        """A call has ended."""
        del self._under_way[wanted.call_id]
        if not self._under_way and self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 3_000)
            try:
                await asyncio.to_thread(self.replays.renew, list(self._under_way.values()), self.clock)
            except BursarError as error:
                logging.getLogger("bursar").warning("idempotency keys could not be renewed: %s", error)


async def once(state: State, incoming: Incoming, dialect: str, body: bytes, call_id: str, perform: Perform) -> None:
    """Perform a call unless it was performed before, or is; then answer as that did. Raises Problem and BursarError."""
    wanted = _wanted(state, incoming, body, call_id)
    attempt = _Once(state.leases, incoming, wanted, dialect, perform, keep=state.settings.gateway.store_replies)
    task = state.keep(attempt.run())
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        attempt.leave()
        task.add_done_callback(_unheard)
        if attempt.waits:
            task.cancel()
        raise


def _wanted(state: State, incoming: Incoming, body: bytes, call_id: str) -> Wanted:
    name = incoming.headers[IDEMPOTENCY_KEY]
    if not 0 < len(name) <= KEY_CHARACTERS_MAX or not name.isascii() or not name.decode("latin-1").isprintable():
        raise Problem(400, "invalid_idempotency_key", f"Idempotency-Key is 1 to {KEY_CHARACTERS_MAX} plain characters")
    return Wanted(
        incoming.key.name,
        hashlib.sha256(name).hexdigest(),
        hashlib.sha256(incoming.path.encode() + b"\n" + body).hexdigest(),
        call_id,
        state.leases.owner,
        state.engine.clock() + state.settings.gateway.replay_hours * HOUR_MS,
    )


class _Once:
    """One request under an idempotency key. waits: for another that performs the call."""

    def __init__(
        self, leases: Leases, incoming: Incoming, wanted: Wanted, dialect: str, perform: Perform, *, keep: bool
    ) -> None:
        self.waits = False
        self._recorder = Recorder(incoming)
        self._leases = leases
        self._replays = leases.replays
        self._wanted = wanted
        self._dialect = dialect
        self._perform = perform
        self._keep = keep

    def leave(self) -> None:
        """The caller has gone; a call that was begun goes on."""
        self._recorder.listens = False

    async def run(self) -> None:
        """Answer the request."""
        replay = await asyncio.to_thread(self._replays.begin, self._wanted, self._leases.clock)
        if replay.state == "under_way":
            replay = await self._wait(replay.call_id)
        if replay.state == "mine":
            await self._first()
        elif replay.state == "other":
            raise _conflict("idempotency_key_reused", "this Idempotency-Key came with another request before", replay)
        elif replay.state == "under_way":
            raise _conflict("idempotency_key_busy", "the first request with this key is under way still", replay)
        elif replay.reply is None:
            raise _conflict("idempotency_key_used", "this call was made before, and its reply is not kept", replay)
        else:
            kept = replay.reply
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers]
            await self._recorder.reply(kept.status, [*headers, REPLAYED], kept.body)

    async def _wait(self, call_id: str) -> Replay:
        """Look until the first has ended, its process has died, or it has taken too long."""
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + WAIT_SECONDS_MAX, LOOK_SECONDS
        self._leases.waiting += 1
        try:
            if self._leases.waiting > WAITING_MAX:
                return Replay("under_way", call_id)
            while True:
                self.waits = True
                await asyncio.sleep(pause)
                # A look may find that the call is to be performed here: it is not cut short.
                self.waits = False
                replay = await asyncio.to_thread(self._replays.look, self._wanted, self._leases.clock)
                if replay.state != "under_way" or loop.time() > until or not self._recorder.listens:
                    return replay
                pause = min(pause * 1.5, LOOK_SECONDS_MAX)
        finally:
            self.waits = False
            self._leases.waiting -= 1
            await asyncio.to_thread(self._replays.leave, *self._wanted[:2])

    async def _first(self) -> None:
        """Perform the call, and write down what came of it."""
        recorder = self._recorder
        if not recorder.listens:
            await self._free()
            return
        self._leases.enter(self._wanted)
        try:
            await self._perform(recorder)
        except BursarError as error:
            if not _charged(error):
                await self._free()
                raise
            await recorder.reply(*refused(error, self._dialect))
        except Problem:
            await self._free()
            raise
        except Exception:
            await self._end(None)
            raise
        finally:
            self._leases.leave(self._wanted)
        await self._end(recorder.kept())

    async def _free(self) -> None:
        await asyncio.to_thread(self._replays.forget, self._wanted)

    async def _end(self, reply: KeptReply | None) -> None:
        try:
            await asyncio.to_thread(self._replays.end, self._wanted, reply, keep=self._keep)
        except BursarError as error:
            # The call itself is answered. Its row is taken for that of a dead process once its lease has passed.
            logging.getLogger("bursar").error("the reply of %s could not be kept: %s", self._wanted.call_id, error)


class Recorder:
    """Passes an answer on while its caller listens, and remembers it up to a bound."""

    def __init__(self, incoming: Incoming) -> None:
        self.begun = False
        self.listens = True
        self._incoming = incoming
        self._status = 0
        self._headers: Headers = ()
        self._parts: list[bytes] = []
        self._size = 0

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer."""
        self._open(status, headers)
        self._take(body)
        if self.listens:
            await self._incoming.reply(status, headers, body)

    async def begin(self, status: int, headers: Headers) -> None:
        """The head of an answer in pieces."""
        self._open(status, headers)
        if self.listens:
            await self._incoming.begin(status, headers)

    async def send(self, data: bytes) -> None:
        """The next piece."""
        self._take(data)
        if self.listens:
            await self._incoming.send(data)

    async def end(self, data: bytes = b"") -> None:
        """The last piece."""
        self._take(data)
        if self.listens:
            await self._incoming.end(data)

    def kept(self) -> KeptReply | None:
        """The answer; None where it is too large."""
        if self._size > REPLY_BYTES_MAX:
            return None
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._headers)
        return KeptReply(self._status, headers, b"".join(self._parts))

    def _open(self, status: int, headers: Headers) -> None:
        self.begun, self._status, self._headers = True, status, headers

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= REPLY_BYTES_MAX:
            self._parts.append(data)
        else:
            self._parts.clear()


def _unheard(task: asyncio.Task[None]) -> None:
    """How a call ended whose caller has gone: told to nobody, unless nobody foresaw it."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, (Problem, BursarError)):
        logging.getLogger("bursar").error("a call whose caller had gone failed", exc_info=error)


def _charged(error: BursarError) -> bool:
    """Whether a call that failed may have cost something."""
    cost = error.cost
    return error.sent if cost is None else cost.nano_usd != 0 or not cost.certain


def _conflict(code: str, message: str, replay: Replay) -> Problem:
    told = f"{message}: the call is {replay.call_id}"
    headers = ((b"x-bursar-call-id", replay.call_id.encode()),)
    return Problem(409, code, told, headers, {"call_id": replay.call_id})
