"""Sockets that keep to the deadline of the exchange they serve, for the blocking transport.

httpcore2 takes one timeout for a whole body, so a stream that stalls late would overstay by that much; here each read
and write has no more than what is left. This is also where the first byte of a request is seen to leave, and where
another thread can end a read. Imports httpcore2, so it is imported only where it is used.
Source: httpcore2 2.16, "Network backends" (public), which is httpx2's own lower half.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httpcore2

from bursar.edges.http.surroundings import PIECE_BYTES

if TYPE_CHECKING:
    import ssl

    from bursar.edges.http.course import Current
    from bursar.edges.http.pool import Pool


class DeadlineStream(httpcore2.NetworkStream):
    """A connection whose every operation heeds the current course."""

    def __init__(self, inner: httpcore2.NetworkStream, pool: Pool, current: Current) -> None:
        self.inner = inner
        self.pool = pool
        self.current = current

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, b"" at the end."""
        return self.inner.read(max_bytes, self.current.course.left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`, each piece within the timeout."""
        course = self.current.course
        if course.rides(self.shut):
            self.pool.connected(reused=True)
        for start in range(0, len(buffer), PIECE_BYTES):
            left = course.left(timeout, httpcore2.WriteTimeout)
            course.progress.sent = True
            self.inner.write(buffer[start : start + PIECE_BYTES], left)

    def close(self) -> None:
        """Close it."""
        self.inner.close()

    def shut(self) -> None:
        """Close it for a thread that may be reading from it: it reads the end."""
        connection = self.inner.get_extra_info("socket")
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # an SSLSocket's own would not be thread-safe

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """The same connection over TLS."""
        course = self.current.course
        left = course.left(timeout, httpcore2.ConnectTimeout, course.connect_until)
        return DeadlineStream(self.inner.start_tls(ssl_context, server_hostname, left), self.pool, self.current)

    def get_extra_info(self, info: str) -> Any:
        """As httpcore2 defines it."""
        return self.inner.get_extra_info(info)


class DeadlineBackend(httpcore2.NetworkBackend):
    """Makes such connections and counts them."""

    def __init__(self, pool: Pool, current: Current) -> None:
        self.inner = httpcore2.SyncBackend()
        self.pool = pool
        self.current = current

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """A connection to `host`. The operating system bounds the look-up of the name, nothing else can."""
        course = self.current.course
        left = course.left(timeout, httpcore2.ConnectTimeout)
        if timeout is not None:
            course.connect_until = time.monotonic() + timeout
        stream = self.inner.connect_tcp(host, port, left, local_address, socket_options)
        course.opened = True
        self.pool.connected(reused=False)
        return DeadlineStream(stream, self.pool, self.current)
