"""Seats, one decision at a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.edges.http.pool import Pool, PoolLimits, Seat, Waiter


def pool_of(seats: int) -> Pool:
    return Pool(PoolLimits(max_connections=seats))


def in_use(pool: Pool) -> tuple[int, int]:
    figures = pool.statistics(idle=0)
    return figures.seats_in_use, figures.waiting


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_connections", 0),
        ("max_connections", -1),
        ("max_connections", 1_000_000),
        ("max_connections", 1.5),
        ("max_connections", True),
        ("max_connections", "100"),
        ("max_keepalive", -1),
        ("keepalive_expiry_seconds", -0.1),
        ("connect_timeout_seconds", 0),
        ("read_timeout_seconds", -5),
        ("write_timeout_seconds", float("nan")),
        ("pool_timeout_seconds", float("inf")),
        ("read_timeout_seconds", 1e9),
        ("read_timeout_seconds", None),
    ],
)
def test_absurd_limits_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        PoolLimits(**{field: value})


def test_the_limits_of_the_seed_are_the_default() -> None:
    limits = PoolLimits()
    assert (limits.max_connections, limits.max_keepalive, limits.keepalive_expiry_seconds) == (100, 20, 5.0)
    seconds = (limits.connect_timeout_seconds, limits.write_timeout_seconds, limits.pool_timeout_seconds)
    assert seconds == (10.0, 10.0, 10.0)
    assert limits.read_timeout_seconds == 60.0
    assert PoolLimits(keepalive_expiry_seconds=0).idle_max == 0


def test_a_seat_comes_back_once() -> None:
    pool = pool_of(2)
    first, second = pool.take(), pool.take()
    assert first is not None
    assert second is not None
    assert pool.take() is None
    first.release()
    first.release()
    assert in_use(pool) == (1, 0)
    assert pool.take() is not None
    assert pool.take() is None


def test_nobody_overtakes_the_queue() -> None:
    pool = pool_of(1)
    seat = pool.take()
    assert seat is not None
    woken: list[str] = []
    first = pool.join(lambda: woken.append("first"))
    second = pool.join(lambda: woken.append("second"))
    seat.release()
    assert woken == ["first"]
    assert pool.take() is None
    given_to_first = pool.leave(first)
    assert given_to_first is not None
    given_to_first.release()
    assert woken == ["first", "second"]
    assert pool.leave(second) is not None
    assert in_use(pool) == (1, 0)


def test_who_leaves_the_queue_is_passed_over() -> None:
    pool = pool_of(1)
    seat = pool.take()
    assert seat is not None
    leaving, staying = pool.join(lambda: None), pool.join(lambda: None)
    assert pool.leave(leaving) is None
    seat.release()
    assert leaving.seat is None
    assert staying.seat is not None


def test_a_seat_freed_before_joining_is_given_at_once() -> None:
    pool = pool_of(1)
    woken: list[bool] = []
    waiter = pool.join(lambda: woken.append(True))
    assert woken == [True]
    assert waiter.seat is not None
    assert in_use(pool) == (1, 0)


def test_closing_wakes_everyone_with_nothing() -> None:
    pool = pool_of(1)
    seat = pool.take()
    assert seat is not None
    woken: list[bool] = []
    waiter = pool.join(lambda: woken.append(True))
    pool.close()
    late = pool.join(lambda: woken.append(True))
    assert woken == [True, True]
    assert (pool.leave(waiter), pool.leave(late), pool.take()) == (None, None, None)
    seat.release()
    assert in_use(pool) == (0, 0)
    assert pool.take() is None


@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["take", "join", "leave", "release"]), st.integers(0, 9))))
def test_seats_are_never_lost_nor_doubled(seats: int, acts: list[tuple[str, int]]) -> None:
    pool = pool_of(seats)
    held: list[Seat] = []
    queue: list[Waiter] = []
    for act, pick in acts:
        if act == "take" and (seat := pool.take()) is not None:
            held.append(seat)
        elif act == "join":
            queue.append(pool.join(lambda: None))
        elif act == "leave" and queue:
            given_seat = pool.leave(queue.pop(pick % len(queue)))
            if given_seat is not None:
                held.append(given_seat)
        elif act == "release" and held:
            held.pop(pick % len(held)).release()
        seated = [waiter for waiter in queue if waiter.seat is not None]
        assert in_use(pool) == (len(held) + len(seated), len(queue) - len(seated))
        assert len(held) + len(seated) <= seats
        assert len(queue) == len(seated) or len(held) + len(seated) == seats  # nobody waits beside a free seat
        assert seated == queue[: len(seated)]  # first come, first served
