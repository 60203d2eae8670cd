"""A provider whose replies a test writes byte by byte, and either colour of transport to ask it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.edges.http import AsyncBody, AsyncTransport, BlockingBody, BlockingTransport, PoolStatistics, Seat

HANG_SECONDS = 20  # no test may wait longer for anything
CERTIFICATE = Path(__file__).with_name("localhost.pem")  # of localhost, for a hundred years, trusted by nobody


async def until(true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(HANG_SECONDS):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


class Conversation:
    """One request as the provider saw it, and the connection to answer on."""

    def __init__(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = head
        self.body = b""
        self.reader = reader
        self.writer = writer

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", status: int = 200, headers: str = "") -> None:
        await self.send(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    async def open_chunks(self, headers: str = "", status: int = 200) -> None:
        await self.send(f"HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def silence(self) -> None:
        """Say nothing until the peer has gone."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    def end(self) -> None:
        """Close politely."""
        self.writer.close()

    def reset(self) -> None:
        """Close as a crash does: with a reset, not an end."""
        on: socket.socket = self.writer.get_extra_info("socket")
        on.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Conversation], Awaitable[None]]


class Provider:
    """The server. `answering` is called for each request of each connection until one of the sides closes."""

    def __init__(self, answering: Script | None = None) -> None:
        self.answering: Script = answering or (lambda conversation: conversation.answer())
        self.requests: list[Conversation] = []
        self.received: list[bytes] = []  # first bytes of each connection
        self.accepted = 0
        self.open_connections = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.read_bodies = True
        self.port = 0
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1/chat"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open_connections += 1
        self.writers.add(writer)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                self.received.append(head[:10])
                conversation = Conversation(head, reader, writer)
                length = int(conversation.headers.get("content-length", 0))
                if self.read_bodies:
                    conversation.body = await reader.readexactly(length)
                self.requests.append(conversation)
                await self.answering(conversation)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1
            self.writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def dropped(self) -> None:
        """Wait until every connection was cut, not ended: writing to it says so, whatever was not read from it."""
        for writer in list(self.writers):
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(HANG_SECONDS):
                    while True:
                        writer.write(b" ")
                        await writer.drain()
                        await asyncio.sleep(0.005)

    async def connections(self, count: int) -> None:
        """Wait until so many connections are open."""
        await until(lambda: self.open_connections == count)


@contextlib.asynccontextmanager
async def providing(answering: Script | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    provider = Provider(answering)
    provider.scheme = "https" if tls else "http"
    tasks: set[asyncio.Task[None]] = set()

    def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(provider._converse(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls, backlog=256)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


class Body:
    """A streamed body of either colour."""

    def __init__(self, client: Client, body: AsyncBody | BlockingBody) -> None:
        self.client = client
        self.body = body

    async def read(self) -> bytes | Failed:
        piece: bytes | Failed = await self.client.run(self.body.read)
        return piece

    async def rest(self) -> tuple[bytes, Failed | None]:
        """All that comes, and how it failed."""
        data = b""
        while piece := await self.read():
            if isinstance(piece, Failed):
                return data, piece
            data += piece
        return data, None

    async def close(self) -> None:
        await self.client.run(self.body.close)


class Client:
    """A transport of either colour behind one async face."""

    def __init__(self, transport: AsyncTransport | BlockingTransport) -> None:
        self.transport = transport
        self.threads = ThreadPoolExecutor(16) if isinstance(transport, BlockingTransport) else None

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async with asyncio.timeout(HANG_SECONDS):
            if self.threads is not None:
                return await asyncio.get_running_loop().run_in_executor(self.threads, function, *arguments)
            done = function(*arguments)
            return await done if asyncio.iscoroutine(done) else done

    async def open(
        self, exchange: Exchange, progress: Progress | None = None, seat: Seat | None = None
    ) -> tuple[Answer | Opened | Failed, Body | None]:
        outcome, body = await self.run(self.transport.open, exchange, progress or Progress(), seat)
        return outcome, Body(self, body) if body is not None else None

    async def ask(self, url: str, **fields: Any) -> Answer | Opened | Failed:
        """How a whole reply ends."""
        outcome, body = await self.open(request(url, **fields))
        assert body is None
        return outcome

    async def streamed(self, url: str, **fields: Any) -> Body:
        """The body of a stream that opens."""
        outcome, body = await self.open(request(url, stream=True, **fields))
        assert isinstance(outcome, Opened), outcome
        assert body is not None
        return body

    async def wait_seat(self, provider: str, timeout_seconds: float | None = None) -> Seat | Failed:
        taken: Seat | Failed = await self.run(self.transport.wait_seat, provider, timeout_seconds)
        return taken

    def figures(self, provider: str = "p") -> PoolStatistics:
        return self.transport.statistics()[provider]

    async def close(self) -> None:
        await self.run(self.transport.close)


COLOURS: dict[str, type[AsyncTransport] | type[BlockingTransport]] = {
    "async": AsyncTransport,
    "blocking": BlockingTransport,
}
Making = Callable[..., Client]


@contextlib.asynccontextmanager
async def clients(colour: str) -> AsyncIterator[Making]:
    """Makes transports of a colour and closes them."""
    made: list[Client] = []

    def make(**arguments: Any) -> Client:
        made.append(Client(COLOURS[colour](**arguments)))
        return made[-1]

    yield make
    for client in made:
        await client.close()
        if client.threads is not None:
            client.threads.shutdown()


def request(url: str, **fields: Any) -> Exchange:
    defaults: dict[str, Any] = {"provider": "p", "headers": {}, "body": b"{}", "stream": False, "deadline_ms": None}
    return Exchange(url=url, **{**defaults, **fields})
