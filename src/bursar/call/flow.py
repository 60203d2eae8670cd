"""One governed call, from its route to its receipt. Read this first.

    ┌▶ breaker ── caps ── seat ── reserve ──(denied: unseat, wait)── permit ── encode ── open
    │                                             ┌─ answer ───────────────────────────────┤
    │      result or error ◀── meter ── settle ◀──┼─ stream ── relay ──────────────────────┤
    │                                     │       └─ failed (not sent: void) ──────────────┘
    └── sleep ◀── the same again, or the next candidate

The flow is a generator: it yields effects (`effects`) and is sent their outcomes. It knows no clock (one is passed in),
socket, event loop or randomness, so a test drives it with a list. Nothing is ever thrown into it: every ending is a
value, and settling is ordinary code. Calls that wait for a connection hold no money; calls that wait for money hold no
connection.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bursar.call.admission import admit, kept_under_caps
from bursar.call.books import Ended, Fact, Granted, Mark, Settle, Void
from bursar.call.conclude import (
    Conclusion,
    Timing,
    attach,
    conclude_answer,
    conclude_failed,
    conclude_stream,
    request_id_of,
)
from bursar.call.effects import Effect, Open, Relay, Sleep, Streamed, Unseat
from bursar.call.events import (
    AttemptFailed,
    BudgetOverdrawn,
    CallEnded,
    CallFailed,
    CallRefused,
    CandidateRefused,
    CostWarned,
    LimitBeyondProvider,
    Observer,
)
from bursar.call.exchange import Answer, Exchange, Opened
from bursar.call.observing import observed
from bursar.call.plan import Plan
from bursar.call.receipt import Earlier, Receipt
from bursar.call.refusal import wait_refused
from bursar.call.route import Failure, Route
from bursar.errors import BursarError, CircuitBreakerError, ProviderError, StreamInterruptedError
from bursar.rules.money import UNKNOWN_COST, Cost
from bursar.rules.observing import PROVIDER_KEY
from bursar.wire.dialect import Metered
from bursar.wire.joining import Joined


class Result(Struct, frozen=True, gc=False):
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


def govern(route: Route, caller: Caller, clock: Callable[[], int], observe: Observer) -> Flow:
    """Attempt after attempt until one answers. Raises BursarError; what was charged for it is on the error."""
    plan = route.first()
    failures: list[Failure] = []
    while True:
        ended = yield from _attempt(plan, caller, clock, observe)
        if isinstance(ended, Result):
            return _with_earlier(ended, _earlier(failures)) if failures else ended
        failures.append(ended)
        charged_nano_usd = sum([one.fact.charged_nano_usd for one in failures if one.fact is not None])
        step = None if caller.gone else route.after(ended, charged_nano_usd)
        if ended.fact is None and (step is not None or len(failures) > 1):
            observe(_refused(ended, clock))
        if step is None:
            raise _final(failures, observe, clock)
        if ended.fact is not None:
            observe(AttemptFailed(ended.fact, step.plan.provider.name, step.plan.model, step.wait_ms))
        if step.wait_ms and not ((yield Sleep(step.wait_ms)) and not caller.gone):
            raise _final(failures, observe, clock)
        plan = step.plan


def _attempt(
    plan: Plan, caller: Caller, clock: Callable[[], int], observe: Observer
) -> Generator[Effect, Any, Result | Failure]:
    """Bound, reserve, send, meter, settle: once, at one candidate."""
    guard = plan.guard
    try:
        if guard is not None and not guard.allows():
            raise guard.refusal()
        plan = yield from kept_under_caps(plan)
        plan, grant = yield from admit(plan, clock)
    except BursarError as error:
        error.call_id = plan.call_id
        return Failure(plan, wait_refused(error, clock() - plan.start_ms))
    if guard is None:
        conclusion, body = yield from _send(plan, grant, clock)
    else:
        permit = guard.take()
        if permit is None:
            # Others are probing already: nothing may be sent, so nothing is held.
            yield Void(grant.attempt_id)
            yield Unseat(plan.provider.name)
            refusal = guard.refusal()
            refusal.call_id = plan.call_id
            return Failure(plan, refusal)
        try:
            conclusion, body = yield from _send(plan, grant, clock)
        except GeneratorExit:
            raise  # forgotten by everybody; the garbage collector takes no locks, and the permit's lease will end
        except BaseException:
            guard.finish(permit, "ignored", 0)
            raise
        guard.finish(permit, conclusion.health, conclusion.fact.duration_ms)
    return (yield from _settle(plan, caller, conclusion, observe, body))


def _send(
    plan: Plan, grant: Granted, clock: Callable[[], int]
) -> Generator[Effect, Any, tuple[Conclusion, bytes | None]]:
    """Send what was granted, and read what comes of it to its end."""
    granted_ms = clock()
    if not _imposes(plan, grant):
        # What was granted for is in force nowhere: neither the books nor the receipt may say so.
        grant = replace(grant, output_tokens=0, capped_by="")
    outcome = yield Open(_exchange(plan, grant), plan)
    body: bytes | None = None
    if isinstance(outcome, Opened):
        request_id = request_id_of(outcome) if plan.provider.records else ""
        if request_id:
            # Should nobody live to settle this attempt, its cost can be asked for.
            yield Mark(grant.attempt_id, request_id)
        reader = plan.dialect.reader(plan.request)
        # A record that cannot be asked for is no reason to close a stream whose end would say what it cost.
        on_abort = "drain" if plan.on_abort == "cancel" and plan.provider.records and not request_id else plan.on_abort
        if plan.joint is not None:
            reader = Joined(reader, plan.request.dialect, plan.joint)
        relay = Relay(reader, plan.request.dialect, on_abort, plan.keeps_said, plan.joint is not None, plan, grant)
        streamed: Streamed = yield relay
        timing = Timing(granted_ms, clock(), streamed.first_token_ms)
        conclusion = conclude_stream(plan, grant, outcome, reader.metered(), streamed, timing)
        if plan.keeps_said and conclusion.error is not None:
            conclusion = replace(conclusion, shown=streamed.delivered)
    elif isinstance(outcome, Answer):
        conclusion = conclude_answer(plan, grant, outcome, Timing(granted_ms, clock()))
        body = plan.dialect.reply(outcome.body) if conclusion.error is None else outcome.body
    else:
        conclusion = conclude_failed(plan, grant, outcome, Timing(granted_ms, clock()))
    if plan.limits_observed:
        problem = conclusion.problem
        refused_seconds = problem.retry_after_seconds if problem is not None and problem.kind == "rate" else None
        seen = observed(plan.provider, outcome.headers, wait_seconds=refused_seconds)
        conclusion = replace(conclusion, observed=seen)
    return conclusion, body


def _imposes(plan: Plan, grant: Granted) -> bool:
    """Whether the output limit that was granted for goes to the provider: where the caller set none and money binds."""
    if plan.request.output_limit is not None or not grant.output_tokens:
        return False
    if plan.demand.capped_by or plan.dialect.needs_limit:
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
    return Exchange(
        plan.provider.name,
        plan.url,
        headers,
        body,
        request.stream,
        plan.deadline_ms,
        first_token_seconds=plan.first_token_seconds,
        stall_seconds=plan.stall_seconds,
    )


def _settle(
    plan: Plan, caller: Caller, conclusion: Conclusion, observe: Observer, body: bytes | None
) -> Generator[Effect, Any, Result | Failure]:
    """Enter the fact, tell the observers, and give the caller its receipt or its error."""
    fact = conclusion.fact
    if caller.gone and fact.ending in ("ok", "interrupted"):
        fact = replace(fact, ending="aborted")
    plan.learn(fact)
    operation = Void(fact.attempt_id, fact) if fact.ending == "not_sent" else _settlement(plan, conclusion, fact)
    outcome = yield operation
    if isinstance(outcome, Ended):
        observe(CallEnded(fact, True, outcome.balances))
        _alarm(plan, outcome, observe)
    else:
        observe(CallEnded(fact, settled=False))
    if plan.warn_nano_usd is not None and fact.charged_nano_usd >= plan.warn_nano_usd and fact.ending != "not_sent":
        observe(CostWarned(fact, plan.warn_nano_usd))
    result = Result(conclusion.cost, _receipt(plan, fact, outcome), conclusion.metered, fact, body)
    if conclusion.error is None:
        return result
    if isinstance(conclusion.error, StreamInterruptedError):
        conclusion.error.reply = result
    return Failure(plan, attach(conclusion.error, conclusion), conclusion.problem, fact, conclusion.shown)


def _settlement(plan: Plan, conclusion: Conclusion, fact: Fact) -> Settle:
    """The end of a hold. Callers with keys of their own are told where their limits stand."""
    return Settle(fact, conclusion.observed, PROVIDER_KEY in plan.scopes)


def _alarm(plan: Plan, ended: Ended, observe: Observer) -> None:
    """Tell of budgets that stand above their limit, and of limits that stand above the provider's."""
    if ended.overdrawn:
        observe(BudgetOverdrawn(plan.call_id, ended.overdrawn))
    for limit, allowed in ended.beyond:
        observe(LimitBeyondProvider(plan.call_id, plan.provider.name, limit, allowed))


