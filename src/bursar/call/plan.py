"""The plan of a call: everything about it that is known before the first effect. Made by a door, read by the flow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import Struct

from bursar.call.books import Fact
from bursar.call.meter import Pricing
from bursar.catalog.providers import OnAbort, Provider
from bursar.errors import CircuitBreakerError
from bursar.rules.allowances import Demand
from bursar.wire.dialect import Dialect, Request, Target
from bursar.wire.joining import Joint

# Counting runs at 25 MB a second: this much is done in the time of a few calls, more belongs in a thread.
BRIEF_BYTES_MAX = 65_536


# How a provider did, for its breaker: an outcome that says nothing of it is ignored.
Health = Literal["success", "failure", "ignored"]


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that one call may cost, over all its attempts. `name` is the key or argument that set it."""

    name: str
    nano_usd: int


class Tightening(Struct, frozen=True):
    """How the input is bounded by its tokens, for when the money does not reach for its bytes.

    demand: counts, and says what is claimed then; None where counting gains nothing. It touches nothing, never raises
    and may run in any thread. vocabularies: what it counts with. body_bytes: how much there is to count at most.
    """

    demand: Callable[[], Demand | None]
    vocabularies: tuple[str, ...]
    body_bytes: int

    @property
    def brief(self) -> bool:
        """Whether it takes no longer than a few milliseconds."""
        from bursar.catalog.vocabularies import loaded

        return self.body_bytes <= BRIEF_BYTES_MAX and all(map(loaded, self.vocabularies))


class Guard(Protocol):
    """The circuit breaker of one provider and model, as a call uses it."""

    def allows(self) -> bool:
        """Whether a call may go there now. Changes nothing."""

    def take(self) -> int | None:
        """A permit to send one request; None when none is left. Every permit is given back to `finish`."""

    def finish(self, permit: int, outcome: Health, duration_ms: int) -> None:
        """Give a permit back, with how the provider did."""

    def refusal(self) -> CircuitBreakerError:
        """The error of a call that may not pass now."""


def _no_names(model: str) -> Sequence[str]:
    return ()


def _no_lesson(fact: Fact) -> None:
    return None


class Plan(Struct, frozen=True):
    """One call to one provider.

    model: the provider's own name, as asked. scopes: see `books.Reserve`. price: the card of a model of this provider
    when the call began, None when its price is not known; nearest: names like one that has none.
    tracks_cost: False leaves the cost unknown (the seed's `enable_cost_tracking: false`). observes: the whole
    configuration only counts, so no output limit is imposed; observed: the budgets that only count.
    begun_ms: when the call began, whose plan this may be one of several; 0 where it began with this one.
    start_ms, wait_until_ms, deadline_ms: epoch milliseconds; no deadline is None. attempt: the number of the first
    attempt that it makes. guard: the circuit breaker of provider and model, None for none.
    first_token_seconds, stall_seconds: how long a stream may take to its first token and between two pieces.
    keeps_said: what the caller has seen of a stream is remembered, so that another attempt can go on from there. joint:
    where this attempt does so, None for one that begins at the beginning.
    limits_observed: what the provider's answers say of its limits can correct ours. on_abort: what becomes of a stream
    whose caller has left.
    tightening: None where the bytes of the input are all that is known of its length. learn: takes what became of each
    attempt, for better estimates of the next; it must return at once and never raise.
    """

    call_id: str
    provider: Provider
    model: str
    dialect: Dialect
    request: Request
    target: Target
    url: str
    headers: Mapping[str, str]
    scopes: Mapping[str, str]
    demand: Demand
    price: Pricing
    start_ms: int
    wait_until_ms: int
    deadline_ms: int | None = None
    pool_timeout_seconds: float = 10.0
    caps: tuple[Cap, ...] = ()
    tracks_cost: bool = True
    observes: bool = False
    observed: frozenset[str] = frozenset()
    warn_nano_usd: int | None = None
    unpriced: tuple[str, ...] = ()
    nearest: Callable[[str], Sequence[str]] = _no_names
    tightening: Tightening | None = None
    learn: Callable[[Fact], None] = _no_lesson
    attempt: int = 0
    guard: Guard | None = None
    first_token_seconds: float | None = None
    stall_seconds: float | None = None
    limits_observed: bool = False
    begun_ms: int = 0
    on_abort: OnAbort = "drain"
    keeps_said: bool = False
    joint: Joint | None = None
