"""What the flow asks of its driver. A driver performs an effect and sends its outcome back in; it never throws.

Seat     take a connection's place in the provider's pool       -> True | False | Failed
Unseat   give it back unused                                    -> None
Tighten  count the input, for a tighter bound of it             -> Demand | None
Admit    reserve, and wait if that can help                     -> Granted | Denial | BursarError
Open     send the request; read the reply, or a stream's head   -> Answer | Opened | Failed
Mark     queue the provider's id for the books                  -> None
Relay    hand the stream to the caller until it ends            -> Streamed
Settle, Void (operations on the books)                          -> Ended | BursarError
"""

from __future__ import annotations

from msgspec import Struct

from bursar.call.books import Granted, Mark, Reserve, Settle, Void
from bursar.call.exchange import Exchange, Failed
from bursar.call.plan import Plan, Tightening
from bursar.catalog.providers import OnAbort
from bursar.wire.dialect import StreamReader


class Seat(Struct, frozen=True, gc=False):
    """Take a free connection of the provider's pool, waiting up to `wait_seconds` for one (0: not at all)."""

    provider: str
    wait_seconds: float = 0.0


class Unseat(Struct, frozen=True, gc=False):
    """Give a seat back that no exchange used."""

    provider: str


class Tighten(Struct, frozen=True):
    """Count the input's tokens, where that is brief at once and else out of the way of other calls."""

    tightening: Tightening


class Admit(Struct, frozen=True, gc=False):
    """Reserve; a denial that may turn is waited for until `until_ms` (0: not at all)."""

    reserve: Reserve
    until_ms: int = 0


class Open(Struct, frozen=True):
    """Send the request of a plan, on the seat that was taken. The seat is given back when the exchange ends."""

    exchange: Exchange
    plan: Plan


class Relay(Struct, frozen=True):
    """The stream is open: its bytes go through `reader` to the caller. The flow sleeps until the stream ends.

    dialect: what the caller sees is in; what opens a reply in it is held back until output follows. on_abort: what to
    do when the caller leaves: let the drain read on, or close the stream at once. keeps_said: what the caller sees is
    remembered. continues: what follows goes on where a stream before it broke off; else it begins the reply anew. plan,
    grant: what is known of the attempt when its stream begins, for whoever tells the caller.
    """

    reader: StreamReader
    dialect: str = ""
    on_abort: OnAbort = "drain"
    keeps_said: bool = False
    continues: bool = False
    plan: Plan | None = None
    grant: Granted | None = None


class Sleep(Struct, frozen=True, gc=False):
    """Wait, holding nothing. True when the time is over, False when the caller has gone before."""

    wait_ms: int


class Streamed(Struct, frozen=True):
    """How a stream's bytes ended; what they said is in the reader.

    failed: the break, None when the bytes ended by themselves. first_token_ms: epoch, None when no output came, and
    the caller has seen nothing. instead: how the bytes began where no event was among them. delivered: what the caller
    has seen of a stream that is charged by that, or that may be continued.
    """

    failed: Failed | None = None
    first_token_ms: int | None = None
    instead: bytes = b""
    delivered: tuple[bytes, ...] = ()


Effect = Seat | Unseat | Tighten | Admit | Open | Mark | Relay | Settle | Void | Sleep
