"""What an attempt's end says of its provider: to those who may ask again, and to its breaker."""

from __future__ import annotations

import pytest

from bursar.call.conclude import Timing, conclude_failed
from bursar.call.exchange import Failed, FailedKind
from bursar.call.plan import Health
from bursar.call.problems import health_of, problem_of_failed, problem_of_wire
from bursar.rules.retries import Problem, ProblemKind
from bursar.wire.dialect import ErrorKind, WireError
from tests.call.scripted import granted, plan_of


@pytest.mark.parametrize(
    ("kind", "status", "health"),
    [
        ("unavailable", 500, "failure"),
        ("unavailable", 529, "failure"),
        ("unavailable", None, "failure"),  # an error inside a 200
        ("timeout", 504, "failure"),
        ("malformed", None, "failure"),
        ("rate", 429, "ignored"),
        ("quota", 402, "ignored"),
        ("timeout", 408, "ignored"),
        ("unavailable", 498, "ignored"),
        ("rejected", 400, "ignored"),
        ("auth", 401, "ignored"),
        ("rejected", 307, "ignored"),
    ],
)
def test_a_breaker_counts_what_a_provider_should_never_do(kind: ErrorKind, status: int | None, health: Health) -> None:
    problem = problem_of_wire(WireError(kind, "no", status=status), 200)
    assert health_of(problem, ok=False) == health


def test_without_a_problem_a_reply_is_a_success_and_a_caller_who_left_says_nothing() -> None:
    assert health_of(None, ok=True) == "success"
    assert health_of(None, ok=False) == "ignored"


@pytest.mark.parametrize(
    ("kind", "sent", "output", "problem"),
    [
        ("connect", False, False, "connect"),
        ("timeout", False, False, "connect"),
        ("timeout", True, False, "timeout"),
        ("timeout", True, True, "stalled"),
        ("broken", True, False, "broken"),
        ("broken", True, True, "broken"),
        ("too_large", True, False, "malformed"),
    ],
)
def test_an_exchange_that_broke_is_the_providers_problem(
    kind: FailedKind, sent: bool, output: bool, problem: ProblemKind
) -> None:
    seen = problem_of_failed(Failed(kind, sent, "no"), output=output)
    assert isinstance(seen, Problem)
    assert (seen.kind, seen.sent, seen.output) == (problem, sent, output)
    assert health_of(seen, ok=False) == "failure"


@pytest.mark.parametrize("kind", ["cancelled", "closed", "pool"])
def test_what_we_did_ourselves_is_no_problem_of_a_provider(kind: FailedKind) -> None:
    assert problem_of_failed(Failed(kind, True, "no")) is None


@pytest.mark.parametrize(
    ("granted_ms", "sent", "ours"), [(1_000, False, True), (999, False, False), (1_000, True, False)]
)
def test_a_deadline_that_had_passed_before_anything_was_sent_is_held_against_nobody(
    granted_ms: int, sent: bool, ours: bool
) -> None:
    plan = plan_of(deadline_ms=1_000)
    conclusion = conclude_failed(plan, granted(plan), Failed("timeout", sent, "late"), Timing(granted_ms, 1_000))
    assert (conclusion.problem is None) is ours
    assert conclusion.health == ("ignored" if ours else "failure")
