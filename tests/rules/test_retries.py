"""Who is asked again, who is not, and how long that takes; and that an outage is not met with a storm of retries."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.retries import (
    AUTH_REST_SECONDS,
    FORBIDDEN_REST_SECONDS,
    PATIENCE_SECONDS,
    QUOTA_REST_SECONDS,
    REST_SECONDS_MAX,
    Again,
    Elsewhere,
    Final,
    Problem,
    ProblemKind,
    RetryBudget,
    RetryPolicy,
    decide,
    rest_seconds,
)
from bursar.wire.dialect import ErrorKind

POLICY = RetryPolicy()
DOWN = Problem("unavailable", 503)
NEVER_TWICE = [
    Problem("quota", 429),
    Problem("quota", 402),
    Problem("auth", 401),
    Problem("context", 400),
    Problem("model", 404),
    Problem("rejected", 400),
    Problem("rejected", 422),
    Problem("malformed"),
]
TWICE = [
    Problem("connect", sent=False),
    Problem("broken"),
    Problem("timeout", sent=False),
    Problem("timeout", 408),
    Problem("rejected", 409),
    Problem("rate", 429),
    Problem("rate", 402, 1.0),
    Problem("unavailable", 500),
    Problem("unavailable", 529),
]
SILENT = [Problem("timeout"), Problem("stalled"), Problem("timeout", 200)]


def decided(
    problem: Problem,
    *,
    tries: int = 1,
    policy: RetryPolicy = POLICY,
    left_ms: int | None = None,
    chance: float = 0.0,
    others: bool = False,
    **asked: Any,
) -> Again | Elsewhere | Final:
    deadline_ms = None if left_ms is None else 5_000 + left_ms
    return decide(problem, tries, policy, 5_000, deadline_ms, chance, others, **asked)


def test_problems_have_every_kind_that_a_wire_error_has() -> None:
    assert set(get_args(ProblemKind)) == {*get_args(ErrorKind), "connect", "broken", "stalled"}


@pytest.mark.parametrize("problem", TWICE, ids=str)
def test_what_passes_is_asked_again_and_then_elsewhere(problem: Problem) -> None:
    for others in (False, True):
        assert isinstance(decided(problem, others=others), Again)
        assert isinstance(decided(problem, tries=POLICY.max_retries, others=others), Again)
    assert decided(problem, tries=POLICY.max_retries + 1) == Final()
    assert isinstance(decided(problem, tries=POLICY.max_retries + 1, others=True), Elsewhere)


@pytest.mark.parametrize("problem", NEVER_TWICE, ids=str)
def test_what_stays_is_never_asked_again(problem: Problem) -> None:
    assert decided(problem) == Final()
    assert decided(problem, others=True) == Elsewhere(problem.kind, rest_seconds(problem))


@pytest.mark.parametrize("problem", SILENT, ids=str)
def test_a_silent_provider_is_asked_twice_only_where_nobody_else_is(problem: Problem) -> None:
    assert decided(problem, others=True) == Elsewhere(problem.kind)
    assert decided(problem) == Again(500)


def test_a_content_refusal_is_final_unless_the_caller_asked_for_others() -> None:
    refused = Problem("content", 400)
    assert decided(refused, others=True) == decided(refused) == decided(refused, on_content="next") == Final()
    assert decided(refused, others=True, on_content="next") == Elsewhere("content")


@pytest.mark.parametrize("problem", [*TWICE, *SILENT], ids=str)
def test_nothing_follows_output_unless_the_caller_opted_in(problem: Problem) -> None:
    shown = Problem(problem.kind, problem.status, sent=True, output=True)
    assert decided(shown, others=True) == decided(shown) == Final()
    assert decided(shown, others=True, continues=True) != Final() != decided(shown, continues=True)


@pytest.mark.parametrize("problem", NEVER_TWICE[:2] + NEVER_TWICE[4:6], ids=str)
def test_the_provider_may_say_that_a_retry_helps(problem: Problem) -> None:
    asked = Problem(problem.kind, problem.status, should_retry=True)
    assert decided(asked) == Again(500)
    assert decided(asked, tries=3) == Final()


@pytest.mark.parametrize("kind", ["content", "context"])
def test_no_header_makes_the_same_candidate_take_what_it_cannot(kind: ProblemKind) -> None:
    assert decided(Problem(kind, 400, should_retry=True), on_content="next") == Final()


@pytest.mark.parametrize("problem", TWICE, ids=str)
def test_the_provider_may_say_that_a_retry_does_not_help(problem: Problem) -> None:
    refused = Problem(problem.kind, problem.status, problem.retry_after_seconds, should_retry=False)
    assert decided(refused) == Final()
    assert isinstance(decided(refused, others=True), Elsewhere)


@pytest.mark.parametrize(
    ("advice", "others", "answer"),
    [
        (0.25, False, Again(250)),
        (0.0001, False, Again(1)),
        (30.0, False, Again(30_000)),
        (120.0, False, Again(120_000)),
        (120.1, False, Final()),
        (0.0, False, Again(500)),
        (PATIENCE_SECONDS, True, Again(2_000)),
        (PATIENCE_SECONDS + 0.1, True, Elsewhere("rate", PATIENCE_SECONDS + 0.1)),
        (90_000.0, True, Elsewhere("rate", REST_SECONDS_MAX)),
    ],
)
def test_advice_is_followed_where_it_is_short(advice: float, others: bool, answer: Any) -> None:
    assert decided(Problem("rate", 429, advice), others=others) == answer


def test_a_policy_that_waits_for_nobody_follows_no_advice() -> None:
    policy = RetryPolicy(after_seconds_max=1.0)
    assert decided(Problem("rate", 429, 1.5), policy=policy) == Final()
    assert decided(Problem("rate", 429, 1.5), policy=policy, others=True) == Elsewhere("rate", 1.5)


def test_advice_beyond_the_deadline_is_not_waited_for() -> None:
    limited = Problem("rate", 429, 2.0)
    assert decided(limited, left_ms=2_001) == Again(2_000)
    assert decided(limited, left_ms=2_000) == Final()
    assert decided(limited, left_ms=2_000, others=True) == Elsewhere("rate", 2.0)
    assert decided(DOWN, left_ms=500) == Final()


def test_a_call_whose_time_is_over_goes_nowhere() -> None:
    assert decided(DOWN, left_ms=0, others=True) == decided(Problem("auth", 401), left_ms=-1, others=True) == Final()


def test_waits_double_up_to_the_cap_less_a_random_share() -> None:
    policy = RetryPolicy(max_retries=50)
    waits = [decided(DOWN, tries=tries, policy=policy) for tries in (1, 2, 3, 4, 5, 6, 50)]
    assert waits == [Again(ms) for ms in (500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000)]
    assert decided(DOWN, tries=5_000, policy=RetryPolicy(max_retries=10_000)) == Again(8_000)
    assert decided(DOWN, chance=1.0) == Again(375)
    assert decided(DOWN, chance=1.0, policy=RetryPolicy(jitter=1.0)) == Again(0)


@pytest.mark.parametrize(
    ("problem", "seconds"),
    [
        (Problem("auth", 401), AUTH_REST_SECONDS),
        (Problem("auth"), AUTH_REST_SECONDS),
        (Problem("auth", 403), FORBIDDEN_REST_SECONDS),
        (Problem("quota", 429), QUOTA_REST_SECONDS),
        (Problem("quota", 429, 0.0), QUOTA_REST_SECONDS),
        (Problem("quota", 402, 7_200.0), 7_200.0),
        (Problem("quota", 402, 1e9), REST_SECONDS_MAX),
        (Problem("rate", 429, 7.0), 7.0),
        (Problem("rate", 429), 0.0),
        (Problem("unavailable", 503, 7.0), 0.0),
        (Problem("model", 404), 0.0),
    ],
)
def test_a_key_rests_for_what_is_wrong_with_it(problem: Problem, seconds: float) -> None:
    assert rest_seconds(problem) == seconds


PROBLEMS = st.builds(
    Problem,
    st.sampled_from(get_args(ProblemKind)),
    st.none() | st.integers(200, 599),
    st.none() | st.floats(0, 86_400),
    st.none() | st.booleans(),
    st.booleans(),
    st.booleans(),
)
POLICIES = st.builds(
    RetryPolicy,
    st.integers(0, 20),
    st.floats(0, 86_400),
    st.floats(0, 86_400),
    st.floats(0, 1),
    st.floats(0, 86_400),
)


ASKED = st.fixed_dictionaries(
    {
        "tries": st.integers(1, 10**6),
        "policy": POLICIES,
        "left_ms": st.none() | st.integers(-5, 10**6),
        "chance": st.floats(0, 1),
        "others": st.booleans(),
        "on_content": st.sampled_from(["stop", "next"]),
        "continues": st.booleans(),
    }
)


@given(PROBLEMS, ASKED)
def test_no_wait_is_negative_or_ends_past_the_deadline(problem: Problem, asked: dict[str, Any]) -> None:
    answer, policy, left_ms = decided(problem, **asked), asked["policy"], asked["left_ms"]
    if isinstance(answer, Again):
        assert 0 <= answer.wait_ms <= max(policy.after_seconds_max, policy.cap_seconds) * 1000 + 1
        assert left_ms is None or answer.wait_ms < left_ms
        assert asked["tries"] <= policy.max_retries
        assert problem.kind not in {"content", "context"}
    if isinstance(answer, Elsewhere):
        assert asked["others"]
        assert 0 <= answer.rest_seconds <= REST_SECONDS_MAX
    if answer != Final():
        assert left_ms is None or left_ms > 0
        assert asked["continues"] or not problem.output


@given(st.lists(PROBLEMS, min_size=30), POLICIES)
def test_a_candidate_gets_no_more_than_its_retries(problems: list[Problem], policy: RetryPolicy) -> None:
    tries = 1
    for problem in problems:
        if not isinstance(decided(problem, tries=tries, policy=policy), Again):
            break
        tries += 1
    assert tries <= 1 + policy.max_retries


def test_first_attempts_earn_retries() -> None:
    budget = RetryBudget(share=0.2, reserve=1)
    assert budget.spend(0)
    assert not budget.allowed(0)
    for _ in range(4):
        budget.earn()
    assert not budget.spend(0)
    budget.earn()
    assert (budget.left, budget.spend(0), budget.spend(0)) == (1, True, False)


def test_an_outage_is_not_met_with_a_storm() -> None:
    budget = RetryBudget()
    sent = 0
    for _ in range(1_000):
        budget.earn()
        sent += sum(budget.spend(0) for _ in range(2))
    assert sent == 1_000 * 0.2 + 10


def test_what_is_saved_up_is_bounded() -> None:
    budget = RetryBudget()
    for _ in range(100_000):
        budget.earn()
    assert sum(budget.spend(0) for _ in range(1_000)) == 100


def test_quiet_time_gives_the_reserve_back_and_no_more() -> None:
    budget = RetryBudget()
    assert sum(budget.spend(1_000) for _ in range(20)) == 10
    assert not budget.allowed(6_999)
    assert budget.allowed(7_000)
    assert sum(budget.spend(10**9) for _ in range(20)) == 10


def test_time_takes_nothing_of_what_was_earned() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.earn()
    assert all(budget.allowed(1_000 * second) for second in range(100))
    assert budget.left == 30


def test_looking_often_loses_no_time() -> None:
    budget = RetryBudget()
    assert sum(budget.spend(0) for _ in range(20)) == 10
    for now_ms in range(30_000):
        budget.allowed(now_ms)
    assert sum(budget.spend(30_000) for _ in range(20)) == 5


def test_a_budget_without_reserve_has_what_was_earned() -> None:
    budget = RetryBudget(share=1.0, reserve=0)
    assert not budget.spend(10**9)
    budget.earn()
    assert budget.spend(10**9)
    assert not budget.spend(2 * 10**9)


@pytest.mark.parametrize(("share", "reserve"), [(-0.1, 1), (1.1, 1), (0.2, -1)])
def test_absurd_budgets_are_refused(share: float, reserve: int) -> None:
    with pytest.raises(ValueError, match="a retry budget earns"):
        RetryBudget(share, reserve)


STEPS = st.lists(st.tuples(st.sampled_from(["earn", "spend", "allowed"]), st.integers(-10_000, 10_000)), max_size=200)


@given(st.floats(0, 1), st.integers(0, 20), STEPS)
def test_a_budget_is_never_below_zero_nor_spends_what_it_has_not(
    share: float, reserve: int, steps: list[tuple[str, int]]
) -> None:
    budget = RetryBudget(share, reserve)
    now_ms, forward_ms, firsts, spent = 0, 0, 0, 0
    for step, elapsed_ms in steps:
        now_ms += elapsed_ms
        forward_ms += max(elapsed_ms, 0)
        if step == "earn":
            budget.earn()
            firsts += 1
        elif step == "spend":
            could = budget.allowed(now_ms)
            assert budget.spend(now_ms) == could
            spent += could
        else:
            budget.allowed(now_ms)
        assert 0 <= budget.left <= max(10 * reserve, 1)
    assert spent <= reserve + firsts * (share + 0.001) + reserve * forward_ms / 60_000
