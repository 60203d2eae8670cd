"""A server that keeps every byte it was sent and answers with the bytes it is given, cut where it is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.client.simulator import ALONE

CHAT_REPLY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"Rhine, Nile","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13},"system_fingerprint":"fp"}'
)


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def answer(body: bytes, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """A whole reply."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass
class RawServer:
    """`replies` are used up in order, the last one for ever. Where a request has the header x-cut, the connection is
    closed after so many bytes of its reply; x-pause, so many seconds later.
    """

    url: str = ""
    replies: list[bytes] = field(default_factory=lambda: [answer(CHAT_REPLY)])
    received: list[Received] = field(default_factory=list)
    closing: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.received.append(Received(first.split()[1], headers, body))
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                cut = int(headers.get("x-cut", len(reply)))
                writer.write(reply[:cut])
                await writer.drain()
                await asyncio.sleep(float(headers.get("x-pause", "0")))
                if self.closing or cut < len(reply):
                    break
        writer.close()


@contextlib.contextmanager
def raw_server(*replies: bytes, closing: bool = False) -> Iterator[RawServer]:
    """A server in a thread. `closing`: it closes the connection after each reply, however much of one that was."""
    server = RawServer(closing=closing)
    if replies:
        server.replies = list(replies)
    started = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    stop = asyncio.Event()

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=512)
        host, port = listening.sockets[0].getsockname()[:2]
        server.url = f"http://{host}:{port}/v1"
        started.set()
        await stop.wait()
        listening.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="raw server", daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield server
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)


def configured(server: RawServer, name: str = "openai", **keys: Any) -> dict[str, Any]:
    """A configuration with this server under a provider's name."""
    return {"llm": {"providers": {name: {"base_url": server.url, "api_key": "sk-sim-raw", **ALONE, **keys}}}}
