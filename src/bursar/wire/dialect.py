"""What a dialect must be able to do: bytes to meaning and back, without I/O.

A Dialect is a pure codec of one wire format (OpenAI chat completions, embeddings, ...). It sizes a request, encodes it
for a provider, reads what a reply says about usage and cost, tells errors apart, and cuts a stream into events. It
never decides about money and never raises on what a provider sent: the odd and the absurd come back as values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import force_setattr

from bursar.rules.estimate import Size
from bursar.rules.usage import Usage
from bursar.wire.body import Fields, read_fields

# What an error of a provider means, by status and code; never by message text.
ErrorKind = Literal[
    "rejected", "auth", "context", "content", "model", "rate", "quota", "unavailable", "timeout", "malformed"
]

# How a provider is told that the last message is the beginning of its answer: by the role of that message alone, by
# `prefix` in it (the reply repeats it then), by a flag beside it; "" where it cannot be told.
Prefill = Literal["plain", "prefix", "continue_final_message", ""]

# Counts the tokens of a text in the vocabulary of whichever model may read it; never fewer than that model will.
Count = Callable[[str], int]

# The largest context window on offer, in tokens (November 2026); the bound of what is not in the body.
CONTEXT_TOKENS_MAX = 2_097_152


class Request(Struct, frozen=True, gc=False):
    """A call as the caller made it: the body as bytes, beside the few fields that govern.

    body: one JSON object in the caller's dialect, model name included (it is replaced when encoding).
    fields: its top level, undecoded; read from the body where it is not given.
    output_limit: the larger of the output limits that the caller set, in tokens; None when there is none.
    n: choices asked for, at least 1. wants_usage: the caller asked for the usage chunk of a stream.
    reaches: further models that the provider may serve instead (fallback lists in the body), provider's own names.
    unbounded: names of what the body asks for that no bound covers (server-side tools), to be refused under a budget.
    tier: the tier of service asked for ("flex", "priority"), "" for the plain one; it can have prices of its own.
    """

    body: bytes
    dialect: str
    model: str
    stream: bool = False
    n: int = 1
    output_limit: int | None = None
    wants_usage: bool = False
    reaches: tuple[str, ...] = ()
    unbounded: tuple[str, ...] = ()
    tier: str = ""
    fields: Fields = {}

    def __post_init__(self) -> None:
        if not self.fields:
            force_setattr(self, "fields", read_fields(self.body))


@dataclass(frozen=True, slots=True)
class WireError:
    """An error that a provider reported, in a status of 400 or more or inside a 200.

    should_retry: what its header x-should-retry says, None without one. request_id: as the error's own body names it.
    """

    kind: ErrorKind
    message: str
    code: str = ""
    status: int | None = None
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    request_id: str = ""


class Metered(Struct, frozen=True, gc=False):
    """What a reply says about itself.

    usage: None when it carries none. reported_nano_usd: the cost that the provider says it charged, rounded up.
    service_tier: how it was served, where that changes the price; several words are joined by "+", as in "batch+us"
    (Anthropic's tier, speed and geography, in this order), and what is standard is left away.
    complete: the reply ended as the wire says it must (a stream that was cut is not complete).
    apart: what models beside the served one used, by name (an advisor, one that declined midway and was billed): at
    prices of their own, and not in `usage`.
    """

    usage: Usage | None = None
    reported_nano_usd: int | None = None
    served_model: str = ""
    reply_id: str = ""
    service_tier: str = ""
    finish_reason: str = ""
    error: WireError | None = None
    complete: bool = True
    apart: tuple[tuple[str, Usage], ...] = ()


class StreamReader(Protocol):
    """Reads one streamed reply as it arrives. Never raises on what it is fed; bounded in memory."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes as they come, cut anywhere; return the payloads of the events a caller should see, in order.

        Not among them: the terminator, errors (`metered` has them), and the usage chunk of a caller who asked for none.
        """

    def metered(self) -> Metered:
        """What has been read so far says; `complete` once the stream ended as it must."""

    @property
    def done(self) -> bool:
        """True once nothing more of meaning will come (the terminator, or an error event, was read)."""


class Target(Struct, frozen=True, gc=False):
    """Where and how a request is encoded: the provider's name for the model, and what its row asks for.

    limit_field: the key that carries the output limit. usage_field: how usage is asked for in streams
    ("stream_options" or "" where it comes by itself). extra: top-level keys to set where the caller set none (fallback
    models, preferences). imposed: keys to set within top-level objects, whatever the caller set there. reaches: the
    models among them that may be served instead; for the bound, not encoded.
    """

    model: str
    limit_field: str = "max_tokens"
    usage_field: Literal["stream_options", ""] = "stream_options"
    extra: Mapping[str, object] = {}
    imposed: Mapping[str, Mapping[str, object]] = {}
    reaches: tuple[str, ...] = ()


class Dialect(Protocol):
    """One wire format, or the way from one to another: a caller's chat that is sent as Anthropic's messages.

    name, path: of the format on the wire. needs_limit: the format demands an output limit in every request.
    """

    name: str
    path: str
    needs_limit: bool

    def parse(self, body: bytes) -> Request:
        """Read the governing fields of a body. Raises InvalidRequestError when it is not what the format demands."""

    def size(
        self,
        request: Request,
        *,
        output_tokens_min: int,
        output_tokens_max: int,
        context_tokens: int = CONTEXT_TOKENS_MAX,
        count: Count | None = None,
    ) -> Size:
        """Bound and estimate the request from its bytes alone; the output range is the model's.

        context_tokens: the largest context window that the call can reach; it bounds what the body only refers to
        (files, audio, documents by URL). count: makes the bound tighter, where the format knows how its text is framed;
        it takes about 40 ms a megabyte.
        """

    def encode(self, request: Request, target: Target, output_tokens: int | None) -> bytes:
        """The body to send: the keys that must change are patched, every other value goes as it came.

        output_tokens: the output limit to set where the caller set none; None to leave it away.
        """

    def meter(self, body: bytes) -> Metered:
        """Read a whole reply with a status below 400."""

    def reply(self, body: bytes) -> bytes:
        """A whole reply as the caller expects it: its very bytes, where the caller speaks the wire's format."""

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> WireError:
        """Read a reply with a status of 400 or more; retry advice included. Header names are lower case."""

    def reader(self, request: Request) -> StreamReader:
        """A reader for the streamed reply of this request."""
