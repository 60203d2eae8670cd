"""One request at the simulator's desk, from its headers to its single entry in the record.

The Desk owns everything that requests share; an Exchange is one of them. `settle` is called from every ending and
writes once: what comes later changes nothing.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from bursar.sim import prices
from bursar.sim.anthropic import ANTHROPIC
from bursar.sim.compatible import COMPATIBLE
from bursar.sim.config import PROVIDERS, SimConfig, check_providers
from bursar.sim.failures import Failure
from bursar.sim.faults import Fault, FaultBook
from bursar.sim.forms import Form, HeaderList, Stamp
from bursar.sim.generation import Generation
from bursar.sim.generic import GENERIC
from bursar.sim.groq import GROQ
from bursar.sim.latency import AT_ONCE, Clock, Pace
from bursar.sim.limits import Meter, RateLimit
from bursar.sim.markedcache import MarkedCache
from bursar.sim.openai import OPENAI
from bursar.sim.openrouter import OPENROUTER
from bursar.sim.prices import NOTHING, Model, PriceCard, Terms
from bursar.sim.promptcache import PromptCache
from bursar.sim.record import Entry, Record
from bursar.sim.shelf import Shelf
from bursar.sim.stored import StoredResponses
from bursar.sim.text import Words
from bursar.sim.usage import Usage
from bursar.sim.wallclock import WallClock

FORMS: tuple[Form, ...] = (OPENAI, ANTHROPIC, OPENROUTER, GROQ, *COMPATIBLE, GENERIC)
KEPT_HEADERS = (
    "http-referer",
    "x-title",
    "x-openrouter-title",
    "x-openrouter-categories",
    "openai-organization",
    "openai-project",
    "idempotency-key",
    "user-agent",
    "anthropic-version",
    "anthropic-beta",
)
NAME_CHARS_MAX = 200
NO_MODEL = Model("", PriceCard(0))


class Desk:
    """What all requests of one simulator share. `close` releases the record file."""

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        self.shelves = {
            name: Shelf(name, [model for provider, model in config.models if provider == name]) for name in PROVIDERS
        }
        self.words = Words(config.seed)
        self.faults = FaultBook(config.seed, config.rules)
        self.clock = Clock(config.seed, config.latency)
        self.cancel_stops: dict[str, bool] = {}
        self.switch_cancel(config.cancel_stops)
        self.wall = WallClock(config.now_ms)
        self.cache = PromptCache()
        self.marked = MarkedCache()
        self.stored = StoredResponses()
        self.record = Record(config.record, config.records_max)
        self.meters = self._fresh_meters()
        self._run = secrets.token_hex(6)
        self.opened = 0

    def open(self, form: Form, kind: str, headers: Mapping[str, str]) -> Exchange:
        """Begin one request."""
        self.opened += 1
        return Exchange(self, form, kind, f"{self._run}{self.opened:010x}", headers)

    def served_name(self, entry: Entry) -> str:
        """The dated name of the model that served this entry, as its provider's own pages write it."""
        model = self.shelves[entry.provider].find(entry.model)
        return entry.model if model is None else model.reported_name

    def switch_cancel(self, stops: Mapping[str, bool]) -> None:
        """Say of providers whether their bill ends when a client leaves. Raises ValueError for an unknown one."""
        check_providers(stops)
        self.cancel_stops.update(stops)

    def reset(self) -> None:
        """As if just started: no record, no faults but the configured ones, empty caches and rate limits."""
        self.record.reset()
        self.faults.enforce(self.config.rules)
        self.cancel_stops = dict(self.config.cancel_stops)
        self.cache = PromptCache()
        self.marked = MarkedCache()
        self.stored = StoredResponses()
        self.wall.reset()
        self.meters = self._fresh_meters()

    def close(self) -> None:
        self.record.close()

    def _fresh_meters(self) -> dict[str, Meter]:
        def now_ms() -> int:
            return time.monotonic_ns() // 1_000_000

        limits, speed = self.config.limits, self.config.limit_speed
        return {
            form.name: Meter(limits.get(form.name, RateLimit()), form.request_period_ms, now_ms, speed)
            for form in FORMS
        }


