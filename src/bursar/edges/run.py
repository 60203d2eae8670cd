"""What both drivers keep of a call under way, and how its remaining effects are performed once it was cut.

Nothing held outlives its run: one that is dropped unfinished (an interrupt inside the flow, a stream that nobody left,
an event loop that was closed under it) ends its hold when it is forgotten.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from bursar.call.books import Ended, Granted, Mark, Reserve, Settle, Void
from bursar.call.conclude import Timing, conclude_failed
from bursar.call.effects import Admit, Effect, Open, Seat, Sleep, Tighten, Unseat
from bursar.call.events import Observer
from bursar.call.exchange import Failed, Progress
from bursar.call.flow import Caller, Flow, govern
from bursar.call.plan import Plan
from bursar.call.route import Route
from bursar.edges.teller import Teller
from bursar.errors import BursarError, RefusedError

GONE = "the caller went away"
LEFT = "this stream was left; what still came of it went into the books alone"


class Run:
    """The generator of one call, and what it holds of the edges: a seat, what was sent, and the money.

    held_by: the id of the attempt that holds money, or may; "" for none. grant: what it was granted, once known.
    """

    __slots__ = ("caller", "clock", "flow", "grant", "held_by", "plan", "progress", "seat", "teller")

    def __init__(self, teller: Teller, clock: Callable[[], int], route: Route, observe: Observer) -> None:
        self.teller = teller
        self.clock = clock
        self.held_by = ""
        self.grant: Granted | None = None
        self.caller = Caller()
        self.flow: Flow = govern(route, self.caller, clock, observe)
        self.progress = Progress()
        self.plan: Plan | None = None
        self.seat: Any = None

    def reserving(self, reserve: Reserve) -> None:
        """From now on this attempt may hold money; it has sent nothing yet."""
        self.held_by, self.grant, self.progress = reserve.attempt_id, None, Progress()

    def opening(self, effect: Open) -> Any:
        """From now on the request may be on its way. Returns the seat that it takes."""
        self.plan = effect.plan
        return self.take_seat()

    def reserved(self, outcome: Any) -> Any:
        """Note how it ended, and pass it on."""
        if type(outcome) is Granted:
            self.grant = outcome
        else:
            self.held_by = ""
        return outcome

    def mark(self, mark: Mark) -> None:
        """Queue the provider's id of the attempt: nobody waits for it, and no call fails with it."""
        with contextlib.suppress(BursarError):
            self.teller.tell(mark)

    def abandon(self) -> None:
        """Give back what an unfinished call holds: void what was provably not sent, charge the rest at its bound."""
        self.release_seat()
        attempt_id, self.held_by = self.held_by, ""
        if not attempt_id:
            return
        with contextlib.suppress(BursarError):
            if self.progress.sent and self.grant is not None and self.plan is not None:
                timing = Timing(self.grant.at_ms, self.clock())
                cut = conclude_failed(self.plan, self.grant, Failed("cancelled", True, GONE), timing)
                self.teller.tell(Settle(cut.fact))
            else:
                self.teller.tell(Void(attempt_id))

    def __del__(self) -> None:
        if getattr(self, "held_by", "") or getattr(self, "seat", None) is not None:
            self.abandon()

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
        if isinstance(effect, Tighten):
            return None  # bytes stay the bound of what will not be sent
        if isinstance(effect, Open):
            self.release_seat()
            return Failed("cancelled", self.progress.sent, GONE)
        if isinstance(effect, Sleep):
            return False
        # Settles and voids had been queued before they were waited for: they take effect all the same.
        self.held_by = ""
        return Ended("", changed=False)

    def unattended(self, effect: Effect) -> Any:
        """Perform an effect without waiting for anything."""
        if isinstance(effect, (Settle, Void)):
            try:
                self.teller.tell(effect)
            except BursarError as error:
                return error
            self.held_by = ""
            return Ended("", changed=False)
        if isinstance(effect, Mark):
            return self.mark(effect)
        if isinstance(effect, Unseat):
            return self.release_seat()
        return self.cut(effect)
