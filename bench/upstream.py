"""A provider that is never the bottleneck: an asyncio.Protocol in a process of its own that answers canned bytes."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

CHUNK_SECONDS = 0.01
USAGE = {"prompt_tokens": 220, "completion_tokens": 190, "total_tokens": 410}


def whole_reply() -> bytes:
    """A chat completion of about 1 KB."""
    message = {"role": "assistant", "content": "river " * 120}
    body = json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": USAGE,
        }
    ).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def stream_parts(chunks: int) -> list[bytes]:
    """The head, `chunks` chunks of about 240 bytes, the usage chunk and the terminator, as they go over the wire."""
    frame = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    events = [
        {**frame, "choices": [{"index": 0, "delta": {"content": f" river {number}"}, "finish_reason": None}]}
        for number in range(chunks - 1)
    ]
    events.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**frame, "choices": [], "usage": USAGE})
    payloads = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events] + [b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%b\r\n" % (len(payload), payload) for payload in payloads), b"0\r\n\r\n"]


class Provider(asyncio.Protocol):
    """One connection: whole replies at once, streams a chunk every `seconds`, or all of a stream in one write for 0."""

    def __init__(self, whole: bytes, parts: list[bytes], seconds: float) -> None:
        self.whole = whole
        self.parts = parts
        self.seconds = seconds
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, body = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lengths = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        length = next(lengths, 0)  # a proxy that asks whether anybody is there sends no body
        if len(body) >= length:
            self.buffer = b""
            if b'"stream":true' in body.replace(b" ", b""):
                if self.seconds:
                    self.send(0)
                else:
                    self.transport.write(b"".join(self.parts))
            else:
                self.transport.write(self.whole)

    def send(self, part: int) -> None:
        if part < len(self.parts) and not self.transport.is_closing():
            self.transport.write(self.parts[part])
            asyncio.get_running_loop().call_later(self.seconds, self.send, part + 1)


def _serve(pipe: Connection, chunks: int, seconds: float) -> None:
    async def run() -> None:
        whole, parts = whole_reply(), stream_parts(chunks)
        server = await asyncio.get_running_loop().create_server(lambda: Provider(whole, parts, seconds), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)

    asyncio.run(run())


@contextmanager
def upstream(chunks: int = 100, seconds: float = CHUNK_SECONDS) -> Iterator[str]:
    """Run the provider; its base URL. Streams have `chunks` chunks, `seconds` apart."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, chunks, seconds), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/v1"
    finally:
        ours.send(None)
        process.join(5)
        process.kill()
