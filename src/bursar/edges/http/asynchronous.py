"""The async transport: one exchange at a time over aiohttp, with our seats, bounds and endings.

Decides how each ending of aiohttp is called, and gives back seat and connection exactly once, whatever happens: reply,
error, deadline, cancellation at any await, closing. Never retries, follows no redirect, keeps no cookie, and lets no
exception out but the cancellation of its caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.edges.http.async_body import AsyncBody
from bursar.edges.http.endings import ending_of_aiohttp
from bursar.edges.http.pool import Pool, PoolLimits, PoolStatistics, Seat
from bursar.edges.http.surroundings import (
    DEADLINE_PASSED,
    FIRST_TOKEN_LATE,
    MAX_ADDRESSES,
    BodyBounds,
    default_tls,
    lower_headers,
    wall_ms,
)

if TYPE_CHECKING:
    import ssl

    import aiohttp
    from aiohttp.client_proto import ResponseHandler

    from bursar.edges.http.connector import Address, KeepingConnector, Line

# Where nothing limits an exchange in time: asyncio.timeout_at(None) would look for its task, and keep a state.
_NO_LIMIT = nullcontext()


class Lane:
    """What one provider has of its own: seats, and from the first exchange on a line."""

    __slots__ = ("line", "pool")

    def __init__(self, limits: PoolLimits) -> None:
        self.pool = Pool(limits)
        self.line: Line | None = None


class AsyncTransport:
    """Connections to any number of providers, for one event loop. `await close()` it.

    limits: by provider; `other` for those not named. tls: instead of the system's certificates. heed_environment:
    use the proxies that the environment names. now_ms: the clock of the deadlines.
    """

    def __init__(
        self,
        limits: Mapping[str, PoolLimits] | None = None,
        *,
        other: PoolLimits | None = None,
        bounds: BodyBounds | None = None,
        tls: ssl.SSLContext | None = None,
        heed_environment: bool = True,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._other = other or PoolLimits()
        self._lanes = {provider: Lane(of_provider) for provider, of_provider in (limits or {}).items()}
        self._bounds = bounds or BodyBounds()
        self._tls = tls
        self._heed_environment = heed_environment
        self._now_ms = now_ms
        self._addresses: dict[str, Address] = {}
        self._closed = False

    def seat(self, provider: str) -> Seat | None:
        """A seat, if one is free now. Whoever takes it gives it to `open`, or releases it."""
        return self._lane(provider).pool.take()

    async def wait_seat(self, provider: str, timeout_seconds: float | None = None) -> Seat | Failed:
        """A seat, first come, first served, within `timeout_seconds` (the pool timeout unless given)."""
        pool = self._lane(provider).pool
        seat = pool.take()
        if seat is not None:
            return seat
        seconds = pool.limits.pool_timeout_seconds if timeout_seconds is None else timeout_seconds
        woken = asyncio.get_running_loop().create_future()
        waiter = pool.join(partial(_wake, woken))
        try:
            async with asyncio.timeout(seconds):
                await woken
        except TimeoutError:
            pass  # it may have been given a seat in the same moment
        except BaseException:
            given = pool.leave(waiter)
            if given is not None:
                given.release()
            raise
        seat = pool.leave(waiter)
        if seat is not None:
            return seat
        return self._fail(pool, Failed("pool", False, f"no connection was free within {seconds:g} s"))

    async def open(
        self, exchange: Exchange, progress: Progress, seat: Seat | None = None
    ) -> tuple[Answer | Opened | Failed, AsyncBody | None]:
        """Perform `exchange`. A body comes with Opened and only then; it holds the seat until it ends.

        `seat` passes to this call with its first step; without one it waits for one, within the pool timeout. When it
        is cancelled, `progress` says whether anything was sent, and seat and connection are free.
        """
        pool = self._lane(exchange.provider).pool
        body: AsyncBody | None = None
        until: float | None = None
        first_until: float | None = None
        try:
            if exchange.deadline_ms is not None:
                left_seconds = (exchange.deadline_ms - self._now_ms()) / 1000
                if left_seconds <= 0:
                    return self._fail(
                        pool, Failed("timeout", False, "the deadline had passed before the request")
                    ), None
                until = asyncio.get_running_loop().time() + left_seconds
            if self._closed:
                return self._fail(pool, Failed("closed", False, "")), None
            if exchange.stream and exchange.first_token_seconds is not None:
                first_until = asyncio.get_running_loop().time() + exchange.first_token_seconds
            limit = _sooner(until, first_until)
            async with _NO_LIMIT if limit is None else asyncio.timeout_at(limit):
                if seat is None:
                    taken = pool.take() or await self.wait_seat(exchange.provider)
                    if isinstance(taken, Failed):
                        return taken, None
                    seat = taken
                outcome, body = await self._perform(exchange, progress, seat, until, first_until)
                return outcome, body
        except TimeoutError:
            late = DEADLINE_PASSED if _sooner(until, first_until) == until else FIRST_TOKEN_LATE
            return self._fail(pool, Failed("timeout", progress.sent, late)), None
        finally:
            if body is None and seat is not None:
                seat.release()

    async def _perform(
        self, exchange: Exchange, progress: Progress, seat: Seat, until: float | None, first_until: float | None
    ) -> tuple[Answer | Opened | Failed, AsyncBody | None]:
        lane = self._lanes[exchange.provider]
        line = lane.line or self._line(lane)
        try:
            address = self._addresses.get(exchange.url) or self._address(exchange.url)
            tls = self._certificates() if address.tls else None
            response = await line.request(exchange, address, progress, tls)
        except Exception as error:  # aiohttp also raises ValueError, RuntimeError and ssl errors of its own accord
            return self._fail(lane.pool, Failed(*ending_of_aiohttp(error, progress.sent))), None
        lane.pool.succeeded()
        headers = lower_headers(response.headers.items())
        if not exchange.stream or response.status >= 300:
            return await self._whole(lane.pool, line.connector, response, headers), None
        body = AsyncBody(
            response,
            headers,
            seat,
            budget_bytes=self._bounds.whole_bytes,
            connector=line.connector,
            fail=partial(self._fail, lane.pool),
        )
        body.bound(lane.pool.limits.read_timeout_seconds, until, first_until, exchange.stall_seconds)
        return Opened(response.status, headers), body

    async def _whole(
        self,
        pool: Pool,
        connector: KeepingConnector,
        response: aiohttp.ClientResponse,
        headers: Mapping[str, str],
    ) -> Answer | Failed:
        status, content = response.status, response.content
        watched: ResponseHandler | None = None
        limit_bytes = self._bounds.error_bytes if status >= 400 else self._bounds.whole_bytes
        try:
            if content.is_eof():  # it came with the head
                data = content.read_nowait()
            else:
                watched = connector.watch(response)
                data = await read_until(content, limit_bytes)
        except Exception as error:  # as in _perform
            kind, sent, detail = ending_of_aiohttp(error, True)
            return self._fail(pool, Failed(kind, sent, detail, status, headers))
        finally:
            connector.unwatch(watched, response)
            if not response.closed:
                response.close()
        if len(data) <= limit_bytes:
            return Answer(status, headers, data)
        if status >= 400:
            return Answer(status, headers, data[:limit_bytes])
        return self._fail(pool, Failed("too_large", True, f"the reply is over {limit_bytes} bytes", status, headers))

    def statistics(self) -> dict[str, PoolStatistics]:
        """The figures of every provider's pool, by provider."""
        return {
            provider: lane.pool.statistics(idle=lane.line.connector.idle() if lane.line else 0)
            for provider, lane in self._lanes.items()
        }

    async def close(self) -> None:
        """Close every connection. What is under way, and what is asked later, fails with `closed`."""
        self._closed = True
        for lane in self._lanes.values():
            lane.pool.close()
        lines = [lane.line for lane in self._lanes.values() if lane.line is not None]
        for line in lines:
            line.connector.stop_writing()
            await line.session.close()

    def _lane(self, provider: str) -> Lane:
        lane = self._lanes.get(provider)
        if lane is None:
            lane = self._lanes[provider] = Lane(self._other)
        return lane

    def _line(self, lane: Lane) -> Line:
        from bursar.edges.http.connector import Line

        lane.line = Line(lane.pool)
        return lane.line

    def _address(self, url: str) -> Address:
        from bursar.edges.http.connector import Address

        if len(self._addresses) >= MAX_ADDRESSES:
            self._addresses.clear()
        address = self._addresses[url] = Address(url, heed_environment=self._heed_environment)
        return address

    def _certificates(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = default_tls()
        return self._tls

    def _fail(self, pool: Pool, failed: Failed) -> Failed:
        if self._closed:
            failed = replace(failed, kind="closed", detail="the transport is closed")
        pool.failed(failed.kind, self._now_ms())
        return failed


def _sooner(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():  # its waiter may have gone
        woken.set_result(None)


async def read_until(content: aiohttp.StreamReader, limit_bytes: int) -> bytes:
    """The whole of `content`, or its beginning as soon as that is longer than `limit_bytes`."""
    pieces: list[bytes] = []
    size_bytes = 0
    while piece := await content.readany():
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            break
    return b"".join(pieces)
