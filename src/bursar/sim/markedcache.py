"""Anthropic's prompt cache: what a client marks is written, and read when the same beginning comes again in time.

A prompt is a row of pieces: the tools, each block of the system text, each block of each message. A marker ends a
part that is to be kept, for five minutes or an hour; reading keeps it for as long again. The longest kept beginning,
at most 20 pieces before a marker, is read, and what lies between it and the last marker is written. A beginning of
fewer than 1,024 tokens is never kept. Keys and models share nothing. Source: Anthropic's guide to prompt caching of
2026.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bursar.sim import usage
from bursar.sim.messages_ask import CacheControl, CountAsk
from bursar.sim.usage import bytes_tokens

TOKENS_MIN = 1024
LOOK_BACK_PIECES = 20
KEPT_MAX = 65_536
TTL_MS = {"5m": 300_000, "1h": 3_600_000}
TOOLS_PROMPT_TOKENS = 346
"""What Anthropic adds to a prompt that offers tools, as its price page says."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a prompt: what it says, how many tokens, and the marker at its end."""

    content: bytes
    tokens: int
    marker: CacheControl | None = None


@dataclass(frozen=True, slots=True)
class Cached:
    """Tokens of one prompt that were read, written for five minutes and written for an hour."""

    read_tokens: int = 0
    written_5m_tokens: int = 0
    written_1h_tokens: int = 0


def pieces_of(ask: CountAsk) -> list[Piece]:
    """The whole prompt in the order in which it is cached. What is left of the prompt is never marked."""
    tools = [msgspec.json.decode(raw, type=dict[str, Any]) for raw in ask.tools]
    found = [tool_piece(tool, offered.cache_control) for tool, offered in zip(tools, ask.offered(), strict=True)]
    if found:
        found[0] = replace(found[0], tokens=found[0].tokens + TOOLS_PROMPT_TOKENS)
    found += [
        Piece(block.text.encode("utf-8", "surrogatepass"), block.tokens(), block.cache_control)
        for block in ask.system_blocks()
    ]
    for turn in ask.messages:
        for number, part in enumerate(turn.blocks()):
            framing = usage.TOKENS_PER_MESSAGE if number == 0 else 0
            marker = getattr(part, "cache_control", None)
            content = turn.role.encode() + msgspec.json.encode(part if marker is None else unmarked(part))
            found.append(Piece(content, part.tokens() + framing, marker))
    if ask.cache_control is not None and found and found[-1].marker is None:
        found[-1] = replace(found[-1], marker=ask.cache_control)
    return found


def tool_piece(tool: dict[str, Any], marker: CacheControl | None) -> Piece:
    tool.pop("cache_control", None)
    content = msgspec.json.encode(tool)
    return Piece(content, bytes_tokens(len(content)), marker)


def whole_prompt_tokens(pieces: Sequence[Piece]) -> int:
    """Tokens of a prompt of these pieces."""
    return sum(piece.tokens for piece in pieces) + usage.TOKENS_PER_PROMPT


def unmarked(part: msgspec.Struct) -> msgspec.Struct:
    """A block without its marker: moving a marker does not change what is cached."""
    return msgspec.structs.replace(part, cache_control=None)


class MarkedCache:
    """The digests of kept beginnings and when each is forgotten."""

    def __init__(self) -> None:
        self._ends_ms: dict[bytes, tuple[int, int]] = {}

    def read_and_write(self, owner: str, pieces: Sequence[Piece], now_ms: int) -> Cached:
        """What this prompt reads and writes; from now on it is kept."""
        markers = [number for number, piece in enumerate(pieces) if piece.marker is not None]
        if not markers:
            return Cached()
        digests, totals = beginnings(owner, pieces[: markers[-1] + 1])
        read = self._longest(digests, markers, now_ms)
        read_tokens = totals[read] if read is not None else 0
        written = {"5m": 0, "1h": 0}
        done = read_tokens
        for number in markers:
            marker = pieces[number].marker
            assert marker is not None
            if totals[number] < TOKENS_MIN:
                continue
            written[marker.ttl] += max(0, totals[number] - done)
            done = max(done, totals[number])
            self._keep(digests[number], TTL_MS[marker.ttl], now_ms)
        return Cached(read_tokens, written["5m"], written["1h"])

    def _longest(self, digests: Sequence[bytes], markers: Sequence[int], now_ms: int) -> int | None:
        for marker in reversed(markers):
            for number in range(marker, max(-1, marker - LOOK_BACK_PIECES), -1):
                kept = self._ends_ms.get(digests[number])
                if kept is not None and kept[0] > now_ms:
                    self._keep(digests[number], kept[1], now_ms)
                    return number
        return None

    def _keep(self, digest: bytes, ttl_ms: int, now_ms: int) -> None:
        _, before_ms = self._ends_ms.pop(digest, (0, 0))
        ttl_ms = max(ttl_ms, before_ms)
        self._ends_ms[digest] = (now_ms + ttl_ms, ttl_ms)
        while len(self._ends_ms) > KEPT_MAX:
            del self._ends_ms[next(iter(self._ends_ms))]


def beginnings(owner: str, pieces: Sequence[Piece]) -> tuple[list[bytes], list[int]]:
    """The digest of the prompt up to the end of each piece, and its tokens."""
    mixed = hashlib.blake2b(owner.encode("utf-8", "surrogatepass"), digest_size=16)
    digests, totals, tokens = [], [], 0
    for piece in pieces:
        mixed.update(len(piece.content).to_bytes(8, "big") + piece.content)
        tokens += piece.tokens
        digests.append(mixed.digest())
        totals.append(tokens)
    return digests, totals
