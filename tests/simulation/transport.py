"""The connections of one simulated process: real seats and endings, virtual time, and providers that are simulated.

Keeps to what the real transports promise: every ending is a value, the seat is given back exactly once, `progress.sent`
is true from the first byte on, a read that is cancelled loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING

from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.edges.http.asynchronous import AsyncTransport
from tests.simulation.loop import VirtualLoop
from tests.simulation.provider import EVENTS, REFUSED, SimulatedProvider, Streamed, Whole

if TYPE_CHECKING:
    from bursar.edges.http.pool import PoolLimits, PoolStatistics, Seat

LATE = Failed("timeout", True, "nothing came for too long")
LET_GO = Failed("cancelled", True, "the body was let go", 200)


class SimulatedBody:
    """The pieces of a streamed reply, each at its time."""

    def __init__(self, exchange: Exchange, served: Streamed, seat: Seat, loop: VirtualLoop) -> None:
        self._pieces = list(served.pieces)
        self._exchange = exchange
        self._seat = seat
        self._loop = loop
        self._ready = loop.time()
        self._begun = False
        self._asked = loop.time()
        self._failed: Failed | None = None
        self._done = False
        self._closed = asyncio.Event()

    async def read(self) -> bytes | Failed:
        """The next piece; b"" at the clean end, and ever after; or how it broke."""
        if self._done:
            return self._failed or b""
        if not self._pieces:
            return self._end(None)
        seconds, piece = self._pieces[0]
        ready = self._ready + seconds
        until = self._until()
        try:
            async with asyncio.timeout_at(max(min(ready, until), self._loop.time())):
                await self._closed.wait()
        except TimeoutError:
            pass
        if self._closed.is_set() or ready > until:
            return self._end(LATE)
        self._ready = ready
        self._pieces.pop(0)
        return piece if isinstance(piece, bytes) and piece else self._end(piece)

    def began(self) -> None:
        """The first output has come."""
        self._begun = True

    def close(self) -> None:
        """Let go."""
        self._end(LET_GO)

    abort = close

    def _until(self) -> float:
        """When a read that begins now has waited too long."""
        exchange, now = self._exchange, self._loop.time()
        until = now + self._seat.pool.limits.read_timeout_seconds
        if self._begun and exchange.stall_seconds is not None:
            until = min(until, now + exchange.stall_seconds)
        if not self._begun and exchange.first_token_seconds is not None:
            until = min(until, self._asked + exchange.first_token_seconds)
        if exchange.deadline_ms is not None:
            until = min(until, now + (exchange.deadline_ms - self._loop.now_ms()) / 1000)
        return until

    def _end(self, failed: bytes | Failed | None) -> bytes | Failed:
        if not self._done:
            self._done = True
            self._failed = failed if isinstance(failed, Failed) else None
            self._seat.release()
            self._closed.set()
        return self._failed or b""


class SimulatedTransport:
    """The connections of one process. sending: told of each attempt before its first byte."""

    def __init__(
        self,
        limits: Mapping[str, PoolLimits],
        providers: Mapping[str, SimulatedProvider],
        loop: VirtualLoop,
        chance: Random,
        sending: Callable[[str], None],
    ) -> None:
        self._seats = AsyncTransport(limits, now_ms=loop.now_ms)
        self._providers = providers
        self._loop = loop
        self._chance = chance
        self._sending = sending
        self._closed = False

    def seat(self, provider: str) -> Seat | None:
        """A seat, if one is free now."""
        return self._seats.seat(provider)

    async def wait_seat(self, provider: str, timeout_seconds: float | None = None) -> Seat | Failed:
        """A seat, first come, first served."""
        return await self._seats.wait_seat(provider, timeout_seconds)

    async def open(
        self, exchange: Exchange, progress: Progress, seat: Seat
    ) -> tuple[Answer | Opened | Failed, SimulatedBody | None]:
        """Perform an exchange on a seat."""
        body: SimulatedBody | None = None
        try:
            async with asyncio.timeout_at(self._until(exchange)):
                outcome, body = await self._perform(exchange, progress, seat)
                return outcome, body
        except TimeoutError:
            return Failed("timeout", progress.sent, "the deadline passed"), None
        finally:
            if body is None:
                seat.release()

    def statistics(self) -> dict[str, PoolStatistics]:
        """The figures of every provider's pool."""
        return self._seats.statistics()

    async def close(self) -> None:
        """Give no more seats."""
        self._closed = True
        await self._seats.close()

    def _until(self, exchange: Exchange) -> float | None:
        limits = [exchange.first_token_seconds] if exchange.stream else []
        if exchange.deadline_ms is not None:
            limits.append((exchange.deadline_ms - self._loop.now_ms()) / 1000)
        return min((self._loop.time() + max(one, 0.0) for one in limits if one is not None), default=None)

    async def _perform(
        self, exchange: Exchange, progress: Progress, seat: Seat
    ) -> tuple[Answer | Opened | Failed, SimulatedBody | None]:
        provider = self._providers[exchange.provider]
        await asyncio.sleep(self._chance.uniform(0.0, 0.05))
        if self._closed:
            return Failed("closed", False, "the transport is closed"), None
        if not provider.connects(self._loop.time()):
            return REFUSED, None
        progress.sent = True
        self._sending(exchange.headers["X-Client-Request-Id"])
        served = provider.serve(exchange, self._loop.time())
        patience = seat.pool.limits.read_timeout_seconds
        await asyncio.sleep(min(served.seconds, patience))
        if served.seconds > patience:
            return LATE, None
        if isinstance(served, Whole):
            return served.answer, None
        return Opened(200, EVENTS), SimulatedBody(exchange, served, seat, self._loop)
