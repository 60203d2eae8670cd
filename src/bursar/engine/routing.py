"""The way of one call through its candidates: who is asked next, when, and when nothing is left to try.

The rules decide (`rules.retries`, `rules.routes`); this keeps what they need to know of one call: who was tried, how
often, and what came of it. Used by one call, in whatever thread moves it on.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec.structs import replace

from bursar.call.admission import ADMISSIONS_MAX
from bursar.call.plan import Plan
from bursar.call.route import Failure, Step
from bursar.config.tree import AfterFirstToken
from bursar.errors import BursarError, StoreUnavailableError, StreamInterruptedError
from bursar.rules.retries import Again, Elsewhere, Final, Problem, RetryBudget, RetryPolicy, decide
from bursar.rules.routes import Candidate, following
from bursar.wire.continuing import Said, said_of

__all__ = ["Itinerary", "Retries"]

# Attempts of one call, over all its candidates: what retries and fallbacks multiply to is bounded all the same.
ATTEMPTS_MAX = 32
# A candidate that was not asked (no money, no room, its breaker open) rules out itself and nobody else.
_NOT_ASKED = Problem("model", sent=False)


class Retries:
    """The budget of retries of every provider. Thread-safe. `chance`: from 0 to 1, for the jitter of waits."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self.chance = chance
        self._lock = threading.Lock()
        self._budgets: dict[str, RetryBudget] = {}

    def earn(self, provider: str) -> None:
        """A first attempt goes to a provider."""
        with self._lock:
            self._budget(provider).earn()

    def spend(self, provider: str, now_ms: int) -> bool:
        """Pay for one retry; False where the provider has had too many of late."""
        with self._lock:
            return self._budget(provider).spend(now_ms)

    def _budget(self, provider: str) -> RetryBudget:
        budget = self._budgets.get(provider)
        if budget is None:
            budget = self._budgets[provider] = RetryBudget()
        return budget