class Exchange:
    """One request: what was asked, what it is answered with, and whether its entry is written."""

    __slots__ = (
        "asked",
        "at_ms",
        "choices",
        "client_request_id",
        "desk",
        "fault",
        "form",
        "generation",
        "headers",
        "kind",
        "late_ms",
        "model",
        "output_limit",
        "own_key",
        "pace",
        "percent",
        "preferences",
        "reserved_tokens",
        "serial",
        "settled",
        "stream",
        "tier",
    )

    def __init__(self, desk: Desk, form: Form, kind: str, serial: str, headers: Mapping[str, str]) -> None:
        self.desk = desk
        self.form = form
        self.kind = kind
        self.serial = serial
        self.at_ms = desk.wall.now_ms()
        client_request_id = headers.get("X-Client-Request-Id")
        self.client_request_id = client_request_id[:NAME_CHARS_MAX] if client_request_id else None
        self.headers = {name: headers[name][:NAME_CHARS_MAX] for name in KEPT_HEADERS if name in headers}
        self.asked = ""
        self.model = NO_MODEL
        self.stream = False
        self.choices = 1
        self.output_limit: int | None = None
        self.preferences: dict[str, Any] = {}
        self.tier = ""
        self.percent = 100
        self.own_key = False
        self.late_ms = 0
        self.fault: Fault | None = None
        self.generation: Generation | None = None
        self.pace: Pace = AT_ONCE
        self.reserved_tokens = 0
        self.settled = False

    @property
    def stamp(self) -> Stamp:
        reply_id = self.form.reply_id(self.serial, self.at_ms // 1000)
        if self.kind == "responses" and not self.form.falls_back:
            reply_id = f"resp_{self.serial}"
        return Stamp(self.serial, reply_id, f"req_{self.serial}", self.at_ms, self.model, self.tier)

    @property
    def terms(self) -> Terms:
        """How this request is billed: its time, its tier's share of the price, whose key pays."""
        return Terms(self.at_ms, self.percent, self.own_key)

    @property
    def stops_when_left(self) -> bool:
        """Whether this provider stops generating, and billing, when the client goes away."""
        told = self.desk.cancel_stops.get(self.form.name)
        return self.form.cancel_stops(self.model) if told is None else told

    def answer_headers(self) -> HeaderList:
        """The headers of any answer: ids and, where the provider shows them, rate limits."""
        found = self.form.identity_headers(self.stamp)
        if self.form.rate_headers is not None:
            found = found + self.form.rate_headers(self.desk.meters[self.form.name], self.at_ms)
        return found

    def settle(
        self, status: int, usage: Usage | None = None, *, aborted: bool = False, failure: Failure | None = None
    ) -> None:
        """Write the entry of this request, unless it is written. Without usage nothing is billed."""
        if self.settled:
            return
        self.settled = True
        used = usage or Usage(0, 0)
        billed = NOTHING if usage is None else prices.bill(self.model, used, self.terms)
        if self.form.gives_back:
            self.desk.meters[self.form.name].give_back(self.reserved_tokens - used.total_tokens + used.cached_tokens)
        self.desk.record.append(
            Entry(
                id=self.stamp.id,
                client_request_id=self.client_request_id,
                provider=self.form.name,
                kind=self.kind,
                model=self.model.id or self.asked,
                model_asked=self.asked,
                stream=self.stream,
                status=status,
                usage=used.leaves(),
                billed_nano_usd=billed.nano_usd,
                aborted=aborted,
                at_ms=self.at_ms,
                fault=self.fault.kind if self.fault is not None else None,
                error_code=(failure.code or str(failure.status)) if failure is not None else None,
                choices=self.choices,
                output_limit=self.output_limit,
                tier=self.tier,
                lines=dict(billed.lines or {}),
                upstream_nano_usd=billed.upstream_nano_usd,
                found_at_ms=self.at_ms + self.late_ms,
                generation_ms=max(0, self.desk.wall.now_ms() - self.at_ms),
                headers=self.headers,
                preferences=self.preferences,
            )
        )
