"""Who tells people of what happened once: processes that share books agree on it there.

Every worker sees that a budget passed 80 %, and one of them says so. A claim is no part of the books: nothing is
decided by it, and no call waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol


class AlertClaim(NamedTuple):
    """What one process wants to tell, for all: of a kind, about a name and a subject, at a step (percent) of it.

    until_ms: epoch milliseconds until which nobody else is to tell it. amount: at which it was due; a larger one is
    another matter, as of a budget that was raised.
    """

    kind: str
    name: str
    subject: str
    step: int
    until_ms: int
    amount: int = 0


class AlertClaims(Protocol):
    """The claims of one set of books. It blocks, any thread may call it, and it raises StoreUnavailableError."""

    def claim(self, wanted: AlertClaim, clock: Callable[[], int]) -> bool:
        """True for the first who claims it; for all others False, until it has ended or is due at more."""
