"""One governed call, from its plan to its receipt. Read this first.

    caps ── seat ── reserve ──(denied: unseat, wait)── encode ── open ──┬─ answer ──────────── settle ── result
                                                                        ├─ stream ── relay ─── settle ── result
                                                                        └─ failed ─ void or ── settle ── error

The flow is a generator: it yields effects (`effects`) and is sent their outcomes. It knows no clock (one is passed in),
socket, event loop or randomness, so a test drives it with a list. Nothing is ever thrown into it: every ending is a
value, and settling is ordinary code. Calls that wait for a connection hold no money; calls that wait for money hold no
connection.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

from bursar.call.books import Ended, Fact, Granted, Reserve, Settle, Void
from bursar.call.conclude import (
    Conclusion,
    Timing,
    attach,
    conclude_answer,
    conclude_failed,
    conclude_stream,
    failed_error,
)
from bursar.call.effects import Admit, Effect, Open, Relay, Seat, Streamed, Unseat
from bursar.call.events import BudgetOverdrawn, CallEnded, CallRefused, CostWarned, Observer
from bursar.call.exchange import Answer, Exchange, Failed, Opened
from bursar.call.plan import Plan
from bursar.call.receipt import Receipt
from bursar.call.refusal import over_cap, refused, wait_refused
from bursar.errors import BursarError, QueueFullError, StreamInterruptedError
from bursar.rules.allowances import Denial
from bursar.rules.money import Cost
from bursar.wire.dialect import Metered

# A wait that ends so often without a seat is no longer a wait but a fight; the deadline ends it otherwise.
ADMISSIONS_MAX = 100


@dataclass(frozen=True, slots=True)
class Result:
    """What a call came to. `body`: the whole reply as bytes, None for a stream (its reader has it)."""

    cost: Cost
    receipt: Receipt
    metered: Metered
    fact: Fact
    body: bytes | None = None


Flow = Generator[Effect, Any, Result]


class Caller:
    """Who waits for the call. `gone` is set by the door when the caller has left; the flow goes on to the end."""

    __slots__ = ("gone",)

    def __init__(self) -> None:
        self.gone = False


def govern(plan: Plan, caller: Caller, clock: Callable[[], int], observe: Observer) -> Flow:
    """Bound, reserve, send, meter, settle. Raises BursarError; what was charged for it is on the error."""
    try:
        error = over_cap(plan)
        if error is not None:
            raise error
        grant = yield from _admit(plan, clock)
    except BursarError as error:
        error.call_id = plan.call_id
        wait_ms = clock() - plan.start_ms
        observe(CallRefused(plan.call_id, plan.provider.name, plan.model, error, wait_ms))
        raise wait_refused(error, wait_ms) from None
    granted_ms = clock()
    if not _imposes(plan, grant):
        # What was granted for is in force nowhere: neither the books nor the receipt may say so.
        grant = replace(grant, output_tokens=0, capped_by="")
    outcome = yield Open(_exchange(plan, grant))
    if isinstance(outcome, Opened):
        reader = plan.dialect.reader(plan.request)
        streamed: Streamed = yield Relay(reader)
        timing = Timing(granted_ms, clock(), streamed.first_token_ms)
        conclusion = conclude_stream(plan, grant, outcome, reader.metered(), streamed.failed, timing)
        return (yield from _settle(plan, caller, conclusion, observe))
    timing = Timing(granted_ms, clock())
    if isinstance(outcome, Answer):
        conclusion = conclude_answer(plan, grant, outcome, timing)
        return (yield from _settle(plan, caller, conclusion, observe, outcome.body))
    return (yield from _settle(plan, caller, conclude_failed(plan, grant, outcome, timing), observe))


def _admit(plan: Plan, clock: Callable[[], int]) -> Generator[Effect, Any, Granted]:
    """Take a connection's seat and the money, waiting for either without holding the other."""
    provider = plan.provider.name
    reserves = (
        Reserve(f"{plan.call_id}.{number}", plan.call_id, plan.scopes, plan.demand, plan.provider.refunds)
        for number in range(ADMISSIONS_MAX)
    )
    for reserve in reserves:
        seat = yield Seat(provider, _seat_wait_seconds(plan, clock))
        if seat is not True:
            raise failed_error(seat or Failed("timeout", False, "the deadline passed"), plan)
        outcome: Granted | Denial | BursarError = yield Admit(reserve)
        if isinstance(outcome, Granted):
            return outcome
        yield Unseat(provider)
        if isinstance(outcome, BursarError):
            raise outcome
        if outcome.comeback == "never" or clock() >= plan.wait_until_ms:
            raise refused(outcome, plan)
        # Wait without a connection. A grant that finds no seat at once is given back, and the wait begins again.
        outcome = yield Admit(next(reserves), plan.wait_until_ms)
        if isinstance(outcome, Denial):
            raise refused(outcome, plan)
        if isinstance(outcome, BursarError):
            raise outcome
        if (yield Seat(provider)) is True:
            return outcome
        yield Void(outcome.attempt_id)
    raise QueueFullError(f"no connection of {provider} was free whenever there was money for the call; try again later")


