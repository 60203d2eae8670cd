"""The frozen tree of settings that everything else is built from.

It decides nothing: it names what was decided. A field has the name of its key in bursar.yaml and the unit that the
file uses (seconds, requests); money has its unit appended, because the file speaks of USD and the tree of nano-USD.
Which module acts on which key stands in `keys` (`acts_in`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from bursar.config.secrets import Secret
from bursar.errors import ConfigError
from bursar.rules.allowances import Allowance
from bursar.rules.prices import PriceCard

Mode = Literal["enforce", "observe"]
EMPTY: Mapping[str, Any] = MappingProxyType({})


def _empty() -> Mapping[str, Any]:
    return EMPTY


class Place(NamedTuple):
    """Where a value comes from: a line of a file, or `origin` ("environment OPENAI_API_KEY", "argument", "default")."""

    origin: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.origin}:{self.line}" if self.line else self.origin


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider: its row of the catalog, the environment, the file and the arguments, merged.

    row: the name of the catalog's row that it follows; "openai_compatible" for a server of the user's own.
    key_variable: the environment variable that usually holds the key, "" where there is none.
    needs_key: the provider refuses calls without a key. in_file: the configuration names it.
    requests_per_minute and its kin are compiled into `Settings.allowances`; here they are as given, None for no limit.
    Times are seconds. `discount` is a share of the list price, 0 up to 1. `free`: said to cost nothing.
    """

    name: str
    row: str
    base_url: str
    api_key: Secret | None = None
    key_variable: str = ""
    needs_key: bool = True
    in_file: bool = False
    model: str | None = None
    enable_cost_tracking: bool = True
    cost_warning_threshold_nano_usd: int | None = None
    daily_cost_limit_nano_usd: int | None = None
    max_cost_per_request_nano_usd: int | None = None
    enable_metrics: bool = True
    log_costs: bool = False
    log_token_usage: bool = False
    max_connections: int = 100
    max_keepalive: int = 20
    keepalive_expiry: float = 5.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    write_timeout: float = 10.0
    pool_timeout: float = 10.0
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    concurrent_requests: int | None = None
    max_retries: int = 2
    circuit_breaker_threshold: int = 5
    circuit_breaker_timeout: float = 60.0
    discount: Decimal = Decimal(0)
    price: Literal["free"] | None = None
    extra_headers: Mapping[str, str] = field(default_factory=_empty, repr=False)
    enable_fallbacks: bool = True
    fallback_models: tuple[str, ...] = ()
    provider_preferences: Mapping[str, Any] = field(default_factory=_empty)
    app_name: str | None = None
    app_url: str | None = None
    organization: str | None = None
    project: str | None = None

    @property
    def free(self) -> bool:
        """True when the file says that this provider costs nothing."""
        return self.price == "free"

    @property
    def has_key(self) -> bool:
        """True when a call would not fail for want of a key, as far as is known without fetching it."""
        return not self.needs_key or (self.api_key is not None and self.api_key.named)

    def require_key(self) -> str:
        """The API key, "" for a provider that needs none and was given none.

        Reads the file or runs the command that holds it (up to 10 s) the first time. Raises ConfigError, naming the
        environment variable and the path in the file, when there is no key.
        """
        path = f"llm.providers.{self.name}.api_key"
        if self.api_key is not None:
            return self.api_key.reveal(path)
        if not self.needs_key:
            return ""
        raise missing_key(self.name, self.key_variable)


def missing_key(provider: str, variable: str) -> ConfigError:
    """The error of a provider that cannot be used for want of a key."""
    path = f"llm.providers.{provider}.api_key"
    advice = f"set {variable} in the environment, or " if variable else ""
    return ConfigError(f"{provider} has no API key: {advice}set {path} in bursar.yaml", key=path)


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """A price that the user gives for one model, from the start of a UTC date (None: always).

    `usd_per_million` is what the file says, by leaf name; `card` is the same, compiled.
    """

    provider: str
    model: str
    starts: date | None
    usd_per_million: Mapping[str, Decimal]
    card: PriceCard


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept, in days. ledger: None for ever. prompts: 0 never stored, None for ever."""

    ledger_days: int | None = None
    prompts_days: int | None = 0


@dataclass(frozen=True, slots=True)
class Alerts:
    """Where alerts go. The address is a secret: whoever knows it can post there."""

    webhook: Secret | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the gateway listens."""

    host: str = "127.0.0.1"
    port: int = 8000


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration.

    file: the configuration file's absolute path, None without one. books: an absolute path, or "memory:".
    active: the provider of bare model names, None when the file names none.
    providers: by name; those that the file names, those whose key is known, and those that need no key.
    routes: candidates in order, by name of ours. prices: overrides, oldest first within a model.
    allowances: every limit and budget. tags: what every call of this client carries.
    places: where each value comes from, by its path in the file ("llm.providers.openai.model").
    """

    books: str
    file: str | None = None
    time_zone: str = "UTC"
    mode: Mode = "enforce"
    max_wait_seconds: float = 10.0
    active: str | None = None
    providers: Mapping[str, ProviderSettings] = field(default_factory=_empty)
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=_empty)
    prices: tuple[PriceOverride, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    retention: Retention = Retention()
    alerts: Alerts = Alerts()
    gateway: Gateway = Gateway()
    tags: Mapping[str, str] = field(default_factory=_empty)
    places: Mapping[str, Place] = field(default_factory=_empty, repr=False)

    @property
    def budgets(self) -> tuple[Allowance, ...]:
        """The allowances that count money."""
        return tuple(allowance for allowance in self.allowances if allowance.meter == "nano_usd")

    @property
    def source(self) -> str:
        """What defines these allowances, for the books and for people: the file, or "arguments"."""
        return self.file or "arguments"

    def place(self, path: str) -> Place:
        """Where the value at this path of the file comes from."""
        return self.places.get(path, Place("default"))
