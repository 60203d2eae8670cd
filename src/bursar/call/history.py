"""What is remembered of calls beside the ledger, and how calls are found again.

The ledger has the attempts that ended. What was never sent, because a budget, a limit or a breaker refused it, is kept
here for a while, bounded: no part of the books, nothing is decided by it, and no call waits for it. Together they are
the history of calls, newest first, since the ids of calls sort by time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from bursar.call.books import Fact

__all__ = ["CallQuery", "CallRecord", "History", "Refusal"]

# Where a call ended without having been sent: what a query asks for beside the endings of the ledger.
REFUSED = "refused"


class Refusal(Struct, frozen=True, gc=False):
    """A candidate that was not asked. place: its number within the call. Times are (epoch) milliseconds.

    final: the call ended with it, and this is what its caller was told. code: of the error. binding: the name of the
    budget or limit that was in the way, "" for none.
    """

    call_id: str
    place: int
    at_ms: int
    provider: str
    model: str
    scopes: Mapping[str, str]
    code: str
    message: str
    wait_ms: int = 0
    binding: str = ""
    final: bool = True


class CallRecord(Struct, frozen=True, gc=False):
    """All that is known of a call: its attempts and its refusals, each in their order. One of them is not empty."""

    call_id: str
    attempts: tuple[Fact, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls to look for: those of which one attempt, or one refusal, is all that is said here.

    only: scope values that it must carry. ending: of the ledger, or "refused". code: of its error. status: of HTTP, as
    the provider answered; no refusal has one. since_ms, until_ms: when it was reserved, [since_ms, until_ms).
    before: calls with a smaller id than this; "" for the newest. limit: how many calls at most.
    """

    only: Mapping[str, str] = field(default_factory=dict)
    ending: str = ""
    code: str = ""
    status: int | None = None
    since_ms: int = 0
    until_ms: int | None = None
    before: str = ""
    limit: int = 100


class History(Protocol):
    """The history of one set of books. Every method blocks, any thread may call it, all raise StoreUnavailableError."""

    def record(self, refusals: Sequence[Refusal], now_ms: int) -> None:
        """Remember refusals, each once; forget the oldest beyond what is kept."""

    def calls(self, query: CallQuery) -> list[CallRecord]:
        """Calls that a query is about, newest first."""

    def call(self, call_id: str) -> CallRecord | None:
        """One call; None where nothing is known of it."""
