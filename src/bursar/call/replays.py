"""Calls that are sent again under the same idempotency key: each is performed once, whoever asks, in whatever process.

A row is written before anything is sent. Who asks again while the first is under way waits for it; who asks later gets
the reply that was kept, or is told the id of the call. Decides when a row may be taken over: once the process that
wrote it has not renewed its lease, and the books say that nothing was charged. Source: the draft of the IETF on the
header Idempotency-Key, 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

# How long a row is believed to be under way after its process has last said so.
LEASE_MS = 60_000


class Wanted(NamedTuple):
    """What a caller asks to be performed once.

    key: the name of the caller's key. name: a digest of what the caller calls it. fingerprint: of what is asked for.
    call_id: of the call, should it be performed. owner: the process. expires_ms: when the row may be forgotten.
    """

    key: str
    name: str
    fingerprint: str
    call_id: str
    owner: str
    expires_ms: int


class KeptReply(NamedTuple):
    """A reply as it went out, to go out again."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Replay(NamedTuple):
    """What is known of a call under an idempotency key.

    state: "mine": it is the caller's to perform; "under_way": another performs it, and this caller is waited for;
    "ended"; "other": the key was used for something else. call_id: of the call that was performed. reply: what it
    answered, None where that was not kept.
    """

    state: Literal["mine", "under_way", "ended", "other"]
    call_id: str
    reply: KeptReply | None = None


class Replays(Protocol):
    """The calls of one set of books under idempotency keys. Blocking, thread-safe; raises StoreUnavailableError."""

    def begin(self, wanted: Wanted, clock: Callable[[], int]) -> Replay:
        """Find the call, or write down that the caller performs it now. One that is under way counts who waits."""

    def look(self, wanted: Wanted, clock: Callable[[], int]) -> Replay:
        """As `begin`, for one who waits already: what became of it. It is "mine" where its process has died."""

    def leave(self, key: str, name: str) -> None:
        """One who waited has the reply, or has gone."""

    def end(self, wanted: Wanted, reply: KeptReply | None, *, keep: bool) -> None:
        """It was performed. The reply is kept for those who come later, or only for those who wait (`keep` False).

        None: what it answered is not known, or too large to be kept.
        """

    def forget(self, wanted: Wanted) -> None:
        """Nothing was charged for it: the key is free again."""

    def renew(self, performed: Sequence[Wanted], clock: Callable[[], int]) -> None:
        """What this process performs is under way still."""
