"""Content-Encoding undone in pieces of any size, within a bound."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.edges.http.decoding import UndecodableError, decoder_for


def bare(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": lambda text: gzip.compress(text[:5]) + gzip.compress(text[5:]),
    "deflate": zlib.compress,
    " DEFLATE ": bare,
    "identity": bytes,
    "": bytes,
}


@given(st.sampled_from(sorted(PACKINGS)), st.binary(max_size=400), st.integers(1, 50))
def test_pieces_of_any_size(encoding: str, text: bytes, size: int) -> None:
    packed = PACKINGS[encoding](text)
    decoder = decoder_for(encoding)
    pieces = [decoder.decode(packed[start : start + size], 1_000) for start in range(0, len(packed), size)]
    decoder.finish()
    assert b"".join(pieces) == text


def test_a_bomb_is_not_unpacked_beyond_the_bound() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    assert len(decoder_for("gzip").decode(bomb, 1_000)) == 1_001


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
def test_what_was_not_offered_is_refused(encoding: str) -> None:
    with pytest.raises(UndecodableError):
        decoder_for(encoding)


def test_nonsense_is_refused_wherever_it_begins() -> None:
    with pytest.raises(UndecodableError):
        decoder_for("gzip").decode(b"\xff nothing of the kind", 1_000)
    with pytest.raises(UndecodableError):
        decoder_for("deflate").decode(b"\x78\x9c\xff\xff\xff\xff", 1_000)
    with pytest.raises(UndecodableError):
        decoder_for("gzip").decode(gzip.compress(b"x" * 1_000)[:-8] + bytes(8), 1_000)  # a wrong checksum


def test_half_a_body_is_refused_at_its_end() -> None:
    decoder = decoder_for("gzip")
    decoder.decode(gzip.compress(b"x" * 1000)[:-9], 10_000)
    with pytest.raises(UndecodableError):
        decoder.finish()
    decoder_for("gzip").finish()  # an empty body is an empty body
