"""What comes after a failed attempt: the same candidate again after a wait, another candidate, or the error itself.

Decides by what the failure is, what the provider advised, how often this candidate was tried, the deadline, and whether
another candidate is at hand. Never sleeps, draws no chance and reads no clock: all of them are arguments. Which other
candidate comes next is `rules.routes`'s to say. Source: the retry rules that the SDKs of OpenAI, Anthropic and Groq
share (November 2026): x-should-retry wins, then 408, 409, 429, 5xx and lost connections; half a second, doubled, capped
at 8, less up to a quarter; advice of up to two minutes is followed. Retry budgets: Finagle's `RetryBudget`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Again", "Elsewhere", "Final", "Problem", "ProblemKind", "RetryBudget", "RetryPolicy", "decide", "rest_seconds",
]  # fmt: skip

# What a provider's error means (`wire.dialect.ErrorKind`), and three failures in which it said nothing at all: no
# connection, one that ended too early, and a stream that fell silent.
ProblemKind = Literal[
    "rejected", "auth", "context", "content", "model", "rate", "quota", "unavailable", "timeout", "malformed",
    "connect", "broken", "stalled",
]  # fmt: skip

# The same request may fare better in a moment.
_PASSING: frozenset[str] = frozenset({"rate", "unavailable", "timeout", "connect", "broken", "stalled"})
_PASSING_STATUSES = frozenset({408, 409, 429})
# What the request says is at fault: no header makes the same candidate take it.
_OF_THE_REQUEST: frozenset[str] = frozenset({"context", "content"})

# A caller waits this long for one candidate rather than go to the next.
PATIENCE_SECONDS = 2.0
# A wrong key stays wrong until somebody changes it; 403 may be about the model or the region instead.
AUTH_REST_SECONDS = 3_600.0
FORBIDDEN_REST_SECONDS = 300.0
# An account without money is filled up by hand, or at the turn of a day.
QUOTA_REST_SECONDS = 300.0
REST_SECONDS_MAX = 86_400.0

_DOUBLINGS_MAX = 30
_PER_RETRY = 1_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Problem:
    """How an attempt failed.

    status: of the HTTP reply, None where none came. retry_after_seconds: the provider's advice, None without one.
    should_retry: its header x-should-retry. sent: bytes may have reached it. output: the caller was shown some already.
    """

    kind: ProblemKind
    status: int | None = None
    retry_after_seconds: float | None = None
    should_retry: bool | None = None
    sent: bool = True
    output: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one provider is asked again.

    max_retries: attempts after the first. The wait is base_seconds, doubled with each retry up to cap_seconds, less a
    random share of up to jitter (0 to 1). after_seconds_max: longer advice is not waited for.
    """

    max_retries: int = 2
    base_seconds: float = 0.5
    cap_seconds: float = 8.0
    jitter: float = 0.25
    after_seconds_max: float = 120.0


