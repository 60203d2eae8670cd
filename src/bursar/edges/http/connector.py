"""One provider's line over aiohttp, taught our limits: which idle connections stay, and how a request is written.

Imports aiohttp, so it is imported only where it is used. Touches public names of aiohttp alone.
Source: aiohttp 3.13 to 3.14, `BaseConnector.connect`, `Connection.add_callback`, `Payload.write_with_length`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from bursar.edges.http.surroundings import DEFAULT_HEADERS, PIECE_BYTES, proxy_for

if TYPE_CHECKING:
    import ssl

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    from bursar.call.exchange import Exchange, Progress
    from bursar.edges.http.pool import Pool


class KeepingConnector(aiohttp.TCPConnector):
    """Connections without a limit (seats limit them), of which at most `idle_max` are kept when idle.

    aiohttp has no such limit. Every connection passes `connect` and calls back before it goes to the idle ones; a
    connection in `idle_protocols` that comes out of `connect` was reused.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(limit=0, keepalive_timeout=pool.limits.keepalive_expiry_seconds)
        self.seats = pool
        self.idle_protocols: set[ResponseHandler] = set()
        self.reading: dict[ResponseHandler, aiohttp.ClientResponse] = {}
        self.writing: set[asyncio.Transport] = set()

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """A connection, new or kept."""
        connection = await super().connect(*args, **kwargs)
        protocol = connection.protocol
        if protocol is not None:
            reused = protocol in self.idle_protocols
            if reused:
                self.idle_protocols.discard(protocol)
            elif protocol.closed is not None:
                protocol.closed.add_done_callback(partial(self._lost, protocol))
            self.seats.connected(reused=reused)
            connection.add_callback(partial(self._let_go, protocol))
        return connection

    def _let_go(self, protocol: ResponseHandler) -> None:
        if protocol.should_close or not protocol.is_connected():
            return
        if len(self.idle_protocols) >= self.seats.limits.idle_max and self.idle() >= self.seats.limits.idle_max:
            protocol.force_close()
            return
        self.idle_protocols.add(protocol)

    def watch(self, response: aiohttp.ClientResponse) -> ResponseHandler | None:
        """Have `response` closed if its connection is lost while its body is read. Undone by `unwatch`."""
        protocol = response.connection.protocol if response.connection is not None else None
        if protocol is not None:
            self.reading[protocol] = response
        return protocol

    def unwatch(self, protocol: ResponseHandler | None, response: aiohttp.ClientResponse) -> None:
        """The body has ended, or will not be read on. Its connection may serve another by now."""
        if protocol is not None and self.reading.get(protocol) is response:
            del self.reading[protocol]

    def _lost(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        if not closed.cancelled():
            closed.exception()  # retrieved, or asyncio complains of it
        response = self.reading.get(protocol)
        if response is not None and not response.content.is_eof() and response.content.exception() is None:
            # aiohttp tells nobody when a later packet of a body is nonsense: its reader would wait for ever
            response.close()

    def stop_writing(self) -> None:
        """Cut the connections whose request is not written yet: closing them would wait for a peer to read it."""
        for transport in list(self.writing):
            transport.abort()

    def idle(self) -> int:
        """How many connections are kept. Those that ended unseen (peer, expiry) are forgotten here."""
        self.idle_protocols = {protocol for protocol in self.idle_protocols if protocol.is_connected()}
        return len(self.idle_protocols)


class Upload(aiohttp.Payload):
    """A request body that says when its first byte, and so the first of the request, is about to be written.

    aiohttp holds the head back until the body is written. A body of up to 64 KiB fits the socket's buffer and needs no
    timer; a longer one has the write timeout for each piece, so that slow is not the same as stuck.
    """

    def __init__(self, body: bytes, progress: Progress, connector: KeepingConnector) -> None:
        super().__init__(body, content_type="application/json")
        self.body = body
        self.progress = progress
        self.connector = connector

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text; aiohttp asks for it, nothing here does."""
        return self.body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all of it; its length is the Content-Length that was sent."""
        self.progress.sent = True
        if len(self.body) <= PIECE_BYTES:
            await writer.write(self.body)
            return
        transport: asyncio.Transport | None = getattr(writer, "transport", None)
        if transport is None:
            raise aiohttp.ClientConnectionError("the connection was lost before the request")
        self.connector.writing.add(transport)
        try:
            await self._write_pieces(writer)
        except BaseException:  # what is in its buffer must not follow, nor keep it open
            transport.abort()
            raise
        finally:
            self.connector.writing.discard(transport)

    async def _write_pieces(self, writer: AbstractStreamWriter) -> None:
        whole = memoryview(self.body)
        for start in range(0, len(whole), PIECE_BYTES):
            async with asyncio.timeout(self.connector.seats.limits.write_timeout_seconds):
                await writer.write(whole[start : start + PIECE_BYTES])
                await writer.drain()


class Address:
    """A URL made ready once: parsed, with its proxy and whether it is spoken to over TLS."""

    __slots__ = ("proxy", "proxy_headers", "request_headers", "tls", "url")

    def __init__(self, url: str, *, heed_environment: bool) -> None:
        proxy = proxy_for(url) if heed_environment else None
        self.url = URL(url)
        self.tls = self.url.scheme == "https"
        self.proxy = URL(proxy.url) if proxy else None
        credentials = {"Proxy-Authorization": proxy.authorization} if proxy and proxy.authorization else None
        self.proxy_headers = credentials if self.tls else None  # of the CONNECT that opens the tunnel
        self.request_headers = None if self.tls else credentials  # without a tunnel the proxy reads the request itself


class Line:
    """The session of one provider, on the running loop. No cookies: they would tie one caller's calls to another's."""

    __slots__ = ("connector", "session")

    def __init__(self, pool: Pool) -> None:
        limits = pool.limits
        self.connector = KeepingConnector(pool)
        self.session = aiohttp.ClientSession(
            connector=self.connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=DEFAULT_HEADERS,
            # `connect` bounds DNS, TCP and TLS together; `sock_connect` would leave DNS out
            timeout=aiohttp.ClientTimeout(
                total=None, connect=limits.connect_timeout_seconds, sock_read=limits.read_timeout_seconds
            ),
        )

    async def request(
        self, exchange: Exchange, address: Address, progress: Progress, tls: ssl.SSLContext | None
    ) -> aiohttp.ClientResponse:
        """The head of the reply."""
        headers = exchange.headers
        if address.request_headers is not None:
            headers = {**headers, **address.request_headers}
        upload: Upload | None = None
        if exchange.method == "POST":
            upload = Upload(exchange.body, progress, self.connector)
        else:
            progress.sent = True  # a look-up costs nothing: whether it was sent decides nothing
        return await self.session.request(
            exchange.method,
            address.url,
            data=upload,
            headers=headers,
            allow_redirects=False,
            proxy=address.proxy,
            proxy_headers=address.proxy_headers,
            ssl=tls or True,
        )
