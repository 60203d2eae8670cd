"""How a call gets the money and the connection that it needs: waiting for either without holding the other.

The input is bounded by its bytes. Only where that is more than the money reaches for are its tokens counted, once, and
the call is tried again by them before it waits or is refused. Yields effects as the flow does, of which it is a part.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from bursar.call.books import Granted, Reserve, Void
from bursar.call.conclude import failed_error
from bursar.call.effects import Admit, Effect, Seat, Tighten, Unseat
from bursar.call.exchange import Failed
from bursar.call.plan import Cap, Plan
from bursar.call.refusal import over_cap, refused
from bursar.errors import BursarError, QueueFullError
from bursar.rules.allowances import Demand, Denial
from bursar.rules.estimate import denied_for_input, floor_nano_usd, hinges_on_input, squeezed_by_input

__all__ = ["ADMISSIONS_MAX", "admit", "kept_under_caps"]

# A wait that ends so often without a seat is no longer a wait but a fight; the deadline ends it otherwise.
ADMISSIONS_MAX = 100
# How long a grant that came after a wait is held for a seat. One that others took only to ask for money is free again
# within a commit or two; without it two calls could keep each other from seat and money by turns, for ever.
GRACE_SECONDS = 0.1


def kept_under_caps(plan: Plan) -> Generator[Effect, Any, Plan]:
    """The plan by which every cap on one call is kept. Raises the error of the cap that cannot be."""
    error = over_cap(plan)
    if plan.tightening is not None and plan.caps and _pressed(plan.demand, plan.caps):
        plan = yield from _tightened(plan)
        error = over_cap(plan)
    if error is not None:
        raise error
    return plan


def _pressed(demand: Demand, caps: Sequence[Cap]) -> bool:
    """Whether caps on one call refuse the least output, or leave little, for the bound of the input alone."""
    tightest_nano_usd = min(cap.nano_usd for cap in caps)
    least_nano_usd = floor_nano_usd(demand)
    if least_nano_usd > tightest_nano_usd:
        return hinges_on_input(demand, least_nano_usd, tightest_nano_usd)
    return squeezed_by_input(demand, demand.output_tokens_max, demand.capped_by)


def admit(plan: Plan, clock: Callable[[], int]) -> Generator[Effect, Any, tuple[Plan, Granted]]:
    """Take a connection's seat and the money, with the plan by which it was granted.

    A grant that left little for output is given back for a better one, once counting has gained something.
    """
    numbers = iter(range(plan.attempt, plan.attempt + ADMISSIONS_MAX))
    plan, grant = yield from _granted(plan, clock, numbers)
    if plan.tightening is not None and squeezed_by_input(plan.demand, grant.output_tokens, grant.capped_by):
        tightened = yield from _tightened(plan)
        if tightened.demand is not plan.demand:
            yield Void(grant.attempt_id)
            wider: Granted | Denial | BursarError = yield Admit(_reserve(tightened, _another(numbers, plan)))
            if isinstance(wider, Granted):
                return tightened, wider
            # Somebody else was faster, and this call is one of those who wait again.
            yield Unseat(plan.provider.name)
            return (yield from _granted(tightened, clock, numbers))
    return plan, grant


def _granted(
    plan: Plan, clock: Callable[[], int], numbers: Iterator[int]
) -> Generator[Effect, Any, tuple[Plan, Granted]]:
    """Wait for the seat or the money without holding the other. `numbers` tell the attempts of the call apart."""
    provider = plan.provider.name
    for number in numbers:
        seat = yield Seat(provider, _seat_wait_seconds(plan, clock))
        if seat is not True:
            raise failed_error(seat or Failed("timeout", False, "the deadline passed"), plan)
        outcome: Granted | Denial | BursarError = yield Admit(_reserve(plan, number))
        if isinstance(outcome, Granted):
            return plan, outcome
        yield Unseat(provider)
        if isinstance(outcome, Denial) and _waits(plan, outcome, clock()):
            # Wait without a connection. A grant that soon finds no seat is given back, and the wait begins again.
            outcome = yield Admit(_reserve(plan, _another(numbers, plan)), plan.wait_until_ms)
            if isinstance(outcome, Granted):
                if (yield Seat(provider, min(GRACE_SECONDS, _seat_wait_seconds(plan, clock)))) is True:
                    return plan, outcome
                yield Void(outcome.attempt_id)
                continue
        if isinstance(outcome, BursarError):
            raise outcome
        if not _turns(plan, outcome):
            raise refused(outcome, plan)
        plan = yield from _tightened(plan)
    raise QueueFullError(f"no connection of {provider} was free whenever there was money for the call; try again later")


def _reserve(plan: Plan, number: int) -> Reserve:
    attempt_id = f"{plan.call_id}.{number}"
    return Reserve(attempt_id, plan.call_id, plan.scopes, plan.demand, plan.provider.refunds, begun_ms=plan.begun_ms)


def _another(numbers: Iterator[int], plan: Plan) -> int:
    """The number of one more attempt, within the loop that counts them: the last of all where it has none left."""
    return next(numbers, plan.attempt + ADMISSIONS_MAX)


def _waits(plan: Plan, denial: Denial, now_ms: int) -> bool:
    """Whether a denied call waits as it is: not where that is hopeless, nor where it may need not."""
    return denial.comeback != "never" and now_ms < plan.wait_until_ms and not _turns(plan, denial)


def _turns(plan: Plan, denial: Denial) -> bool:
    """Whether counting the input may turn a denial."""
    return plan.tightening is not None and denied_for_input(plan.demand, denial)


def _tightened(plan: Plan) -> Generator[Effect, Any, Plan]:
    """The plan with its input bounded by tokens, where that is tighter; a plan is tightened once."""
    if plan.tightening is None:
        return plan
    demand: Demand | None = yield Tighten(plan.tightening)
    return replace(plan, demand=demand or plan.demand, tightening=None)


def _seat_wait_seconds(plan: Plan, clock: Callable[[], int]) -> float:
    if plan.deadline_ms is None:
        return plan.pool_timeout_seconds
    return min(max(plan.deadline_ms - clock(), 0) / 1000, plan.pool_timeout_seconds)
