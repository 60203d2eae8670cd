"""The blocking transport: the twin of `asynchronous`, over httpcore2, with the same seats, bounds and endings.

Safe to use from any number of threads. httpcore2 is the lower half of httpx2; above it there is nothing that we want
(cookies shared between callers, redirects, passwords from `.netrc`), and below it deadlines can be kept (`deadlines`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.edges.http.blocking_body import BlockingBody, read_until
from bursar.edges.http.course import Course, Current
from bursar.edges.http.decoding import decoder_for
from bursar.edges.http.endings import ending_of_httpcore
from bursar.edges.http.pool import Pool, PoolLimits, PoolStatistics, Seat
from bursar.edges.http.surroundings import (
    DEFAULT_HEADERS,
    MAX_ADDRESSES,
    BodyBounds,
    Proxy,
    default_tls,
    lower_headers,
    proxy_for,
    wall_ms,
)

if TYPE_CHECKING:
    import ssl

    import httpcore2

    from bursar.edges.http.decoding import Identity, Inflation


class Address:
    """A URL made ready once: parsed, with its Host header and its way: whether over TLS, and by which proxy."""

    __slots__ = ("host", "url", "way")

    def __init__(self, url: str, *, heed_environment: bool) -> None:
        import httpcore2

        self.url = httpcore2.URL(url)
        default_port = {b"http": 80, b"https": 443}.get(self.url.scheme)
        host = b"[%b]" % self.url.host if b":" in self.url.host else self.url.host
        self.host = host if self.url.port in (None, default_port) else b"%b:%d" % (host, self.url.port)
        self.way = (self.url.scheme == b"https", proxy_for(url) if heed_environment else None)


class Lane:
    """What one provider has of its own: seats, and its connections, by way."""

    __slots__ = ("cores", "pool")

    def __init__(self, limits: PoolLimits) -> None:
        self.pool = Pool(limits)
        self.cores: dict[tuple[bool, Proxy | None], httpcore2.ConnectionPool] = {}


class BlockingTransport:
    """Connections to any number of providers, for any number of threads. `close()` it.

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
        self._making = threading.Lock()  # lanes, connections, certificates: each is made once
        self._current = Current()
        self._under_way: set[Course] = set()
        self._closed = False

    def seat(self, provider: str) -> Seat | None:
        """A seat, if one is free now. Whoever takes it gives it to `open`, or releases it."""
        return self._lane(provider).pool.take()

    def wait_seat(self, provider: str, timeout_seconds: float | None = None) -> Seat | Failed:
        """A seat, first come, first served, within `timeout_seconds` (the pool timeout unless given)."""
        pool = self._lane(provider).pool
        seat = pool.take()
        if seat is not None:
            return seat
        seconds = pool.limits.pool_timeout_seconds if timeout_seconds is None else timeout_seconds
        woken = threading.Event()
        waiter = pool.join(woken.set)
        try:
            woken.wait(seconds)
        except BaseException:  # KeyboardInterrupt
            given = pool.leave(waiter)
            if given is not None:
                given.release()
            raise
        seat = pool.leave(waiter)
        if seat is not None:
            return seat
        return self._fail(pool, Failed("pool", False, f"no connection was free within {seconds:g} s"))

    def open(
        self, exchange: Exchange, progress: Progress, seat: Seat | None = None
    ) -> tuple[Answer | Opened | Failed, BlockingBody | None]:
        """Perform `exchange`. A body comes with Opened and only then; it holds the seat until it ends.

        `seat` passes to this call with its first step; without one it waits for one, within the pool timeout. When it
        is interrupted, `progress` says whether anything was sent, and seat and connection are free.
        """
        pool = self._lane(exchange.provider).pool
        body: BlockingBody | None = None
        try:
            until: float | None = None
            if exchange.deadline_ms is not None:
                left_seconds = (exchange.deadline_ms - self._now_ms()) / 1000
                if left_seconds <= 0:
                    late = Failed("timeout", False, "the deadline had passed before the request")
                    return self._fail(pool, late), None
                until = time.monotonic() + left_seconds
            if self._closed:
                return self._fail(pool, Failed("closed", False, "")), None
            if seat is None:
                taken = pool.take() or self._queued(exchange.provider, pool, until)
                if isinstance(taken, Failed):
                    return taken, None
                seat = taken
            outcome, body = self._perform(exchange, progress, seat, until)
            return outcome, body
        finally:
            if body is None and seat is not None:
                seat.release()

    def _queued(self, provider: str, pool: Pool, until: float | None) -> Seat | Failed:
        limit_seconds = pool.limits.pool_timeout_seconds
        left_seconds = limit_seconds if until is None else max(0.0, until - time.monotonic())
        taken = self.wait_seat(provider, min(left_seconds, limit_seconds))
        if isinstance(taken, Failed) and taken.kind == "pool" and left_seconds < limit_seconds:
            return replace(taken, kind="timeout", detail="the deadline passed while waiting for a connection")
        return taken

    def _perform(
        self, exchange: Exchange, progress: Progress, seat: Seat, until: float | None
    ) -> tuple[Answer | Opened | Failed, BlockingBody | None]:
        lane = self._lanes[exchange.provider]
        first_until: float | None = None
        if exchange.stream and exchange.first_token_seconds is not None:
            first_until = time.monotonic() + exchange.first_token_seconds
        course = self._current.course = Course(
            until, progress, first_until=first_until, stall_seconds=exchange.stall_seconds
        )
        self._under_way.add(course)
        response: httpcore2.Response | None = None
        status, headers = None, None
        body: BlockingBody | None = None
        try:
            address = self._addresses.get(exchange.url) or self._address(exchange.url)
            request = self._request(address, exchange, lane.pool.limits)
            response = self._core(lane, address).handle_request(request)
            lane.pool.succeeded()
            status, headers = (
                response.status,
                lower_headers((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers),
            )
            decoder = decoder_for(headers.get("content-encoding", ""))
            if not exchange.stream or status >= 300:
                return self._whole(lane.pool, response, headers, decoder), None
            body = BlockingBody(
                response,
                headers,
                decoder,
                seat,
                course=course,
                current=self._current,
                budget_bytes=self._bounds.whole_bytes,
                under_way=self._under_way,
                fail=partial(self._fail, lane.pool),
            )
            return Opened(status, headers), body
        except Exception as error:  # httpcore2 also lets ValueError and errors of h11 through
            return self._fail(lane.pool, Failed(*ending_of_httpcore(error, progress.sent), status, headers)), None
        finally:
            if body is None:
                self._under_way.discard(course)
                course.alight()
                if response is not None:
                    with contextlib.suppress(Exception):
                        response.close()

    def _request(self, address: Address, exchange: Exchange, limits: PoolLimits) -> httpcore2.Request:
        import httpcore2

        headers = [(b"Host", address.host)]
        headers += [(name.encode("ascii"), value.encode()) for name, value in exchange.headers.items()]
        given = {name.lower() for name in exchange.headers}
        headers += [(n.encode(), value.encode()) for n, value in DEFAULT_HEADERS.items() if n.lower() not in given]
        if exchange.method == "POST":
            if "content-type" not in given:
                headers.append((b"Content-Type", b"application/json"))
            headers.append((b"Content-Length", b"%d" % len(exchange.body)))
        timeouts = {
            "connect": limits.connect_timeout_seconds,
            "read": limits.read_timeout_seconds,
            "write": limits.write_timeout_seconds,
            "pool": limits.pool_timeout_seconds,  # never waited for: a seat comes before
        }
        return httpcore2.Request(
            exchange.method, address.url, headers=headers, content=exchange.body, extensions={"timeout": timeouts}
        )

    def _whole(
        self, pool: Pool, response: httpcore2.Response, headers: Mapping[str, str], decoder: Identity | Inflation
    ) -> Answer | Failed:
        status = response.status
        limit_bytes = self._bounds.error_bytes if status >= 400 else self._bounds.whole_bytes
        data = read_until(response, decoder, limit_bytes)
        if len(data) <= limit_bytes:
            return Answer(status, headers, data)
        if status >= 400:
            return Answer(status, headers, data[:limit_bytes])
        return self._fail(pool, Failed("too_large", True, f"the reply is over {limit_bytes} bytes", status, headers))

    def statistics(self) -> dict[str, PoolStatistics]:
        """The figures of every provider's pool, by provider."""
        return {
            provider: lane.pool.statistics(
                idle=sum(each.is_idle() for core in list(lane.cores.values()) for each in core.connections)
            )
            for provider, lane in list(self._lanes.items())
        }

    def close(self) -> None:
        """Close every connection. What is under way in other threads, and what is asked later, fails with `closed`."""
        self._closed = True
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.pool.close()
        for course in list(self._under_way):
            course.abort()
        for lane in lanes:
            for core in list(lane.cores.values()):
                core.close()

    def _lane(self, provider: str) -> Lane:
        lane = self._lanes.get(provider)
        if lane is None:
            with self._making:
                lane = self._lanes.setdefault(provider, Lane(self._other))
        return lane

    def _address(self, url: str) -> Address:
        if len(self._addresses) >= MAX_ADDRESSES:
            self._addresses = {}
        address = self._addresses[url] = Address(url, heed_environment=self._heed_environment)
        return address

    def _core(self, lane: Lane, address: Address) -> httpcore2.ConnectionPool:
        core = lane.cores.get(address.way)
        if core is None:
            with self._making:
                core = lane.cores.get(address.way) or self._new_core(lane, address)
        return core

    def _new_core(self, lane: Lane, address: Address) -> httpcore2.ConnectionPool:
        import httpcore2

        from bursar.edges.http.deadlines import DeadlineBackend

        over_tls, proxy = address.way
        if self._tls is None and over_tls:
            self._tls = default_tls()
        by_proxy = None
        if proxy is not None:
            credentials = [("Proxy-Authorization", proxy.authorization)] if proxy.authorization else None
            by_proxy = httpcore2.Proxy(proxy.url, headers=credentials)
        limits = lane.pool.limits
        core = lane.cores[address.way] = httpcore2.ConnectionPool(
            ssl_context=self._tls,
            proxy=by_proxy,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.idle_max,
            keepalive_expiry=limits.keepalive_expiry_seconds,
            network_backend=DeadlineBackend(lane.pool, self._current),
        )
        return core

    def _fail(self, pool: Pool, failed: Failed) -> Failed:
        if self._closed:
            failed = replace(failed, kind="closed", detail="the transport is closed")
        pool.failed(failed.kind, self._now_ms())
        return failed
