"""Any calls through any candidates, failing in any way while breakers open and close: what routes promise holds.

The model knows nothing of how routes decide. It remembers who was asked and what came of it, and holds every next step
against the promises: who would fail in the same way is not asked, who may help is not left out, nobody waits past a
deadline, no attempt has the number of another, and every call comes to an end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bursar.call.plan import Plan
from bursar.call.route import Failure, Step
from bursar.engine.routing import ATTEMPTS_MAX, Itinerary, Retries
from bursar.errors import InvalidRequestError, ProviderUnavailableError
from bursar.rules.retries import Problem, RetryPolicy
from bursar.rules.routes import Candidate
from bursar.wire.continuing import Said
from tests.call.scripted import plan_of
from tests.telemetry.facts import fact_of

CANDIDATES = (
    Candidate("a/small", 8_000, "one"),
    Candidate("a/small", 8_000, "two"),
    Candidate("a/large", 100_000, "one"),
    Candidate("b/small", 8_000),
    Candidate("b/large", 200_000),
    Candidate("c/other"),
)
PROBLEMS = (
    Problem("unavailable", 503),
    Problem("unavailable", 500, should_retry=False),
    Problem("rate", 429),
    Problem("rate", 429, 1.5),
    Problem("rate", 429, 600.0),
    Problem("quota", 429),
    Problem("auth", 401),
    Problem("auth", 403),
    Problem("model", 404),
    Problem("rejected", 400),
    Problem("context", 400),
    Problem("content", 400),
    Problem("malformed", 200),
    Problem("timeout"),
    Problem("stalled", 200),
    Problem("broken"),
    Problem("broken", 200, output=True),
    Problem("connect", sent=False),
    None,
)
PASSING = frozenset({"rate", "unavailable", "timeout", "connect", "broken", "stalled"})
MAX_RETRIES = 2
DOWN = ProviderUnavailableError("down", provider="p", model="m")


def may_help(candidate: Candidate, failed: Candidate, problem: Problem | None) -> bool:
    """Whether a candidate is worth asking after another has failed."""
    kind = None if problem is None else problem.kind
    if kind == "context":
        return candidate.context_tokens > failed.context_tokens
    if kind in ("rejected", "content"):
        return candidate.name != failed.name
    if problem is not None and (kind == "quota" or (kind == "auth" and problem.status == 401)):
        return (candidate.provider, candidate.key) != (failed.provider, failed.key)
    return True


class Failing(NamedTuple):
    """How an attempt fails: after so long, while the breaker of somebody opens or closes."""

    problem: Problem | None
    seconds: float
    turned: str | None
    sent: bool


FAILURES = st.builds(
    Failing,
    st.sampled_from(PROBLEMS),
    st.sampled_from([0.0, 0.0, 0.05, 2.0]),
    st.sampled_from([None, None, *sorted({one.name for one in CANDIDATES})]),
    st.booleans(),
)


class Trips(RuleBasedStateMachine):
    """One call after another, with the same budgets of retries and the same breakers."""

    @initialize()
    def begin(self) -> None:
        """Nobody has been asked."""
        self.now_ms = 1_000_000
        self.retries = Retries(lambda: 0.5)
        self.opens: dict[str, int] = {}

    @rule(
        candidates=st.lists(st.sampled_from(CANDIDATES), min_size=1, max_size=5, unique=True),
        unable=st.sets(st.integers(0, 4), max_size=2),
        seconds=st.sampled_from([None, None, 0.6, 5.0]),
        on_content=st.sampled_from(["stop", "next"]),
        failures=st.lists(FAILURES, max_size=8),
    )
    def call(
        self,
        candidates: list[Candidate],
        unable: set[int],
        seconds: float | None,
        on_content: Any,
        failures: list[Failing],
    ) -> None:
        """A call fails as long as there are failures, then it is answered. unable: who cannot take it at all."""
        self.candidates, self.unable, self.on_content = candidates, unable, on_content
        self.deadline_ms = None if seconds is None else self.now_ms + round(seconds * 1000)
        self.failed: list[tuple[int, Problem | None]] = []
        self.numbers: list[int] = []
        self.tries = 0
        try:
            route = self.route()
        except InvalidRequestError:
            assert unable >= set(range(len(candidates))), "somebody could have taken it"
            return
        plan: Plan | None = route.first()
        for failing in failures:
            if plan is None:
                return
            self.took(plan)
            self.now_ms += round(failing.seconds * 1000)
            if failing.turned is not None:
                self.opens[failing.turned] = 0 if self.opens.get(failing.turned) else self.now_ms + 30_000
            plan = self.fail(route, plan, failing)

    def route(self) -> Itinerary:
        """The way of a call."""
        return Itinerary(
            self.candidates,
            self.plan,
            policies={one.provider: RetryPolicy(max_retries=MAX_RETRIES) for one in self.candidates},
            retries=self.retries,
            clock=lambda: self.now_ms,
            opens_ms=lambda candidate: self.opens.get(candidate.name, 0),
            rest=lambda provider, key, seconds: None,
            on_content=self.on_content,
        )

    def fail(self, route: Itinerary, plan: Plan, failing: Failing) -> Plan | None:
        """The attempt under way fails; the plan of the next."""
        problem = failing.problem
        fact = fact_of(attempt_id=f"call.{plan.attempt}") if problem is not None or failing.sent else None
        self.failed.append((int(plan.model), problem))
        step = route.after(Failure(plan, DOWN, problem, fact), 0)
        if step is None:
            self.check_end(problem)
            return None
        if int(step.plan.model) == int(plan.model):
            self.check_again(step, problem)
        else:
            self.check_elsewhere(step)
        return step.plan

    def plan(self, index: int, attempt: int, charged_nano_usd: int, said: Said | None) -> Plan:
        """The plan of a candidate, which says who it is by its model."""
        if index in self.unable:
            raise InvalidRequestError("it does not speak so")
        return plan_of(attempt=attempt, model=str(index), deadline_ms=self.deadline_ms)

    def took(self, plan: Plan) -> None:
        """An attempt is under way: its number was never used."""
        assert not self.numbers or plan.attempt > self.numbers[-1], "a number is used twice"
        self.numbers.append(plan.attempt)
        assert len(self.numbers) <= ATTEMPTS_MAX
        same = len(self.numbers) > 1 and self.failed[-1][0] == int(plan.model)
        self.tries = self.tries + 1 if same else 1

    def left(self) -> list[int]:
        """Those who were not asked, can take the request, and may help."""
        asked = {index for index, _ in self.failed}
        if self.on_content == "stop" and any(problem and problem.kind == "content" for _, problem in self.failed):
            return []
        return [
            index
            for index, candidate in enumerate(self.candidates)
            if index not in asked | self.unable
            and all(may_help(candidate, self.candidates[at], problem) for at, problem in self.failed)
        ]

    def shut(self, index: int) -> bool:
        return bool(self.opens.get(self.candidates[index].name, 0))

    def check_end(self, problem: Problem | None) -> None:
        """Nobody is asked any more: nobody else may help, or what was shown, or the deadline, forbids it."""
        late = self.deadline_ms is not None and self.now_ms >= self.deadline_ms
        if not late and not (problem and problem.output) and len(self.numbers) < ATTEMPTS_MAX:
            assert [index for index in self.left() if not self.shut(index)] == []

    def check_again(self, step: Step, problem: Problem | None) -> None:
        """The same is asked again, after a wait."""
        assert problem is not None
        assert problem.kind in PASSING
        assert problem.should_retry is not False
        assert not problem.output
        assert self.tries <= MAX_RETRIES
        assert step.wait_ms >= 1_000 * (problem.retry_after_seconds or 0)
        assert self.deadline_ms is None or self.now_ms + step.wait_ms < self.deadline_ms
        others = [other for other in self.left() if not self.shut(other)]
        if problem.kind in ("timeout", "stalled"):
            assert others == [], "who is silent is not asked again while somebody else is there"

    def check_elsewhere(self, step: Step) -> None:
        """Another is asked, at once."""
        index = int(step.plan.model)
        open_ = [other for other in self.left() if not self.shut(other)]
        assert step.wait_ms == 0
        assert index in self.left(), "who would fail in the same way, or has, is not asked"
        assert not self.shut(index) or open_ == [], "who is left alone is asked only when nobody else is there"
        problem = self.failed[-1][1]
        assert not (problem and problem.output), "what was shown is not begun again unasked"


TestTrips = Trips.TestCase
TestTrips.settings = settings(max_examples=45, stateful_step_count=30)
