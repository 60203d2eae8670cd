"""RateLimiter: requests and tokens per minute and per day, and calls in flight, decided together.

A face of `rules.allowances` with a clock, a lock and a line. All dimensions are looked at in one decision, and a denial
takes nothing; limits refill continuously, as providers' own do. It makes no calls and knows no providers.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bursar.blocks.cost_tracker import token_count
from bursar.blocks.performance_monitor import elapsed_ms
from bursar.errors import LimitExceededError, QueueFullError
from bursar.rules.allowances import Allowance, Demand, Denial, Grant, Level, Meter, decide, settle, take, void
from bursar.rules.windows import Period

# Nobody knows when calls in flight end; a second is a polite guess.
IN_FLIGHT_WAIT_SECONDS = 1.0
# Callers that may stand in line; beyond it they are refused rather than memory exhausted.
WAITING_MAX = 10_000


@dataclass(slots=True, eq=False)
class RateLimitResult:
    """Whether a call may be made now, and where every limit stands with it.

    allowed: it may, and is counted. wait_seconds: when to ask again: 0 when allowed, infinity when it can never fit;
    for calls in flight a guess. limit: the limit that binds, "" when allowed. remaining: units that are free in each
    limit; resets_in_seconds: when each is as if unused. claims: what the call holds of each until it is recorded.
    """

    allowed: bool
    wait_seconds: float
    limit: str
    remaining: Mapping[str, int]
    resets_in_seconds: Mapping[str, float]
    claims: Sequence[int] = field(default=(), repr=False)

    @property
    def wait_time(self) -> float:
        """`wait_seconds`, under the name by which some know it."""
        return self.wait_seconds


class RateLimiter:
    """Limits that calls are held to before a provider refuses them. Safe to share between threads and event loops.

    >>> limiter = RateLimiter(requests_per_minute=500, tokens_per_minute=10_000)
    >>> result = limiter.check_rate_limit_blocking(8_000)
    >>> result.allowed, dict(result.remaining)
    (True, {'requests_per_minute': 499, 'tokens_per_minute': 2000})
    >>> result = limiter.check_rate_limit_blocking(5_000)
    >>> result.allowed, result.limit, 17 < result.wait_seconds <= 18
    (False, 'tokens_per_minute', True)

    A call that is allowed counts from then on. `record` its tokens when it has ended: what was not used comes back, and
    with `concurrent_requests` its place. `cancel` one that was not made.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        requests_per_day: int | None = None,
        tokens_per_day: int | None = None,
        concurrent_requests: int | None = None,
        refunds: bool = True,
        clock: Callable[[], int] = elapsed_ms,
    ) -> None:
        """Make a limiter that nobody has used yet.

        Args:
            requests_per_minute, tokens_per_minute, requests_per_day, tokens_per_day: None for no such limit.
            concurrent_requests: calls in flight at once; each must be recorded or cancelled.
            refunds: False where the provider counts what was estimated, however little came of it.
            clock: milliseconds that never go back.

        Raises ValueError for a limit below 1, or beyond what can be counted.
        """
        given: tuple[tuple[str, int | None, Meter, Period | None], ...] = (
            ("requests_per_minute", requests_per_minute, "requests", "minute"),
            ("tokens_per_minute", tokens_per_minute, "tokens", "minute"),
            ("requests_per_day", requests_per_day, "requests", "day"),
            ("tokens_per_day", tokens_per_day, "tokens", "day"),
            ("concurrent_requests", concurrent_requests, "in_flight", None),
        )
        self._levels = [
            _level(name, capacity, meter, period) for name, capacity, meter, period in given if capacity is not None
        ]
        self._refunds = refunds
        self._clock = clock
        self._lock = threading.Lock()
        self._line: deque[Callable[[], None]] = deque()
        # Why the first in line waits, and until when.
        self._denied: tuple[str, int] = ("", 0)

    async def check_rate_limit(self, estimated_tokens: int = 0) -> RateLimitResult:
        """Whether a call of so many tokens, input and output together, may be made now; counted at once if so.

        Raises ValueError for tokens that are not a whole number, 0 or more.
        """
        return self.check_rate_limit_blocking(estimated_tokens)

    def check_rate_limit_blocking(self, estimated_tokens: int = 0) -> RateLimitResult:
        """The blocking twin of `check_rate_limit`. Neither waits, nor passes those who do."""
        demand = _demand(estimated_tokens)
        with self._lock:
            now_ms = self._clock()
            outcome = decide(self._levels, demand, now_ms)
            if isinstance(outcome, Grant) and self._line:
                limit, until_ms = self._denied
                return self._result(False, now_ms, limit, max(until_ms - now_ms, 1) / 1000)
            return self._concluded(outcome, now_ms)

    async def acquire(self, estimated_tokens: int = 0, *, max_wait_seconds: float | None = None) -> RateLimitResult:
        """Wait in line, first come, first served, until the call may be made; it is counted then.

        max_wait_seconds: None for as long as it takes. A caller who is cancelled leaves nothing behind.

        Raises LimitExceededError when it can never fit or will not within `max_wait_seconds` (at once, where that is
        certain), QueueFullError, and ValueError.
        """
        import asyncio

        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop was closed under its caller
                loop.call_soon_threadsafe(woken.set)

        waiting = self._acquire(estimated_tokens, max_wait_seconds, wake)
        try:
            seconds = next(waiting)
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await woken.wait()
                woken.clear()
                seconds = next(waiting)
        except StopIteration as stop:
            result: RateLimitResult = stop.value
            return result
        finally:
            waiting.close()

    def acquire_blocking(self, estimated_tokens: int = 0, *, max_wait_seconds: float | None = None) -> RateLimitResult:
        """The blocking twin of `acquire`, in the same line."""
        woken = threading.Event()
        waiting = self._acquire(estimated_tokens, max_wait_seconds, woken.set)
        try:
            seconds = next(waiting)
            while True:
                woken.wait(seconds)
                woken.clear()
                seconds = next(waiting)
        except StopIteration as stop:
            result: RateLimitResult = stop.value
            return result
        finally:
            waiting.close()

    def record(self, result: RateLimitResult, actual_tokens: int | None = None) -> None:
        """A call that was allowed has ended, with so many tokens (None: as estimated). A second time changes nothing.

        Raises ValueError for tokens that are not a whole number, 0 or more.
        """
        tokens = None if actual_tokens is None else token_count("actual_tokens", actual_tokens)
        with self._lock:
            now_ms = self._clock()
            for level, claimed in self._ending(result):
                actual = tokens if tokens is not None and level.meter == "tokens" else claimed
                settle(level, claimed, actual, now_ms, refunds=self._refunds)
            self._wake_first()

    def cancel(self, result: RateLimitResult) -> None:
        """A call that was allowed was not made: as if it had not been asked for. A second time changes nothing."""
        with self._lock:
            now_ms = self._clock()
            for level, claimed in self._ending(result):
                void(level, claimed, now_ms)
            self._wake_first()

    def _ending(self, result: RateLimitResult) -> list[tuple[Level, int]]:
        claims, result.claims = result.claims, ()
        return list(zip(self._levels, claims, strict=True)) if claims else []

    def _wake_first(self) -> None:
        if self._line:
            self._line[0]()

    def _acquire(
        self, estimated_tokens: int, max_wait_seconds: float | None, wake: Callable[[], None]
    ) -> Generator[float | None, None, RateLimitResult]:
        """Stand in line. Yields how many seconds to wait, at most, for a `wake`; None: nobody knows."""
        demand = _demand(estimated_tokens)
        until_ms = math.inf if max_wait_seconds is None else self._clock() + max_wait_seconds * 1000
        with self._lock:
            if len(self._line) >= WAITING_MAX:
                raise QueueFullError(f"{WAITING_MAX} callers wait for this limiter already")
            self._line.append(wake)
        try:
            while True:
                with self._lock:
                    now_ms = self._clock()
                    outcome = decide(self._levels, demand, now_ms)
                    first = self._line[0] is wake
                    if first and isinstance(outcome, Grant):
                        return self._concluded(outcome, now_ms)
                    denial = outcome if isinstance(outcome, Denial) else None
                    if first and denial is not None and denial.comeback != "never":
                        self._denied = (denial.allowance.name, now_ms + round(_wait_seconds(denial) * 1000))
                yield _patience(denial, first, now_ms, until_ms, self._denied[0])
        finally:
            with self._lock:
                was_first = self._line[0] is wake
                self._line.remove(wake)
                if was_first:
                    self._wake_first()

    def _concluded(self, outcome: Grant | Denial, now_ms: int) -> RateLimitResult:
        """The result of a decision; what was granted is taken."""
        if isinstance(outcome, Denial):
            return self._result(False, now_ms, outcome.allowance.name, _wait_seconds(outcome))
        for level, amount in zip(self._levels, outcome.amounts, strict=True):
            take(level, amount, now_ms)
        return self._result(True, now_ms, "", 0.0, outcome.amounts)

    def _result(
        self, allowed: bool, now_ms: int, limit: str, wait_seconds: float, claims: Sequence[int] = ()
    ) -> RateLimitResult:
        remaining = {level.allowance.name: max(level.free(now_ms), 0) for level in self._levels}
        resets = {
            level.allowance.name: math.ceil(level.leaked(now_ms) / level.limit) / 1000
            for level in self._levels
            if level.scale
        }
        return RateLimitResult(allowed, wait_seconds, limit, remaining, resets, claims)


