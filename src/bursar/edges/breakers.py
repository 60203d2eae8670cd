"""The circuit breakers of a process: one for each model of each provider, behind a lock, and those who watch them.

Decides which breaker a call looks at and which are forgotten when there are too many; when one opens, the rule decides.
Observers are told of every change, each breaker's in order, in the thread that caused it, and outside its lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from threading import Lock, RLock
from typing import Any

from bursar.call.breakers import BreakerBoard
from bursar.call.events import BreakerChanged, Observer, unobserved
from bursar.edges.noticeboard import LOOK_SECONDS, Noticeboard
from bursar.errors import CircuitBreakerError
from bursar.rules.breaker import Breaker, BreakerPolicy, Outcome, State

# Models that have a breaker at the same time. Names may come from callers, so the table is bounded.
GUARDS_MAX = 1_024
# Of a full table, one in so many is forgotten at once: a flood of names does not look through it for each.
FORGOTTEN_SHARE = 4
# While a probe is out nobody knows when it will be back; a caller who is refused may look again after so long.
PROBE_LOOK_MS = 1_000

Clock = Callable[[], int]


class Guard:
    """The breaker of one provider's model. Thread-safe; taking a permit while it is closed needs no lock.

    clock: the wall clock, by which changes are dated. timer: by which the breaker runs. Both in milliseconds.
    opened: how often it has opened. used_ms: by the timer, when a call last ended.
    """

    __slots__ = (
        "_breaker",
        "_chance",
        "_changes",
        "_clock",
        "_jitter",
        "_lock",
        "_tell",
        "_telling",
        "_timer",
        "_told",
        "model",
        "opened",
        "provider",
        "used_ms",
    )

    def __init__(
        self,
        provider: str,
        model: str,
        policy: BreakerPolicy,
        *,
        clock: Clock,
        timer: Clock,
        chance: Callable[[], float],
        tell: Callable[[Guard, BreakerChanged], None] | None = None,
    ) -> None:
        self.provider = provider
        self.model = model
        self.opened = 0
        self.used_ms = timer()
        self._breaker = Breaker(policy)
        self._clock = clock
        self._timer = timer
        self._chance = chance
        self._jitter = chance()
        self._tell = tell
        self._told: State = "closed"
        self._changes: deque[BreakerChanged] = deque()
        self._lock = Lock()
        self._telling = RLock()

    @property
    def name(self) -> str:
        """provider/model, or what there is of it."""
        return "/".join(part for part in (self.provider, self.model) if part)

    @property
    def state(self) -> State:
        """The state of now."""
        with self._lock:
            return self._breaker.state(self._timer())

    @property
    def why(self) -> str:
        """What opened it, in a few words; "" while it is closed."""
        return self._breaker.why

    @property
    def wait_ms(self) -> int:
        """How long until a call may try again; 0 when it may now."""
        with self._lock:
            now_ms = self._timer()
            wait_ms = max(self._breaker.opens_again_ms(now_ms) - now_ms, 0)
            return wait_ms if self._breaker.state(now_ms) == "open" else min(wait_ms, PROBE_LOOK_MS)

    def allows(self) -> bool:
        """Whether `take` would give a permit now. Changes nothing."""
        if self._breaker.closed_permit:
            return True
        with self._lock:
            return self._breaker.allows(self._timer())

    def take(self) -> int | None:
        """A permit, to be given back through `finish` whatever happens; None when there is none."""
        return self._breaker.closed_permit or self._take_probe()

    def finish(self, permit: int, outcome: Outcome, duration_ms: int) -> None:
        """Give a permit back: "success", "failure", or "ignored" for what says nothing about the provider."""
        with self._lock:
            self.used_ms = now_ms = self._timer()
            state = self._breaker.finish(permit, outcome, duration_ms, now_ms, self._jitter)
            if state is not None:
                self._note(state, now_ms)
        if state is not None:
            self._tell_changes()

    def reset(self) -> bool:
        """Close it, and forget every failure. False when it was closed."""
        with self._lock:
            now_ms = self._timer()
            changed = not self._breaker.closed_permit
            self._breaker.reset(now_ms)
            if changed:
                self._note("closed", now_ms)
        if changed:
            self._tell_changes()
        return changed

    def refusal(self) -> CircuitBreakerError:
        """The error of a call that may not pass now: why, and after how many seconds it may try again."""
        seconds = max(self.wait_ms, 1) / 1000
        whose = f" of {self.name}" if self.name else ""
        cause = f" ({self.why})" if self.why else ""
        return CircuitBreakerError(
            f"the circuit breaker{whose} is open{cause}; try again in {seconds:.3g} s", retry_after_seconds=seconds
        )

    def _take_probe(self) -> int | None:
        with self._lock:
            now_ms = self._timer()
            permit = self._breaker.take(now_ms)
            probing = self._told == "open" and permit is not None and not self._breaker.closed_permit
            if probing:
                self._note("half_open", now_ms)
        if probing:
            self._tell_changes()
        return permit

    def _note(self, state: State, now_ms: int) -> None:
        """Remember a change that those who watch are to be told; under the lock."""
        at_ms = self._clock()
        until_ms = 0
        if state == "open":
            self.opened += 1
            self._jitter = self._chance()
            until_ms = at_ms + self._breaker.opens_again_ms(now_ms) - now_ms
        self._told = state
        why = self._breaker.why
        self._changes.append(BreakerChanged(self.provider, self.model, state, until_ms, at_ms, why, self.opened))

    def _tell_changes(self) -> None:
        # Whoever comes first tells all that there is, so that nobody hears of two changes in the wrong order.
        with self._telling:
            while self._changes:
                change = self._changes.popleft()
                if self._tell is not None:
                    self._tell(self, change)


class Breakers:
    """The guards of a process, made when they are first asked for. Thread-safe and bounded.

    policy_of: the policy of a provider, by name. clock: the wall clock in epoch milliseconds. timer: milliseconds
    that never go back; the clock when it is None. chance: from 0 to 1, for the jitter. observe: told of every change.
    board: where changes are posted for the command line, and resets are looked for every `look_seconds`; None for
    neither. guards_max: how many there are at most.
    """

    def __init__(
        self,
        policy_of: Callable[[str], BreakerPolicy],
        clock: Clock,
        *,
        timer: Clock | None = None,
        chance: Callable[[], float] | None = None,
        observe: Observer = unobserved,
        board: BreakerBoard | None = None,
        look_seconds: float = LOOK_SECONDS,
        guards_max: int = GUARDS_MAX,
    ) -> None:
        self._policy_of = policy_of
        self._clock = clock
        self._timer = timer or clock
        self._chance = chance or Random().random
        self._observe = observe
        self._noticeboard = None if board is None else Noticeboard(board, clock, self.reset, look_seconds)
        self._guards_max = guards_max
        self._guards: dict[tuple[str, str], Guard] = {}
        self._lock = Lock()

    def of(self, provider: str, model: str) -> Guard:
        """The guard of a provider's model.

        In a full table, closed ones that were not used for longest are forgotten. When every one is open, a further
        model gets a guard that is not kept: its calls pass, as if it had no breaker.
        """
        return self._guards.get((provider, model)) or self._new(provider, model)

    def reset(self, provider: str = "", model: str = "") -> int:
        """Close the breaker of a model, those of a provider, or all that are not closed. Returns how many."""
        guards = [
            guard
            for guard in list(self._guards.values())
            if provider in ("", guard.provider) and model in ("", guard.model)
        ]
        return sum(guard.reset() for guard in guards)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Those that have ever opened, by name (`provider/model`).

        state: "closed", "open" or "half_open". opened: how often it opened. why: what opened it, "" while closed.
        wait_seconds: until a call may try again.
        """
        guards = sorted(self._guards.values(), key=lambda guard: guard.name)
        return {
            guard.name: {
                "state": guard.state,
                "opened": guard.opened,
                "why": guard.why,
                "wait_seconds": guard.wait_ms / 1000,
            }
            for guard in guards
            if guard.opened
        }

    def close(self) -> None:
        """Post what has changed, and stop. Guards go on working. Idempotent."""
        if self._noticeboard is not None:
            self._noticeboard.close()

    def _new(self, provider: str, model: str) -> Guard:
        with self._lock:
            known = self._guards.get((provider, model))
            if known is not None:
                return known
            guard = Guard(
                provider,
                model,
                self._policy_of(provider),
                clock=self._clock,
                timer=self._timer,
                chance=self._chance,
                tell=self._tell,
            )
            if len(self._guards) >= self._guards_max:
                self._forget()
            if len(self._guards) < self._guards_max:
                self._guards[provider, model] = guard
            return guard

    def _forget(self) -> None:
        closed = [(guard.used_ms, key) for key, guard in self._guards.items() if guard.state == "closed"]
        closed.sort()
        for _, key in closed[: max(self._guards_max // FORGOTTEN_SHARE, 1)]:
            del self._guards[key]

    def _tell(self, guard: Guard, change: BreakerChanged) -> None:
        if self._guards.get((guard.provider, guard.model)) is not guard:
            return  # forgotten: nobody would ever hear that it closed
        self._observe(change)
        if self._noticeboard is not None:
            self._noticeboard.post(change)
