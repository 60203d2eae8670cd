"""RateLimiter: the seed's dimensions in one decision, exact waits, one line, and claims that end once."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar import LimitExceededError, RateLimiter, RateLimitResult
from bursar.blocks import rate_limiter
from bursar.blocks.performance_monitor import elapsed_ms
from bursar.errors import QueueFullError
from bursar.testing import ManualClock
from tests.blocks.threads import THREADS, TIMES, OneAtATime, in_threads


def limiter(clock: Callable[[], int] | None = None, **limits: Any) -> RateLimiter:
    return RateLimiter(**limits, clock=clock or ManualClock())


def check(limits: RateLimiter, tokens: int = 0) -> RateLimitResult:
    return limits.check_rate_limit_blocking(tokens)


# One decision


async def test_the_seeds_call() -> None:
    limits = limiter(requests_per_minute=2, tokens_per_minute=1_000, tokens_per_day=5_000)
    result = await limits.check_rate_limit(estimated_tokens=400)
    assert (result.allowed, result.wait_seconds, result.limit) == (True, 0.0, "")
    assert result.remaining == {"requests_per_minute": 1, "tokens_per_minute": 600, "tokens_per_day": 4_600}
    assert result.resets_in_seconds == {"requests_per_minute": 30, "tokens_per_minute": 24, "tokens_per_day": 6_912}
    denied = await limits.check_rate_limit(700)
    assert (denied.allowed, denied.limit, denied.wait_seconds) == (False, "tokens_per_minute", 6.0)
    assert denied.wait_time == denied.wait_seconds


def test_a_denial_takes_nothing_of_any_dimension() -> None:
    limits = limiter(requests_per_minute=10, tokens_per_minute=100)
    before = check(limits, 60).remaining
    assert not check(limits, 60).allowed
    assert check(limits, 60).remaining == before


def test_the_most_restrictive_limit_is_told() -> None:
    limits = limiter(requests_per_minute=1, tokens_per_day=10, concurrent_requests=1)
    result = check(limits, 5)
    assert check(limits, 1).limit == "concurrent_requests"
    limits.record(result)
    assert (check(limits, 1).limit, check(limits, 1).wait_seconds) == ("requests_per_minute", 60)
    assert (check(limits, 6).limit, check(limits, 6).wait_seconds) == ("tokens_per_day", 8_640)
    assert (check(limits, 11).limit, check(limits, 11).wait_seconds) == ("tokens_per_day", math.inf)


DIMENSIONS = st.dictionaries(
    st.sampled_from(["requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day"]),
    st.integers(1, 500),
    min_size=1,
)


@given(DIMENSIONS, st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 400)), max_size=20), st.integers(0, 500))
def test_retried_after_its_wait_it_is_allowed_and_not_a_millisecond_earlier(
    limits: dict[str, int], calls: list[tuple[int, int]], tokens: int
) -> None:
    clock = ManualClock()
    limited = limiter(clock, **limits)
    for pause_ms, amount in calls:
        clock.advance(ms=pause_ms)
        check(limited, amount)
    denied = check(limited, tokens)
    if denied.allowed:
        return
    if math.isinf(denied.wait_seconds):
        assert tokens > limits[denied.limit]
        return
    clock.advance(ms=round(denied.wait_seconds * 1000) - 1)
    assert not check(limited, tokens).allowed
    clock.advance(ms=1)
    assert check(limited, tokens).allowed


def test_without_limits_everything_is_allowed() -> None:
    result = check(limiter(), 10**6)
    assert (result.allowed, result.remaining) == (True, {})


# How a claim ends


def test_what_was_not_used_comes_back_and_what_was_used_beyond_counts() -> None:
    limits = limiter(tokens_per_minute=1_000, requests_per_day=10)
    limits.record(check(limits, 500), 100)
    limits.record(check(limits, 100), 300)
    assert check(limits).remaining == {"tokens_per_minute": 600, "requests_per_day": 7}


def test_where_the_provider_counts_the_estimate_nothing_comes_back() -> None:
    limits = limiter(tokens_per_minute=1_000, refunds=False)
    limits.record(check(limits, 500), 100)
    assert check(limits).remaining == {"tokens_per_minute": 500}


@pytest.mark.parametrize("end", ["record", "cancel"])
def test_a_claim_ends_once(end: str) -> None:
    limits = limiter(tokens_per_minute=1_000, concurrent_requests=1)
    result = check(limits, 500)
    for again in (getattr(limits, end), limits.record, limits.cancel):
        again(result)
    assert check(limits).remaining == {"tokens_per_minute": 500 if end == "record" else 1_000, "concurrent_requests": 0}
    assert not check(limits).allowed, "the place was given back once"


def test_a_call_that_was_not_made_leaves_no_trace() -> None:
    limits = limiter(requests_per_minute=10, tokens_per_day=100, concurrent_requests=2)
    limits.cancel(check(limits, 50))
    assert check(limits).remaining == {"requests_per_minute": 9, "tokens_per_day": 100, "concurrent_requests": 1}


def test_a_denied_call_holds_nothing_to_end() -> None:
    limits = limiter(concurrent_requests=1)
    check(limits)
    limits.record(check(limits))
    assert not check(limits).allowed


@pytest.mark.parametrize("tokens", [-1, 1.5, "7", True, None, 10**18])
def test_what_is_no_count_of_tokens_is_refused(tokens: Any) -> None:
    limits = limiter(tokens_per_minute=10)
    with pytest.raises(ValueError, match="estimated_tokens"):
        check(limits, tokens)
    if tokens is not None:
        result = check(limits, 1)
        with pytest.raises(ValueError, match="actual_tokens"):
            limits.record(result, tokens)
        limits.record(result, 0)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "5", 10**13])
def test_what_is_no_limit_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match="requests_per_minute"):
        RateLimiter(requests_per_minute=limit)


# Waiting


class Line:
    """Waiters of a limiter with a clock that stands still: who waits, for how long, and who was woken."""

    def __init__(self, clock: ManualClock, limits: RateLimiter) -> None:
        self.clock, self.limits = clock, limits
        self.woken: list[str] = []

    def join(self, name: str, tokens: int = 0, *, patience: float | None = None) -> Any:
        return self.limits._acquire(tokens, patience, lambda: self.woken.append(name))


def served(waiting: Any) -> RateLimitResult:
    with pytest.raises(StopIteration) as stop:
        next(waiting)
    result: RateLimitResult = stop.value.value
    assert result.allowed
    return result


@pytest.fixture
def line() -> Line:
    clock = ManualClock()
    return Line(clock, limiter(clock, tokens_per_minute=60))


def test_the_first_in_line_waits_exactly_and_the_others_for_it(line: Line) -> None:
    served(line.join("a", 60))
    first, second = line.join("b", 30), line.join("c", 1)
    assert next(first) == 30
    assert next(second) is None
    assert not check(line.limits, 0).allowed, "who does not wait does not pass those who do"
    assert check(line.limits, 0).wait_seconds == 30
    line.clock.advance(30)
    assert next(second) is None, "a small call does not pass a large one"
    assert served(first).remaining == {"tokens_per_minute": 0}
    assert line.woken == ["c"]
    assert next(second) == 1
    line.clock.advance(1)
    served(second)
    assert check(line.limits, 0).allowed


def test_who_leaves_the_line_leaves_nothing_behind(line: Line) -> None:
    served(line.join("a", 60))
    first, second, third = (line.join(name, 30) for name in "bcd")
    for waiting in (first, second, third):
        next(waiting)
    second.close()
    assert line.woken == []
    first.close()
    assert line.woken == ["d"]
    line.clock.advance(60)
    served(third)
    assert check(line.limits, 30).allowed


def test_what_is_given_back_is_offered_to_the_first_at_once(line: Line) -> None:
    result = served(line.join("a", 60))
    waiting = line.join("b", 30)
    assert next(waiting) == 30
    line.limits.record(result, 10)
    assert line.woken == ["b"]
    served(waiting)


def test_a_place_in_flight_is_waited_for_until_it_is_given_back() -> None:
    clock = ManualClock()
    line = Line(clock, limiter(clock, concurrent_requests=1))
    result = served(line.join("a"))
    waiting, brief = line.join("b"), line.join("c", patience=5)
    assert next(waiting) is None
    assert next(brief) == 5
    line.limits.cancel(result)
    assert line.woken == ["b"]
    served(waiting)
    assert line.woken == ["b", "c"]
    clock.advance(5)
    with pytest.raises(LimitExceededError, match="concurrent_requests"):
        next(brief)


def test_nobody_waits_in_vain(line: Line) -> None:
    served(line.join("a", 60))
    with pytest.raises(LimitExceededError, match="never fit") as raised:
        next(line.join("b", 61))
    assert (raised.value.limit, raised.value.needed, raised.value.capacity) == ("tokens_per_minute", 61, 60)
    assert not raised.value.retryable
    with pytest.raises(LimitExceededError) as raised:
        next(line.join("c", 30, patience=29.9))
    assert raised.value.retry_after_seconds == 30
    assert next(line.join("d", 30, patience=30)) == 30


def test_who_is_out_of_patience_behind_others_is_told_so(line: Line) -> None:
    served(line.join("a", 60))
    first, second = line.join("b", 60), line.join("c", 10, patience=20)
    next(first)
    assert next(second) == 20
    line.clock.advance(20)
    with pytest.raises(LimitExceededError, match="others have waited longer") as raised:
        next(second)
    assert (raised.value.limit, raised.value.retryable) == ("tokens_per_minute", True)


def test_the_line_is_bounded(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limiter, "WAITING_MAX", 2)
    served(line.join("a", 60))
    waiting = [line.join(name, 30) for name in "bcd"]
    next(waiting[0])
    next(waiting[1])
    with pytest.raises(QueueFullError):
        next(waiting[2])
    waiting[0].close()
    next(line.join("e", 30))


async def test_both_colours_wait_in_one_line() -> None:
    limits = RateLimiter(requests_per_minute=1_200, concurrent_requests=1)
    order: list[str] = []
    result = limits.check_rate_limit_blocking()

    async def later(name: str) -> None:
        claim = await limits.acquire()
        order.append(name)
        limits.record(claim)

    def later_blocking(name: str) -> None:
        claim = limits.acquire_blocking()
        order.append(name)
        limits.record(claim)

    tasks: list[asyncio.Task[None]] = []
    threads = []
    for number in range(6):
        waiting = len(limits._line) + 1
        if number % 2:
            threads.append(threading.Thread(target=later_blocking, args=(str(number),)))
            threads[-1].start()
        else:
            tasks.append(asyncio.create_task(later(str(number))))
        async with asyncio.timeout(10):
            while len(limits._line) < waiting:  # noqa: ASYNC110 - a thread joins the line
                await asyncio.sleep(0.001)
    limits.record(result)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
    assert order == ["0", "1", "2", "3", "4", "5"]


async def test_a_wait_for_a_limit_ends_by_itself() -> None:
    limits = RateLimiter(tokens_per_minute=60_000)
    limits.check_rate_limit_blocking(60_000)
    async with asyncio.timeout(10):
        assert (await limits.acquire(20)).allowed
    assert (await asyncio.to_thread(limits.acquire_blocking, 20, max_wait_seconds=10)).allowed
    with pytest.raises(LimitExceededError):
        await limits.acquire(30_000, max_wait_seconds=1)
    with pytest.raises(LimitExceededError):
        limits.acquire_blocking(30_000, max_wait_seconds=0)


@pytest.mark.parametrize("colour", ["async", "blocking"])
async def test_who_is_woken_in_vain_waits_on(colour: str) -> None:
    looks = 0

    def clock() -> int:
        nonlocal looks
        looks += 1
        return elapsed_ms()

    limits = RateLimiter(tokens_per_minute=60_000, clock=clock)
    limits.check_rate_limit_blocking(59_990)
    nothing = limits.check_rate_limit_blocking(0)
    call = limits.acquire(210) if colour == "async" else asyncio.to_thread(limits.acquire_blocking, 210)
    waiting = asyncio.ensure_future(call)
    async with asyncio.timeout(10):
        while not limits._line:  # noqa: ASYNC110 - it may be a thread that joins the line
            await asyncio.sleep(0.001)
        limits.record(nothing)
        assert (await waiting).allowed
    assert looks < 20, "and does not ask again and again"


async def test_a_caller_who_is_cancelled_leaves_the_line() -> None:
    limits = RateLimiter(concurrent_requests=1)
    result = await limits.acquire()
    waiting = asyncio.create_task(limits.acquire())
    await asyncio.sleep(0)
    assert len(limits._line) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(limits._line) == 0
    limits.record(result)
    assert (await limits.acquire()).allowed


def test_whose_loop_was_closed_wakes_nobody_and_harms_nobody() -> None:
    limits = RateLimiter(concurrent_requests=1)
    result = limits.acquire_blocking()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(limits.acquire())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    limits.record(result)
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


def test_threads_take_turns() -> None:
    clock = OneAtATime()
    limits = RateLimiter(requests_per_minute=10**6, tokens_per_day=10**6, concurrent_requests=10**6, clock=clock)
    in_threads(lambda: limits.record(limits.check_rate_limit_blocking(10), 5))
    assert clock.collisions == 0
    left = limits.check_rate_limit_blocking().remaining
    assert left["tokens_per_day"] == 10**6 - 5 * THREADS * TIMES
    assert left["concurrent_requests"] == 10**6 - 1
