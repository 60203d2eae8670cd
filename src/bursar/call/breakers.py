"""What processes tell each other of their circuit breakers, through the books.

A breaker lives in the memory of its process. Changes of its state, which are rare, are posted on a board beside the
books, so that people can see them from outside; there they can also ask for a reset. No call reads or writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from bursar.call.events import BreakerChanged


class Posted(NamedTuple):
    """What a process that is alive last said of one of its breakers.

    process: the id of its owner in the books. reset_asked: the process has yet to close it.
    """

    process: str
    pid: int
    host: str
    change: BreakerChanged
    reset_asked: bool


class BreakerBoard(Protocol):
    """The board of one set of books. Every method blocks, any thread may call it, and all raise StoreUnavailableError.

    What a process posted goes when it ends, and what is closed goes after a day.
    """

    def post(self, changes: Sequence[BreakerChanged], clock: Callable[[], int]) -> None:
        """Say what has changed in this process. A breaker that is closed is no longer asked to be reset."""

    def posted(self, now_ms: int) -> list[Posted]:
        """What living processes have posted, by provider, model and process."""

    def ask_reset(self, provider: str = "", model: str = "") -> int:
        """Ask the processes of these breakers, as far as they are not closed, to close them. Returns how many."""

    def resets(self) -> list[tuple[str, str]]:
        """The breakers, as (provider, model), that this process is asked to close."""
