"""The plan of each attempt: which candidates a call has, what it claims at one of them, and how it is sent there.

Decides everything about a call that can be decided before its first effect. What is the same for all calls to one model
under one key is drawn up once (`Draft`); a call adds its own body, scopes, claim and instants.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bursar.call.plan import Cap, Guard, Plan
from bursar.catalog import models
from bursar.catalog.headers import with_callers
from bursar.catalog.prices import PriceBook
from bursar.catalog.providers import Provider
from bursar.catalog.targets import address_of, target_of
from bursar.config import Settings, candidates
from bursar.engine.asked import Asked, milliseconds, nano_usd_of, scopes_of
from bursar.engine.bounding import Bounded, Lessons
from bursar.engine.continuing import going_on
from bursar.engine.roster import ONLY_KEY, Candidate, Roster
from bursar.engine.tariffs import Tariff
from bursar.errors import InvalidRequestError
from bursar.rules.allowances import Demand
from bursar.rules.calibration import Series
from bursar.rules.routes import Candidate as Way
from bursar.wire.continuing import Said
from bursar.wire.dialect import Dialect, Request
from bursar.wire.dialects import translation

__all__ = ["Asking", "Planner"]

# What is remembered by the name of a model: names may come from callers, so it is bounded.
DRAFTS_MAX = 1_024
MINUTE_MS = 60_000

_TOOLS_KEY = b'"tools"'
_NOTHING_ASKED = Request(b"{}", "", "")
_NO_CLAIM = Demand(None, 0, 0, 0)


class Asking(Struct, gc=False):
    """What stays the same over all attempts of a call. `wait_until_ms` is set when the first is planned.

    request: the body as the caller's own dialect reads it, None until it is read.
    """

    dialect: Dialect
    body: bytes
    asked: Asked
    call_id: str
    begun_ms: int
    deadline_ms: int | None
    request: Request | None = None
    wait_until_ms: int = 0


class Draft(NamedTuple):
    """A plan as far as it is the same for all calls in one dialect to one model under one key."""

    candidate: Candidate
    dialect: Dialect
    plan: Plan


class Planner:
    """Makes the plans of an engine. Thread-safe. guard_of: the circuit breaker of a provider's model, None for none."""

    def __init__(
        self,
        settings: Settings,
        prices: PriceBook,
        roster: Roster,
        guard_of: Callable[[str, str], Guard | None],
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._prices = prices
        self._roster = roster
        self._guard_of = guard_of
        self._clock = clock
        self._lessons = Lessons()
        self._max_wait_ms = milliseconds("max_wait_seconds", settings.max_wait_seconds)
        self._observed = frozenset(one.name for one in settings.allowances if not one.enforced)
        self._named = lru_cache(DRAFTS_MAX)(self._find)
        self._drafts: dict[tuple[Way, str], Draft] = {}
        self._tariffs: dict[str, Tariff] = {}

    def ways(self, asked: Asked) -> tuple[Way, ...]:
        """Every way to an answer, in order: the models asked for, each under each key of its provider.

        Raises ConfigError.
        """
        ways: tuple[Way, ...] = ()
        for provider, way in self._named(asked.model, tuple(asked.fallbacks or ())):
            keys = self._roster.keys(provider)
            ways += (way,) if keys is ONLY_KEY else tuple(Way(way.name, way.context_tokens, key) for key in keys)
        return ways

    def plan(self, asking: Asking, way: Way, attempt: int, charged_nano_usd: int, said: Said | None = None) -> Plan:
        """The plan of one attempt, of this number, when the earlier ones of its call are charged so much.

        said: what its caller has seen of a stream that broke, to go on from there.
        Raises ConfigError (missing key) and InvalidRequestError.
        """
        asked = asking.asked
        candidate, dialect, draft = self._drafts.get((way, asking.dialect.name)) or self._draw_up(way, asking.dialect)
        request, target = _read(asking, dialect), draft.target
        request, joint = going_on(dialect, request, candidate.row, candidate.settings, draft.model, said)
        prices = self._tariff(candidate, asking.begun_ms // MINUTE_MS)
        if candidate.row.fallbacks:
            # The configuration is not that of who asks with a key: its preferences are not theirs to undo.
            imposes = asked.key is not None
            target = target_of(candidate.row, draft.model, candidate.settings, request, prices, imposes=imposes)
        caps = self._caps(candidate, asked, charged_nano_usd)
        bounded = self._bound(draft, request, target.reaches, prices, caps)
        start_ms = self._clock()  # from here on the call waits for others, not for our own look into the price list
        if not asking.wait_until_ms:
            asking.wait_until_ms = self._wait_until_ms(asked, start_ms, asking.deadline_ms)
        return replace(
            draft,
            call_id=asking.call_id,
            request=request,
            target=target,
            headers=with_callers(candidate.headers, asked.extra_headers),
            scopes=scopes_of(asked, candidate.settings.name, draft.model, candidate.key, self._settings.tags),
            demand=bounded.demand,
            price=prices,
            begun_ms=asking.begun_ms,
            start_ms=start_ms,
            wait_until_ms=asking.wait_until_ms,
            deadline_ms=asking.deadline_ms,
            caps=caps,
            unpriced=bounded.unpriced,
            tightening=bounded.tightening,
            learn=self._roster.learning(draft.provider.name, way.key, bounded.learn),
            attempt=attempt,
            guard=self._guard_of(draft.provider.name, draft.model),
            joint=joint,
            limits_observed=candidate.observes if asked.key is None else candidate.observes_callers,
        )

    def _find(self, model: str | None, fallbacks: tuple[str, ...]) -> tuple[tuple[str, Way], ...]:
        """The models that these names mean, each with its provider."""
        named = candidates(self._settings, model)
        for name in fallbacks:
            named += candidates(self._settings, name)
        alone = len(named) == 1
        return tuple(
            (provider, Way(f"{provider}/{model}", 0 if alone else models.known_context(model)))
            for provider, model in dict.fromkeys(named)
        )

    def _draw_up(self, way: Way, asked: Dialect) -> Draft:
        provider, _, model = way.name.partition("/")
        candidate = self._roster.of(provider, way.key)
        settings, row = candidate.settings, candidate.row
        dialect = _spoken(asked, row)
        plan = Plan(
            call_id="",
            provider=row,
            model=model,
            dialect=dialect,
            request=_NOTHING_ASKED,
            target=target_of(row, model, settings, _NOTHING_ASKED),
            url=address_of(row, model, dialect.path),
            headers=candidate.headers,
            scopes={},
            demand=_NO_CLAIM,
            price=_no_price,
            start_ms=0,
            wait_until_ms=0,
            pool_timeout_seconds=settings.pool_timeout,
            tracks_cost=settings.enable_cost_tracking,
            observes=self._settings.mode == "observe",
            observed=self._observed,
            warn_nano_usd=settings.cost_warning_threshold_nano_usd,
            nearest=partial(self._prices.nearest, provider),
            first_token_seconds=settings.first_token_timeout,
            stall_seconds=settings.stall_timeout,
            on_abort=settings.on_abort,
        )
        if len(self._drafts) >= DRAFTS_MAX:
            self._drafts.clear()
        draft = self._drafts[way, asked.name] = Draft(candidate, dialect, plan)
        return draft

    def _bound(
        self, draft: Plan, request: Request, reaches: tuple[str, ...], prices: Tariff, caps: tuple[Cap, ...]
    ) -> Bounded:
        reachable: tuple[str, ...] = (draft.model,)
        if request.reaches or reaches:
            reachable = tuple(dict.fromkeys((draft.model, *request.reaches, *reaches)))
        return Bounded(
            request,
            draft.dialect,
            prices.offer(reachable, request.tier),
            draft.provider,
            Series(draft.provider.name, draft.model, _TOOLS_KEY in request.body),
            caps,
            self._lessons,
            priced=draft.tracks_cost,
        )

    def _tariff(self, candidate: Candidate, minute: int) -> Tariff:
        name = candidate.settings.name
        tariff = self._tariffs.get(name)
        if tariff is None or tariff.minute != minute:
            tariff = self._tariffs[name] = Tariff(candidate.settings, candidate.row, self._prices, minute)
        return tariff

    def _caps(self, candidate: Candidate, asked: Asked, charged_nano_usd: int) -> tuple[Cap, ...]:
        """What the call may still cost: the caps less what its earlier attempts are charged."""
        caps = []
        configured = candidate.settings.max_cost_per_request_nano_usd
        if configured is not None and self._settings.mode == "enforce":
            name = f"{candidate.settings.name}.max_cost_per_request"
            caps.append(Cap(name, max(configured - charged_nano_usd, 0)))
        if asked.max_cost_usd is not None:
            most = nano_usd_of("max_cost_usd", asked.max_cost_usd)
            caps.append(Cap("max_cost_usd", max(most - charged_nano_usd, 0)))
        return tuple(caps)

    def _wait_until_ms(self, asked: Asked, start_ms: int, deadline_ms: int | None) -> int:
        wait_ms = self._max_wait_ms
        if asked.max_wait_seconds is not None:
            wait_ms = milliseconds("max_wait_seconds", asked.max_wait_seconds)
        until_ms = start_ms + wait_ms
        return until_ms if deadline_ms is None else min(until_ms, deadline_ms)


def _read(asking: Asking, dialect: Dialect) -> Request:
    """The request of a call in the dialect in which it is sent; in the caller's own it is read once."""
    if dialect is not asking.dialect:
        return dialect.parse(asking.body)
    if asking.request is None:
        asking.request = dialect.parse(asking.body)
    return asking.request


def _spoken(dialect: Dialect, row: Provider) -> Dialect:
    """The dialect in which a request goes to a provider."""
    if dialect.name in row.dialects:
        return dialect
    spoken = translation(dialect.name, row.dialects)
    if spoken is None:
        raise InvalidRequestError(
            f"{row.name} does not take {dialect.name} requests, and they cannot be translated into what it takes: "
            f"{', '.join(row.dialects)}"
        )
    return spoken


def _no_price(model: str, tier: str = "", /) -> None:
    return None