def _seat_wait_seconds(plan: Plan, clock: Callable[[], int]) -> float:
    if plan.deadline_ms is None:
        return plan.pool_timeout_seconds
    return min(max(plan.deadline_ms - clock(), 0) / 1000, plan.pool_timeout_seconds)


def _imposes(plan: Plan, grant: Granted) -> bool:
    """Whether the output limit that was granted for goes to the provider: where the caller set none and money binds."""
    if plan.request.output_limit is not None or not grant.output_tokens:
        return False
    if plan.demand.capped_by:
        return True
    return not plan.observes and any(
        claim.meter == "nano_usd" and claim.allowance not in plan.observed for claim in grant.claims
    )


def _exchange(plan: Plan, grant: Granted) -> Exchange:
    """Encode the request for the provider, with the output limit that the grant paid for where it is imposed."""
    request = plan.request
    body = plan.dialect.encode(request, plan.target, grant.output_tokens or None)
    headers = dict(plan.headers)
    if plan.provider.request_id_header:
        headers[plan.provider.request_id_header] = grant.attempt_id
    return Exchange(plan.provider.name, plan.url, headers, body, request.stream, plan.deadline_ms)


def _settle(
    plan: Plan, caller: Caller, conclusion: Conclusion, observe: Observer, body: bytes | None = None
) -> Generator[Effect, Any, Result]:
    """Enter the fact, tell the observers, and give the caller its receipt or its error."""
    fact = conclusion.fact
    if caller.gone and fact.ending in ("ok", "interrupted"):
        fact = replace(fact, ending="aborted")
    operation = Void(fact.attempt_id, fact) if fact.ending == "not_sent" else Settle(fact)
    outcome = yield operation
    settled = isinstance(outcome, Ended)
    observe(CallEnded(fact, settled))
    if isinstance(outcome, Ended) and outcome.overdrawn:
        observe(BudgetOverdrawn(plan.call_id, outcome.overdrawn))
    if plan.warn_nano_usd is not None and fact.charged_nano_usd >= plan.warn_nano_usd and fact.ending != "not_sent":
        observe(CostWarned(fact, plan.warn_nano_usd))
    result = Result(conclusion.cost, _receipt(plan, fact, outcome), conclusion.metered, fact, body)
    if conclusion.error is not None:
        if isinstance(conclusion.error, StreamInterruptedError):
            conclusion.error.reply = result
        raise attach(conclusion.error, conclusion)
    return result


def _receipt(plan: Plan, fact: Fact, outcome: Ended | BursarError) -> Receipt:
    return Receipt(
        call_id=plan.call_id,
        attempt_id=fact.attempt_id,
        provider=plan.provider.name,
        model=plan.model,
        held_nano_usd=fact.bound_nano_usd,
        charged_nano_usd=fact.charged_nano_usd,
        certain=fact.certain,
        budgets=outcome.balances if isinstance(outcome, Ended) else (),
        output_tokens_max=plan.request.output_limit or fact.output_tokens_max,
        capped_by=fact.capped_by,
        wait_ms=fact.wait_ms,
        settled=isinstance(outcome, Ended),
        would_refuse=fact.would_refuse,
    )
