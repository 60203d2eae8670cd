"""Both drivers in a place where everything is chosen (`place`): teller and transport of either colour, and its runs.

The desks promise what the real ones do: a grant that nobody waits for is voided, a settle takes effect all the same, a
seat is given back exactly once.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from bursar.call.books import Granted, Operation, Reserve, Void
from bursar.call.events import unobserved
from bursar.call.exchange import Exchange, Failed, Opened, Progress
from bursar.call.flow import Result
from bursar.edges.blocking import BlockingDriver
from bursar.edges.drain import AsyncDrain, BlockingDrain
from bursar.edges.drive import AsyncDriver
from bursar.edges.http.pool import Seat
from bursar.errors import BursarError
from tests.simulation.fates import Fates
from tests.simulation.place import Body, Place

# How many pieces a caller reads before it leaves.
CALLERS = {"reads on": -1, "leaves at once": 0, "leaves soon": 1}


# The async colour.


class AsyncDesk:
    """Teller and transport for one event loop."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tell, self.seat = place.tell, place.seat

    async def pause(self, what: str) -> None:
        """A moment in which a caller may be cancelled, or the call itself be cut."""
        place = self.place
        fate = place.fates.choose(what, "goes on", "is cut", *(() if place.gone else ("is cancelled",)))
        if fate == "is cancelled":
            place.gone = True
            place.cancel()
        elif fate == "is cut":
            place.gone = True
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        if fate != "goes on":
            for _ in range(5):
                await asyncio.sleep(0)

    async def ask(self, operation: Operation, until_ms: int = 0) -> Any:
        """What the teller promises: a grant that nobody waits for is voided, a settle takes effect all the same."""
        try:
            await self.pause(f"before {type(operation).__name__}")
        except asyncio.CancelledError:
            if not isinstance(operation, Reserve):
                self.place.answer(operation, 0)
            raise
        outcome = self.place.answer(operation, until_ms)
        try:
            await self.pause(f"after {type(operation).__name__}")
        except asyncio.CancelledError:
            if isinstance(outcome, Granted):
                self.tell(Void(outcome.attempt_id))
            raise
        if isinstance(outcome, BursarError):
            raise outcome
        return outcome

    async def wait_seat(self, provider: str, timeout_seconds: float) -> Seat | Failed:
        """A seat, after a while."""
        await self.pause("waiting for a seat")
        return self.place.given()

    async def open(self, exchange: Exchange, progress: Progress, seat: Seat) -> tuple[Any, Any]:
        """Perform an exchange."""
        body = None
        try:
            await self.pause("before sending")
            outcome, pieces = self.place.serve(exchange, progress)
            await self.pause("after sending")
            body = AsyncBody(self, pieces, seat) if isinstance(outcome, Opened) else None
            return outcome, body
        finally:
            if body is None:
                seat.release()

    async def close(self) -> None:
        """Nothing."""


class AsyncBody(Body):
    def __init__(self, desk: AsyncDesk, pieces: tuple[Any, ...], seat: Seat) -> None:
        super().__init__(desk.place, pieces, seat)
        self.desk = desk

    async def read(self) -> Any:
        """A piece."""
        await self.desk.pause("reading")
        return self.next()


async def run_async(fates: Fates, *, stream: bool) -> Place:
    """One run on an event loop."""
    place = Place(fates, stream)
    desk: Any = AsyncDesk(place)
    drain = AsyncDrain()
    driver = AsyncDriver(desk, desk, drain, place.clock)

    async def call() -> None:
        came = await driver.call(place, unobserved)
        if isinstance(came, Result):
            return
        try:
            pulls = CALLERS[fates.choose("caller", *CALLERS)]
            while pulls and await came.pull():
                pulls -= 1
        finally:
            place.gone = True
            came.leave()

    task = asyncio.create_task(call())
    place.cancel = lambda: place.wrong.extend([] if task.cancel() else ["the caller had gone already"])
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    if outcome is not None and not isinstance(outcome, (BursarError, asyncio.CancelledError)):
        place.wrong.append(f"raised {outcome!r}")
    await drain.close()
    return place


# The blocking colour.


class BlockingDesk:
    """Teller and transport for the main thread."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tell, self.seat = place.tell, place.seat

    def pause(self, what: str) -> None:
        """A moment in which the caller may be interrupted; nobody interrupts the threads of the drain."""
        place = self.place
        if place.gone or threading.current_thread() is not threading.main_thread():
            return
        if place.fates.choose(what, "goes on", "is interrupted") == "is interrupted":
            place.gone = True
            raise KeyboardInterrupt

    def ask_blocking(self, operation: Operation, until_ms: int = 0) -> Any:
        """What the teller promises."""
        try:
            self.pause(f"before {type(operation).__name__}")
        except KeyboardInterrupt:
            if not isinstance(operation, Reserve):
                self.place.answer(operation, 0)
            raise
        outcome = self.place.answer(operation, until_ms)
        try:
            self.pause(f"after {type(operation).__name__}")
        except KeyboardInterrupt:
            if isinstance(outcome, Granted):
                self.tell(Void(outcome.attempt_id))
            raise
        if isinstance(outcome, BursarError):
            raise outcome
        return outcome

    def wait_seat(self, provider: str, timeout_seconds: float) -> Seat | Failed:
        """A seat, after a while."""
        self.pause("waiting for a seat")
        return self.place.given()

    def open(self, exchange: Exchange, progress: Progress, seat: Seat) -> tuple[Any, Any]:
        """Perform an exchange."""
        body = None
        try:
            self.pause("before sending")
            outcome, pieces = self.place.serve(exchange, progress)
            self.pause("after sending")
            body = BlockingBody(self, pieces, seat) if isinstance(outcome, Opened) else None
            return outcome, body
        finally:
            if body is None:
                seat.release()


class BlockingBody(Body):
    def __init__(self, desk: BlockingDesk, pieces: tuple[Any, ...], seat: Seat) -> None:
        super().__init__(desk.place, pieces, seat)
        self.desk = desk

    def read(self) -> Any:
        """A piece."""
        self.desk.pause("reading")
        return self.next()


def run_blocking(fates: Fates, *, stream: bool) -> Place:
    """One run in this thread."""
    place = Place(fates, stream)
    desk: Any = BlockingDesk(place)
    drain = BlockingDrain()
    try:
        came = BlockingDriver(desk, desk, drain, place.clock).call(place, unobserved)
        if not isinstance(came, Result):
            try:
                pulls = CALLERS[fates.choose("caller", *CALLERS)]
                while pulls and came.pull():
                    pulls -= 1
            finally:
                place.gone = True
                came.leave()
    except (BursarError, KeyboardInterrupt):
        pass
    drain.close()
    return place