class Itinerary:
    """A `Route` over candidates.

    make: the plan of a candidate, by index, for the attempt of this number, when so many nano-USD are charged already
    and the caller has seen this of a stream (None for nothing, or nothing to go on from); raises BursarError where it
    cannot be asked at all. policies: how each provider is asked again. opens_ms: when the breaker of a candidate lets a
    call through, 0 for now. rest: told that a provider's key is best left alone for so many seconds. after_output: what
    follows a stream that breaks once its caller has seen some of it.
    """

    __slots__ = (
        "_after_output", "_at", "_candidates", "_clock", "_failed", "_made", "_make", "_on_content", "_opens_ms",
        "_plan", "_policies", "_rest", "_retries", "_shown", "_tries",
    )  # fmt: skip

    def __init__(
        self,
        candidates: Sequence[Candidate],
        make: Callable[[int, int, int, Said | None], Plan],
        *,
        policies: Mapping[str, RetryPolicy],
        retries: Retries,
        clock: Callable[[], int],
        opens_ms: Callable[[Candidate], int],
        rest: Callable[[str, str, float], None],
        on_content: Literal["stop", "next"] = "stop",
        after_output: AfterFirstToken = "never",
    ) -> None:
        self._candidates = candidates
        self._make = make
        self._policies = policies
        self._retries = retries
        self._clock = clock
        self._opens_ms = opens_ms
        self._rest = rest
        self._on_content = on_content
        self._after_output = after_output
        self._shown: tuple[bytes, ...] = ()
        self._failed: list[tuple[int, Problem]] = []
        self._at = 0
        self._tries = 1
        self._made = 1
        self._plan = self._begin()

    def first(self) -> Plan:
        """The plan of the first candidate that can be asked."""
        return self._plan

    def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
        """The same candidate again, the next one, or None."""
        if isinstance(failure.error, StoreUnavailableError) or self._made >= ATTEMPTS_MAX:
            return None
        now_ms = self._clock()
        self._failed.append((self._at, failure.problem or _NOT_ASKED))
        if failure.problem is not None and failure.problem.output:
            self._shown = self._seen_after(failure)
        attempt = _following(failure)
        decision = self._decide(failure, now_ms)
        if isinstance(decision, Again):
            again = self._candidates[self._at]
            # The failure may have opened its breaker: who waits for what is refused then waits for nothing.
            if self._opens_ms(again) <= now_ms + decision.wait_ms and self._retries.spend(again.provider, now_ms):
                self._failed.pop()
                self._tries += 1
                self._made += 1
                return Step(self._planned(self._at, attempt, charged_nano_usd, failure), decision.wait_ms)
            decision = Elsewhere("unavailable")
        if isinstance(decision, Final):
            return None
        if decision.rest_seconds:
            failed = self._candidates[self._at]
            self._rest(failed.provider, failed.key, decision.rest_seconds)
        return self._elsewhere(attempt, charged_nano_usd, failure)

    def _seen_after(self, failure: Failure) -> tuple[bytes, ...]:
        """What the caller has of the reply now: an attempt that began anew took the place of what was there before."""
        if failure.plan.joint is None or not failure.shown:  # () where it was too much to remember
            return failure.shown
        return self._shown + failure.shown

    def _planned(self, index: int, attempt: int, charged_nano_usd: int, failure: Failure) -> Plan:
        shown = self._shown
        said = said_of(failure.plan.request.dialect, shown) if shown else None
        return self._keeping(self._make(index, attempt, charged_nano_usd, said))

    def _keeping(self, plan: Plan) -> Plan:
        """The plan, which remembers what its caller sees where another may have to go on from there."""
        return replace(plan, keeps_said=True) if self._after_output == "continue" else plan

    def _begin(self) -> Plan:
        """The plan of the first candidate that can be asked; raises the first one's error where none can."""
        errors: list[BursarError] = []
        for index, candidate in enumerate(self._candidates):
            try:
                plan = self._keeping(self._make(index, 0, 0, None))
            except BursarError as error:
                errors.append(error)
                self._failed.append((index, _NOT_ASKED))
                continue
            self._at = index
            self._retries.earn(candidate.provider)
            return plan
        raise errors[0]

    def _decide(self, failure: Failure, now_ms: int) -> Again | Elsewhere | Final:
        problem = failure.problem
        if problem is None and isinstance(failure.error, StreamInterruptedError):
            return Final()  # who leaves in the middle of a stream is given no other
        if problem is None:
            deadline_ms = failure.plan.deadline_ms
            return Elsewhere("unavailable") if deadline_ms is None or now_ms < deadline_ms else Final()
        return decide(
            problem,
            self._tries,
            self._policies[self._candidates[self._at].provider],
            now_ms,
            failure.plan.deadline_ms,
            self._retries.chance(),
            self._next(self._opens) is not None,
            on_content=self._on_content,
            continues=self._after_output != "never",
        )

    def _opens(self, index: int) -> int:
        return self._opens_ms(self._candidates[index])

    def _next(self, opens_ms: Callable[[int], int]) -> int | None:
        if len(self._candidates) == 1:
            return None
        return following(self._candidates, self._failed, opens_ms, on_content=self._on_content).index

    def _elsewhere(self, attempt: int, charged_nano_usd: int, failure: Failure) -> Step | None:
        while True:
            index = self._next(self._opens)
            if index is None:
                # Those that are left alone are looked at all the same: each says when it may be asked again.
                index = self._next(_regardless)
            if index is None:
                return None
            self._at, self._tries = index, 1
            self._made += 1
            try:
                plan = self._planned(index, attempt, charged_nano_usd, failure)
            except BursarError:
                # What this candidate cannot take is no fault of the call: others could, and one of them was asked.
                self._failed.append((index, _NOT_ASKED))
                continue
            self._retries.earn(self._candidates[index].provider)
            return Step(plan)


def _following(failure: Failure) -> int:
    """The number of the next attempt. A plan that was never granted may have asked for money many times."""
    if failure.fact is None:
        return failure.plan.attempt + 10 * ADMISSIONS_MAX
    return int(failure.fact.attempt_id.rpartition(".")[2]) + 1


def _regardless(index: int) -> int:
    """No breaker is heeded."""
    return 0
