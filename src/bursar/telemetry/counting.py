"""Counts calls, attempts, tokens, money and times by provider and model, for as long as the process lives.

An observer of events. Decides which series an event belongs to and keeps their number bounded: names of models may be
whatever callers write, so half of the places are only for models that have answered, and what finds no place counts as
"(others)". No label is a key, a user, a session or a tag. What is charged counts when the attempt ends; a correction
by a provider's record (`bursar reconcile`) changes the books and not a counter, which cannot go back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from threading import Lock

from bursar.call.events import (
    AlertRaised,
    AttemptFailed,
    BreakerChanged,
    BudgetOverdrawn,
    CallEnded,
    CallFailed,
    CallRefused,
    CostWarned,
    Event,
    HoldsExpired,
)
from bursar.telemetry.families import Family, Labels, Merge, Value, label_of

MODELS_MAX = 128
OTHERS = "(others)"
# Codes and endings come from tables of the code; this only bounds a mistake.
WORDS_MAX = 100

# Upper ends of buckets in milliseconds. Of whole calls, of the time until the first token, of waits for a budget or
# limit: each has its resolution where what it measures usually lies.
DURATION_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
FIRST_TOKEN_MS = (50, 100, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
WAIT_MS = (1, 10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)

_STATES = {"closed": 0, "half_open": 1, "open": 2}
_NANO_PER_USD = 10**9


class Histogram:
    """Counts of milliseconds by bucket, and their sum."""

    __slots__ = ("bounds", "counts")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 2)

    def add(self, ms: int) -> None:
        """Count one; what is below 0, by a clock that was set, counts as 0."""
        ms = ms if ms > 0 else 0
        self.counts[bisect_left(self.bounds, ms)] += 1
        self.counts[-1] += ms


class _Model:
    """What is counted of one model of one provider."""

    __slots__ = (
        "certain_nano_usd", "duration", "endings", "fallbacks", "first_token", "input_tokens", "opened",
        "outcomes", "output_tokens", "retries", "state", "uncertain_nano_usd", "unknown_costs",
    )  # fmt: skip

    def __init__(self) -> None:
        self.endings: dict[str, int] = {}
        self.outcomes: dict[str, int] = {}
        self.retries = self.fallbacks = self.opened = 0
        self.input_tokens = self.output_tokens = 0
        self.certain_nano_usd = self.uncertain_nano_usd = self.unknown_costs = 0
        self.duration = Histogram(DURATION_MS)
        self.first_token = Histogram(FIRST_TOKEN_MS)
        self.state: str | None = None


class CallMetrics:
    """Counts events. Thread-safe. models_max: how many models have series of their own."""

    def __init__(self, *, models_max: int = MODELS_MAX) -> None:
        self._models_max = models_max
        self._lock = Lock()
        self._models: dict[tuple[str, str], _Model] = {}
        self._refusals: dict[Labels, int] = {}
        self._waits: dict[str, Histogram] = {}
        self._warnings: dict[Labels, int] = {}
        self._alerts: dict[Labels, int] = {}
        self._unsettled = self._expired = self._overdrawn = 0
        self._counting: dict[type, Callable[..., None]] = {
            CallEnded: self._end,
            AttemptFailed: self._go_on,
            CallRefused: self._refuse,
            CallFailed: self._fail,
            BreakerChanged: self._note,
            CostWarned: self._warn,
            AlertRaised: self._alert,
            BudgetOverdrawn: self._overdraw,
            HoldsExpired: self._expire,
        }

    def __call__(self, event: Event) -> None:
        """Count an event."""
        counting = self._counting.get(type(event))
        if counting is not None:
            with self._lock:
                counting(event)

    def families(self) -> list[Family]:
        """Everything that was counted so far."""
        with self._lock:
            models = list(self._models.items())
            return [*_attempts(models), *_money(models), *_times(models), *_troubles(models), *self._others()]

    # Everything below runs under the lock.

    def _end(self, event: CallEnded) -> None:
        fact = event.fact
        ending = fact.ending
        one = self._models.get((fact.provider, fact.model)) or self._new(fact.provider, fact.model, ending == "ok")
        one.endings[ending] = one.endings.get(ending, 0) + 1
        if not event.settled:
            self._unsettled += 1
        if ending == "ok" or (ending == "aborted" and not fact.error_code):
            outcome = "answered" if ending == "ok" else "aborted"
            one.outcomes[outcome] = one.outcomes.get(outcome, 0) + 1
        if ending == "not_sent":
            return
        usage = fact.usage
        one.input_tokens += usage.input_tokens
        one.output_tokens += usage.output_tokens
        if fact.certain:
            one.certain_nano_usd += fact.charged_nano_usd
        else:
            one.uncertain_nano_usd += fact.charged_nano_usd
        if fact.cost_nano_usd is None:
            one.unknown_costs += 1
        one.duration.add(fact.duration_ms)
        if fact.first_token_ms is not None:
            one.first_token.add(fact.first_token_ms)
        self._wait(fact.provider, fact.wait_ms)

    def _go_on(self, event: AttemptFailed) -> None:
        fact = event.fact
        one = self._of(fact.provider, fact.model)
        if (event.next_provider, event.next_model) == (fact.provider, fact.model):
            one.retries += 1
        else:
            one.fallbacks += 1

    def _refuse(self, event: CallRefused) -> None:
        one = self._models.get((event.provider, event.model)) or self._new(event.provider, OTHERS, True)
        one.outcomes["refused"] = one.outcomes.get("refused", 0) + 1
        self._word(self._refusals, (label_of(event.provider), event.error.code))
        self._wait(event.provider, event.wait_ms)

    def _fail(self, event: CallFailed) -> None:
        one = self._of(event.provider, event.model)
        one.outcomes["failed"] = one.outcomes.get("failed", 0) + 1

    def _note(self, event: BreakerChanged) -> None:
        one = self._of(event.provider, event.model)
        one.state = event.state
        one.opened += event.state == "open"

    def _warn(self, event: CostWarned) -> None:
        self._word(self._warnings, (label_of(event.fact.provider),))

    def _alert(self, event: AlertRaised) -> None:
        self._word(self._alerts, (event.kind,))

    def _overdraw(self, event: BudgetOverdrawn) -> None:
        self._overdrawn += 1

    def _expire(self, event: HoldsExpired) -> None:
        self._expired += len(event.attempts)

    def _wait(self, provider: str, wait_ms: int) -> None:
        waits = self._waits.get(provider)
        if waits is None:
            name = label_of(provider) if len(self._waits) < self._models_max else OTHERS
            waits = self._waits.setdefault(name, Histogram(WAIT_MS))
        waits.add(wait_ms)

    def _word(self, counts: dict[Labels, int], labels: Labels) -> None:
        if labels in counts or len(counts) < WORDS_MAX:
            counts[labels] = counts.get(labels, 0) + 1

    def _of(self, provider: str, model: str) -> _Model:
        return self._models.get((provider, model)) or self._new(provider, model, False)

    def _new(self, provider: str, model: str, answered: bool) -> _Model:
        """A series for a model that has none; that of its provider's others where there are no places."""
        key = (label_of(provider), label_of(model))
        places = self._models_max if answered else self._models_max // 2
        if key not in self._models and len(self._models) >= places:
            key = (key[0] if len(self._models) < 2 * self._models_max else OTHERS, OTHERS)
        return self._models.setdefault(key, _Model())

    def _others(self) -> list[Family]:
        waits: list[tuple[Labels, Value]] = [((name,), list(one.counts)) for name, one in self._waits.items()]
        return [
            _counter("refusals", "Calls that were refused before anything was sent.", ("provider", "code"),
                     list(self._refusals.items())),
            Family("bursar_wait_seconds", "histogram", "How long calls waited for a budget or a limit.", ("provider",),
                   waits, 1_000, WAIT_MS),
            _counter("cost_warnings", "Calls beyond their provider's cost_warning_threshold.", ("provider",),
                     list(self._warnings.items())),
            _counter("alerts", "Alerts that this gateway has told.", ("kind",), list(self._alerts.items())),
            _counter("unsettled_attempts", "Attempts that the books could not take at first.", (),
                     [((), self._unsettled)]),
            _counter("expired_holds", "Holds of processes that were gone, now charged in full.", (),
                     [((), self._expired)]),
            _counter("budgets_overdrawn", "Calls after which a budget stood above its limit.", (),
                     [((), self._overdrawn)]),
        ]  # fmt: skip


