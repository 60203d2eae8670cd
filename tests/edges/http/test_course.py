"""The course of a blocking exchange, without a socket."""

from __future__ import annotations

import time

import pytest

from bursar.call.exchange import Progress
from bursar.edges.http.course import Course


def course(left_seconds: float | None = None) -> Course:
    return Course(None if left_seconds is None else time.monotonic() + left_seconds, Progress())


def test_the_shortest_limit_binds() -> None:
    assert course().left(None, TimeoutError) is None
    assert course().left(5.0, TimeoutError) == 5.0
    assert course(1_000).left(5.0, TimeoutError) == 5.0
    left = course(3).left(5.0, TimeoutError)
    assert left is not None
    assert left <= 3
    left = course(1_000).left(5.0, TimeoutError, time.monotonic() + 2)
    assert left is not None
    assert left <= 2


def test_no_operation_begins_after_its_end() -> None:
    with pytest.raises(TimeoutError):
        course(0).left(5.0, TimeoutError)
    with pytest.raises(TimeoutError):
        course().left(5.0, TimeoutError, time.monotonic())


def test_an_exchange_that_has_left_its_connection_cannot_shut_it() -> None:
    shut: list[str] = []
    one = course()
    one.abort()
    assert one.rides(lambda: shut.append("first"))
    one.alight()
    one.abort()
    assert shut == []
    assert one.rides(lambda: shut.append("second"))
    one.abort()
    assert shut == ["second"]


def test_a_connection_made_for_it_is_not_one_used_again() -> None:
    one = course()
    one.opened = True
    assert not one.rides(lambda: None)
    other = course()
    assert other.rides(lambda: None)
    assert not other.rides(lambda: None)
