"""When a failing provider is left alone, and when it is asked again: closed, open, half-open.

Closed, every call passes. It opens on failures in a row, or on a share of failures or of slow calls in the last
window, once that has enough calls. A share is looked at when a call ends badly: a success never opens it. Open,
nothing passes for base x 2^k, less a jitter, capped; k grows with each opening, and falls by one for each
`sustain_seconds` that it then stays closed. Half-open, a fixed number of permits is out at a time; as many quick
successes close it, one failure or slow call opens it again.

Every permit comes back through `finish`. Its number belongs to one closed state or one probe, so what comes back late,
from a state that is over, changes nothing. A probe whose holder vanished is replaced when its lease has ended; should
it come back after all while the probing still goes on, it counts.

Time, chance and locks are the caller's. A clock that goes back ends open times and leases rather than prolong them.
Sources: Nygard, Release It, 2nd ed. (2018), "Circuit Breaker"; windows, slow calls and permits as in Resilience4j 2.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]
Outcome = Literal["success", "failure", "ignored"]

BUCKETS = 10
# Of an open time so much is left to chance, downwards: processes that opened together do not probe together.
JITTER_SHARE = 0.25
# Probes without a lease that are remembered, should they come back; of holders that vanish there may be any number.
LAPSED_MAX = 16
# Longer than any time that is meant: it stands for "never".
SECONDS_MAX = 1e9


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """What opens a breaker and what closes it. Shares are of the calls in the window, above 0 and at most 1.

    slow_seconds: a call that takes so long is slow, infinity for none. minimum_calls: no share is looked at below.
    open_seconds: the first open time; each further one is twice as long, up to `open_seconds_max` (never below the
    first). permits: probes at a time, and successes that close. lease_seconds: for so long nobody takes the place of a
    probe that has not come back; shorter than calls take, it lets more of them reach a provider that hangs. Raises
    ValueError for what cannot be.
    """

    consecutive_failures: int = 5
    failure_share: float = 0.5
    slow_share: float = 0.8
    slow_seconds: float = 60.0
    minimum_calls: int = 20
    window_seconds: float = 60
    open_seconds: float = 60.0
    open_seconds_max: float = 600.0
    permits: int = 1
    sustain_seconds: float = 120.0
    lease_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("consecutive_failures", "minimum_calls", "permits"):
            count = getattr(self, name)
            if type(count) is not int or count < 1:
                raise ValueError(f"{name} must be a whole number, 1 or more, not {count!r}")
        for name in ("failure_share", "slow_share"):
            share = getattr(self, name)
            if not _number(share) or not 0 < share <= 1:
                raise ValueError(f"{name} must be a share above 0 and at most 1, not {share!r}")
        for name in ("window_seconds", "open_seconds", "open_seconds_max", "sustain_seconds", "lease_seconds"):
            seconds = getattr(self, name)
            if not _number(seconds) or not 0.001 <= seconds <= SECONDS_MAX:
                raise ValueError(f"{name} must be seconds from 0.001 to {SECONDS_MAX:.0f}, not {seconds!r}")
        # NaN fails the comparison.
        if not _number(self.slow_seconds) or not self.slow_seconds > 0:
            raise ValueError(f"slow_seconds must be seconds above 0, not {self.slow_seconds!r}")


class Breaker:
    """The state machine of one provider's model. Instants are integer milliseconds of one clock; not thread-safe.

    closed_permit: what `take` gives while closed, and 0 while it is not: may be read without a lock.
    why: what opened it last, in a few words; "" while closed.

    >>> breaker = Breaker(BreakerPolicy(consecutive_failures=2, open_seconds=60))
    >>> [breaker.finish(breaker.take(now) or 0, "failure", 10, now, 0.0) for now in (0, 1_000)]
    [None, 'open']
    >>> breaker.take(2_000), breaker.opens_again_ms(2_000), breaker.why
    (None, 61000, '2 failures in a row')
    >>> breaker.finish(breaker.take(61_000) or 0, "success", 10, 61_500, 0.0)
    'closed'
    """

    __slots__ = (
        "_bucket",
        "_bucket_ms",
        "_calls",
        "_failures",
        "_good",
        "_in_a_row",
        "_lease_ms",
        "_open_ms_max",
        "_out",
        "_past",
        "_seen_ms",
        "_serial",
        "_since_ms",
        "_slow",
        "_slow_ms",
        "_state",
        "_strikes",
        "_until_ms",
        "closed_permit",
        "policy",
        "why",
    )

    _state: State
    _since_ms: int
    _bucket: int
    _calls: int
    _failures: int
    _slow: int

    def __init__(self, policy: BreakerPolicy) -> None:
        self.policy = policy
        self._bucket_ms = max(_ms(policy.window_seconds) // BUCKETS, 1)
        self._slow_ms = _ms(min(policy.slow_seconds, SECONDS_MAX))
        self._open_ms_max = _ms(max(policy.open_seconds, policy.open_seconds_max))
        self._lease_ms = _ms(policy.lease_seconds)
        self._serial = 0
        self._strikes = 0
        self._past: deque[tuple[int, int, int]] = deque(maxlen=BUCKETS - 1)
        self._out: dict[int, int] = {}
        self._close(0)

    def state(self, now_ms: int) -> State:
        """The state; an open time that is over counts as half-open, although nobody has probed yet."""
        if self._state == "open" and not self._rests(now_ms):
            return "half_open"
        return self._state

    def opens_again_ms(self, now_ms: int) -> int:
        """When the next probe may go: `now_ms` when one may, the end of a lease when all are out; 0 while closed."""
        if self._state == "closed":
            return 0
        if self.allows(now_ms):
            return now_ms
        if self._state == "open":
            return self._until_ms
        leases = sorted(self._leases(now_ms))
        return leases[self._good + len(leases) - self.policy.permits]

    def allows(self, now_ms: int) -> bool:
        """Whether `take` would give a permit. Changes nothing."""
        if self._state == "closed":
            return True
        if self._state == "open":
            return not self._rests(now_ms)
        return self._good + len(self._leases(now_ms)) < self.policy.permits

    def take(self, now_ms: int) -> int | None:
        """A permit, to be given back through `finish` whatever happens; None when there is none."""
        return self.closed_permit or self._take_probe(now_ms)

    def finish(self, permit: int, outcome: Outcome, duration_ms: int, now_ms: int, jitter: float) -> State | None:
        """Give a permit back. Returns the new state when this changed it.

        outcome: "ignored" for what says nothing about the provider (a cancellation, a caller's mistake).
        jitter: by chance, from 0 to 1. A permit of a state that is over, or that came back before, is ignored.
        """
        if permit != self.closed_permit:
            return self._finish_probe(permit, outcome, duration_ms, now_ms, jitter)
        if outcome == "ignored":
            return None
        bucket = now_ms // self._bucket_ms
        if bucket != self._bucket:
            self._turn(bucket)
        self._calls += 1
        if outcome == "success":
            self._in_a_row = 0
            if duration_ms < self._slow_ms:
                return None
        else:
            self._failures += 1
            self._in_a_row += 1
        if duration_ms >= self._slow_ms:
            self._slow += 1
        why = self._reason()
        return self._open(why, now_ms, jitter) if why else None

    def reset(self, now_ms: int) -> None:
        """Close, and forget every failure. Permits that are out are stale from now on."""
        self._strikes = 0
        self._close(now_ms)

    def _take_probe(self, now_ms: int) -> int | None:
        for permit, until_ms in self._out.items():
            if until_ms - now_ms > self._lease_ms:
                self._out[permit] = now_ms
        if not self.allows(now_ms):
            self._seen_ms = now_ms
            return None
        self._state = "half_open"
        if len(self._out) >= self.policy.permits + LAPSED_MAX:
            del self._out[next(iter(self._out))]
        self._serial += 1
        self._out[self._serial] = now_ms + self._lease_ms
        return self._serial

    def _finish_probe(
        self, permit: int, outcome: Outcome, duration_ms: int, now_ms: int, jitter: float
    ) -> State | None:
        if self._out.pop(permit, None) is None or outcome == "ignored":
            return None
        if outcome != "success":
            return self._open("a probe failed", now_ms, jitter)
        if duration_ms >= self._slow_ms:
            return self._open(f"a probe took {self.policy.slow_seconds:g} s or longer", now_ms, jitter)
        self._good += 1
        if self._good < self.policy.permits:
            return None
        self._close(now_ms)
        return "closed"

    def _rests(self, now_ms: int) -> bool:
        """Whether the open time still runs. Going back behind an instant that was seen ends it."""
        return self._seen_ms <= now_ms < self._until_ms

    def _leases(self, now_ms: int) -> list[int]:
        """The ends of the leases that run: not of one that ends later than it can, since the clock went back."""
        return [until_ms for until_ms in self._out.values() if 0 < until_ms - now_ms <= self._lease_ms]

    def _reason(self) -> str:
        """Why a closed breaker must open now; "" when it need not."""
        policy = self.policy
        if self._in_a_row >= policy.consecutive_failures:
            return f"{self._in_a_row} failures in a row" if self._in_a_row > 1 else "a failure"
        calls = self._calls + sum(past[0] for past in self._past)
        if calls < policy.minimum_calls:
            return ""
        failures = self._failures + sum(past[1] for past in self._past)
        if failures >= policy.failure_share * calls:
            return f"{failures} of {calls} calls failed within {policy.window_seconds:g} s"
        slow = self._slow + sum(past[2] for past in self._past)
        if slow >= policy.slow_share * calls:
            return f"{slow} of {calls} calls took {policy.slow_seconds:g} s or longer"
        return ""

    def _turn(self, bucket: int) -> None:
        """Go on to another bucket of the ring; what is older than the window is forgotten."""
        steps = bucket - self._bucket
        if 0 < steps < BUCKETS:
            self._past.append((self._calls, self._failures, self._slow))
            self._past.extend([(0, 0, 0)] * (steps - 1))
        else:
            # A long silence, or a clock that went back: nothing can be said of what came before.
            self._past.clear()
        self._bucket = bucket
        self._calls = self._failures = self._slow = 0

    def _open(self, why: str, now_ms: int, jitter: float) -> State:
        if self._state == "closed":
            closed_ms = max(now_ms - self._since_ms, 0)
            self._strikes = max(self._strikes - closed_ms // _ms(self.policy.sustain_seconds), 0)
        first_ms = _ms(self.policy.open_seconds)
        open_ms = min(first_ms << self._strikes, self._open_ms_max)
        # Once the cap is reached, more strikes would only make the way back longer.
        self._strikes = min(self._strikes + 1, ((self._open_ms_max - 1) // first_ms).bit_length())
        self._state = "open"
        self._seen_ms = now_ms
        self._until_ms = now_ms + max(open_ms - int(open_ms * JITTER_SHARE * jitter), 1)
        self.closed_permit = 0
        self._good = 0
        self._out.clear()
        self.why = why
        return "open"

    def _close(self, now_ms: int) -> None:
        self._state = "closed"
        self._since_ms = now_ms
        self._seen_ms = self._until_ms = 0
        self._bucket = now_ms // self._bucket_ms
        self._past.clear()
        self._calls = self._failures = self._slow = self._in_a_row = 0
        self._good = 0
        self._out.clear()
        self.why = ""
        self._serial += 1
        self.closed_permit = self._serial


def _ms(seconds: float) -> int:
    return max(math.ceil(seconds * 1000), 1)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