Models = list[tuple[tuple[str, str], _Model]]
_OF_MODEL = ("provider", "model")


def _attempts(models: Models) -> list[Family]:
    endings = _each(models, lambda one: one.endings)
    outcomes = _each(models, lambda one: one.outcomes)
    retries = _pairs(models, lambda one: (("same", one.retries), ("other", one.fallbacks)))
    return [
        _counter("calls", "Calls by what they came to.", (*_OF_MODEL, "outcome"), outcomes),
        _counter("attempts", "Requests to providers by how they ended.", (*_OF_MODEL, "ending"), endings),
        _counter("retries", "Attempts that failed and were followed by another, at the same model or at an other.",
                 (*_OF_MODEL, "at"), retries),
    ]  # fmt: skip


def _money(models: Models) -> list[Family]:
    tokens = _pairs(models, lambda one: (("input", one.input_tokens), ("output", one.output_tokens)))
    costs = _pairs(models, lambda one: (("true", one.certain_nano_usd), ("false", one.uncertain_nano_usd)))
    unknown = [(key, one.unknown_costs) for key, one in models if one.unknown_costs]
    return [
        _counter("tokens", "Tokens that providers counted.", (*_OF_MODEL, "direction"), tokens),
        _counter("cost_usd", "USD charged to budgets; not certain: the most that it can have been.",
                 (*_OF_MODEL, "certain"), costs, _NANO_PER_USD),
        _counter("unknown_costs", "Attempts whose cost is not known.", _OF_MODEL, list(unknown)),
    ]  # fmt: skip


