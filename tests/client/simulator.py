"""The simulator in a thread of its own, so that clients of both colours can ask it and tests look at its record."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bursar.sim.config import SimConfig
from bursar.sim.exchange import Desk
from bursar.sim.faults import parse_rule
from bursar.sim.latency import Clock
from bursar.sim.record import Entry
from bursar.sim.server import running

KEY = "sk-sim-test"
# Each attempt is looked at by itself: none is repeated, and no breaker comes between them.
ALONE = {"max_retries": 0, "circuit_breaker_threshold": 0}
BASES = {
    "openai": "/openai/v1",
    "openrouter": "/openrouter/api/v1",
    "groq": "/groq/openai/v1",
    "own": "/v1",
    "anthropic": "/anthropic/v1",
    "azure": "/azure/openai/v1",
    "gemini": "/gemini/v1beta/openai",
    "mistral": "/mistral/v1",
    "deepseek": "/deepseek",
    "xai": "/xai/v1",
    "together": "/together/v1",
    "fireworks": "/fireworks/inference/v1",
    "cerebras": "/cerebras/v1",
}
MODELS = {
    "openai": "gpt-4o-mini",
    "openrouter": "anthropic/claude-sonnet-4.5",
    "groq": "llama-3.1-8b-instant",
    "own": "tiny-chat",
    "anthropic": "claude-haiku-4-5",
    "azure": "gpt-4o-mini",
    "gemini": "gemini-2.5-flash",
    "mistral": "mistral-small-2603",
    "deepseek": "deepseek-v4-flash",
    "xai": "grok-4-fast-reasoning",
    "together": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "fireworks": "accounts/fireworks/models/gpt-oss-20b",
    "cerebras": "gpt-oss-120b",
}


@dataclass(frozen=True)
class Sim:
    """A simulator that answers. Everything here may be called from any thread."""

    url: str
    desk: Desk
    loop: asyncio.AbstractEventLoop

    def config(self, **providers: Any) -> dict[str, Any]:
        """A configuration with every provider of the simulator; keyword arguments add keys to one of them.

        Nothing is tried twice unless a test says so: what one attempt comes to is seen by itself.
        """
        made = {name: {"base_url": self.url + base, "api_key": KEY, **ALONE} for name, base in BASES.items()}
        for name, keys in providers.items():
            made[name] = {**made[name], **keys}
        return {"llm": {"providers": made}}

    def entries(self, *call_ids: str) -> list[Entry]:
        """What was recorded, of these calls only or of all."""
        kept = self.desk.record.entries()
        return [one for one in kept if not call_ids or (one.client_request_id or "").startswith(call_ids)]

    def billed(self, *call_ids: str) -> int:
        """Nano-USD billed for these calls."""
        return sum(entry.billed_nano_usd for entry in self.entries(*call_ids))

    def release(self) -> None:
        """End every stall, of the replies under way and of those to come, until the next reset."""
        self.loop.call_soon_threadsafe(self.desk.clock.hurry)

    def reset(self) -> None:
        """As if just started."""
        self.desk.reset()
        self.desk.clock = Clock(self.desk.config.seed, self.desk.config.latency)

    @contextlib.contextmanager
    def faults(self, *rules: str) -> Iterator[None]:
        """Rules in force for the length of the block."""
        self.desk.faults.enforce(tuple(parse_rule(rule) for rule in rules))
        try:
            yield
        finally:
            self.desk.faults.enforce(())


@contextlib.contextmanager
def simulating(config: SimConfig | None = None) -> Iterator[Sim]:
    """A simulator in a thread."""
    ready: list[Sim] = []
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with running(config) as sim:
            ready.append(Sim(sim.url, sim.desk, loops[0]))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="simulator", daemon=True)
    thread.start()
    assert started.wait(20), "the simulator did not start"
    try:
        yield ready[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)
