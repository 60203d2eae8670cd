"""The async driver: performs the effects of the flow on one event loop.

A call runs in a task of its own, shielded from its caller: one who is cancelled leaves at once, and the call is ended
for it. Before anything was sent it is undone; afterwards the drain reads it to the end, so that what it cost is known.
When a call itself is cancelled (its loop is closing, the drain is full or out of patience) every effect that remains is
performed without waiting: what was granted is voided or settled through the teller's queue, never forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from bursar.call.books import Mark
from bursar.call.effects import Admit, Effect, Open, Relay, Seat, Sleep, Tighten, Unseat
from bursar.call.events import Observer
from bursar.call.exchange import Failed
from bursar.call.flow import Result
from bursar.call.route import Route
from bursar.edges.announced import Announced
from bursar.edges.drain import AsyncDrain
from bursar.edges.run import GONE, LEFT, Run
from bursar.edges.teller import Teller
from bursar.errors import BursarError, InvalidRequestError

if TYPE_CHECKING:
    from bursar.edges.http.async_body import AsyncBody
    from bursar.edges.http.asynchronous import AsyncTransport

# After its terminator a stream has only the end of its body left; a server that keeps it open is not waited for.
TAIL_SECONDS = 1.0


class AsyncRun(Run):
    """One call under way on this loop."""

    __slots__ = ("body", "cancelled", "driver", "opened")

    def __init__(self, driver: AsyncDriver, route: Route, observe: Observer) -> None:
        super().__init__(driver.teller, driver.clock, route, observe)
        self.driver = driver
        self.body: AsyncBody | None = None
        self.opened = False
        # How it was cut: cancelled, or (a loop that was closed under its tasks) thrown away.
        self.cancelled: type[BaseException] | None = None

    @property
    def under_way(self) -> bool:
        """Whether the provider may have the request: its answer says what that cost. Else the call can be undone."""
        return self.opened and self.progress.sent

    async def advance(self, outcome: Any) -> Result | AsyncRelay:
        """Send an outcome in and go on to the next Relay, or to the end. Raises BursarError or CancelledError."""
        while True:
            try:
                effect = self.flow.send(outcome)
            except StopIteration as stop:
                if self.cancelled:
                    raise self.cancelled from None
                result: Result = stop.value
                return result
            except BursarError:
                if self.cancelled:
                    raise self.cancelled from None
                raise
            if type(effect) is Relay:
                return AsyncRelay(self, effect)
            if self.cancelled:
                outcome = self.unattended(effect)
                continue
            try:
                outcome = await self._perform(effect)
            except BursarError as error:
                outcome = self.reserved(error)  # of the books: an outcome as any other
            except (asyncio.CancelledError, GeneratorExit) as cancel:
                self.cancelled = type(cancel)
                self.caller.gone = True  # nothing more is tried
                outcome = self.cut(effect)

    async def _perform(self, effect: Effect) -> Any:
        driver = self.driver
        kind = type(effect)
        if kind is Seat:
            return await self._sit(effect)  # type: ignore[arg-type]
        if kind is Admit:
            reserve, until_ms = effect.reserve, effect.until_ms  # type: ignore[union-attr]
            self.reserving(reserve)
            return self.reserved(await driver.teller.ask(reserve, until_ms))
        if kind is Open:
            self.opened = True
            seat = self.opening(effect)  # type: ignore[arg-type]
            outcome, self.body = await driver.transport.open(effect.exchange, self.progress, seat)  # type: ignore[union-attr]
            return outcome
        if kind is Mark:
            return self.mark(effect)  # type: ignore[arg-type]
        if kind is Unseat:
            return self.release_seat()
        if kind is Tighten:
            tightening = effect.tightening  # type: ignore[union-attr]
            # The GIL is free while text is cut into tokens: other calls go on meanwhile.
            return tightening.demand() if tightening.brief else await asyncio.to_thread(tightening.demand)
        if kind is Sleep:
            self.opened = False
            await asyncio.sleep(effect.wait_ms / 1000)  # type: ignore[union-attr]
            return True
        outcome = await driver.teller.ask(effect)  # type: ignore[arg-type]
        self.held_by = ""
        return outcome

    async def _sit(self, effect: Seat) -> bool | Failed:
        self.opened = False  # of this attempt nothing is on its way yet: who leaves now ends the call
        transport = self.driver.transport
        seat: Any = transport.seat(effect.provider)
        if seat is None:
            if not effect.wait_seconds:
                return False
            seat = await transport.wait_seat(effect.provider, effect.wait_seconds)
        if isinstance(seat, Failed):
            return seat
        self.seat = seat
        return True


class AsyncRelay(Announced):
    """An open stream. Pulling moves bytes without waking the flow; its end, its error and leaving it do.

    What follows its end (its settle, and where it broke perhaps another attempt) is a task of its own,
    as a call is: a pull that is cancelled meanwhile can be repeated, and a caller who leaves is not waited for.
    """

    def __init__(self, run: AsyncRun, relay: Relay) -> None:
        super().__init__(run.clock)
        self._run = run
        self._left = False
        self._error: BursarError | None = None
        self._ending: asyncio.Task[Result | AsyncRelay] | None = None
        self._concluding = False
        self.result: Result | None = None
        self._begin(relay)

    def _begin(self, relay: Relay) -> None:
        """A stream is open: the first, or the one that follows one that broke."""
        assert self._run.body is not None
        self._body = self._run.body
        self._ended = False
        self.begin(relay)

    async def pull(self) -> list[bytes]:
        """The payloads that have arrived, at least one; [] at the end, when `result` is set. Raises BursarError.

        A pull that is cancelled loses nothing: the stream goes on until it is left.
        """
        while not self._left:
            if self._ending is not None:
                await self._follow(self._ending)
            if self._ended:
                break
            payloads = await self._next()
            if payloads:
                return self.deliver(payloads)
        return self._afterwards()

    async def _next(self) -> list[bytes]:
        """The payloads of the stream that is open now; [] at its end."""
        reader, body = self.reader, self._body
        while not reader.done:
            data = await body.read()
            if not isinstance(data, bytes) or not data:
                return self._end(data or None)
            payloads = reader.feed(data)
            if not payloads:
                self.unread(data)
            elif self.first_token_ms is not None or (payloads := self.begun(payloads, body.began)):
                return payloads
        return self._end(None)

    def leave(self) -> None:
        """The caller wants no more: the drain reads the rest, or the stream is cut. Idempotent; never waits."""
        if self._left:
            return
        self._left = True
        run = self._run
        if self._ending is not None:
            run.caller.gone = True
            run.driver.drain.adopt(self._ending, worth_it=run.under_way)
        elif not self._ended:
            run.caller.gone = not self.reader.done
            if run.caller.gone and self.effect.on_abort != "drain":
                self.cut()
            else:
                run.driver.drain.adopt_stream(self)

    async def read_on(self) -> None:
        """What the drain does with a stream that was left: read it to its end, and settle."""
        failed: Failed | None = None
        try:
            while not self.reader.done:
                data = await self._body.read()
                if not isinstance(data, bytes) or not data:
                    failed = data or None
                    break
                self.reader.feed(data)
        except (asyncio.CancelledError, GeneratorExit):
            self.cut()
            return
        self._ended = True
        await self._conclude(failed)

    def cut(self) -> None:
        """Close the connection and settle at once, without waiting: nobody knows what the rest would have said."""
        if not self._ended:
            self._ended = True
            self._conclude_now(Failed("cancelled", True, GONE))

    def _end(self, failed: Failed | None) -> list[bytes]:
        """The bytes of the stream have ended; what follows is on its way."""
        self._ended, self._concluding = True, False
        self._ending = asyncio.get_running_loop().create_task(self._conclude(failed))
        self._ending.add_done_callback(lambda _: self._concluded(failed))
        return []

    def _concluded(self, failed: Failed | None) -> None:
        if not self._concluding:  # a task that is cancelled before its first step runs nothing of its coroutine
            self._conclude_now(failed)

    def _conclude_now(self, failed: Failed | None) -> None:
        self._body.close()
        self._run.cancelled = asyncio.CancelledError
        self._run.caller.gone = True
        run_at_once(self._run.advance(self.streamed(failed)))

    async def _conclude(self, failed: Failed | None) -> Result | AsyncRelay:
        self._concluding = True
        if self.reader.done:
            await self._read_tail()
        else:
            self._body.close()
        return await self._run.advance(self.streamed(failed))

    async def _follow(self, ending: asyncio.Task[Result | AsyncRelay]) -> None:
        try:
            result = await asyncio.shield(ending)
        except BursarError as error:
            self._error, self._ending = error, None
            raise
        self._ending = None
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

    async def _read_tail(self) -> None:
        try:
            async with asyncio.timeout(TAIL_SECONDS):
                while True:
                    data = await self._body.read()
                    if not isinstance(data, bytes) or not data:
                        break
        except TimeoutError:
            pass
        except (asyncio.CancelledError, GeneratorExit) as cancel:
            self._run.cancelled = type(cancel)
        self._body.close()


class AsyncDriver:
    """Performs calls on the running event loop."""

    def __init__(self, transport: AsyncTransport, teller: Teller, drain: AsyncDrain, clock: Callable[[], int]) -> None:
        self.transport = transport
        self.teller = teller
        self.drain = drain
        self.clock = clock
        self._guard = _until_the_loop_ends(drain, transport)
        with contextlib.suppress(StopIteration):
            self._guard.__anext__().send(None)  # it stops at its yield

    async def call(self, route: Route, observe: Observer) -> Result | AsyncRelay:
        """Run a call to its result, or to its open stream. Raises BursarError."""
        run = AsyncRun(self, route, observe)
        loop = asyncio.get_running_loop()
        task = loop.create_task(run.advance(None))
        # Shields the call as asyncio.shield does, which costs more because it watches both ends.
        ended = loop.create_future()
        task.add_done_callback(partial(_wake, ended))
        try:
            await ended
        except (asyncio.CancelledError, GeneratorExit):
            run.caller.gone = True
            if not task.get_loop().is_closed():
                self.drain.adopt(task, worth_it=run.under_way)
            raise
        return task.result()


def _wake(ended: asyncio.Future[None], task: object) -> None:
    if not ended.done():  # its caller may have left
        ended.set_result(None)


async def _until_the_loop_ends(drain: AsyncDrain, transport: AsyncTransport) -> AsyncGenerator[None]:
    """Close both when the loop is shut down, or the driver forgotten, and nobody did.

    `asyncio.run` cancels its tasks first and then closes what async generators it knows: only here can streams be cut
    that the cancelled left in that moment.
    """
    try:
        yield
    finally:
        await drain.close(0)
        await transport.close()


def run_at_once(coroutine: Any) -> None:
    """Run a coroutine that never waits: every effect of a cancelled run is performed without waiting."""
    try:
        coroutine.send(None)
    except (StopIteration, asyncio.CancelledError, BursarError):
        return
    coroutine.close()
    raise AssertionError("a cancelled run waited")
