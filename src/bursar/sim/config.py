"""How a simulator is set up: one frozen tree, nothing read from the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bursar.sim.faults import Rule
from bursar.sim.limits import RateLimit
from bursar.sim.models import TABLE
from bursar.sim.prices import Model

PROVIDERS = tuple(TABLE)


@dataclass(frozen=True, slots=True)
class SimConfig:
    """Everything a simulator can be told before it starts.

    `latency` scales realistic waiting: 0 answers at once. `key_prefixes` are what a good API key begins with.
    `limits` and `models` are by provider: openai, openrouter, groq, generic. `limit_speed`: how many times faster than
    real ones limits refill, for those who cannot wait a minute: 60 makes a second of it. `cancel_stops_billing` names
    the providers that stop generating, and billing, when the client goes away. `record` is the JSONL file of all that
    was billed. `now_ms` sets the simulator's calendar, in milliseconds since 1970; it then moves on as time does.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    latency: float = 0.0
    key_prefixes: tuple[str, ...] = ("sk-sim-",)
    record: Path | None = None
    records_max: int = 50_000
    limits: Mapping[str, RateLimit] = field(default_factory=dict)
    limit_speed: int = 1
    cancel_stops_billing: frozenset[str] = frozenset()
    cancel_bills_in_full: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()
    models: tuple[tuple[str, Model], ...] = ()
    body_bytes_max: int = 32 * 1024 * 1024
    now_ms: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port {self.port}: expected 0 to 65535")
        if not 0 <= self.latency <= 1000:
            raise ValueError(f"latency {self.latency}: expected 0 (none) to 1000 (1 is realistic)")
        if not 1 <= self.limit_speed <= 1_000:
            raise ValueError(f"limit speed {self.limit_speed}: expected 1 (real) to 1000")
        check_providers((*self.limits, *self.cancel_stops, *(provider for provider, _ in self.models)))

    @property
    def cancel_stops(self) -> Mapping[str, bool]:
        """What is said of providers' bills when a client leaves; the others do as their form does."""
        return dict.fromkeys(self.cancel_stops_billing, True) | dict.fromkeys(self.cancel_bills_in_full, False)


def check_providers(names: Iterable[str]) -> None:
    """Raise ValueError, in one line, for a name that is no provider of the simulator."""
    for name in names:
        if name not in PROVIDERS:
            raise ValueError(f"provider {name!r}: expected one of {', '.join(PROVIDERS)}")
