"""CircuitBreaker: calls that fail again and again are not made for a while.

A face of `rules.breaker` with a clock, a lock and the exceptions of Python. It makes no calls of its own and knows
nothing about providers: what is called, and which exceptions are its failures, is the caller's to say.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from random import Random
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar, cast

from bursar.blocks.performance_monitor import elapsed_ms
from bursar.edges.breakers import Guard
from bursar.rules.breaker import BreakerPolicy, Outcome, State

Given = ParamSpec("Given")
Result = TypeVar("Result")
Failures = type[Exception] | tuple[type[Exception], ...]


class CircuitBreaker:
    """Closed, open, half-open, with a growing open time. Safe to share between threads and event loops.

    Closed, every call is made. After `failure_threshold` failures in a row, or when too many of the last calls failed
    or were slow, it opens: calls raise CircuitBreakerError, whose `retry_after_seconds` says when to come back, and
    nothing is called. After `timeout` seconds (up to a quarter less, by chance; twice as long each time it opens again)
    a probe is let through; if that goes well it closes.

    >>> breaker = CircuitBreaker(failure_threshold=2, timeout=60)
    >>> breaker.call_blocking(len, "abc"), breaker.state
    (3, 'closed')

    An exception of `failures` is a failure. Every other one, and a call that was cancelled or interrupted, says nothing
    about what was called, and counts as if it had not been made. A time limit therefore belongs inside the call: from
    outside it only cancels.
    """

    def __init__(
        self,
        failure_threshold: int = 5,
        timeout: float = 60.0,
        *,
        name: str = "",
        failures: Failures = Exception,
        failure_share: float = 0.5,
        slow_share: float = 0.8,
        slow_seconds: float = 60.0,
        minimum_calls: int = 20,
        window_seconds: float = 60,
        timeout_max: float = 600.0,
        permits: int = 1,
        sustain_seconds: float = 120.0,
        clock: Callable[[], int] = elapsed_ms,
        chance: Callable[[], float] | None = None,
    ) -> None:
        """Make a closed breaker.

        Args:
            failure_threshold: so many failures in a row open it.
            timeout: seconds that it stays open the first time; timeout_max: at most.
            name: what it guards, for messages.
            failures: the exceptions that are failures.
            failure_share, slow_share: of the last calls, above 0 and at most 1: so many failed or slow ones open it,
                once there were `minimum_calls` in the last `window_seconds`.
            slow_seconds: a call that takes so long is slow; infinity for none.
            permits: probes at a time, and how many of them must go well.
            sustain_seconds: for each such span that it stays closed, the next open time is halved again.
            clock: milliseconds that never go back. chance: from 0 to 1.

        Raises ValueError for numbers that cannot be.
        """
        policy = BreakerPolicy(
            consecutive_failures=failure_threshold,
            failure_share=failure_share,
            slow_share=slow_share,
            slow_seconds=slow_seconds,
            minimum_calls=minimum_calls,
            window_seconds=window_seconds,
            open_seconds=timeout,
            open_seconds_max=max(timeout, timeout_max),
            permits=permits,
            sustain_seconds=sustain_seconds,
        )
        self._guard = Guard("", name, policy, clock=clock, timer=clock, chance=chance or Random().random)
        self._failures = failures
        self._clock = clock

    @property
    def state(self) -> State:
        """closed, open or half_open."""
        return self._guard.state

    @property
    def retry_after_seconds(self) -> float:
        """How long until a call may be made; 0 when it may now."""
        return self._guard.wait_ms / 1000

    def reset(self) -> None:
        """Close it, and forget every failure."""
        self._guard.reset()

    async def call(
        self, func: Callable[Given, Awaitable[Result] | Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        """Call `func`, await what it returns where that can be awaited, and return the result.

        Raises CircuitBreakerError, or what `func` raises.
        """
        permit, begun_ms = self._enter()
        try:
            returned = func(*args, **kwargs)
            result = await returned if isinstance(returned, Awaitable) else returned
        except BaseException as error:
            self._leave(permit, self._outcome(error), begun_ms)
            raise
        self._leave(permit, "success", begun_ms)
        return result

    def call_blocking(self, func: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        """The blocking twin of `call`. Raises TypeError for what must be awaited."""
        permit, begun_ms = self._enter()
        try:
            result = func(*args, **kwargs)
        except BaseException as error:
            self._leave(permit, self._outcome(error), begun_ms)
            raise
        if isinstance(result, CoroutineType):
            self._leave(permit, "ignored", begun_ms)
            result.close()
            raise TypeError(f"{_named(func)} must be awaited: use `await breaker.call(...)`")
        self._leave(permit, "success", begun_ms)
        return result

    def __call__(self, func: Callable[Given, Result]) -> Callable[Given, Result]:
        """Decorate a function, of either colour: each call of it goes through this breaker.

        Raises TypeError for a generator: whether it went well is known when it ends, not when it is called.
        """
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(f"{_named(func)} is a generator: guard the function that consumes it")
        if not inspect.iscoroutinefunction(func):

            @wraps(func)
            def guarded(*args: Given.args, **kwargs: Given.kwargs) -> Result:
                return self.call_blocking(func, *args, **kwargs)

            return guarded

        @wraps(func)
        async def guarded_async(*args: Given.args, **kwargs: Given.kwargs) -> Any:
            return await self.call(func, *args, **kwargs)

        return cast(Callable[Given, Result], guarded_async)

    def _enter(self) -> tuple[int, int]:
        permit = self._guard.take()
        if permit is None:
            raise self._guard.refusal()
        return permit, self._clock()

    def _leave(self, permit: int, outcome: Outcome, begun_ms: int) -> None:
        self._guard.finish(permit, outcome, self._clock() - begun_ms)

    def _outcome(self, error: BaseException) -> Outcome:
        # What is no Exception (a cancellation, an interrupt, a generator that is closed) is never the callee's doing.
        return "failure" if isinstance(error, Exception) and isinstance(error, self._failures) else "ignored"


def _named(func: object) -> str:
    return getattr(func, "__qualname__", None) or repr(func)
