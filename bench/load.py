"""A load that costs little itself: plain HTTP over asyncio protocols, from a process of its own.

Either so many requests with so many in flight at all times, or so many a second, whatever comes back (open loop): the
latency of each counts from when it was due, so that a server that stalls cannot hide it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """What to send. in_flight: connections, each with one request at a time. rate: requests a second; 0 for closed."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: int = 1_000
    in_flight: int = 64
    rate: float = 0.0

    def wire(self) -> bytes:
        """The request as bytes."""
        parts = urlsplit(self.url)
        lines = [f"POST {parts.path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"content-length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode() + self.body


@dataclass(frozen=True)
class Came:
    """What came of a load. seconds: of wall clock. latencies_ms: of every answer, in no order."""

    good: int
    bad: int
    seconds: float
    latencies_ms: list[float]
    example: bytes

    def percentile_ms(self, share: float) -> float:
        """A percentile of the latencies, share from 0 to 1."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class Caller(asyncio.Protocol):
    """One connection: sends a request and tells when its answer is whole."""

    def __init__(self, wire: bytes) -> None:
        self.wire = wire
        self.waiter: asyncio.Future[bytes] | None = None
        self.buffer = bytearray()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self) -> asyncio.Future[bytes]:
        self.buffer.clear()
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(self.wire)
        return self.waiter

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.waiter is not None and not self.waiter.done() and _whole(self.buffer):
            self.waiter.set_result(bytes(self.buffer))

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(b"")


def _whole(answer: bytearray) -> bool:
    if answer.endswith(b"0\r\n\r\n"):
        return True
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = answer.lower().find(b"content-length:", 0, head)
    if at < 0:
        return False
    end = answer.find(b"\r\n", at)
    return len(answer) - head - 4 >= int(answer[at + 15 : end])


async def _run(load: Load) -> Came:
    loop = asyncio.get_running_loop()
    wire, parts = load.wire(), urlsplit(load.url)
    latencies: list[float] = []
    bad: list[bytes] = []
    example = b""

    async def connect() -> Caller:
        _, caller = await loop.create_connection(lambda: Caller(wire), parts.hostname, parts.port)
        return caller

    callers = [await connect() for _ in range(load.in_flight)]
    begun = time.perf_counter()
    due = iter(range(load.requests))

    async def work(place: int) -> None:
        nonlocal example
        for number in due:
            at = begun + number / load.rate if load.rate else time.perf_counter()
            if (wait := at - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if callers[place].lost:
                callers[place] = await connect()
            answer = await callers[place].ask()
            latencies.append((time.perf_counter() - at) * 1000)
            if answer.startswith(b"HTTP/1.1 200"):
                example = example or answer
            else:
                bad.append(answer[:2_000])

    await asyncio.gather(*(work(place) for place in range(load.in_flight)))
    seconds = time.perf_counter() - begun
    for caller in callers:
        caller.transport.close()
    return Came(load.requests - len(bad), len(bad), seconds, latencies, bad[0] if bad else example)


def _serve(pipe: Connection) -> None:
    while (load := pipe.recv()) is not None:
        pipe.send(asyncio.run(_run(load)))


class LoadProcess:
    """The process that sends. Use as a context manager."""

    def __enter__(self) -> LoadProcess:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        return self

    def run(self, load: Load) -> Came:
        """Send a load and wait for what comes of it."""
        self._pipe.send(load)
        came: Came = self._pipe.recv()
        return came

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join(5)
        self._process.kill()
