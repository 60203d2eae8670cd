"""The blocking driver: performs the effects of the flow in the caller's own thread.

An interrupt (KeyboardInterrupt, SystemExit) is this colour's cancellation: what remains of the call is performed
without waiting, then the interrupt goes on. A stream that is left is read to its end by the drain's threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bursar.call.books import Mark
from bursar.call.effects import Admit, Effect, Open, Relay, Seat, Sleep, Tighten, Unseat
from bursar.call.events import Observer
from bursar.call.exchange import Failed
from bursar.call.flow import Result
from bursar.call.route import Route
from bursar.edges.announced import Announced
from bursar.edges.drain import BlockingDrain
from bursar.edges.run import GONE, LEFT, Run
from bursar.edges.teller import Teller
from bursar.errors import BursarError, InvalidRequestError

if TYPE_CHECKING:
    from bursar.edges.http.blocking import BlockingTransport
    from bursar.edges.http.blocking_body import BlockingBody


class BlockingRun(Run):
    """One call under way in this thread."""

    __slots__ = ("body", "driver", "interrupt")

    def __init__(self, driver: BlockingDriver, route: Route, observe: Observer) -> None:
        super().__init__(driver.teller, driver.clock, route, observe)
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
            self.let_go()
            raise

    def let_go(self) -> None:
        """End what an interrupt left unfinished. What has ended is not touched."""
        self.abandon()
        if self.body is not None:
            self.body.close()

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
                return BlockingRelay(self, effect)
            if self.interrupt is not None:
                outcome = self.unattended(effect)
                continue
            try:
                outcome = self._perform(effect)
            except BursarError as error:
                outcome = error
            except BaseException as interrupt:
                self.interrupt = interrupt
                self.caller.gone = True  # nothing more is tried
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
            self.plan = effect.plan
            outcome, self.body = driver.transport.open(effect.exchange, self.progress, self.seat)
            self.seat = None
            return outcome
        if isinstance(effect, Mark):
            return self.mark(effect)
        if isinstance(effect, Sleep):
            time.sleep(effect.wait_ms / 1000)
            return True
        if isinstance(effect, Unseat):
            return self.release_seat()
        if isinstance(effect, Tighten):
            return effect.tightening.demand()
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


class BlockingRelay(Announced):
    """An open stream. Pulling moves bytes without waking the flow; its end, its error and leaving it do."""

    def __init__(self, run: BlockingRun, relay: Relay) -> None:
        super().__init__(run.clock)
        self._run = run
        self._left = False
        self._error: BursarError | None = None
        self.result: Result | None = None
        self._begin(relay)

    def _begin(self, relay: Relay) -> None:
        """A stream is open: the first, or the one that follows one that broke."""
        assert self._run.body is not None
        self._body = self._run.body
        self._ended = False
        self.begin(relay)

    def pull(self) -> list[bytes]:
        """The payloads that have arrived, at least one; [] at the end, when `result` is set. Raises BursarError."""
        while not (self._ended or self._left):  # the end of one stream may be the beginning of the next
            payloads = self._next()
            if payloads:
                return self.deliver(payloads)
        return self._afterwards()

    def _next(self) -> list[bytes]:
        """The payloads of the stream that is open now; [] at its end."""
        while not self.reader.done:
            data = self._body.read()
            if not isinstance(data, bytes) or not data:
                self._end(data or None)
                return []
            payloads = self.reader.feed(data)
            if not payloads:
                self.unread(data)
            elif self.first_token_ms is not None or (payloads := self.begun(payloads, self._body.began)):
                return payloads
        self._end(None)
        return []

    def leave(self) -> None:
        """The caller wants no more: the drain reads the rest, or the stream is cut. Idempotent; never waits for it."""
        if self._left:
            return
        if self._ended:
            # An interrupt may have come between its end and its settle, or as another stream had just been opened.
            self._run.let_go()
            return
        self._left = True
        self._run.caller.gone = not self.reader.done
        if self._run.caller.gone and self.effect.on_abort != "drain":
            self.cut()
        else:
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
            result = self._run.advance(self.streamed(failed))
        except BursarError as error:
            self._error = error
            raise
        if isinstance(result, Result):
            self.result = result
        else:
            self._begin(result.effect)

    def _afterwards(self) -> list[bytes]:
        """What a pull says once the stream is over."""
        if self._error is not None:
            raise self._error
        if self.result is None:
            raise InvalidRequestError(LEFT)
        self.resumed()
        return self.rest()


class BlockingDriver:
    """Performs calls in the threads of their callers. Safe to share between threads."""

    def __init__(
        self, transport: BlockingTransport, teller: Teller, drain: BlockingDrain, clock: Callable[[], int]
    ) -> None:
        self.transport = transport
        self.teller = teller
        self.drain = drain
        self.clock = clock

    def call(self, route: Route, observe: Observer) -> Result | BlockingRelay:
        """Run a call to its result, or to its open stream. Raises BursarError."""
        return BlockingRun(self, route, observe).advance(None)
