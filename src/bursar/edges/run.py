"""What both drivers keep of a call under way, and how its remaining effects are performed once it was cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bursar.call.books import Ended, Settle, Void
from bursar.call.effects import Admit, Effect, Open, Seat, Unseat
from bursar.call.events import Observer
from bursar.call.exchange import Failed, Progress
from bursar.call.flow import Caller, Flow, govern
from bursar.call.plan import Plan
from bursar.edges.teller import Teller
from bursar.errors import BursarError, RefusedError

GONE = "the caller went away"


class Run:
    """The generator of one call, and what it holds of the edges: a seat, and what was sent."""

    __slots__ = ("caller", "flow", "progress", "seat", "teller")

    def __init__(self, teller: Teller, clock: Callable[[], int], plan: Plan, observe: Observer) -> None:
        self.teller = teller
        self.caller = Caller()
        self.flow: Flow = govern(plan, self.caller, clock, observe)
        self.progress = Progress()
        self.seat: Any = None

    def take_seat(self) -> Any:
        """Pass the seat on to who uses it."""
        seat, self.seat = self.seat, None
        return seat

    def release_seat(self) -> None:
        """Give an unused seat back."""
        if self.seat is not None:
            self.seat.release()
            self.seat = None

    def cut(self, effect: Effect) -> Any:
        """The outcome of an effect that was cancelled or interrupted while it was performed."""
        if isinstance(effect, Seat):
            return Failed("cancelled", False, GONE)
        if isinstance(effect, Admit):
            return RefusedError(GONE)
        if isinstance(effect, Open):
            return Failed("cancelled", self.progress.sent, GONE)
        # Settles and voids had been queued before they were waited for: they take effect all the same.
        return Ended("", changed=False)

    def unattended(self, effect: Effect) -> Any:
        """Perform an effect without waiting for anything."""
        if isinstance(effect, (Settle, Void)):
            try:
                self.teller.tell(effect)
            except BursarError as error:
                return error
            return Ended("", changed=False)
        if isinstance(effect, Unseat):
            return self.release_seat()
        return self.cut(effect)
