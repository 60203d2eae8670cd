"""One simulated process: the real engine, flow, driver and drain, on shared books and simulated connections.

It can be killed (its memory is lost between any two steps, and what it held stays behind), stopped in good order, or
paused for so long that the others take it for dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from random import Random
from typing import Any

from bursar.call.events import Event
from bursar.config import Settings
from bursar.edges.breakers import Breakers
from bursar.edges.drain import AsyncDrain
from bursar.edges.drive import AsyncDriver
from bursar.engine import Engine, Ids
from bursar.engine.routing import Retries
from tests.simulation.books import LoopTeller, SharedBooks
from tests.simulation.loop import VirtualLoop
from tests.simulation.provider import SimulatedProvider
from tests.simulation.transport import SimulatedTransport

LEASE_MS = 6_000


class NamedIds(Ids):
    """Ids that begin with the name of their process and draw no chance."""

    def __init__(self, name: str) -> None:
        self.chance = name
        self._numbers = count()

    def new(self, now_ms: int) -> str:
        """The next id."""
        return f"{self.chance}{next(self._numbers):06x}"


class SimulatedProcess:
    """A process. `name`: what the ids of its calls have in common. tasks: its callers, who live and die with it."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        books: SharedBooks,
        providers: Mapping[str, SimulatedProvider],
        loop: VirtualLoop,
        chance: Random,
        *,
        sending: Callable[[str], None],
        watch: Callable[[Event], None],
    ) -> None:
        self.name = f"{loop.now_ms():012x}{number:012x}"
        self.alive = True
        self.tasks: set[asyncio.Task[Any]] = set()
        self.books = books
        engine = self.engine = Engine(settings, books, clock=loop.now_ms)
        self.teller = LoopTeller(books, loop, chance, lease_ms=LEASE_MS, notice=engine._expired)
        engine.teller = self.teller
        engine.breakers = Breakers(
            lambda provider: settings.providers[provider].breaker_policy,
            loop.now_ms,
            chance=chance.random,
            observe=engine.observe,
        )
        engine._retries = Retries(chance.random)
        engine._ids = NamedIds(self.name)
        engine.watch(watch)
        self.transport = SimulatedTransport(engine.pool_limits(), providers, loop, chance, sending)
        self.drain = AsyncDrain(drains_max=8, drain_seconds=20.0)
        self.driver = AsyncDriver(self.transport, self.teller, self.drain, loop.now_ms)  # type: ignore[arg-type]

    def kill(self) -> None:
        """Its memory is lost: nothing that still runs of it reaches anybody."""
        self.alive = False
        self.teller.dead = True
        self.books.dead.append(self.name)
        self.drain._closing = True
        for task in [*self.tasks, *self.drain._tasks]:
            task.cancel()

    def pause(self) -> None:
        """The others take it for dead, and it goes on."""
        self.books.presumed.update(name for name in self.books.pending() if name.startswith(self.name))

    async def stop(self) -> None:
        """End in good order, whoever is still under way."""
        self.alive = False
        callers = list(self.tasks)
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers)
        await self.drain.close(1.0)
        await self.transport.close()
        self.teller.close()
        if self.books.fails or self.books.forgets:
            # What could not be entered any more is ended like that of any other who is gone.
            self.books.dead.append(self.name)

    def leftovers(self) -> Iterator[str]:
        """What it still has of the things that it should have given back."""
        for provider, pool in self.transport.statistics().items():
            if pool.seats_in_use or pool.waiting:
                yield f"{provider}: {pool.seats_in_use} seats are taken and {pool.waiting} callers wait for one"
        for guard in self.engine.breakers._guards.values():
            if guard._breaker._out:
                yield f"the breaker of {guard.name} misses permits {sorted(guard._breaker._out)}"
        if self.teller.waiting or not self.teller.idle:
            yield f"the teller is not at rest: {self.teller.waiting} wait, {self.teller.unsettled} are unsettled"
        if len(self.drain):
            yield f"{len(self.drain)} calls are still drained"
        held = [name for name in self.books.pending() if name.startswith(self.name)]
        if held and self.name not in self.books.dead:
            yield f"it still holds {held}"
