"""The frozen tree of settings that everything else is built from.

It decides nothing: it names what was decided. A field has the name of its key in bursar.yaml and the unit that the
file uses (seconds, requests); money has its unit appended, because the file speaks of USD and the tree of nano-USD.
Which module acts on which key stands in `keys` (`acts_in`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from bursar.catalog.providers import Auth, OnAbort, RateHeaders
from bursar.config.secrets import Secret
from bursar.errors import ConfigError
from bursar.rules.allowances import Allowance
from bursar.rules.breaker import BreakerPolicy
from bursar.rules.prices import PriceCard
from bursar.rules.retries import RetryPolicy
from bursar.wire.dialect import Prefill

Mode = Literal["enforce", "observe"]
OnContent = Literal["stop", "next"]
AlertForm = Literal["json", "slack"]
MetricsAccess = Literal["keyed", "open"]
AfterFirstToken = Literal["never", "continue", "restart"]
# How the key is called that stands at api_key, among several.
ONE_KEY = "api_key"
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
class ProviderKey:
    """One key of a provider: a name that tells it apart, and its weight among the others.

    path: where it stands in the file, for errors.
    """

    name: str
    secret: Secret
    weight: int = 1
    path: str = ""

    def reveal(self) -> str:
        """The key itself; may read a file or run a command, once. Raises ConfigError."""
        return self.secret.reveal(self.path)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider: its row of the catalog, the environment, the file and the arguments, merged.

    row: the name of the catalog's row that it follows; "openai_compatible" for a server of the user's own.
    key_variable: the environment variable that usually holds the key, "" where there is none.
    keys: further keys, among which calls take turns with api_key (`every_key`).
    needs_key: the provider refuses calls without a key. in_file: the configuration names it.
    auth and what follows up to prefill: the columns of its row (`catalog.providers.Provider`).
    on_abort: what becomes of a stream whose caller has left; by its row where the file does not say.
    deployments: its names of models -> whose prices and limits they have.
    requests_per_minute and its kin are compiled into `Settings.allowances`; here they are as given, None for no limit.
    Times are seconds. `discount` is a share of the list price, 0 up to 1. `free`: said to cost nothing.
    """

    name: str
    row: str
    base_url: str
    api_key: Secret | None = None
    keys: tuple[ProviderKey, ...] = ()
    key_variable: str = ""
    needs_key: bool = True
    in_file: bool = False
    auth: Auth = "bearer"
    dialects: tuple[str, ...] = ("openai_chat", "embeddings")
    api_version: str = ""
    limit_field: str = "max_tokens"
    usage_field: Literal["stream_options", ""] = "stream_options"
    settles: Literal["actual", "reserved"] = "actual"
    rate_headers: RateHeaders = ""
    reports_cost: bool = False
    bills_errors: bool = False
    cancel_stops_billing: bool = False
    prefill: Prefill = ""
    on_abort: OnAbort = "drain"
    model: str | None = None
    deployments: Mapping[str, str] = field(default_factory=_empty)
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
    first_token_timeout: float | None = None
    stall_timeout: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    concurrent_requests: int | None = None
    max_retries: int = 2
    retry_base_seconds: float = 0.5
    retry_cap_seconds: float = 8.0
    retry_jitter: float = 0.25
    circuit_breaker_threshold: int = 5
    circuit_breaker_timeout: float = 60.0
    circuit_breaker_failure_share: float = 0.5
    slow_call_seconds: float | None = None
    circuit_breaker_slow_share: float = 0.8
    discount: Decimal = Decimal(0)
    price: Literal["free"] | None = None
    extra_headers: Mapping[str, str] = field(default_factory=_empty, repr=False)
    enable_fallbacks: bool = True
    fallback_models: tuple[str, ...] = ()
    provider_preferences: Mapping[str, Any] = field(default_factory=_empty)
    limit_route_price: bool = False
    app_name: str | None = None
    app_url: str | None = None
    app_categories: tuple[str, ...] = ()
    organization: str | None = None
    project: str | None = None
    openai_beta: str | None = None
    anthropic_beta: tuple[str, ...] = ()

    @property
    def free(self) -> bool:
        """True when the file says that this provider costs nothing."""
        return self.price == "free"

    @property
    def has_key(self) -> bool:
        """True when a call would not fail for want of a key, as far as is known without fetching it."""
        return not self.needs_key or any(key.secret.named for key in self.every_key)

    @property
    def every_key(self) -> tuple[ProviderKey, ...]:
        """api_key, where there is one, and those of `keys`. One whose variable is not set is among them."""
        if self.api_key is None:
            return self.keys
        return (ProviderKey(ONE_KEY, self.api_key, path=f"llm.providers.{self.name}.{ONE_KEY}"), *self.keys)

    @property
    def usable_keys(self) -> tuple[ProviderKey, ...]:
        """Those of `every_key` that can be had as far as is known without fetching them."""
        return tuple(key for key in self.every_key if key.secret.named)

    @property
    def retry_policy(self) -> RetryPolicy:
        """How the provider is asked again."""
        return RetryPolicy(
            max_retries=self.max_retries,
            base_seconds=self.retry_base_seconds,
            cap_seconds=self.retry_cap_seconds,
            jitter=self.retry_jitter,
        )

    @property
    def breaker_policy(self) -> BreakerPolicy:
        """When its models are left alone; without meaning where circuit_breaker_threshold is 0: then they never are.

        No call is slow where nothing says from when on one is.
        """
        return BreakerPolicy(
            consecutive_failures=self.circuit_breaker_threshold or 1,
            failure_share=self.circuit_breaker_failure_share,
            slow_share=self.circuit_breaker_slow_share,
            slow_seconds=self.slow_call_seconds or math.inf,
            open_seconds=self.circuit_breaker_timeout,
        )

    def priced_as(self, model: str) -> str:
        """Whose prices and limits a model of this provider has: its own, unless it is a deployment of another."""
        return self.deployments.get(model, model)

    def require_key(self) -> str:
        """The API key, the first where there are several; "" for a provider that needs none and was given none.

        Reads the file or runs the command that holds it (up to 10 s) the first time. Raises ConfigError, naming the
        environment variable and the path in the file, when there is no key.
        """
        for key in self.usable_keys or self.every_key:
            return key.reveal()
        if not self.needs_key:
            return ""
        raise missing_key(self.name, self.key_variable)


