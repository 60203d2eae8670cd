"""Transports whose provider is a script: the interface of `edges.http`, its seats and queues, without a network."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.edges.http.asynchronous import AsyncTransport
from bursar.edges.http.blocking import BlockingTransport
from bursar.edges.http.surroundings import wall_ms
from bursar.testing.bodies import CLOSED, STALL_SECONDS_MAX, Body, ScriptedBlockingBody, ScriptedBody, stalled
from bursar.testing.script import Said, Script, Stall, Step, StreamedAnswer

if TYPE_CHECKING:
    from bursar.edges.http.pool import PoolLimits, PoolStatistics, Seat


class Scripted:
    """What both colours have: the script, the clock of the deadlines, and the bodies that are open."""

    def __init__(self, steps: Iterable[Step], otherwise: Step | None, now_ms: Callable[[], int]) -> None:
        self._script = Script(steps, otherwise)
        self._now_ms = now_ms
        self._bodies: weakref.WeakSet[Body] = weakref.WeakSet()
        self._closed = False

    @property
    def exchanges(self) -> list[Exchange]:
        """Every exchange that was asked for, in order."""
        return self._script.exchanges

    def _early(self, exchange: Exchange) -> Failed | None:
        if exchange.deadline_ms is not None and exchange.deadline_ms <= self._now_ms():
            return Failed("timeout", False, "the deadline had passed before the request")
        return Failed("closed", False, "the transport is closed") if self._closed else None

    def _next(self, exchange: Exchange, progress: Progress) -> Said:
        said = self._script.next(exchange)
        progress.sent = progress.sent or not isinstance(said, Failed) or said.sent
        return said

    def _counted(self, said: Answer | Failed, seat: Seat) -> Answer | Failed:
        if isinstance(said, Failed):
            seat.pool.failed(said.kind, self._now_ms())
        else:
            seat.pool.succeeded()
        return said

    def _end_all(self) -> None:
        self._closed = True
        for body in list(self._bodies):
            body.end(CLOSED)


class ScriptedTransport(Scripted):
    """An async transport that answers from a script, for one event loop. `await close()` it.

    steps: one for each exchange, in order: an Answer, a StreamedAnswer, a Failed, STALL, or a callable that is given
    the Exchange and returns one of these. otherwise: what every further exchange gets; without it, one raises
    AssertionError. limits: of the pools, by provider. `exchanges` has what was asked for.
    """

    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        otherwise: Step | None = None,
        limits: Mapping[str, PoolLimits] | None = None,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(steps, otherwise, now_ms)
        self._seats = AsyncTransport(limits, now_ms=now_ms)
        self._closing = asyncio.Event()

    def seat(self, provider: str) -> Seat | None:
        """A seat, if one is free now."""
        return self._seats.seat(provider)

    async def wait_seat(self, provider: str, timeout_seconds: float | None = None) -> Seat | Failed:
        """A seat, first come, first served, within `timeout_seconds` (the pool timeout unless given)."""
        return await self._seats.wait_seat(provider, timeout_seconds)

    async def open(
        self, exchange: Exchange, progress: Progress, seat: Seat | None = None
    ) -> tuple[Answer | Opened | Failed, ScriptedBody | None]:
        """The script's reply to `exchange`. A body comes with Opened and only then; it holds the seat until it ends."""
        body: ScriptedBody | None = None
        try:
            early = self._early(exchange)
            if early is not None:
                return early, None
            if seat is None:
                taken = await self.wait_seat(exchange.provider)
                if isinstance(taken, Failed):
                    return taken, None
                seat = taken
            said = self._next(exchange, progress)
            if isinstance(said, Stall):
                said = await self._stall(exchange)
            if not isinstance(said, StreamedAnswer):
                return self._counted(said, seat), None
            seat.pool.succeeded()
            body = ScriptedBody(exchange, said, seat, self._now_ms)
            self._bodies.add(body)
            return Opened(said.status, said.headers), body
        finally:
            if body is None and seat is not None:
                seat.release()

    def statistics(self) -> dict[str, PoolStatistics]:
        """The figures of every provider's pool, by provider."""
        return self._seats.statistics()

    async def close(self) -> None:
        """Fail with `closed` what is under way and what is asked later."""
        self._end_all()
        self._closing.set()
        await self._seats.close()

    async def _stall(self, exchange: Exchange) -> Failed:
        if exchange.deadline_ms is None:
            try:
                async with asyncio.timeout(STALL_SECONDS_MAX):
                    await self._closing.wait()
                return CLOSED
            except TimeoutError:
                pass
        return stalled(exchange)


class ScriptedBlockingTransport(Scripted):
    """The blocking twin of ScriptedTransport, for any number of threads. `close()` it."""

    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        otherwise: Step | None = None,
        limits: Mapping[str, PoolLimits] | None = None,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(steps, otherwise, now_ms)
        self._seats = BlockingTransport(limits, now_ms=now_ms)
        self._closing = threading.Event()

    def seat(self, provider: str) -> Seat | None:
        """A seat, if one is free now."""
        return self._seats.seat(provider)

    def wait_seat(self, provider: str, timeout_seconds: float | None = None) -> Seat | Failed:
        """A seat, first come, first served, within `timeout_seconds` (the pool timeout unless given)."""
        return self._seats.wait_seat(provider, timeout_seconds)

    def open(
        self, exchange: Exchange, progress: Progress, seat: Seat | None = None
    ) -> tuple[Answer | Opened | Failed, ScriptedBlockingBody | None]:
        """The script's reply to `exchange`. A body comes with Opened and only then; it holds the seat until it ends."""
        body: ScriptedBlockingBody | None = None
        try:
            early = self._early(exchange)
            if early is not None:
                return early, None
            if seat is None:
                taken = self.wait_seat(exchange.provider)
                if isinstance(taken, Failed):
                    return taken, None
                seat = taken
            said = self._next(exchange, progress)
            if isinstance(said, Stall):
                said = self._stall(exchange)
            if not isinstance(said, StreamedAnswer):
                return self._counted(said, seat), None
            seat.pool.succeeded()
            body = ScriptedBlockingBody(exchange, said, seat, self._now_ms)
            self._bodies.add(body)
            return Opened(said.status, said.headers), body
        finally:
            if body is None and seat is not None:
                seat.release()

    def statistics(self) -> dict[str, PoolStatistics]:
        """The figures of every provider's pool, by provider."""
        return self._seats.statistics()

    def close(self) -> None:
        """Fail with `closed` what is under way in other threads, and what is asked later."""
        self._end_all()
        self._closing.set()
        self._seats.close()

    def _stall(self, exchange: Exchange) -> Failed:
        if exchange.deadline_ms is None and self._closing.wait(STALL_SECONDS_MAX):
            return CLOSED
        return stalled(exchange)
