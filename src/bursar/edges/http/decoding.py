"""Content-Encoding undone piece by piece, never further than asked: a small body can unpack to a huge one.

Source: RFC 9110, section 8.4.1 (gzip, and deflate, which some servers send without the zlib wrapper).
"""

from __future__ import annotations

import zlib

AUTOMATIC = zlib.MAX_WBITS | 32  # gzip or zlib, as the data says
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
    """A body packed by gzip or deflate; several gzip members may follow one another."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(AUTOMATIC)
        self._begun = False

    def decode(self, data: bytes, limit_bytes: int) -> bytes:
        """What `data` unpacks to. When that is over `limit_bytes`, a beginning of it that is longer than that."""
        unpacked = b""
        while data:
            if self._unpacker.eof:
                self._unpacker = zlib.decompressobj(AUTOMATIC)
            try:
                unpacked += self._unpacker.decompress(data, limit_bytes + 1 - len(unpacked))
            except zlib.error as error:
                if self._begun:
                    raise UndecodableError from error
                self._unpacker = zlib.decompressobj(BARE)
                self._begun = True
                continue
            self._begun = True
            if len(unpacked) > limit_bytes:
                break
            data = self._unpacker.unused_data
        return unpacked

    def finish(self) -> None:
        """UndecodableError if the body ended inside the packed data."""
        if self._begun and not self._unpacker.eof:
            raise UndecodableError


def decoder_for(content_encoding: str) -> Identity | Inflation:
    """The decoder of one body. UndecodableError for what Accept-Encoding did not offer."""
    named = content_encoding.strip().lower()
    if named in ("", "identity"):
        return Identity()
    if named in ("gzip", "x-gzip", "deflate"):
        return Inflation()
    raise UndecodableError
