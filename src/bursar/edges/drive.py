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
from typing import TYPE_CHECKING, Any

from bursar.call.effects import Admit, Effect, Open, Relay, Seat, Streamed, Unseat
from bursar.call.events import Observer
from bursar.call.exchange import Failed
from bursar.call.flow import Result
from bursar.call.plan import Plan
from bursar.edges.drain import AsyncDrain
from bursar.edges.run import GONE, LEFT, Run
from bursar.edges.teller import Teller
from bursar.errors import BursarError, InvalidRequestError

if TYPE_CHECKING:
    from bursar.edges.http.async_body import AsyncBody
    from bursar.edges.http.asynchronous import AsyncTransport
    from bursar.wire.dialect import StreamReader

# After its terminator a stream has only the end of its body left; a server that keeps it open is not waited for.
TAIL_SECONDS = 1.0


class AsyncRun(Run):
    """One call under way on this loop."""

    __slots__ = ("body", "cancelled", "driver", "opened")

    def __init__(self, driver: AsyncDriver, plan: Plan, observe: Observer) -> None:
        super().__init__(driver.teller, driver.clock, plan, observe)
        self.driver = driver
        self.body: AsyncBody | None = None
        self.opened = False
        # How it was cut: cancelled, or (a loop that was closed under its tasks) thrown away.
        self.cancelled: type[BaseException] | None = None

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
                return AsyncRelay(self, effect.reader)
            if self.cancelled:
                outcome = self.unattended(effect)
                continue
            try:
                outcome = await self._perform(effect)
            except (asyncio.CancelledError, GeneratorExit) as cancel:
                self.cancelled = type(cancel)
                outcome = self.cut(effect)

    async def _perform(self, effect: Effect) -> Any:
        driver = self.driver
        kind = type(effect)
        if kind is Seat:
            return await self._sit(effect)  # type: ignore[arg-type]
        if kind is Admit:
            reserve, until_ms = effect.reserve, effect.until_ms  # type: ignore[union-attr]
            self.reserving(reserve)
            return self.reserved(await _answered(driver.teller, reserve, until_ms))
        if kind is Open:
            self.opened = True
            exchange, seat = effect.exchange, self.take_seat()  # type: ignore[union-attr]
            outcome, self.body = await driver.transport.open(exchange, self.progress, seat)
            return outcome
        if kind is Unseat:
            return self.release_seat()
        outcome = await _answered(driver.teller, effect, 0)
        self.held_by = ""
        return outcome

    async def _sit(self, effect: Seat) -> bool | Failed:
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


class AsyncRelay:
    """An open stream. Pulling moves bytes without waking the flow; its end, its error and leaving it do."""

    __slots__ = ("_body", "_ended", "_error", "_first_token_ms", "_left", "_run", "reader", "result")

    def __init__(self, run: AsyncRun, reader: StreamReader) -> None:
        assert run.body is not None
        self._run = run
        self._body = run.body
        self._first_token_ms: int | None = None
        self._left = False
        self._ended = False
        self._error: BursarError | None = None
        self.reader = reader
        self.result: Result | None = None

    async def pull(self) -> list[bytes]:
        """The payloads that have arrived, at least one; [] at the end, when `result` is set. Raises BursarError.

        A pull that is cancelled loses nothing: the stream goes on until it is left.
        """
        if self._ended or self._left:
            return self._afterwards()
        reader, body = self.reader, self._body
        while not reader.done:
            data = await body.read()
            if not isinstance(data, bytes) or not data:
                await self._end(data or None)
                return []
            payloads = reader.feed(data)
            if payloads:
                if self._first_token_ms is None:
                    self._first_token_ms = self._run.driver.clock()
                return payloads
        await self._end(None)
        return []

    def leave(self) -> None:
        """The caller wants no more: the drain reads the rest, or cuts. Idempotent; never waits."""
        if not self._left and not self._ended:
            self._left = True
            self._run.caller.gone = not self.reader.done
            self._run.driver.drain.adopt_stream(self)

    async def read_on(self) -> None:
        """What the drain does with a stream that was left: read it to its end, and settle."""
        try:
            while not self.reader.done:
                data = await self._body.read()
                if not isinstance(data, bytes) or not data:
                    await self._end(data or None)
                    return
                self.reader.feed(data)
            await self._end(None)
        except (asyncio.CancelledError, GeneratorExit):
            self.cut()

    def cut(self) -> None:
        """Close the connection and settle at once, without waiting: nobody knows what the rest would have said."""
        if not self._ended:
            self._ended = True
            self._body.close()
            self._run.cancelled = asyncio.CancelledError
            run_at_once(self._run.advance(Streamed(Failed("cancelled", True, GONE), self._first_token_ms)))

    async def _end(self, failed: Failed | None) -> None:
        if self._ended:
            return
        self._ended = True
        if self.reader.done:
            await self._read_tail()
        else:
            self._body.close()
        try:
            result = await self._run.advance(Streamed(failed, self._first_token_ms))
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

    async def call(self, plan: Plan, observe: Observer) -> Result | AsyncRelay:
        """Run a call to its result, or to its open stream. Raises BursarError."""
        run = AsyncRun(self, plan, observe)
        task = asyncio.get_running_loop().create_task(run.advance(None))
        try:
            return await asyncio.shield(task)
        except (asyncio.CancelledError, GeneratorExit):
            run.caller.gone = True
            if not task.get_loop().is_closed():
                self.drain.adopt(task, worth_it=run.opened)
            raise


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


async def _answered(teller: Teller, operation: Any, until_ms: int) -> Any:
    """The outcome of an operation on the books; an error is an outcome too."""
    try:
        return await teller.ask(operation, until_ms)
    except BursarError as error:
        return error


def run_at_once(coroutine: Any) -> None:
    """Run a coroutine that never waits: every effect of a cancelled run is performed without waiting."""
    try:
        coroutine.send(None)
    except (StopIteration, asyncio.CancelledError, BursarError):
        return
    coroutine.close()
    raise AssertionError("a cancelled run waited")
