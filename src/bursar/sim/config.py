"""How a simulator is set up: one frozen tree, nothing read from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bursar.sim.faults import Rule
from bursar.sim.limits import RateLimit
from bursar.sim.prices import TABLE, Model

PROVIDERS = tuple(TABLE)


@dataclass(frozen=True, slots=True)
class SimConfig:
    """Everything a simulator can be told before it starts.

    `latency` scales realistic waiting: 0 answers at once. `key_prefixes` are what a good API key begins with.
    `limits` and `models` are by provider: openai, openrouter, groq, generic. `cancel_stops_billing` names the
    providers that stop generating, and billing, when the client goes away. `record` is the JSONL file of all that was
    billed.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    latency: float = 0.0
    key_prefixes: tuple[str, ...] = ("sk-sim-",)
    record: Path | None = None
    records_max: int = 50_000
    limits: Mapping[str, RateLimit] = field(default_factory=dict)
    cancel_stops_billing: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()
    models: tuple[tuple[str, Model], ...] = ()
    body_bytes_max: int = 32 * 1024 * 1024

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port}: expected 0 to 65535")
        if not 0 <= self.latency <= 1000:
            raise ValueError(f"latency {self.latency}: expected 0 (none) to 1000 (1 is realistic)")
        for name in (*self.limits, *self.cancel_stops_billing, *(provider for provider, _ in self.models)):
            if name not in PROVIDERS:
                raise ValueError(f"provider {name!r}: expected one of {', '.join(PROVIDERS)}")
