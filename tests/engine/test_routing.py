"""The way of a call through its candidates: who is asked next, when, and what is left alone meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bursar.call.plan import Plan
from bursar.call.route import Failure, Step
from bursar.engine.routing import ATTEMPTS_MAX, Itinerary, Retries
from bursar.errors import (
    BursarError,
    InvalidRequestError,
    LimitExceededError,
    ProviderUnavailableError,
    RefusedError,
    StoreUnavailableError,
    StreamInterruptedError,
)
from bursar.rules.retries import Problem, RetryPolicy
from bursar.rules.routes import Candidate
from bursar.wire.continuing import Said
from bursar.wire.joining import Joint
from tests.call.scripted import plan_of
from tests.telemetry.facts import fact_of

DOWN = Problem("unavailable", 503)
POLICY = RetryPolicy(max_retries=2, base_seconds=1.0, jitter=0.0)


class Way:
    """An itinerary over candidates, with what it was asked to make and told to rest."""

    def __init__(self, *names: str, make: Callable[[int], None] = lambda index: None, **options: Any) -> None:
        self.candidates = [Candidate(*name.split("@")[:1], 0, *name.split("@")[1:]) for name in names]
        self.made: list[tuple[int, int, int]] = []
        self.said: list[str | None] = []
        self.rested: list[tuple[str, str, float]] = []
        self.open: set[str] = set()
        self.anew: set[str] = set()
        self.now_ms = 1_000
        self._make = make
        self.plan: Plan | None = None
        self.retries = Retries(lambda: 0.0)
        self.route = Itinerary(
            self.candidates,
            self.made_plan,
            policies={candidate.provider: POLICY for candidate in self.candidates},
            retries=self.retries,
            clock=lambda: self.now_ms,
            opens_ms=lambda candidate: 5_000 if candidate.name in self.open else 0,
            rest=lambda provider, key, seconds: self.rested.append((provider, key, seconds)),
            **options,
        )
        self.plan = self.route.first()

    def made_plan(self, index: int, attempt: int, charged_nano_usd: int, said: Said | None) -> Plan:
        self._make(index)
        self.made.append((index, attempt, charged_nano_usd))
        self.said.append(said and said.text)
        joint = Joint(said) if said is not None and self.candidates[index].name not in self.anew else None
        return plan_of(attempt=attempt, model=str(index), joint=joint)

    def fail(
        self,
        problem: Problem | None = DOWN,
        error: BursarError | None = None,
        *,
        sent: bool = True,
        charged: int = 0,
        shown: str = "",
    ) -> Step | None:
        """The attempt that is under way fails, once its caller has seen `shown`."""
        assert self.plan is not None
        attempt_id = f"call.{self.plan.attempt}"
        fact = fact_of(attempt_id=attempt_id) if sent else None
        said = error or ProviderUnavailableError("down", provider="p", model="m")
        payloads = tuple(b'{"choices":[{"index":0,"delta":{"content":"%s"}}]}' % word.encode() for word in shown)
        step = self.route.after(Failure(self.plan, said, problem, fact, payloads), charged)
        self.plan = step.plan if step is not None else None
        return step


def test_the_same_is_asked_again_with_longer_waits_and_then_no_more() -> None:
    way = Way("a/m")
    waits = [step.wait_ms if (step := way.fail()) else None for _ in range(3)]
    assert waits == [1_000, 2_000, None]
    assert way.made == [(0, 0, 0), (0, 1, 0), (0, 2, 0)], "each attempt has a number of its own"


def test_the_next_is_asked_at_once_when_the_first_is_done_with() -> None:
    way = Way("a/m", "b/m")
    assert way.fail() is not None
    assert way.fail() is not None
    step = way.fail(charged=7)
    assert step is not None
    assert (step.wait_ms, way.made[-1]) == (0, (1, 3, 7)), "with what was charged already"
    assert [way.fail() is None for _ in range(3)] == [False, False, True], "the next has tries of its own"


def test_what_we_refuse_ourselves_goes_elsewhere_or_ends() -> None:
    refused = LimitExceededError("x", limit="l", meter="requests", needed=1, capacity=0, retry_after_seconds=None)
    way = Way("a/m", "b/m")
    step = way.fail(None, refused, sent=False)
    assert step is not None
    assert way.made[-1][0] == 1
    assert way.made[-1][1] > 100, "a plan that was refused may have used many numbers"
    assert way.fail(None, refused, sent=False) is None
    assert Way("a/m").fail(None, refused, sent=False) is None


def test_books_that_cannot_be_written_are_the_same_everywhere() -> None:
    assert Way("a/m", "b/m").fail(None, StoreUnavailableError("full"), sent=False) is None


def test_open_breakers_are_passed_over() -> None:
    way = Way("a/m", "b/m", "c/m")
    way.open.add("b/m")
    assert way.fail(None, RefusedError("open"), sent=False) is not None
    assert way.made[-1][0] == 2
    alone = Way("a/m", "b/m")
    alone.open.add("b/m")
    step = alone.fail()
    assert step is not None
    assert (alone.made[-1][0], step.wait_ms) == (0, 1_000), "with nobody else to ask, the same is worth another try"


def test_a_refused_key_rests_and_another_is_used() -> None:
    way = Way("a/m@one", "a/m@two", "b/m")
    step = way.fail(Problem("auth", 401))
    assert step is not None
    assert way.made[-1][0] == 1
    assert [(provider, key) for provider, key, _ in way.rested] == [("a", "one")]
    assert way.rested[0][2] > 60
    assert way.fail(Problem("quota", 429, 30.0)) is not None
    assert way.rested[-1] == ("a", "two", 30.0)
    assert way.made[-1][0] == 2


def test_content_is_refused_once_unless_asked_otherwise() -> None:
    assert Way("a/m", "b/m").fail(Problem("content", 400)) is None
    assert Way("a/m", "b/m", on_content="next").fail(Problem("content", 400)) is not None


def test_a_storm_of_retries_is_stopped() -> None:
    way = Way("a/m")
    while way.retries.spend("a", way.now_ms):
        pass
    assert way.fail() is None
    other = Way("a/m", "b/m")
    while other.retries.spend("a", other.now_ms):
        pass
    assert other.fail() is not None
    assert other.made[-1][0] == 1, "others may still be asked"


def test_candidates_that_cannot_take_the_request_are_passed_over() -> None:
    def refusing(*which: int) -> Callable[[int], None]:
        def make(index: int) -> None:
            if index in which:
                raise InvalidRequestError(f"{index} cannot take it")

        return make

    assert Way("a/m", "b/m", make=refusing(0)).made == [(1, 0, 0)]
    with pytest.raises(InvalidRequestError, match="0 cannot"):
        Way("a/m", "b/m", make=refusing(0, 1))
    way = Way("a/m", "b/m", "c/m", make=refusing(1))
    assert way.fail(Problem("model", 404)) is not None
    assert way.made[-1][0] == 2
    assert way.fail(Problem("model", 404)) is None


def test_however_many_candidates_there_are_the_attempts_are_bounded() -> None:
    way = Way(*(f"p{number}/m" for number in range(40)))
    count = 0
    while way.fail():
        count += 1
        way.now_ms += 60_000
    assert count < ATTEMPTS_MAX


def test_after_the_deadline_nothing_is_tried() -> None:
    way = Way("a/m", "b/m")
    assert way.plan is not None
    way.plan = replace(way.plan, deadline_ms=way.now_ms)
    assert way.fail() is None


def test_after_the_deadline_what_we_refuse_ourselves_goes_nowhere_either() -> None:
    way = Way("a/m", "b/m")
    assert way.plan is not None
    way.plan = replace(way.plan, deadline_ms=way.now_ms)
    assert way.fail(None, RefusedError("too late"), sent=False) is None


def test_a_failure_that_opened_its_own_breaker_is_not_waited_for() -> None:
    way = Way("a/m", "b/m")
    way.open.add("a/m")
    step = way.fail()
    assert step is not None
    assert (way.made[-1][0], step.wait_ms) == (1, 0)
    alone = Way("a/m")
    alone.open.add("a/m")
    assert alone.fail() is None
    soon = Way("a/m")
    soon.open.add("a/m")
    soon.now_ms = 4_500
    assert soon.fail() is not None, "by the time of the retry it lets a probe pass"


def test_where_nobody_else_is_left_those_left_alone_are_looked_at() -> None:
    way = Way("a/m", "b/m", "c/m")
    way.open.update({"b/m", "c/m"})
    refused = RefusedError("open")
    for index in (1, 2):
        assert way.fail(None, refused, sent=False) is not None
        assert way.made[-1][0] == index
    assert way.fail(None, refused, sent=False) is None


BROKEN = Problem("broken", 200, output=True)


@pytest.mark.parametrize("how", ["restart", "continue"])
def test_after_output_only_a_route_that_says_so_goes_on(how: Any) -> None:
    assert Way("a/m", "b/m").fail(BROKEN) is None
    assert Way("a/m", "b/m", after_output=how).fail(BROKEN) is not None
    refused = Problem("content", 200, output=True)
    assert Way("a/m", "b/m", after_output=how, on_content="next").fail(refused) is None, "a refusal is not routed round"


def test_who_left_a_stream_is_given_no_other() -> None:
    error = StreamInterruptedError("left", provider="a", model="m")
    assert Way("a/m", "b/m", after_output="restart").fail(None, error) is None


def test_what_was_said_grows_until_it_is_begun_again() -> None:
    way = Way("a/m", "b/m", "c/m", "d/m", "e/m", after_output="continue")
    way.anew.add("c/m")
    malformed = Problem("malformed", 200, output=True)  # never asked again at the same candidate
    for shown in ("ab", "c", "xy", ""):
        assert way.fail(malformed if shown else Problem("model", 404), shown=shown) is not None
    assert way.said == [None, "ab", "abc", "xy", "xy"]


def test_what_was_too_much_to_remember_is_begun_again() -> None:
    way = Way("a/m", "b/m", "c/m", after_output="continue")
    malformed = Problem("malformed", 200, output=True)
    assert way.fail(malformed, shown="ab") is not None
    assert way.fail(malformed) is not None
    assert way.said == [None, "ab", None]
