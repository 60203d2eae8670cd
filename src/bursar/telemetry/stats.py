"""Statistics of calls by provider and by model, and the state of their circuit breakers, kept from events.

Decides which series an event belongs to; the figures of a series are kept by a monitor that is made for it
(`bursar.PerformanceMonitor`). Bounded: once `series_max` models have a series of their own, further models of a
provider share one. A caller who went away is not a failure of the provider.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Lock
from typing import Any, Protocol

from bursar.call.events import AttemptFailed, BreakerChanged, CallEnded, CallRefused, Event

SERIES_MAX = 256
OTHERS = "(others)"
# Codes of refusals come from a fixed table of errors; this only bounds a mistake.
REFUSALS_MAX = 1_000

_FAILURES = frozenset({"error", "interrupted", "not_sent", "expired"})


class Monitor(Protocol):
    """What a series is kept by."""

    def record_attempt(self, duration_ms: int, tokens: int, cost_nano_usd: int | None, error: str) -> None:
        """Record an attempt: its tokens, its cost (None: not known), and the kind of its failure, "" for none."""

    def record_error(self, error: str) -> None:
        """Record an attempt of which only the kind of its failure is known."""

    def get_statistics(self) -> dict[str, Any]:
        """The figures of the series."""


class CallStatistics:
    """An observer that keeps a monitor for each provider and each model. Thread-safe.

    monitor: makes the monitor of a series. providers: those that are measured (`enable_metrics` of the
    configuration); None for all. series_max: how many models have a series of their own.
    """

    def __init__(
        self,
        monitor: Callable[[], Monitor],
        *,
        providers: Collection[str] | None = None,
        series_max: int = SERIES_MAX,
    ) -> None:
        self._monitor = monitor
        self._measured = None if providers is None else frozenset(providers)
        self._series_max = series_max
        self._lock = Lock()
        self._providers: dict[str, Monitor] = {}
        self._models: dict[str, Monitor] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._went_on: dict[str, dict[str, int]] = {}
        self._breakers: dict[str, BreakerChanged] = {}

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, CallEnded):
            self._ended(event)
        elif isinstance(event, CallRefused):
            self._refuse(event)
        elif isinstance(event, AttemptFailed):
            self._go_on(event)
        elif isinstance(event, BreakerChanged):
            self._note(event)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """The figures of now.

        providers, models: by name (`provider/model`), each as `PerformanceMonitor.get_statistics` returns it.
        refused: by provider, how many calls were refused before anything was sent, by code; since the start.
        went_on: by the name of a model that failed, how many calls asked it again (`retries`) and how many asked
        another one (`fallbacks`); since the start.
        breakers: of models that have failed so much that they were left alone, by name: `state`, how often it
        `opened` since the start, `why` and `until_ms` (epoch milliseconds, 0 when it is not open).
        """
        with self._lock:
            providers, models, breakers = dict(self._providers), dict(self._models), dict(self._breakers)
            refused: dict[str, dict[str, int]] = {}
            for (provider, code), count in self._refused.items():
                refused.setdefault(provider, {})[code] = count
            went_on = {name: dict(counts) for name, counts in sorted(self._went_on.items())}
        return {
            "providers": {name: monitor.get_statistics() for name, monitor in sorted(providers.items())},
            "models": {name: monitor.get_statistics() for name, monitor in sorted(models.items())},
            "refused": refused,
            "went_on": went_on,
            "breakers": {name: _shown(change) for name, change in sorted(breakers.items())},
        }

    def _ended(self, event: CallEnded) -> None:
        fact = event.fact
        if self._measured is not None and fact.provider not in self._measured:
            return
        error = (fact.error_code or fact.ending) if fact.ending in _FAILURES else ""
        tokens = fact.usage.total_tokens
        for monitor in self._series(fact.provider, fact.model):
            if fact.ending == "not_sent":
                monitor.record_error(error)
            else:
                monitor.record_attempt(fact.duration_ms, tokens, fact.cost_nano_usd, error)

    def _refuse(self, event: CallRefused) -> None:
        if self._measured is not None and event.provider not in self._measured:
            return
        key = (event.provider, event.error.code)
        with self._lock:
            if key in self._refused or len(self._refused) < REFUSALS_MAX:
                self._refused[key] = self._refused.get(key, 0) + 1

    def _go_on(self, event: AttemptFailed) -> None:
        fact = event.fact
        if self._measured is not None and fact.provider not in self._measured:
            return
        name = f"{fact.provider}/{fact.model}"
        how = "retries" if name == f"{event.next_provider}/{event.next_model}" else "fallbacks"
        with self._lock:
            if name not in self._went_on and len(self._went_on) >= self._series_max:
                name = f"{fact.provider}/{OTHERS}"
            counts = self._went_on.setdefault(name, {"retries": 0, "fallbacks": 0})
            counts[how] += 1

    def _note(self, event: BreakerChanged) -> None:
        if self._measured is not None and event.provider not in self._measured:
            return
        name = f"{event.provider}/{event.model}"
        with self._lock:
            if name in self._breakers or len(self._breakers) < self._series_max:
                self._breakers[name] = event

    def _series(self, provider: str, model: str) -> tuple[Monitor, Monitor]:
        """The monitors of a provider and of its model, made when first needed."""
        name = f"{provider}/{model}"
        known, of_provider = self._models.get(name), self._providers.get(provider)
        if known is not None and of_provider is not None:
            return of_provider, known
        with self._lock:
            if name not in self._models and len(self._models) >= self._series_max:
                name = f"{provider}/{OTHERS}"
            of_provider = self._providers.get(provider) or self._new(self._providers, provider)
            return of_provider, self._models.get(name) or self._new(self._models, name)

    def _new(self, series: dict[str, Monitor], name: str) -> Monitor:
        monitor = series[name] = self._monitor()
        return monitor


def _shown(change: BreakerChanged) -> dict[str, Any]:
    return {"state": change.state, "opened": change.opened, "why": change.why, "until_ms": change.until_ms}
