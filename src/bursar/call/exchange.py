"""One HTTP exchange with a provider as plain values: what is asked, and how it can end.

Decides nothing; it is the contract between the flow, which asks, and the transports, which perform. Every ending of a
transport is one of these values (or the cancellation of its caller); no exception of an HTTP library passes it.
Source: DESIGN sections 1 and 4 (invariants 4 and 7: `sent` says whether a hold may be voided).
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

FailedKind = Literal["connect", "pool", "timeout", "broken", "too_large", "cancelled", "closed"]


class Exchange(Struct, frozen=True, gc=False):
    """One HTTP request to make: a POST of `body` to `url`, or a GET without one.

    `headers` leaves out what the connection decides: Host, Content-Length, Transfer-Encoding and Connection.
    """

    provider: str  # the pool it belongs to
    url: str
    headers: Mapping[str, str]
    body: bytes
    stream: bool  # hand out the body as it arrives when the status is below 300
    deadline_ms: int | None  # epoch ms (clock of the driver) after which the whole exchange must have ended
    method: Literal["POST", "GET"] = "POST"
    first_token_seconds: float | None = None  # of a stream, from the request on; None for no limit of its own
    stall_seconds: float | None = None  # between two pieces of a stream; None for the pool's read timeout


class Progress(Struct):
    """What is known of an exchange while it runs, for whoever started it and may be cancelled meanwhile.

    sent: False only while provably no byte of the request was sent. It never goes back to False.
    """

    sent: bool = False


class Answer(Struct, frozen=True, gc=False):
    """A reply read to its end: every one that was not streamed, and every status of 300 or more.

    The body is decoded; `content-encoding` and `content-length` still say what they said on the wire. The body of a
    status of 400 or more is cut at a bound.
    """

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes


class Opened(Struct, frozen=True, gc=False):
    """The head of a streamed reply; its bytes follow through the body object."""

    status: int
    headers: Mapping[str, str]  # lower-case names


class Failed(Struct, frozen=True, gc=False):
    """No reply, or a broken one.

    `connect`: no connection (DNS, refused, TLS, proxy). `pool`: no seat within the pool timeout. `timeout`: a limit on
    time or the deadline. `broken`: the connection or the body ended too early or made no sense. `too_large`: the body
    passed its bound. `cancelled`: the caller let go of the body. `closed`: the transport is closed. `status` and
    `headers` are those of the head, if one came.
    """

    kind: FailedKind
    sent: bool  # False only when provably no byte of the request was sent
    detail: str  # for people; no secrets, no prompt text
    status: int | None = None
    headers: Mapping[str, str] | None = None
