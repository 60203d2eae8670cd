"""Content-Encoding undone piece by piece, never further than asked: a small body can unpack to a huge one.

Source: RFC 9110, section 8.4.1 (gzip, and deflate, which some servers send without the zlib wrapper).
"""

from __future__ import annotations

import zlib

GZIP = zlib.MAX_WBITS | 16
WRAPPED = zlib.MAX_WBITS
BARE = -zlib.MAX_WBITS


class UndecodableError(Exception):
    """The body is not what its Content-Encoding says, or says one that nobody asked for."""


class Identity:
    """A body as it is."""

    def decode(self, data: bytes, limit_bytes: int) -> bytes:
        """`data`; it may be longer than `limit_bytes`."""
        return data

    def finish(self) -> None:
        """Nothing is left over."""


class Inflation:
    """A body packed by gzip (several members may follow one another) or by deflate."""

    def __init__(self, *, gzip: bool) -> None:
        self._unpacker = zlib.decompressobj(GZIP) if gzip else None
        self._held = b""  # the first byte, until the second says how it is packed
        self._touched = False

    def decode(self, data: bytes, limit_bytes: int) -> bytes:
        """What `data` unpacks to. When that is over `limit_bytes`, a beginning of it that is longer than that."""
        if self._unpacker is None:
            self._held += data
            if len(self._held) < 2:
                return b""
            wrapped = self._held[0] & 15 == zlib.DEFLATED and int.from_bytes(self._held[:2]) % 31 == 0
            self._unpacker = zlib.decompressobj(WRAPPED if wrapped else BARE)
            data, self._held = self._held, b""
        unpacked = b""
        while data and len(unpacked) <= limit_bytes:
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(GZIP)
            try:
                unpacked += self._unpacker.decompress(data, limit_bytes + 1 - len(unpacked))
            except zlib.error as error:
                raise UndecodableError from error
            self._touched = True
            data = self._unpacker.unused_data
        return unpacked

    def finish(self) -> None:
        """UndecodableError if the body ended inside the packed data."""
        if self._held or (self._touched and self._unpacker is not None and not self._unpacker.eof):
            raise UndecodableError


def decoder_for(content_encoding: str) -> Identity | Inflation:
    """The decoder of one body. UndecodableError for what Accept-Encoding did not offer."""
    named = content_encoding.strip().lower()
    if named in ("", "identity"):
        return Identity()
    if named in ("gzip", "x-gzip", "deflate"):
        return Inflation(gzip=named != "deflate")
    raise UndecodableError
