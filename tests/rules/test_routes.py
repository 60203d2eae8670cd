"""Who is asked first, who next, and who never after which failure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.retries import Problem, ProblemKind
from bursar.rules.routes import Candidate, Choice, following

ROUTE = [
    Candidate("openai/gpt-4o", 128_000, "first"),
    Candidate("openai/gpt-4o", 128_000, "second"),
    Candidate("openai/gpt-4o-mini", 128_000, "first"),
    Candidate("anthropic/claude-haiku-4-5", 200_000),
    Candidate("local/qwen3"),
]
DOWN = Problem("unavailable", 503)


def after(
    *failed: tuple[int, Problem], route: list[Candidate] = ROUTE, shut: Mapping[int, int] | None = None, **asked: Any
) -> Choice:
    return following(route, failed, lambda index: (shut or {}).get(index, 0), **asked)


def test_the_first_comes_first() -> None:
    assert after() == Choice(0)
    assert after(route=[]) == Choice(None)
    assert ROUTE[3].provider == "anthropic"


@pytest.mark.parametrize(
    ("problem", "index"),
    [
        (Problem("rate", 429), 1),
        (Problem("quota", 429), 1),
        (Problem("auth", 401), 1),
        (Problem("auth", 403), 1),
        (Problem("model", 404), 1),
        (Problem("rejected", 400), 2),
        (Problem("context", 400), 3),
        (Problem("unavailable", 503), 2),
        (Problem("broken"), 2),
        (Problem("malformed"), 2),
        (Problem("timeout"), 3),
        (Problem("stalled"), 3),
        (Problem("connect", sent=False), 3),
        (Problem("content", 400), None),
    ],
    ids=str,
)
def test_who_comes_after_the_first(problem: Problem, index: int | None) -> None:
    assert after((0, problem)) == Choice(index)


def test_more_context_goes_first_to_those_that_have_it() -> None:
    too_long = Problem("context", 400)
    assert after((3, too_long)) == Choice(None)
    assert after((0, too_long), (3, DOWN)) == Choice(None)
    assert after((4, too_long)) == Choice(0)
    assert after((0, too_long), route=[ROUTE[0], ROUTE[4]]) == Choice(None)


def test_a_refused_key_is_not_tried_with_another_model() -> None:
    for problem in (Problem("auth", 401), Problem("quota", 402)):
        assert after((0, problem), (1, problem)) == Choice(3)
    assert after((0, Problem("auth", 401)), route=ROUTE[3:]) == Choice(1)
    assert after((0, Problem("auth", 403)), (1, DOWN)) == Choice(2)


def test_a_content_refusal_is_routed_around_where_asked() -> None:
    refused = Problem("content", 400)
    assert after((0, refused), on_content="next") == Choice(2)
    assert after((0, refused), (2, DOWN)) == Choice(None)


def test_the_doubtful_come_last_and_in_order() -> None:
    silent = Problem("timeout")
    assert after((0, silent), (3, DOWN), (4, DOWN)) == Choice(1)
    assert after((0, silent), (3, DOWN), (4, DOWN), (1, silent)) == Choice(2)
    assert after((0, DOWN), (2, DOWN), (3, DOWN), (4, DOWN)) == Choice(1)


def test_who_was_asked_is_not_asked_again() -> None:
    assert after(*((index, Problem("rate", 429)) for index in range(5))) == Choice(None)


def test_open_breakers_are_skipped_and_remembered() -> None:
    assert after(shut={0: 900, 1: 700}) == Choice(2, 700)
    assert after(shut={0: 900, 1: 700, 2: 800, 3: 750, 4: 950}) == Choice(None, 700)
    assert after((0, Problem("timeout")), shut={1: 500, 3: 700, 4: 600}) == Choice(2, 500)


def test_a_candidate_that_cannot_help_does_not_say_when_to_come_back() -> None:
    assert after((3, Problem("context", 400)), shut={0: 500, 4: 600}) == Choice(None)
    assert after((0, Problem("auth", 401)), route=ROUTE[:3], shut={1: 800, 2: 500}) == Choice(None, 800)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        st.sampled_from(["a/x", "a/y", "b/x", "c/z"]),
        st.sampled_from([0, 1_000, 2_000]),
        st.sampled_from(["", "second"]),
    ),
    max_size=6,
)
PROBLEMS = st.builds(Problem, st.sampled_from(get_args(ProblemKind)), st.sampled_from([None, 401, 403, 429, 500]))


@given(CANDIDATES, st.lists(PROBLEMS, min_size=7, max_size=7), st.lists(st.integers(0, 3), min_size=6, max_size=6),
       st.sampled_from(["stop", "next"]))  # fmt: skip
def test_every_call_comes_to_an_end_and_asks_nobody_twice(
    route: list[Candidate], problems: list[Problem], shut: list[int], on_content: Any
) -> None:
    failed: list[tuple[int, Problem]] = []
    for problem in problems:
        choice = following(route, failed, shut.__getitem__, on_content=on_content)
        if choice.index is None:
            break
        candidate = route[choice.index]
        assert choice.index not in {index for index, _ in failed}
        assert not shut[choice.index]
        assert all(candidate.context_tokens > route[at].context_tokens for at, one in failed if one.kind == "context")
        assert on_content == "next" or "content" not in {one.kind for _, one in failed}
        failed.append((choice.index, problem))
    assert choice.index is None
    assert choice.opens_again_ms is None or choice.opens_again_ms in shut
