"""A provider that fails on the wire: the failures that need bytes of their own, each at a path of its own.

`/NAME/v1/chat/completions` answers as the failure NAME does, `/once/NAME/v1/...` does so to the first attempt of a call
and answers the others well. Like a real provider it has a bill: what it generated is billed, whatever became of the
bytes; what it refused is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate

from tests.client.raw_server import CHAT_REPLY, answer

REPLY_TEXT = "Rhine, Nile"
# What the reply's usage costs at the list price of gpt-4o-mini.
REPLY_NANO_USD = 9 * 150 + 4 * 600

_OPENED = b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}'
_EVENTS = (
    _OPENED,
    b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Rhine, "},"finish_reason":null}]}',
    b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Nile"},"finish_reason":null}]}',
    b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}',
    b'{"id":"s","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}',
    b"[DONE]",
)
STREAM = b"".join(b"data: " + event + b"\n\n" for event in _EVENTS)
OPENING = b"data: " + _OPENED + b"\n\n"
BEGUN = STREAM[: STREAM.index(b'{"content":"Nile"}')]
BEGUN = BEGUN[: BEGUN.rindex(b"data: ")]
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
JSON_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(CHAT_REPLY)
ENDLESS_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
RATE_LIMITED = b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}'
TLS_HANDSHAKE = b"\x16"
MEBIBYTE = b" " * 2**20
BODY_MEBIBYTES = 66


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    attempt_id: str
    stream: bool
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def reset(self) -> None:
        """End the connection so that the peer hears of it as a failure."""
        await asyncio.sleep(0.01)  # a reset throws away what has not left yet
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def wait_for_peer(self) -> None:
        """Say nothing until the peer has gone."""
        await self.reader.read()


Serve = Callable[[Request], Awaitable[None]]


async def well(request: Request) -> None:
    await request.send(STREAM_HEAD + STREAM if request.stream else answer(CHAT_REPLY))
    if request.stream:
        request.writer.close()


async def reset_before_the_head(request: Request) -> None:
    await request.reset()


async def reset_after_the_head(request: Request) -> None:
    await request.send(STREAM_HEAD if request.stream else JSON_HEAD)
    await request.reset()


async def reset_before_output(request: Request) -> None:
    """A stream that announces itself, and breaks."""
    await request.send(STREAM_HEAD + OPENING if request.stream else JSON_HEAD + CHAT_REPLY[:40])
    await request.reset()


async def closed_before_output(request: Request) -> None:
    await request.send(STREAM_HEAD + OPENING if request.stream else JSON_HEAD)
    request.writer.close()


async def closed_after_output(request: Request) -> None:
    """A stream that says something and ends, without a reset that could overtake it."""
    await request.send(STREAM_HEAD + BEGUN)
    request.writer.close()


async def reset_in_mid_stream(request: Request) -> None:
    """Reset once there was time to hand over what had come."""
    await request.send(STREAM_HEAD + BEGUN if request.stream else JSON_HEAD + CHAT_REPLY[:40])
    await asyncio.sleep(0.5)
    await request.reset()


async def no_answer(request: Request) -> None:
    await request.wait_for_peer()


async def no_first_token(request: Request) -> None:
    await request.send(STREAM_HEAD + OPENING if request.stream else JSON_HEAD)
    await request.wait_for_peer()


async def no_more(request: Request) -> None:
    """A stream that begins, and falls silent."""
    await request.send(STREAM_HEAD + BEGUN if request.stream else JSON_HEAD + CHAT_REPLY[:40])
    await request.wait_for_peer()


async def endless_line(request: Request) -> None:
    await request.send((STREAM_HEAD if request.stream else ENDLESS_HEAD) + b"data: ")
    while not request.writer.is_closing():
        await request.send(MEBIBYTE)


async def oversized(request: Request) -> None:
    """More than is read of a reply; a stream gets it as events that say nothing."""
    if request.stream:
        await request.send(STREAM_HEAD + OPENING)
        for _ in range(BODY_MEBIBYTES):
            await request.send(b": " + MEBIBYTE + b"\n\n")
    else:
        await request.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (BODY_MEBIBYTES * 2**20))
        for _ in range(BODY_MEBIBYTES):
            await request.send(MEBIBYTE)


async def gzip_bomb(request: Request) -> None:
    head = (STREAM_HEAD if request.stream else ENDLESS_HEAD).removesuffix(b"\r\n")
    await request.send(head + b"content-encoding: gzip\r\n\r\n" + BOMB)


async def html_page(request: Request) -> None:
    page = b"<!DOCTYPE html><html><body>Sign in to the network of this hotel</body></html>"
    await request.send(answer(page, content_type="text/html"))


async def error_body(request: Request) -> None:
    """An error in a body of its own with status 200, whatever was asked for."""
    await request.send(answer(b'{"error":{"message":"no capacity","type":"server_error","code":"server_error"}}'))


async def redirect(request: Request) -> None:
    head = "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://api.example.com/v2/chat?key=1\r\n"
    await request.send(head.encode() + b"content-length: 0\r\n\r\n")


async def whole_reply(request: Request) -> None:
    """A whole reply, also to who asked for a stream."""
    await request.send(answer(CHAT_REPLY))


async def rate_limited(request: Request, *headers: str, status: str = "429 Too Many Requests") -> None:
    lines = [f"HTTP/1.1 {status}", *headers, "content-type: application/json", f"content-length: {len(RATE_LIMITED)}"]
    await request.send("\r\n".join(lines).encode() + b"\r\n\r\n" + RATE_LIMITED)


async def rate_limited_until(request: Request) -> None:
    """A date a second from the server's own, by which alone it is to be read."""
    said = [f"date: {formatdate(1_000_000_000, usegmt=True)}", f"retry-after: {formatdate(1_000_000_001, usegmt=True)}"]
    await rate_limited(request, *said)