def _level(name: str, capacity: int, meter: Meter, period: Period | None) -> Level:
    if type(capacity) is not int or capacity < 1:
        raise ValueError(f"{name} must be a whole number from 1 on, not {capacity!r}")
    return Level(Allowance(name, meter, capacity, "bucket" if period else "gauge", period))


def _demand(estimated_tokens: int) -> Demand:
    return Demand(0, 0, 0, 0, rate_input_tokens=token_count("estimated_tokens", estimated_tokens))


def _wait_seconds(denial: Denial) -> float:
    if denial.comeback == "never":
        return math.inf
    return denial.wait_ms / 1000 if denial.comeback == "later" else IN_FLIGHT_WAIT_SECONDS


def _patience(denial: Denial | None, first: bool, now_ms: int, until_ms: float, binding: str) -> float | None:
    """How long to wait: for the limit, for those in front, but no longer than the caller will.

    denial: None when only others in front are in the way. Raises LimitExceededError when that is no use.
    """
    left_seconds = (until_ms - now_ms) / 1000
    wait_seconds = None if denial is None or denial.comeback != "later" else denial.wait_ms / 1000
    never = denial is not None and denial.comeback == "never"
    if never or left_seconds <= 0 or (wait_seconds or 0) > left_seconds:
        raise _refused(denial, binding)
    if first and wait_seconds is not None:
        return wait_seconds
    return None if math.isinf(left_seconds) else left_seconds


def _refused(denial: Denial | None, binding: str) -> LimitExceededError:
    if denial is None:
        message = f"Limit {binding!r}: others have waited longer for it."
        return LimitExceededError(
            message, limit=binding, meter="", needed=0, capacity=0, retry_after_seconds=IN_FLIGHT_WAIT_SECONDS
        )
    wait_seconds = _wait_seconds(denial)
    again = "It can never fit." if math.isinf(wait_seconds) else f"Free again in {wait_seconds:g} s."
    name = denial.allowance.name
    return LimitExceededError(
        f"Limit {name!r} ({denial.limit}): needs {denial.needed}, {max(denial.left, 0)} free. {again}",
        limit=name,
        meter=denial.allowance.meter,
        needed=denial.needed,
        capacity=denial.limit,
        retry_after_seconds=None if math.isinf(wait_seconds) else wait_seconds,
    )
