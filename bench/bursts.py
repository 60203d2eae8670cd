"""Those who send a burst of calls to a provider that limits them: each as one would, told only what one can know.

All share one client of aiohttp and one way to meet a refusal (wait as long as it says, then again, until served), so
that what differs is only what keeps calls back. The peers are told exactly what each call takes; Bursar finds out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# More than any limit here lets through at once, so that nobody waits for one.
CONNECTIONS = 1_000
KEY = "sk-sim-bench"

Gate = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Load:
    """A burst, and the limit that it meets: `capacity` units of `meter` ("requests" or "tokens") in `period_seconds`.

    takes: units of one call, as the provider counts them on arrival. arrivals: seconds from the start, ascending.
    """

    provider: str
    base_url: str
    model: str
    content: str
    max_tokens: int
    meter: str
    capacity: int
    period_seconds: float
    takes: int
    arrivals: Sequence[float]

    @property
    def body(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": self.content}],
            "max_completion_tokens": self.max_tokens,
        }


async def send(load: Load, gate: Gate | None) -> list[float]:
    """Send every call when it arrives, and again as often as it is refused; when each was served, in seconds."""
    import aiohttp

    url = f"{load.base_url}/chat/completions"
    headers = {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        begun = time.monotonic()

        async def one(arrival: float) -> float:
            await asyncio.sleep(begun + arrival - time.monotonic())
            if gate is not None:
                await gate()
            while True:
                async with session.post(url, json=load.body, headers=headers) as answer:
                    await answer.read()
                    if answer.status == 200:
                        return time.monotonic() - begun
                    assert answer.status == 429, answer.status
                    advice = answer.headers
                    seconds = float(advice.get("retry-after-ms", 0)) / 1000 or float(advice.get("retry-after", 1))
                await asyncio.sleep(seconds)

        return await asyncio.gather(*map(one, load.arrivals))


async def naive(load: Load, folder: Path) -> list[float]:
    """Nobody keeps anything back."""
    return await send(load, None)


async def with_aiolimiter(load: Load, folder: Path) -> list[float]:
    """aiolimiter's leaky bucket."""
    from aiolimiter import AsyncLimiter

    limiter = AsyncLimiter(load.capacity, load.period_seconds)
    return await send(load, lambda: limiter.acquire(load.takes))


async def with_limits(load: Load, folder: Path) -> list[float]:
    """The sliding window of `limits`, which says yes or no: the first in line asks until it is yes.

    Its windows are whole seconds or minutes, and its memory has one entry a key.
    """
    from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import SlidingWindowCounterRateLimiter

    limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    per = RateLimitItemPerSecond if load.period_seconds == 1 else RateLimitItemPerMinute
    item: RateLimitItem = per(load.capacity)
    line = asyncio.Lock()

    async def gate() -> None:
        async with line:
            while not await limiter.hit(item, "bench", cost=load.takes):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(load.period_seconds / 500)

    return await send(load, gate)


async def with_bursar(load: Load, folder: Path) -> list[float]:
    """Bursar, which is told the limit and nothing of the calls; its books are a file, synchronous=FULL."""
    from bursar import AsyncClient

    per = "second" if load.period_seconds == 1 else "minute"
    connections = {"max_connections": CONNECTIONS, "max_keepalive": CONNECTIONS, "pool_timeout": 600}
    config = {
        "llm": {"providers": {load.provider: {"base_url": load.base_url, "api_key": KEY, **connections}}},
        "limits": {"bench": {load.meter: load.capacity, "per": per, "only": {"provider": load.provider}}},
        "queue": {"length": 100_000},
    }
    async with AsyncExitStack() as stack:
        llm = AsyncClient(config, books=f"sqlite:///{folder}/bursar.db")
        stack.push_async_callback(llm.close)
        begun = time.monotonic()

        async def one(arrival: float) -> float:
            await asyncio.sleep(begun + arrival - time.monotonic())
            await llm.chat(
                load.content,
                model=f"{load.provider}/{load.model}",
                max_tokens=load.max_tokens,
                max_wait_seconds=3_600,
            )
            return time.monotonic() - begun

        return await asyncio.gather(*map(one, load.arrivals))


CONTENDERS = {"naive": naive, "limits": with_limits, "aiolimiter": with_aiolimiter, "bursar": with_bursar}
