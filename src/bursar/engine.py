"""What stands behind every door: the settings, the books, the teller, the prices; it makes the plan of each call.

One engine a client. It opens the books when it is made, starts the teller with the first call, and owns no connection:
those belong to the drivers of the doors.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from bursar.blocks.performance_monitor import PerformanceMonitor
from bursar.call.books import Balance, Expired, Store
from bursar.call.events import Event, HoldsExpired, Observer
from bursar.call.meter import Pricing
from bursar.call.plan import Cap, Plan
from bursar.catalog import models
from bursar.catalog.providers import Provider, headers_of, provider_row, target_of
from bursar.config import ProviderSettings, Settings, price_book, resolve_model
from bursar.edges.http.pool import PoolLimits
from bursar.edges.teller import Teller
from bursar.errors import InvalidRequestError
from bursar.rules.allowances import Allowance, Demand
from bursar.rules.estimate import MIN_OUTPUT_TOKENS, MIN_OUTPUT_TOKENS_REASONING, demand_of
from bursar.rules.money import nano_of
from bursar.rules.prices import PriceCard
from bursar.telemetry.log import CallLog
from bursar.telemetry.stats import CallStatistics
from bursar.wire.dialect import Dialect, Request

# What scopes call themselves; a tag of such a name would count for the wrong allowance.
RESERVED = frozenset({"provider", "model", "key", "user", "session"})
TAGS_MAX = 32
# The ordinal of 1970-01-01: prices are those of a UTC day.
EPOCH = date(1970, 1, 1).toordinal()
# Where an allowance is defined that no file defines, as configuration calls it.
ARGUMENTS = "arguments"
SCOPE_CHARACTERS_MAX = 256


def wall_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """How a caller governs one call. Money is given in USD, times in seconds."""

    model: str | None = None
    max_cost_usd: Any = None
    timeout: float | None = None
    max_wait_seconds: float | None = None
    tags: Mapping[str, str] | None = None
    user: str | None = None
    session: str | None = None
    extra_headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider of this client, with everything that does not change from call to call."""

    settings: ProviderSettings
    row: Provider
    headers: Mapping[str, str]
    key: str


