"""Payloads of a stream as server-sent events, in the form of each dialect.

Decides how events are framed and how a whole stream ends; one that is not ends with an error event (`refusals`).
Source: the providers' documentation of streams.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bursar.wire.reply import decoded

# How a stream of OpenAI's chat ends; the other formats have an event of their own for it.
DONE = b"data: [DONE]\n\n"
CHAT = "openai_chat"

_TYPE = re.compile(rb'\{"type": ?"([a-z0-9_.]+)"')

Frame = Callable[[Sequence[bytes]], bytes]


def frame_of(dialect: str) -> Frame:
    """How the payloads of a dialect are written.

    >>> frame_of("openai_chat")([b"{}", b"{}"]), frame_of("anthropic_messages")([b'{"type":"ping"}'])
    (b'data: {}\\n\\ndata: {}\\n\\n', b'event: ping\\ndata: {"type":"ping"}\\n\\n')
    """
    return _plain if dialect == CHAT else _named


def end_of(dialect: str) -> bytes:
    """What follows the last payload of a whole stream."""
    return DONE if dialect == CHAT else b""


def _plain(payloads: Sequence[bytes]) -> bytes:
    data = b"data: " + b"\n\ndata: ".join(payloads) + b"\n\n"
    # A line end within a payload is white space of its JSON, and one more line of data here.
    return data if data.count(b"\n") == 2 * len(payloads) else b"".join(map(_lines, payloads))


def _named(payloads: Sequence[bytes]) -> bytes:
    return b"".join([b"event: " + _type_of(payload) + b"\n" + _lines(payload) for payload in payloads])


def _lines(payload: bytes) -> bytes:
    return b"data: " + payload.replace(b"\n", b"\ndata: ") + b"\n\n"


def _type_of(payload: bytes) -> bytes:
    found = _TYPE.match(payload)
    if found is not None:
        return found[1]
    kind = decoded(payload).get("type")
    return kind.encode("ascii", "replace").replace(b"\n", b"") if isinstance(kind, str) and kind else b"message"