def _times(models: Models) -> list[Family]:
    durations: list[tuple[Labels, Value]] = [(key, list(one.duration.counts)) for key, one in models]
    first = [(key, list(one.first_token.counts)) for key, one in models if any(one.first_token.counts)]
    return [
        Family("bursar_duration_seconds", "histogram", "How long attempts took, from the request to the end.",
               _OF_MODEL, durations, 1_000, DURATION_MS),
        Family("bursar_first_token_seconds", "histogram", "How long streams took to their first token.",
               _OF_MODEL, list(first), 1_000, FIRST_TOKEN_MS),
    ]  # fmt: skip


def _troubles(models: Models) -> list[Family]:
    states = [(key, _STATES[one.state]) for key, one in models if one.state is not None]
    opened = [(key, one.opened) for key, one in models if one.state is not None]
    return [
        _gauge("breaker_state", "0 closed, 1 half open, 2 open; of several workers the worst.", _OF_MODEL,
               list(states), "max"),
        _counter("breaker_opened", "How often a breaker opened.", _OF_MODEL, list(opened)),
    ]  # fmt: skip


def _each(models: Models, counts: Callable[[_Model], dict[str, int]]) -> list[tuple[Labels, int]]:
    return [((*key, word), count) for key, one in models for word, count in counts(one).items()]


def _pairs(models: Models, counts: Callable[[_Model], tuple[tuple[str, int], ...]]) -> list[tuple[Labels, int]]:
    return [((*key, word), count) for key, one in models for word, count in counts(one) if count]


def _counter(name: str, text: str, labels: Labels, samples: list[tuple[Labels, int]], scale: int = 1) -> Family:
    return Family(f"bursar_{name}_total", "counter", text, labels, [*samples], scale)


def _gauge(name: str, text: str, labels: Labels, samples: list[tuple[Labels, int]], merge: Merge) -> Family:
    return Family(f"bursar_{name}", "gauge", text, labels, [*samples], merge=merge)