async def unavailable(request: Request) -> None:
    await rate_limited(request, status="503 Service Unavailable")


async def rate_limited_for_milliseconds(request: Request) -> None:
    await rate_limited(request, "retry-after-ms: 20", "retry-after: 60")


BOMB = gzip.compress(b"data: " + bytes(BODY_MEBIBYTES * 2**20), 9)
REFUSALS: dict[str, Serve] = {
    "redirect": redirect,
    "error_body": error_body,
    "rate_limited_until": rate_limited_until,
    "rate_limited_for_milliseconds": rate_limited_for_milliseconds,
    "unavailable": unavailable,
}
FAILURES: dict[str, Serve] = {
    "well": well,
    "reset_before_the_head": reset_before_the_head,
    "reset_after_the_head": reset_after_the_head,
    "reset_before_output": reset_before_output,
    "closed_before_output": closed_before_output,
    "closed_after_output": closed_after_output,
    "reset_in_mid_stream": reset_in_mid_stream,
    "no_answer": no_answer,
    "no_first_token": no_first_token,
    "no_more": no_more,
    "endless_line": endless_line,
    "oversized": oversized,
    "gzip_bomb": gzip_bomb,
    "html_page": html_page,
    "whole_reply": whole_reply,
}


@dataclass
class FailingServer:
    """A server that answers. `billed`: nano-USD by attempt id. `requests`: how many came, by failure."""

    url: str = ""
    billed: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    def base(self, name: str, *, once: bool = False) -> str:
        """The base URL at which this failure is met; "plain": that of a provider that speaks no TLS, to whom does."""
        if name == "plain":
            return self.url.replace("http:", "https:") + "/well/v1"
        return f"{self.url}/once/{name}/v1" if once else f"{self.url}/{name}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            while not writer.is_closing():
                if (first_byte := await reader.readexactly(1)) == TLS_HANDSHAKE:
                    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    break
                head = (first_byte + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Request(headers.get("x-client-request-id", ""), b'"stream":true' in body, reader, writer)
                await self._answer(first.split()[1].split("/")[1:-3], request)
        writer.close()

    async def _answer(self, way: list[str], request: Request) -> None:
        *once, name = way
        if once and not request.attempt_id.endswith(".0"):
            name = "well"
        self.requests[name] += 1
        refusal = REFUSALS.get(name)
        if refusal is None:
            self.billed[request.attempt_id] += REPLY_NANO_USD
        await (refusal or FAILURES[name])(request)


@contextlib.asynccontextmanager
async def failing_here() -> AsyncIterator[FailingServer]:
    """The server, on the running loop."""
    server = FailingServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
    host, port = listening.sockets[0].getsockname()[:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()


@contextlib.contextmanager
def failing_server() -> Iterator[FailingServer]:
    """The server, in a thread."""
    servers: list[FailingServer] = []
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        loops[0].set_exception_handler(lambda *_: None)  # peers that go away while they are written to
        async with failing_here() as server:
            servers.append(server)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="failing server", daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield servers[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)
