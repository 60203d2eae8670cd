"""What our HTTP transports cost beside the bare library, in one run: CPU microseconds of the client process.

    python bench/http_edge.py [--json] [--rounds 5] [--requests 4000] [--chunks 100]

The server is a process of its own that answers canned bytes from an asyncio.Protocol. Contenders take turns, round by
round, and the best round of each counts: other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import platform
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from bursar.call.exchange import Answer, Exchange, Opened, Progress
from bursar.edges.http import AsyncTransport, BlockingTransport

BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 970 + b'"}]}'
HEADERS = {"Authorization": "Bearer sk-bench", "Content-Type": "application/json"}
IN_FLIGHT = 64
DEADLINE_SECONDS = 300


def canned(chunks: int) -> tuple[bytes, bytes]:
    """A reply of 1 KB, and one of `chunks` server-sent events of 322 bytes."""
    whole = b'{"id":"1","choices":[],"pad":"' + b"y" * 990 + b'"}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: 1\r\nx-ratelimit-remaining: 9\r\n"
    plain = head + b"Content-Length: %d\r\n\r\n%b" % (len(whole), whole)
    event = b"data: " + b"z" * 314 + b"\n\n"
    return plain, head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"%x\r\n%b\r\n" % (len(event), event)) * chunks


class Server(asyncio.Protocol):
    """Answers each request on /whole or /stream; of a stream one chunk at a time, so that the client wakes for each."""

    def __init__(self, chunks: int) -> None:
        self.plain, stream = canned(chunks)
        head, _, rest = stream.partition(b"\r\n\r\n")
        size = len(rest) // chunks
        self.parts = [head + b"\r\n\r\n", *(rest[i : i + size] for i in range(0, len(rest), size)), b"0\r\n\r\n"]
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if end and len(body) >= len(BODY):
            self.buffer = b""
            if b" /stream " in head:
                self.send(0)
            else:
                self.transport.write(self.plain)

    def send(self, part: int) -> None:
        if part < len(self.parts) and not self.transport.is_closing():
            self.transport.write(self.parts[part])
            asyncio.get_running_loop().call_later(0.01, self.send, part + 1)


def serve(pipe: Connection, chunks: int) -> None:
    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(lambda: Server(chunks), "127.0.0.1", 0, backlog=512)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(run())


Once = Callable[[], Awaitable[int]]


async def at_once(once: Once, times: int) -> tuple[float, int]:
    """CPU seconds of `times` calls at IN_FLIGHT, and how many pieces they read in all."""
    pieces = 0

    async def worker(share: int) -> None:
        nonlocal pieces
        for _ in range(share):
            read = await once()
            pieces += read

    began = time.process_time()
    await asyncio.gather(*(worker(times // IN_FLIGHT) for _ in range(IN_FLIGHT)))
    return time.process_time() - began, pieces


async def measure(port: int, rounds: int, requests: int, chunks: int) -> dict[str, float]:
    import aiohttp

    url = f"http://127.0.0.1:{port}"
    transport = AsyncTransport()
    timed = aiohttp.ClientTimeout(total=DEADLINE_SECONDS, connect=10, sock_read=60)
    bare = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    bare_timed = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timed)

    def exchange(path: str, stream: bool, deadline: bool) -> Exchange:
        deadline_ms = time.time_ns() // 1_000_000 + DEADLINE_SECONDS * 1000 if deadline else None
        return Exchange("p", url + path, HEADERS, BODY, stream, deadline_ms)

    def bare_whole(session: aiohttp.ClientSession) -> Once:
        async def once() -> int:
            async with session.post(url + "/whole", data=BODY, headers=HEADERS) as response:
                return len(await response.read()) // 1000

        return once

    def bare_stream(session: aiohttp.ClientSession) -> Once:
        async def once() -> int:
            pieces = 0
            async with session.post(url + "/stream", data=BODY, headers=HEADERS) as response:
                while await response.content.readany():
                    pieces += 1
            return pieces

        return once

    def our_whole(deadline: bool) -> Once:
        async def once() -> int:
            answer, _ = await transport.open(exchange("/whole", False, deadline), Progress())
            assert isinstance(answer, Answer), answer
            return len(answer.body) // 1000

        return once

    def our_stream(deadline: bool) -> Once:
        async def once() -> int:
            pieces = 0
            opened, body = await transport.open(exchange("/stream", True, deadline), Progress())
            assert isinstance(opened, Opened), opened
            assert body is not None
            while await body.read():
                pieces += 1
            return pieces

        return once

    whole: dict[str, Once] = {
        "aiohttp": bare_whole(bare),
        "aiohttp_with_timeouts": bare_whole(bare_timed),
        "ours": our_whole(False),
        "ours_with_deadline": our_whole(True),
    }
    stream: dict[str, Once] = {
        "aiohttp": bare_stream(bare),
        "aiohttp_with_timeouts": bare_stream(bare_timed),
        "ours": our_stream(False),
        "ours_with_deadline": our_stream(True),
    }
    figures: dict[str, float] = {}
    for once in (*whole.values(), *stream.values()):
        await at_once(once, IN_FLIGHT)  # connections and imports
    for _ in range(rounds):
        for name, once in whole.items():
            spent, _ = await at_once(once, requests)
            lower(figures, f"post_us_{name}", spent / requests * 1e6)
        for name, once in stream.items():
            streams = max(IN_FLIGHT, requests // chunks)
            spent, pieces = await at_once(once, streams)
            lower(figures, f"chunk_us_{name}", spent / pieces * 1e6)
    await transport.close()
    await bare.close()
    await bare_timed.close()
    return figures


def measure_blocking(port: int, rounds: int, requests: int) -> dict[str, float]:
    import httpx2

    url = f"http://127.0.0.1:{port}/whole"
    figures: dict[str, float] = {}
    transport = BlockingTransport()
    with httpx2.Client() as client:
        for _ in range(rounds):
            began = time.process_time()
            for _ in range(requests):
                client.post(url, content=BODY, headers=HEADERS)
            lower(figures, "blocking_post_us_httpx2", (time.process_time() - began) / requests * 1e6)
            began = time.process_time()
            for _ in range(requests):
                transport.open(Exchange("p", url, HEADERS, BODY, False, None), Progress())
            lower(figures, "blocking_post_us_ours", (time.process_time() - began) / requests * 1e6)
    transport.close()
    return figures


def lower(figures: dict[str, float], name: str, value: float) -> None:
    figures[name] = round(min(figures.get(name, value), value), 2)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--json", action="store_true", help="one JSON object")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--requests", type=int, default=4000)
    asked.add_argument("--chunks", type=int, default=100)
    arguments = asked.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, arguments.chunks), daemon=True)
    server.start()
    try:
        port = ours.recv()
        figures = asyncio.run(measure(port, arguments.rounds, arguments.requests, arguments.chunks))
        figures |= measure_blocking(port, arguments.rounds, arguments.requests // 8)
    finally:
        server.terminate()
        server.join()
    figures["post_ratio"] = round(figures["post_us_ours_with_deadline"] / figures["post_us_aiohttp"], 3)
    figures["chunk_added_us"] = round(figures["chunk_us_ours_with_deadline"] - figures["chunk_us_aiohttp"], 2)
    if arguments.json:
        print(json.dumps({"python": platform.python_version(), "in_flight": IN_FLIGHT, **figures}))
        return
    for name, value in figures.items():
        print(f"{name:42} {value:10.2f}")


if __name__ == "__main__":
    main()
