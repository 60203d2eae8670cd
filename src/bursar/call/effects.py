"""What the flow asks of its driver. A driver performs an effect and sends its outcome back in; it never throws.

Seat     take a connection's place in the provider's pool       -> True | False | Failed
Unseat   give it back unused                                    -> None
Admit    reserve, and wait if that can help                     -> Granted | Denial | BursarError
Open     send the request; read the reply, or a stream's head   -> Answer | Opened | Failed
Relay    hand the stream to the caller until it ends            -> Streamed
Settle, Void (operations on the books)                          -> Ended | BursarError
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.call.books import Reserve, Settle, Void
from bursar.call.exchange import Exchange, Failed
from bursar.wire.dialect import StreamReader


@dataclass(frozen=True, slots=True)
class Seat:
    """Take a free connection of the provider's pool, waiting up to `wait_seconds` for one (0: not at all)."""

    provider: str
    wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Unseat:
    """Give a seat back that no exchange used."""

    provider: str


@dataclass(frozen=True, slots=True)
class Admit:
    """Reserve; a denial that may turn is waited for until `until_ms` (0: not at all)."""

    reserve: Reserve
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request, on the seat that was taken. The seat is given back when the exchange ends."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Relay:
    """The stream is open: its bytes go through `reader` to the caller. The flow sleeps until the stream ends."""

    reader: StreamReader


@dataclass(frozen=True, slots=True)
class Streamed:
    """How a stream's bytes ended; what they said is in the reader.

    failed: the break, None when the bytes ended by themselves. first_token_ms: epoch, None when nothing came.
    """

    failed: Failed | None = None
    first_token_ms: int | None = None


Effect = Seat | Unseat | Admit | Open | Relay | Settle | Void