def _refused(failure: Failure, clock: Callable[[], int]) -> CandidateRefused:
    """What those who watch are told of a candidate that was not asked."""
    plan, error = failure.plan, failure.error
    wait_ms = clock() - plan.start_ms
    return CandidateRefused(plan.call_id, plan.attempt, plan.provider.name, plan.model, error, wait_ms, plan.scopes)


def _final(failures: list[Failure], observe: Observer, clock: Callable[[], int]) -> BursarError:
    """The error of a call that nobody answered: a stream that broke off, else the last of a provider, else our own
    first refusal.

    It stands for all attempts: what any of them may have sent, what all of them are charged.
    """
    asked = [failure for failure in failures if failure.fact is not None]
    failure = asked[-1] if asked else _soonest(failures)
    error = failure.error
    begun = [one for one in asked if isinstance(one.error, StreamInterruptedError)]
    if begun:
        # The caller has some of a reply, and is told so, whatever became of the attempts to replace it.
        failure, error = begun[-1], begun[-1].error
        if failures[-1] is not failure:
            error.__cause__ = error.__cause__ or failures[-1].error
    error.earlier = _earlier([one for one in failures if one is not failure])
    if isinstance(error, ProviderError):
        error.attempts = max(len(asked), 1)
        error.sent = any(one.error.sent for one in asked)
        error.cost = _total([one.error.cost for one in asked if one.error.cost is not None])
    if isinstance(error, StreamInterruptedError) and isinstance(error.reply, Result):
        error.reply = _with_earlier(error.reply, error.earlier)
    plan = failure.plan
    if asked:
        observe(CallFailed(plan.call_id, plan.provider.name, plan.model, error))
    else:
        wait_ms = clock() - plan.start_ms
        observe(CallRefused(plan.call_id, plan.provider.name, plan.model, error, wait_ms, plan.scopes))
    return error


