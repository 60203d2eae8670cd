"""How long the simulator takes: a lognormal time to the first token, then a time a token, drawn from the seed.

The medians are what the providers' small models took in 2026. `Clock.wait` is the only place where the simulator
sleeps, so that stopping it can wake everything at once: a provider that is shut down still bills what it has begun.
"""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass

SIGMA = 0.45
FIRST_TOKEN_SECONDS_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Speed:
    """Medians of a provider, in seconds."""

    first_token_seconds: float
    token_seconds: float


@dataclass(frozen=True, slots=True)
class Pace:
    """The waiting of one answer, in seconds; both 0 answers at once."""

    first_token_seconds: float = 0.0
    token_seconds: float = 0.0

    def generation_seconds(self, tokens: int) -> float:
        return self.first_token_seconds + tokens * self.token_seconds


AT_ONCE = Pace()


class Clock:
    """Draws paces and waits for them."""

    def __init__(self, seed: int, scale: float) -> None:
        self._chance = random.Random(f"latency {seed}")
        self._scale = scale
        self._hurry: asyncio.Event = asyncio.Event()

    def pace(self, speed: Speed) -> Pace:
        if self._scale == 0:
            return AT_ONCE
        first = self._chance.lognormvariate(math.log(speed.first_token_seconds), SIGMA)
        token = self._chance.uniform(0.7, 1.4) * speed.token_seconds
        return Pace(min(first, FIRST_TOKEN_SECONDS_MAX) * self._scale, token * self._scale)

    async def wait(self, seconds: float) -> None:
        """Sleep, or return early when the simulator is being stopped."""
        if seconds <= 0 or self._hurry.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            return

    @property
    def hurried(self) -> bool:
        return self._hurry.is_set()

    def hurry(self) -> None:
        """Wake every waiter, now and from now on."""
        self._hurry.set()