class Engine:
    """Settings, books, teller and prices of one client. Thread-safe."""

    def __init__(self, settings: Settings, store: Store, *, clock: Callable[[], int] = wall_ms) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.making = threading.Lock()
        self._observers: list[Observer] = []
        self.teller = Teller(store, clock, notice=self._expired)
        self.prices = price_book(settings)
        self._ids = Ids()
        self._observed = frozenset(one.name for one in settings.allowances if not one.enforced)
        self._define()
        self._candidates: dict[str, Candidate] = {}
        self._watchers()

    def plan(self, dialect: Dialect, body: bytes, asked: Asked) -> Plan:
        """Decide everything about a call that can be decided before its first effect.

        `body` is one JSON object in the dialect; its model name is replaced by the one that `asked` resolves to.
        Raises ConfigError (unknown provider, missing key) and InvalidRequestError.
        """
        provider, model = resolve_model(self.settings, asked.model)
        candidate = self._candidates.get(provider) or self._candidate(provider)
        begun_ms = self.clock()
        deadline_ms = None if asked.timeout is None else begun_ms + _milliseconds("timeout", asked.timeout)
        request = dialect.parse(body)
        target = target_of(candidate.row, model, candidate.settings, request)
        reachable = tuple(dict.fromkeys((model, *request.reaches, *target.reaches)))
        prices = self._priced(candidate)
        caps = self._caps(candidate, asked)
        demand, unpriced = self._demand(candidate, dialect, request, reachable, prices, caps)
        start_ms = self.clock()  # from here on the call waits for others, not for our own look into the price list
        return Plan(
            call_id=self._ids.new(start_ms),
            provider=candidate.row,
            model=model,
            dialect=dialect,
            request=request,
            target=target,
            url=candidate.row.base_url + dialect.path,
            headers=_headers(candidate.headers, asked.extra_headers),
            scopes=self._scopes(candidate, model, asked),
            demand=demand,
            price=prices,
            start_ms=start_ms,
            wait_until_ms=self._wait_until_ms(asked, start_ms, deadline_ms),
            deadline_ms=deadline_ms,
            pool_timeout_seconds=candidate.settings.pool_timeout,
            caps=caps,
            tracks_cost=candidate.settings.enable_cost_tracking,
            observes=self.settings.mode == "observe",
            observed=self._observed,
            warn_nano_usd=candidate.settings.cost_warning_threshold_nano_usd,
            unpriced=unpriced,
        )

    def limit_field(self, asked: Asked) -> str:
        """What the provider of a call names the output limit."""
        provider, _ = resolve_model(self.settings, asked.model)
        return (self._candidates.get(provider) or self._candidate(provider)).row.limit_field

    def warm(self) -> None:
        """Read the price list now rather than in the first call."""
        self.prices.models("openai")

    def statistics(self) -> dict[str, Any]:
        """Calls, latency, tokens and cost by provider and by model over the last hour; refusals since the start."""
        return self._statistics.snapshot()

    def pool_limits(self) -> dict[str, PoolLimits]:
        """The connections that each provider may have."""
        return {name: _pool_limits(settings) for name, settings in self.settings.providers.items()}

    def binding(self, scopes: Mapping[str, str]) -> list[tuple[Allowance, Balance]]:
        """The budgets that a call of these scopes would be charged to, and where they stand."""
        now_ms = self.clock()
        known = {(one.allowance, one.subject): one for one in self.store.balances(now_ms)}
        bound = []
        for allowance in self.store.allowances():
            subject = allowance.subject_of(scopes)
            if allowance.meter == "nano_usd" and subject is not None:
                unseen = Balance(
                    allowance.name, subject, allowance.meter, allowance.period or "", 0, 0, allowance.capacity, None
                )
                bound.append((allowance, known.get((allowance.name, subject), unseen)))
        return bound

    def check_session(self, name: str, budget_usd: Any) -> None:
        """Refuse a session that could not be opened, without opening it."""
        _scope("session", name)
        if budget_usd is not None:
            _nano("budget_usd", budget_usd)

    def open_session(self, name: str, budget_usd: Any = None) -> None:
        """Give a session a budget of its own, for as long as the books last; the same name continues it."""
        self.check_session(name, budget_usd)
        if budget_usd is None:
            return
        allowance = Allowance(
            name=f"session:{name}",
            meter="nano_usd",
            capacity=_nano("budget_usd", budget_usd),
            shape="calendar",
            period="total",
            only=(("session", name),),
            mode=self.settings.mode,
            source="session",
        )
        self.store.put_allowance(allowance, self.clock)

    def balances(self) -> list[Balance]:
        """Where every budget and limit stands now."""
        return self.store.balances(self.clock())

    def observe(self, event: Event) -> None:
        """Tell everyone who watches. An observer that fails is logged, and no call fails with it."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logging.getLogger("bursar").exception("an observer failed on %s", type(event).__name__)

    def watch(self, observer: Observer) -> None:
        """Add an observer. It is called in the thread where the event happens, and must return at once."""
        self._observers.append(observer)

    def close(self) -> None:
        """Flush the teller and close the books."""
        self.teller.close()
        self.store.close()

    def _define(self) -> None:
        """Enter the limits and budgets: those of the file as the file's, those of arguments as this program's own.

        So a program without a budget never removes that of another, and what a program defines ends with it.
        """
        allowances = self.settings.allowances
        given = [allowance for allowance in allowances if allowance.source == ARGUMENTS]
        if self.settings.file is not None:
            written = [allowance for allowance in allowances if allowance.source != ARGUMENTS]
            self.store.define(written, self.settings.file, self.clock)
        else:
            given = list(allowances)
        self.store.define(given, f"program:{self._ids.chance}", self.clock)

    def _watchers(self) -> None:
        """Those who always watch: the log, and the figures of providers with `enable_metrics`."""
        providers = self.settings.providers.values()
        costs = {given.name for given in providers if given.log_costs}
        token_usage = {given.name for given in providers if given.log_token_usage}
        self._statistics = CallStatistics(
            PerformanceMonitor, providers={given.name for given in providers if given.enable_metrics}
        )
        self._observers += [CallLog(costs=costs, token_usage=token_usage), self._statistics]
        if not self.settings.budgets and not any(one.meter == "nano_usd" for one in self.store.allowances()):
            sys.stderr.write("bursar: no budget is set: calls are counted, none is refused for its cost\n")

    def _candidate(self, provider: str) -> Candidate:
        settings = self.settings.providers[provider]
        key = settings.require_key()
        row = provider_row(settings.name, settings.base_url, row=settings.row)
        # Enough to tell keys apart in the books, far too little to guess one.
        fingerprint = f"{provider}:{hashlib.sha256(key.encode()).hexdigest()[:8]}" if key else provider
        candidate = Candidate(settings, row, headers_of(row, key, settings), fingerprint)
        self._candidates[provider] = candidate
        return candidate

    def _priced(self, candidate: Candidate) -> Pricing:
        name, book = candidate.settings.name, self.prices
        today = date.fromordinal(EPOCH + self.clock() // 86_400_000)

        def price(model: str, tier: str = "", /) -> PriceCard | None:
            return book.card(name, model, today, tier)

        return price

    def _demand(
        self,
        candidate: Candidate,
        dialect: Dialect,
        request: Request,
        reachable: tuple[str, ...],
        prices: Pricing,
        caps: tuple[Cap, ...],
    ) -> tuple[Demand, tuple[str, ...]]:
        name = candidate.settings.name
        facts = models.reach(name, reachable)
        size = dialect.size(
            request,
            output_tokens_min=MIN_OUTPUT_TOKENS_REASONING if facts.reasoning else MIN_OUTPUT_TOKENS,
            output_tokens_max=facts.output_max,
            context_tokens=facts.context_window,
        )
        if not candidate.settings.enable_cost_tracking:
            return demand_of(size, [None]), ()
        # A tier that was asked for may not be given: the bound covers it and the plain one.
        tiers = ("", request.tier) if request.tier else ("",)
        cards = {(model, tier): prices(model, tier) for model in reachable for tier in tiers}
        unpriced = tuple(dict.fromkeys(f"{name}/{model}" for (model, _), card in cards.items() if card is None))
        priced: list[PriceCard | None] = list(cards.values())
        if request.unbounded or facts.server_tools:
            priced = [None]
        tightest = min(caps, key=lambda cap: cap.nano_usd, default=None)
        if tightest is None:
            return demand_of(size, priced), unpriced
        return demand_of(size, priced, cap_nano_usd=tightest.nano_usd, cap=tightest.name), unpriced

    def _caps(self, candidate: Candidate, asked: Asked) -> tuple[Cap, ...]:
        caps = []
        configured = candidate.settings.max_cost_per_request_nano_usd
        if configured is not None and self.settings.mode == "enforce":
            caps.append(Cap(f"{candidate.settings.name}.max_cost_per_request", configured))
        if asked.max_cost_usd is not None:
            caps.append(Cap("max_cost_usd", _nano("max_cost_usd", asked.max_cost_usd)))
        return tuple(caps)

    def _scopes(self, candidate: Candidate, model: str, asked: Asked) -> dict[str, str]:
        name = candidate.settings.name
        scopes = {"provider": name, "model": f"{name}/{model}", "key": candidate.key}
        if asked.user is not None:
            scopes["user"] = _scope("user", asked.user)
        if asked.session is not None:
            scopes["session"] = _scope("session", asked.session)
        for tags in (self.settings.tags, asked.tags or {}):
            for tag, value in tags.items():
                if tag in RESERVED:
                    raise InvalidRequestError(f"a tag cannot be called {tag!r}: pass it as an argument of that name")
                scopes[_scope("tag", tag)] = _scope(f"tag {tag}", value)
        if len(scopes) > TAGS_MAX:
            raise InvalidRequestError(f"a call carries at most {TAGS_MAX} tags")
        return scopes

    def _wait_until_ms(self, asked: Asked, start_ms: int, deadline_ms: int | None) -> int:
        seconds = self.settings.max_wait_seconds if asked.max_wait_seconds is None else asked.max_wait_seconds
        until_ms = start_ms + _milliseconds("max_wait_seconds", seconds)
        return until_ms if deadline_ms is None else min(until_ms, deadline_ms)

    def _expired(self, expired: Expired) -> None:
        self.observe(HoldsExpired(expired.attempts))


def open_engine(settings: Settings, *, clock: Callable[[], int] = wall_ms) -> Engine:
    """Open the books that the settings name, and stand an engine on them."""
    store: Store
    if settings.books == "memory:":
        from bursar.edges.stores.memory import MemoryStore

        store = MemoryStore()
    else:
        from bursar.edges.stores.sqlite import SqliteStore

        store = SqliteStore(settings.books, source_name=settings.file or "", clock=clock)
    try:
        return Engine(settings, store, clock=clock)
    except BaseException:
        store.close()
        raise


def _pool_limits(settings: ProviderSettings) -> PoolLimits:
    return PoolLimits(
        max_connections=settings.max_connections,
        max_keepalive=settings.max_keepalive,
        keepalive_expiry_seconds=settings.keepalive_expiry,
        connect_timeout_seconds=settings.connect_timeout,
        read_timeout_seconds=settings.read_timeout,
        write_timeout_seconds=settings.write_timeout,
        pool_timeout_seconds=settings.pool_timeout,
    )


class Ids:
    """Ids of calls: 12 hexadecimal digits of the clock, 12 of chance drawn once a process, and a counter.

    They sort by time and never repeat, within a process or between any two. Drawing chance for each would cost more
    than all else that an id is made of.
    """

    def __init__(self) -> None:
        self.chance = os.urandom(6).hex()
        self._counter = itertools.count()

    def new(self, now_ms: int) -> str:
        """The next id."""
        return f"{now_ms:012x}{self.chance}{next(self._counter):06x}"


def _headers(base: Mapping[str, str], extra: Mapping[str, str] | None) -> Mapping[str, str]:
    if not extra:
        return base
    values: Mapping[str, object] = extra
    for name, value in values.items():
        if not isinstance(value, str) or "\r" in name + value or "\n" in name + value:
            raise InvalidRequestError(f"header {name!r} must be one line of text")
    return {**base, **extra}


def _scope(what: str, value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > SCOPE_CHARACTERS_MAX or not value.isprintable():
        raise InvalidRequestError(f"{what} must be 1 to {SCOPE_CHARACTERS_MAX} printable characters")
    return value


def _nano(name: str, usd: Any) -> int:
    try:
        return nano_of(usd)
    except ValueError as error:
        raise InvalidRequestError(f"{name}: {error}") from None


def _milliseconds(name: str, seconds: object) -> int:
    # NaN fails both comparisons; a longer limit than a day is a mistake of units.
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 86_400:
        raise InvalidRequestError(f"{name} must be seconds from 0 to 86400, not {seconds!r}")
    return int(seconds * 1000)