def _soonest(failures: list[Failure]) -> Failure:
    """The first refusal; where every candidate is left alone, that of the one which can be asked again first."""
    if all(isinstance(one.error, CircuitBreakerError) for one in failures):
        return min(failures, key=lambda one: one.error.retry_after_seconds or 0.0)
    return failures[0]


def _total(costs: list[Cost]) -> Cost | None:
    """What attempts cost together; None where none was sent, unknown where one of them is."""
    if len(costs) < 2:
        return costs[0] if costs else None
    known = [cost.nano_usd for cost in costs if cost.nano_usd is not None]
    if len(known) < len(costs):
        return UNKNOWN_COST
    return Cost(sum(known), costs[-1].source, certain=all(cost.certain for cost in costs))


def _with_earlier(result: Result, earlier: tuple[Earlier, ...]) -> Result:
    """The result, with what was tried before it on the receipt."""
    return replace(result, receipt=replace(result.receipt, earlier=earlier))


def _earlier(failures: list[Failure]) -> tuple[Earlier, ...]:
    return tuple(
        Earlier(one.plan.provider.name, one.plan.model, one.fact.error_code, one.fact.charged_nano_usd)
        if one.fact is not None
        else Earlier(one.plan.provider.name, one.plan.model, one.error.code, 0)
        for one in failures
    )


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
        limits=outcome.limits if isinstance(outcome, Ended) else (),
        output_tokens_max=plan.request.output_limit or fact.output_tokens_max,
        capped_by=fact.capped_by,
        wait_ms=fact.wait_ms,
        settled=isinstance(outcome, Ended),
        would_refuse=fact.would_refuse,
    )