@dataclass(frozen=True, slots=True)
class Again:
    """The same candidate, after `wait_ms`."""

    wait_ms: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another candidate, at once. rest_seconds: how long the key that failed is best left alone; 0: not at all."""

    reason: ProblemKind
    rest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Final:
    """Nothing more: the caller gets the error."""


_FINAL = Final()


def decide(
    problem: Problem,
    tries: int,
    policy: RetryPolicy,
    now_ms: int,
    deadline_ms: int | None,
    chance: float,
    others: bool,
    *,
    on_content: Literal["stop", "next"] = "stop",
    continues: bool = False,
) -> Again | Elsewhere | Final:
    """What comes after a failed attempt.

    tries: attempts that this candidate has had, at least 1. deadline_ms: of the call, epoch milliseconds; None without
    one. chance: a random number from 0 to 1. others: another candidate may help. on_content: whether others are asked
    what one refused for its content. continues: the caller takes a reply that goes on, or begins again, after output.

    >>> decide(Problem("unavailable", 503), 1, RetryPolicy(), 0, None, 0.0, others=False)
    Again(wait_ms=500)
    >>> decide(Problem("rate", 429, retry_after_seconds=30), 1, RetryPolicy(), 0, None, 0.0, others=True)
    Elsewhere(reason='rate', rest_seconds=30)
    >>> decide(Problem("auth", 401), 1, RetryPolicy(), 0, None, 0.0, others=False)
    Final()
    """
    left_ms = math.inf if deadline_ms is None else deadline_ms - now_ms
    if left_ms <= 0 or (problem.output and not continues):
        return _FINAL
    if problem.kind == "content" and (on_content == "stop" or problem.output):
        return _FINAL  # what one has begun to say and then refused is no fault that others repair
    if _passes(problem) and tries <= policy.max_retries and not (others and _silent(problem)):
        wait_ms = _wait_ms(problem, tries, policy, chance, others)
        if wait_ms is not None and wait_ms < left_ms:
            return Again(wait_ms)
    return Elsewhere(problem.kind, rest_seconds(problem)) if others else _FINAL


def rest_seconds(problem: Problem) -> float:
    """How long the key that met this problem is best left alone, while there are others; 0 for not at all.

    >>> rest_seconds(Problem("quota", 429)), rest_seconds(Problem("quota", 402, 60.0)), rest_seconds(Problem("model"))
    (300.0, 60.0, 0.0)
    """
    advice = problem.retry_after_seconds
    if problem.kind == "auth":
        return FORBIDDEN_REST_SECONDS if problem.status == 403 else AUTH_REST_SECONDS
    if problem.kind == "quota" and not advice:
        return QUOTA_REST_SECONDS
    if problem.kind in ("quota", "rate") and advice:
        return min(advice, REST_SECONDS_MAX)
    return 0.0


def _passes(problem: Problem) -> bool:
    """Whether the same candidate may answer the same request a little later."""
    if problem.kind in _OF_THE_REQUEST:
        return False
    if problem.should_retry is not None:
        return problem.should_retry
    return problem.kind in _PASSING or (problem.kind == "rejected" and problem.status in _PASSING_STATUSES)


def _silent(problem: Problem) -> bool:
    """Whether the provider has the request and said nothing; one that answers 408 has spoken."""
    return problem.kind in ("timeout", "stalled") and problem.sent and (problem.status or 0) < 400


def _wait_ms(problem: Problem, tries: int, policy: RetryPolicy, chance: float, others: bool) -> int | None:
    """How long to wait before the same candidate is asked again; None when that is longer than anybody should."""
    advice = problem.retry_after_seconds
    if advice is not None and advice > 0:
        patience = min(policy.after_seconds_max, PATIENCE_SECONDS) if others else policy.after_seconds_max
        return math.ceil(advice * 1000) if advice <= patience else None
    backoff = min(policy.base_seconds * 2.0 ** min(tries - 1, _DOUBLINGS_MAX), policy.cap_seconds)
    return max(0, round(backoff * (1 - policy.jitter * chance) * 1000))


class RetryBudget:
    """How many retries a provider may still be sent, so that an outage is not met with a storm of them.

    Each first attempt earns `share` of a retry and each retry spends one. Without traffic, `reserve` retries are there
    again after a minute; more than ten times the reserve is never saved up. Counts in thousandths of a retry, integers,
    from 0 up. Has no lock: whoever shares one locks it.
    """

    __slots__ = ("_at_ms", "_earned", "_most", "_reserve", "_saved")

    def __init__(self, share: float = 0.2, reserve: int = 10) -> None:
        if not 0 <= share <= 1 or reserve < 0:
            raise ValueError("a retry budget earns a share of 0 to 1 and has a reserve of 0 or more")
        self._earned = round(share * _PER_RETRY)
        self._reserve = reserve * _PER_RETRY
        self._most = max(10 * self._reserve, _PER_RETRY)
        self._saved = self._reserve
        self._at_ms: int | None = None

    def earn(self) -> None:
        """A first attempt is made."""
        self._saved = min(self._saved + self._earned, self._most)

    def allowed(self, now_ms: int) -> bool:
        """Whether a retry can be paid for. Looks; spends nothing."""
        self._refill(now_ms)
        return self._saved >= _PER_RETRY

    def spend(self, now_ms: int) -> bool:
        """Pay for one retry; False, and nothing spent, where it cannot be."""
        if not self.allowed(now_ms):
            return False
        self._saved -= _PER_RETRY
        return True

    @property
    def left(self) -> int:
        """Whole retries that could be paid for, as last reckoned."""
        return self._saved // _PER_RETRY

    def _refill(self, now_ms: int) -> None:
        """Time gives the reserve back, and no more than that. A clock that goes back gives nothing."""
        if self._at_ms is None or now_ms <= self._at_ms or self._saved >= self._reserve:
            self._at_ms = now_ms
            return
        gained = self._reserve * (now_ms - self._at_ms) // _MINUTE_MS
        if gained:
            self._saved = min(self._saved + gained, self._reserve)
            # Only the time that earned something is used up, so that looking often loses none.
            self._at_ms -= -gained * _MINUTE_MS // self._reserve
