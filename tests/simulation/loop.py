"""An event loop whose time is a number: nothing is waited for, and the same program runs the same way every time.

It never opens a socket or a thread. When nobody is ready it jumps to the next timer; when there is none either,
everybody waits for nobody, and it says so instead of hanging.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bursar.testing.clock import START_MS

T = TypeVar("T")

# Nothing that is simulated may take a day, or go on for so many rounds without time passing.
SECONDS_MAX = 86_400.0
ROUNDS_MAX = 10_000


class StandstillError(Exception):
    """Nobody can go on: a hang, in a program that waits for real."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that is told the time by its own timers. `failures`: what nobody caught."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.failures: list[str] = []
        self._rounds = 0
        self._selector = self
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self.seconds

    def now_ms(self) -> int:
        """The wall clock of the simulated world, in epoch milliseconds."""
        return START_MS + int(self.seconds * 1000 + 1e-6)

    def select(self, timeout: float | None) -> list[Any]:
        """What a selector does is to wait; here there is nothing to wait for but time."""
        if timeout is None:
            raise StandstillError(f"at {self.seconds:.3f} s everybody waits for nobody")
        self._rounds += 1
        if self._rounds > ROUNDS_MAX:
            self._rounds = 0
            raise StandstillError(f"at {self.seconds:.3f} s time stands still")
        if timeout > 0:
            self._rounds = 0
            self.seconds = max(self.seconds, self._scheduled[0]._when)  # type: ignore[attr-defined]
            if self.seconds > SECONDS_MAX:
                raise StandstillError("a day has passed")
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")


def simulate(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a program to its end, in no time. Raises StandstillError when it cannot go on."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(main(loop))