def missing_key(provider: str, variable: str, otherwise: str = "") -> ConfigError:
    """The error of a provider that cannot be used for want of a key. otherwise: another way to what was asked for."""
    path = f"llm.providers.{provider}.api_key"
    advice = f"set {variable} in the environment, or " if variable else ""
    return ConfigError(f"{provider} has no API key: {advice}set {path} in bursar.yaml{otherwise}", key=path)


def missing_address(provider: str, variable: str) -> ConfigError:
    """The error of a provider that has no address of its own and was given none."""
    path = f"llm.providers.{provider}.base_url"
    advice = f"set {variable} in the environment, or " if variable else ""
    return ConfigError(f"{provider} has no address: {advice}set {path} in bursar.yaml", key=path)


@dataclass(frozen=True, slots=True)
class Route:
    """What a name of the user's own stands for.

    candidates: "provider/model", in order of preference, at least one. on_content: whether the next is asked what one
    refused for its content. after_first_token: what becomes of a stream that breaks once the caller has seen some of
    it: the error; continued by the next candidate that can, else begun again by it; or always begun again.
    """

    candidates: tuple[str, ...]
    on_content: OnContent = "stop"
    after_first_token: AfterFirstToken = "never"


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """A price that the user gives for one model, from the start of a UTC date (None: always).

    given: what the file says (prices by leaf, `above`, `tiers`); card, tiers: the same, compiled.
    """

    provider: str
    model: str
    starts: date | None
    given: Mapping[str, Any]
    card: PriceCard
    tiers: Mapping[str, PriceCard] = field(default_factory=_empty)


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How calls wait. fair_by: the dimension whose values share, None for a call's user, else session, else key.

    weights: shares of values that have more than 1. length: calls that may wait in this process.
    """

    fair_by: str | None = None
    weights: Mapping[str, int] = field(default_factory=_empty)
    length: int = 10_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long things are kept, in days. ledger: None for ever. prompts: 0 never stored, None for ever."""

    ledger_days: int | None = None
    prompts_days: int | None = 0


@dataclass(frozen=True, slots=True)
class Alerts:
    """Where alerts go. The address is a secret: whoever knows it can post there. form: None for that of its host."""

    webhook: Secret | None = None
    form: AlertForm | None = None


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where the gateway listens, with how many processes, and how long it finishes at a stop.

    store_replies: replies to calls under an idempotency key are kept for those who send them again. replay_hours: how
    long such keys are remembered.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    stop_seconds: float = 30.0
    metrics: MetricsAccess = "keyed"
    store_replies: bool = False
    replay_hours: int = 24


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration.

    file: the configuration file's absolute path, None without one. books: an absolute path, or "memory:".
    active: the provider of bare model names, None when the file names none.
    providers: by name; those that the file names, those whose key is known, and those that need no key.
    routes: by name. prices: overrides, oldest first within a model.
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
    routes: Mapping[str, Route] = field(default_factory=_empty)
    prices: tuple[PriceOverride, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    queue: QueueSettings = QueueSettings()
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
