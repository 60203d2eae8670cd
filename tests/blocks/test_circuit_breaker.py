"""CircuitBreaker alone: both colours, which exceptions count, and a permit that comes back whatever happens."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import bursar
from bursar import CircuitBreaker, CircuitBreakerError


class Time:
    """Milliseconds, as the test says."""

    def __init__(self) -> None:
        self.now_ms = 5_000

    def __call__(self) -> int:
        return self.now_ms


def made(time: Time | None = None, **options: Any) -> CircuitBreaker:
    """Two failures open it for ten seconds."""
    return CircuitBreaker(2, 10, **{"clock": time or Time(), "chance": lambda: 0.0, **options})


def broken() -> None:
    raise ConnectionError("nobody there")


async def broken_async() -> None:
    raise ConnectionError("nobody there")


def opened(time: Time | None = None, **options: Any) -> CircuitBreaker:
    breaker = made(time, **options)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            breaker.call_blocking(broken)
    assert breaker.state == "open"
    return breaker


async def test_a_call_that_goes_well() -> None:
    async def add(one: int, other: int = 0) -> int:
        return one + other

    breaker = made()
    assert await breaker.call(add, 1, other=2) == 3
    assert breaker.call_blocking(sum, [1, 2]) == 3
    assert await breaker.call(len, "abc") == 3  # what needs no awaiting


async def test_open_calls_nothing_and_says_when_to_come_back() -> None:
    called = []
    time = Time()
    breaker = opened(time, name="payments")
    time.now_ms += 2_500
    with pytest.raises(CircuitBreakerError) as raised:
        await breaker.call(called.append, 1)  # type: ignore[arg-type]
    with pytest.raises(CircuitBreakerError):
        breaker.call_blocking(called.append, 1)
    assert called == []
    assert (raised.value.retry_after_seconds, breaker.retry_after_seconds, raised.value.retryable) == (7.5, 7.5, True)
    assert str(raised.value) == (
        "the circuit breaker of payments is open (2 failures in a row); try again in 7.5 s"
    )  # fmt: skip
    assert isinstance(raised.value, bursar.RefusedError)


async def test_a_probe_closes_it_again() -> None:
    time = Time()
    breaker = opened(time)
    time.now_ms += 10_000
    assert breaker.state == "half_open"
    with pytest.raises(ConnectionError):
        await breaker.call(broken_async)
    assert (breaker.state, breaker.retry_after_seconds) == ("open", 20)
    time.now_ms += 20_000
    assert breaker.call_blocking(int) == 0
    assert breaker.state == "closed"


def test_reset() -> None:
    breaker = opened()
    breaker.reset()
    assert (breaker.state, breaker.retry_after_seconds, breaker.call_blocking(int)) == ("closed", 0, 0)


def test_only_the_exceptions_that_are_failures_count() -> None:
    def raises(error: type[BaseException]) -> None:
        raise error

    breaker = made(failures=(ConnectionError, TimeoutError))
    for error in [ValueError, KeyboardInterrupt, asyncio.CancelledError, SystemExit, GeneratorExit] * 5:
        with pytest.raises(error):
            breaker.call_blocking(raises, error)
    assert breaker.state == "closed"
    for error in (ConnectionRefusedError, TimeoutError):
        with pytest.raises(error):
            breaker.call_blocking(raises, error)
    assert breaker.state == "open"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_probe_that_says_nothing_gives_its_permit_back(error: type[BaseException]) -> None:
    def raises() -> None:
        raise error

    time = Time()
    breaker = opened(time, failures=ConnectionError)
    time.now_ms += 10_000
    for _ in range(3):
        with pytest.raises(error):
            breaker.call_blocking(raises)
    assert breaker.call_blocking(int) == 0
    assert breaker.state == "closed"


async def test_a_probe_that_is_cancelled_gives_its_permit_back() -> None:
    time = Time()
    breaker = opened(time)
    time.now_ms += 10_000
    probe = asyncio.create_task(breaker.call(asyncio.sleep, 60))
    await asyncio.sleep(0)
    with pytest.raises(CircuitBreakerError):
        breaker.call_blocking(int)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert breaker.state == "half_open"
    assert breaker.call_blocking(int) == 0


async def test_a_time_limit_inside_the_call_is_a_failure_and_outside_it_only_cancels() -> None:
    async def hang() -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    breaker = made()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await breaker.call(asyncio.sleep, 60)
    assert breaker.state == "closed"
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await breaker.call(hang)
    assert breaker.state == "open"


def test_slow_calls_open_it() -> None:
    time = Time()
    breaker = made(time, slow_seconds=1, minimum_calls=4)

    def slow() -> None:
        time.now_ms += 1_000

    for _ in range(4):
        breaker.call_blocking(slow)
    assert breaker.state == "open"


async def test_the_decorator_keeps_the_colour() -> None:
    breaker = made()

    @breaker
    def double(number: int) -> int:
        """Twice as much."""
        return 2 * number

    @breaker
    async def treble(number: int) -> int:
        return 3 * number

    class Client:
        @breaker
        def name(self) -> str:
            return type(self).__name__

    assert (double(2), double.__name__, double.__doc__) == (4, "double", "Twice as much.")
    assert asyncio.iscoroutinefunction(treble)
    assert not asyncio.iscoroutinefunction(double)
    assert (await treble(2), treble.__name__, Client().name()) == (6, "treble", "Client")
    guarded, guarded_async = breaker(broken), breaker(functools.partial(broken_async))
    with pytest.raises(ConnectionError):
        guarded()
    with pytest.raises(ConnectionError):
        await guarded_async()
    for refused in (double, treble):
        with pytest.raises(CircuitBreakerError):
            await refused(2)  # type: ignore[misc]


def test_what_would_go_well_however_it_ends_is_refused() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def numbers_async() -> AsyncIterator[int]:
        yield 1

    breaker = made()
    for func in (numbers, numbers_async):
        with pytest.raises(TypeError, match="is a generator"):
            breaker(func)
    for _ in range(3):
        with pytest.raises(TypeError, match="must be awaited"):
            breaker.call_blocking(broken_async)
    assert breaker.state == "closed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"failure_threshold": 0},
        {"timeout": 0},
        {"timeout": -1},
        {"permits": 0},
        {"failure_share": 2},
        {"slow_seconds": 0},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        CircuitBreaker(**wrong)


def test_by_itself_it_runs_on_a_clock_of_its_own() -> None:
    breaker = CircuitBreaker(failure_threshold=1, timeout=60)
    with pytest.raises(ConnectionError):
        breaker.call_blocking(broken)
    assert 40 < breaker.retry_after_seconds <= 60


def test_one_probe_of_many_threads() -> None:
    time = Time()
    breaker = opened(time)
    time.now_ms += 10_000
    asked = threading.Barrier(20)
    reached = []

    def probe() -> None:
        reached.append(1)
        asked.wait(10)  # until all others are refused

    def ask() -> None:
        try:
            breaker.call_blocking(probe)
        except CircuitBreakerError:
            asked.wait(10)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (len(reached), breaker.state) == (1, "closed")
