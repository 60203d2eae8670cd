"""One request and its answer over bare ASGI: headers once, a bounded body, whole replies and streams.

Decides how bytes come in and go out, and nothing about what they mean. A caller that vanishes ends the task of its
request, as the server's protocol is asked to (`protocol`); what that means for the money is the driver's.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from bursar.gateway.problems import Problem
from bursar.rules.keys import CallerKey

Headers = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = (b"content-type", b"application/json")
# Where two of them disagree, whoever stands before us may have read the other one.
GOVERNING = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"content-length", b"content-type", b"content-encoding", b"host",
     b"idempotency-key", b"origin", b"x-bursar-session", b"x-bursar-user", b"x-bursar-tags"}
)  # fmt: skip

_encode = msgspec.json.Encoder(decimal_format="number").encode


class ClientGone(Exception):  # noqa: N818 - no error: nobody is left to be told
    """The caller went away before its request was whole."""


class Incoming:
    """A request that has come in. `path` is the request's own, never one that a Host header could make up.

    headers: by lower-case name. key: who asks, once that is known. parts: what stands at the path's variables.
    """

    __slots__ = ("_receive", "_scope", "_send", "begun", "headers", "key", "method", "parts", "path")

    key: CallerKey

    def __init__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        headers = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(headers)
        self.parts: tuple[str, ...] = ()
        self.begun = False
        if len(self.headers) != len(headers):
            _refuse_repeated(headers)

    @property
    def query(self) -> bytes:
        """What stands behind the question mark."""
        query: bytes = self._scope["query_string"]
        return query

    @property
    def client(self) -> str:
        """The address that the connection comes from; "" where there is none."""
        client = self._scope.get("client")
        return client[0] if client else ""

    async def body(self, bytes_max: int) -> bytes:
        """The whole body, unpacked where it is gzip or deflate. Raises Problem (413, 415, 400) and ClientGone."""
        declared = self.headers.get(b"content-length")
        if declared is not None and (not declared.isdigit() or int(declared) > bytes_max):
            raise too_large(bytes_max)
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGone
        body: bytes = message["body"]
        if message["more_body"] or len(body) > bytes_max:
            body = await self._rest(bytearray(body), message["more_body"], bytes_max)
        coding = self.headers.get(b"content-encoding")
        return body if coding is None else _unpacked(body, coding, bytes_max)

    async def _rest(self, body: bytearray, more: bool, bytes_max: int) -> bytes:
        while more and len(body) <= bytes_max:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone
            body += message["body"]
            more = message["more_body"]
        if len(body) > bytes_max:
            raise too_large(bytes_max)
        return bytes(body)

    async def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a whole body."""
        length = (b"content-length", b"%d" % len(body))
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        await self._send({"type": "http.response.body", "body": body})

    async def json(self, status: int, value: Any, headers: Headers = ()) -> None:
        """Answer with a value as JSON; amounts as plain numbers."""
        await self.reply(status, (JSON, *headers), _encode(value))

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer whose body comes in pieces (`send`), until `end`."""
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def send(self, data: bytes) -> None:
        """The next piece; waits while the caller reads too slowly."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """The last piece."""
        await self._send({"type": "http.response.body", "body": data})


def too_large(bytes_max: int) -> Problem:
    """The body is larger than this gateway takes."""
    return Problem(413, "request_too_large", f"the request body is larger than {bytes_max} bytes")


def _refuse_repeated(headers: Headers) -> None:
    seen: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in GOVERNING and seen.setdefault(name, value) is not value:
            raise Problem(400, "duplicate_header", f"the header {name.decode('latin-1')} came more than once")


def _unpacked(body: bytes, coding: bytes, bytes_max: int) -> bytes:
    """A body without its coding; never more of it than is taken."""
    name = coding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip", b"deflate"):
        shown = name.decode("latin-1")[:40]
        raise Problem(415, "unsupported_encoding", f"a body is gzip, deflate or plain, not {shown!r}")
    unpacking = zlib.decompressobj(wbits=47)  # gzip and zlib, told by their heads
    try:
        plain = unpacking.decompress(body, bytes_max + 1)
    except zlib.error:
        raise Problem(400, "invalid_encoding", "the body is not what its content-encoding says") from None
    if len(plain) > bytes_max:
        raise too_large(bytes_max)
    if not unpacking.eof:
        raise Problem(400, "invalid_encoding", "the packed body ends too soon")
    return plain
