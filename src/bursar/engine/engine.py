"""What stands behind every door: the settings, the books, the teller, the prices; it makes the plan of each call.

One engine a client. It opens the books when it is made, starts the teller with the first call, and owns no connection:
those belong to the drivers of the doors.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bursar.blocks.performance_monitor import PerformanceMonitor
from bursar.call.books import Adjust, Balance, Ended, Expired, Store
from bursar.call.events import BudgetOverdrawn, Event, HoldsExpired, Observer
from bursar.call.plan import Plan
from bursar.config import ProviderSettings, Settings, price_book
from bursar.config.wire_checks import unknown_preferences
from bursar.edges.breakers import Breakers, Guard
from bursar.edges.http.pool import PoolLimits
from bursar.edges.inquiries import Inquiries
from bursar.edges.teller import Teller, steady_ms
from bursar.engine.alarms import Alarms
from bursar.engine.asked import Asked, milliseconds, nano_usd_of, scope
from bursar.engine.ids import Ids
from bursar.engine.planning import Asking, Planner
from bursar.engine.roster import Roster
from bursar.engine.routing import Itinerary, Retries
from bursar.rules.allowances import Allowance
from bursar.rules.fairness import Tenants
from bursar.rules.routes import Candidate as Way
from bursar.telemetry.log import CallLog
from bursar.telemetry.stats import CallStatistics
from bursar.wire.continuing import Said
from bursar.wire.dialect import Dialect, Request

# Where an allowance is defined that no file defines, as configuration calls it.
ARGUMENTS = "arguments"


def wall_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class Engine:
    """Settings, books, teller and prices of one client. Thread-safe."""

    def __init__(self, settings: Settings, store: Store, *, clock: Callable[[], int] = wall_ms) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.making = threading.Lock()
        self._observers: list[Observer] = []
        self.teller = Teller(
            store,
            clock,
            waiting_max=settings.queue.length,
            tenants=Tenants(settings.queue.fair_by or "", settings.queue.weights),
            shared=settings.books != "memory:",
            notice=self._expired,
        )
        self.prices = price_book(settings)
        self._ids = Ids()
        self._define()
        self._roster = Roster(settings.providers, settings.allowances, clock)
        self._policies = {name: given.retry_policy for name, given in settings.providers.items()}
        self._retries = Retries()
        self.breakers = Breakers(
            lambda provider: settings.providers[provider].breaker_policy,
            clock,
            timer=steady_ms,
            observe=self.observe,
            board=store.board,
        )
        self._planner = Planner(settings, self.prices, self._roster, self._guard, clock)
        self._watchers()

    def route(self, dialect: Dialect, body: bytes, asked: Asked, request: Request | None = None) -> Itinerary:
        """The way of a call through its candidates; everything is decided that can be before its first effect.

        `body` is one JSON object in the dialect; its model name is replaced by that of each candidate. Where a provider
        does not speak the dialect, it is translated into one that the provider speaks. `request`: what the dialect's
        `parse` made of the body, where that is known already.
        Raises ConfigError (unknown provider, missing key) and InvalidRequestError.
        """
        ways = self._planner.ways(asked)
        begun_ms = self.clock()
        deadline_ms = None if asked.timeout is None else begun_ms + milliseconds("timeout", asked.timeout)
        asking = Asking(dialect, body, asked, self._ids.new(begun_ms), begun_ms, deadline_ms, request)
        route = self.settings.routes.get(asked.model or "")

        def make(index: int, attempt: int, charged_nano_usd: int, said: Said | None) -> Plan:
            return self._planner.plan(asking, ways[index], attempt, charged_nano_usd, said)

        return Itinerary(
            ways,
            make,
            policies=self._policies,
            retries=self._retries,
            clock=self.clock,
            opens_ms=self._opens_ms,
            rest=self._roster.rest,
            on_content=route.on_content if route is not None else "stop",
            after_output=route.after_first_token if route is not None else "never",
        )

    def _guard(self, provider: str, model: str) -> Guard | None:
        """The circuit breaker of a provider's model; None where it has none."""
        guarded = self.settings.providers[provider].circuit_breaker_threshold
        return self.breakers.of(provider, model) if guarded else None

    def _opens_ms(self, way: Way) -> int:
        """When the breaker of a candidate lets a call through, epoch milliseconds; 0 for now."""
        provider, _, model = way.name.partition("/")
        guard = self._guard(provider, model)
        return 0 if guard is None or guard.allows() else self.clock() + guard.wait_ms

    def plan(self, dialect: Dialect, body: bytes, asked: Asked) -> Plan:
        """The plan of the first candidate of `route`."""
        return self.route(dialect, body, asked).first()

    def warm(self) -> None:
        """Read the price list now rather than in the first call."""
        self.prices.models("openai")

    def statistics(self) -> dict[str, Any]:
        """Calls, latency, tokens and cost by provider and by model over the last hour; refusals since the start; how
        long calls waited, and who waits now, by budget and limit (`queues`).
        """
        return {**self._statistics.snapshot(), "queues": self.teller.queues()}

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
        scope("session", name)
        if budget_usd is not None:
            nano_usd_of("budget_usd", budget_usd)

    def open_session(self, name: str, budget_usd: Any = None) -> None:
        """Give a session a budget of its own, for as long as the books last; the same name continues it."""
        self.check_session(name, budget_usd)
        if budget_usd is None:
            return
        allowance = Allowance(
            name=f"session:{name}",
            meter="nano_usd",
            capacity=nano_usd_of("budget_usd", budget_usd),
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
        """Ask once more for records that are due, flush the teller and close the books."""
        self._inquiries.close()
        self.teller.close()
        self.alarms.close()
        self.breakers.close()
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
        self._inquiries = Inquiries(self._roster.source_of, self._correct)
        self.alarms = Alarms(self.settings, self.store, self.clock, self.observe)
        log = CallLog(costs=costs, token_usage=token_usage)
        self._observers += [log, self._statistics, self._inquiries, self.alarms.watch]
        for given in providers:
            for path, problem in unknown_preferences(given):
                logging.getLogger("bursar").warning("%s: %s", path, problem)
        if not self.settings.budgets and not any(one.meter == "nano_usd" for one in self.store.allowances()):
            sys.stderr.write("bursar: no budget is set: calls are counted, none is refused for its cost\n")

    def _correct(self, correction: Adjust) -> None:
        outcome = self.teller.ask_blocking(correction)
        if isinstance(outcome, Ended) and outcome.overdrawn:
            self.observe(BudgetOverdrawn(correction.fact.call_id, outcome.overdrawn))

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
