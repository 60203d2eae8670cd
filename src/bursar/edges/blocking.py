"""The blocking driver: performs the effects of the flow in the caller's own thread.

An interrupt (KeyboardInterrupt, SystemExit) is this colour's cancellation: what remains of the call is performed
without waiting, then the interrupt goes on. A stream that is left is read to its end by the drain's threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bursar.call.effects import Admit, Effect, Open, Relay, Seat, Streamed, Unseat
from bursar.call.events import Observer
from bursar.call.exchange import Failed
from bursar.call.flow import Result
from bursar.call.plan import Plan
from bursar.edges.drain import BlockingDrain
from bursar.edges.run import GONE, LEFT, Run
from bursar.edges.teller import Teller
from bursar.errors import BursarError, InvalidRequestError

if TYPE_CHECKING:
    from bursar.edges.http.blocking import BlockingTransport
    from bursar.edges.http.blocking_body import BlockingBody
    from bursar.wire.dialect import StreamReader


class BlockingRun(Run):
    """One call under way in this thread."""

    __slots__ = ("body", "driver", "interrupt")

    def __init__(self, driver: BlockingDriver, plan: Plan, observe: Observer) -> None:
        super().__init__(driver.teller, driver.clock, plan, observe)
        self.driver = driver
        self.body: BlockingBody | None = None
        self.interrupt: BaseException | None = None

    def advance(self, outcome: Any) -> Result | BlockingRelay:
        """Send an outcome in and go on to the next Relay, or to the end. Raises BursarError, or the interrupt."""
        try:
            return self._advance(outcome)
        except BursarError:
            raise
        except BaseException:
            # An interrupt can come between any two steps, inside the flow too.
            self.abandon()
            if self.body is not None:
                self.body.close()
            raise

    def _advance(self, outcome: Any) -> Result | BlockingRelay:
        while True:
            try:
                effect = self.flow.send(outcome)
            except StopIteration as stop:
                if self.interrupt is not None:
                    raise self.interrupt from None
                result: Result = stop.value
                return result
            except BursarError:
                if self.interrupt is not None:
                    raise self.interrupt from None
                raise
            if isinstance(effect, Relay):
                return BlockingRelay(self, effect.reader)
            if self.interrupt is not None:
                outcome = self.unattended(effect)
                continue
            try:
                outcome = self._perform(effect)
            except BursarError as error:
                outcome = error
            except BaseException as interrupt:
                self.interrupt = interrupt
                # Repeating a settle or a void that had been queued already changes nothing.
                outcome = self.unattended(effect)

    def _perform(self, effect: Effect) -> Any:
        driver = self.driver
        if isinstance(effect, Seat):
            return self._sit(effect)
        if isinstance(effect, Admit):
            self.reserving(effect.reserve)
            return self.reserved(driver.teller.ask_blocking(effect.reserve, effect.until_ms))
        if isinstance(effect, Open):
            # The transport releases the seat; should it never come to that, `abandon` does.
            outcome, self.body = driver.transport.open(effect.exchange, self.progress, self.seat)
            self.seat = None
            return outcome
        if isinstance(effect, Unseat):
            return self.release_seat()
        outcome = driver.teller.ask_blocking(effect)  # type: ignore[arg-type]
        self.held_by = ""
        return outcome

    def _sit(self, effect: Seat) -> bool | Failed:
        transport = self.driver.transport
        # Kept where an interrupt finds it, from the first moment.
        self.seat = transport.seat(effect.provider)
        if self.seat is not None:
            return True
        if not effect.wait_seconds:
            return False
        given = transport.wait_seat(effect.provider, effect.wait_seconds)
        if isinstance(given, Failed):
            return given
        self.seat = given
        return True


class BlockingRelay:
    """An open stream. Pulling moves bytes without waking the flow; its end, its error and leaving it do."""

    def __init__(self, run: BlockingRun, reader: StreamReader) -> None:
        assert run.body is not None
        self._run = run
        self._body = run.body
        self._first_token_ms: int | None = None
        self._left = False
        self._ended = False
        self._error: BursarError | None = None
        self.reader = reader
        self.result: Result | None = None

    def pull(self) -> list[bytes]:
        """The payloads that have arrived, at least one; [] at the end, when `result` is set. Raises BursarError."""
        if self._ended or self._left:
            return self._afterwards()
        while not self.reader.done:
            data = self._body.read()
            if not isinstance(data, bytes) or not data:
                self._end(data or None)
                return []
            payloads = self.reader.feed(data)
            if payloads:
                if self._first_token_ms is None:
                    self._first_token_ms = self._run.driver.clock()
                return payloads
        self._end(None)
        return []

    def leave(self) -> None:
        """The caller wants no more: the drain reads the rest, or cuts. Idempotent; never waits."""
        if self._left:
            return
        if self._ended:
            self._body.close()  # an interrupt may have come between its end and its settle
            self._run.abandon()
            return
        self._left = True
        self._run.caller.gone = not self.reader.done
        self._run.driver.drain.adopt_stream(self)

    def read_on(self, seconds: float) -> None:
        """What the drain does with a stream that was left: read it to its end, for so long at most, and settle."""
        failed: Failed | None = None
        until = time.monotonic() + seconds
        while not self.reader.done:
            if time.monotonic() > until:
                failed = Failed("cancelled", True, GONE)
                break
            data = self._body.read()
            if not isinstance(data, bytes) or not data:
                failed = data or None
                break
            self.reader.feed(data)
        try:
            self._end(failed)
        except BursarError:
            # Its fact is in the books; there is nobody left to tell.
            return

    def cut(self) -> None:
        """Close the connection and settle: nobody knows what the rest would have said."""
        self._body.close()
        try:
            self._end(Failed("cancelled", True, GONE))
        except BursarError:
            return

    def abort(self) -> None:
        """End a read that is under way in another thread."""
        self._body.abort()

    def _end(self, failed: Failed | None) -> None:
        if self._ended:
            return
        self._ended = True
        self._body.close()
        try:
            result = self._run.advance(Streamed(failed, self._first_token_ms))
        except BursarError as error:
            self._error = error
            raise
        assert isinstance(result, Result)
        self.result = result

    def _afterwards(self) -> list[bytes]:
        """What a pull says once the stream is over."""
        if self._error is not None:
            raise self._error
        if self.result is None:
            raise InvalidRequestError(LEFT)
        return []


class BlockingDriver:
    """Performs calls in the threads of their callers. Safe to share between threads."""

    def __init__(
        self, transport: BlockingTransport, teller: Teller, drain: BlockingDrain, clock: Callable[[], int]
    ) -> None:
        self.transport = transport
        self.teller = teller
        self.drain = drain
        self.clock = clock

    def call(self, plan: Plan, observe: Observer) -> Result | BlockingRelay:
        """Run a call to its result, or to its open stream. Raises BursarError."""
        return BlockingRun(self, plan, observe).advance(None)
