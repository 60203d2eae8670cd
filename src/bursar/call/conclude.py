"""What the end of an attempt means: what it cost, whether that is certain, and which error it is, if any.

Uncertain endings stay charged at the bound: bytes were sent and nobody knows what the provider did with them (a cut
or abandoned stream, a timeout, a gateway's 502, 504 or 524). Certain ones: any other status of 400 or more before
output costs nothing unless it carries usage or the provider bills errors; a whole reply costs what its usage says.
Source: DESIGN section 4, invariant 7.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from bursar.call.books import Ending, Fact, Granted
from bursar.call.counted import counted
from bursar.call.effects import Streamed
from bursar.call.exchange import Answer, Failed, Opened
from bursar.call.meter import meter, untold
from bursar.call.plan import Health, Plan
from bursar.call.problems import health_of, problem_of_failed, problem_of_wire
from bursar.errors import (
    BursarError,
    ContentBlockedError,
    ContextTooLongError,
    MalformedReplyError,
    ModelNotFoundError,
    ProviderAuthError,
    ProviderError,
    ProviderQuotaError,
    ProviderRateLimitError,
    ProviderRejectedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    StreamInterruptedError,
)
from bursar.rules.money import UNKNOWN_COST, Cost
from bursar.rules.retries import Problem
from bursar.rules.usage import EMPTY_USAGE
from bursar.wire.dialect import ErrorKind, Metered, WireError
from bursar.wire.faults import malformed
from bursar.wire.rate_headers import Observation

# A gateway between us and the model answered for it: the model may have run, and been billed, all the same.
UNCERTAIN_STATUSES = frozenset({502, 504, 524})

# How providers name their id of a request; first the one under which OpenRouter keeps its record.
_REQUEST_IDS = ("x-generation-id", "x-request-id", "request-id", "apim-request-id")

ERRORS: dict[ErrorKind, type[ProviderError]] = {
    "rejected": ProviderRejectedError,
    "auth": ProviderAuthError,
    "context": ContextTooLongError,
    "content": ContentBlockedError,
    "model": ModelNotFoundError,
    "rate": ProviderRateLimitError,
    "quota": ProviderQuotaError,
    "unavailable": ProviderUnavailableError,
    "timeout": ProviderTimeoutError,
    "malformed": MalformedReplyError,
}


class Conclusion(Struct, frozen=True):
    """The end of an attempt: its fact for the books, its cost for the caller, and the error to raise.

    observed: what the answer said of the provider's limits, where that matters. shown: what the caller has seen of a
    stream that may be continued.
    """

    fact: Fact
    cost: Cost
    metered: Metered
    error: ProviderError | None = None
    problem: Problem | None = None
    observed: tuple[Observation, ...] = ()
    shown: tuple[bytes, ...] = ()

    @property
    def health(self) -> Health:
        """How the provider did, for its breaker."""
        return health_of(self.problem, ok=self.error is None)


class Timing(Struct, frozen=True, gc=False):
    """When an attempt began to be sent, gave its first token, and ended; epoch milliseconds."""

    granted_ms: int
    ended_ms: int
    first_token_ms: int | None = None


def conclude_answer(plan: Plan, grant: Granted, answer: Answer, timing: Timing) -> Conclusion:
    """A reply that was read to its end."""
    if answer.status >= 300:
        return _conclude_status(plan, grant, answer, timing)
    metered = plan.dialect.meter(answer.body)
    if metered.error is None:
        return _conclude(plan, grant, metered, timing, "ok", answer)
    error, problem = wire_error(metered.error, plan, answer), problem_of_wire(metered.error, answer.status)
    return _conclude(plan, grant, metered, timing, "error", answer, error=error, problem=problem)


def conclude_failed(plan: Plan, grant: Granted, failed: Failed, timing: Timing) -> Conclusion:
    """No reply. Not sent: the attempt is void and free. Sent: nobody knows, so the bound stays charged."""
    ending: Ending = "not_sent" if not failed.sent else "cancelled" if failed.kind == "cancelled" else "error"
    cost = UNKNOWN_COST if failed.sent else Cost(0, "computed", certain=True)
    metered = Metered(complete=False)
    fact = fact_of(
        plan,
        grant,
        metered,
        timing,
        ending,
        cost,
        status=failed.status,
        error_code=failed.kind,
        request_id=request_id_of(failed),
    )
    late = failed.kind == "timeout" and plan.deadline_ms is not None and plan.deadline_ms <= timing.granted_ms
    # A deadline that had passed before anything was sent says nothing of the provider.
    problem = None if late and not failed.sent else problem_of_failed(failed)
    return Conclusion(fact, cost, metered, failed_error(failed, plan), problem)


def conclude_stream(
    plan: Plan, grant: Granted, opened: Opened, metered: Metered, streamed: Streamed, timing: Timing
) -> Conclusion:
    """A stream that ended, or broke. One that broke before its first output fails as a whole reply would."""
    output = timing.first_token_ms is not None
    if not output and not metered.complete and streamed.instead:
        metered = _read_instead(plan, streamed.instead) or metered
    if metered.error:
        error, problem = wire_error(metered.error, plan, None), problem_of_wire(metered.error, None, output=output)
        told = _cut_short(plan, opened, metered.error.message, error) if output else error
        return _conclude(plan, grant, metered, timing, "error", opened, error=told, problem=problem)
    if streamed.failed is None and metered.complete:
        return _conclude(plan, grant, metered, timing, "ok", opened)
    broken = streamed.failed or Failed("broken", True, "the stream ended before the reply did", opened.status)
    counts = broken.kind == "cancelled" and plan.on_abort == "counted"
    if counts:
        metered = replace(metered, usage=counted(plan, metered, streamed.delivered))
    told = _cut_short(plan, opened, broken.detail) if output else failed_error(broken, plan)
    seen = problem_of_failed(broken, output=output)
    code = broken.kind if streamed.failed else "incomplete"
    end = _conclude(plan, grant, metered, timing, "interrupted", opened, error=told, problem=seen, code=code)
    return _estimated(end) if counts and end.cost.nano_usd is not None else end


def _estimated(end: Conclusion) -> Conclusion:
    """The end of a stream that is charged what was counted of it, and no more than was held."""
    charged = min(end.cost.nano_usd or 0, end.fact.bound_nano_usd)
    fact = replace(end.fact, cost_nano_usd=charged, charged_nano_usd=charged, cost_source="estimated")
    return replace(end, fact=fact, cost=Cost(charged, "estimated", certain=False))


def _cut_short(plan: Plan, opened: Opened, why: str, cause: ProviderError | None = None) -> StreamInterruptedError:
    """The error of a stream whose caller has seen some of it. `cause`: what the provider itself said."""
    error = StreamInterruptedError(
        f"The stream of {plan.provider.name}/{plan.model} ended before it was complete ({why}).",
        provider=plan.provider.name,
        model=plan.model,
        status=cause.status if cause else opened.status,
        provider_code=cause.provider_code if cause else None,
        request_id=request_id_of(opened) or None,
    )
    error.__cause__ = cause
    return error


def _read_instead(plan: Plan, body: bytes) -> Metered | None:
    """What a provider said that answered without a stream: with an error, a whole reply, or a page for browsers."""
    opening = body.lstrip()[:1]
    if opening == b"<":
        return Metered(error=malformed("a page of HTML came in place of a stream"), complete=False)
    if opening not in (b"{", b"["):
        return None
    metered = plan.dialect.meter(body)
    if metered.error:
        return metered
    return replace(metered, error=malformed("a whole reply came in place of a stream"))


def _conclude_status(plan: Plan, grant: Granted, answer: Answer, timing: Timing) -> Conclusion:
    problem = plan.dialect.error(answer.status, answer.headers, answer.body)
    metered = plan.dialect.meter(answer.body)
    carries_usage = metered.usage is not None or metered.reported_nano_usd is not None
    if carries_usage:
        cost, version = _cost(plan, metered, answer.status)
    elif answer.status in UNCERTAIN_STATUSES or plan.provider.bills_errors:
        cost, version = UNKNOWN_COST, ""
    else:
        cost, version = Cost(0, "computed", certain=True), ""
    metered = Metered(usage=metered.usage, served_model=metered.served_model, error=problem, complete=False)
    fact = fact_of(
        plan,
        grant,
        metered,
        timing,
        "error",
        cost,
        version=version,
        status=answer.status,
        error_code=problem.code or problem.kind,
        request_id=request_id_of(answer) or problem.request_id,
    )
    return Conclusion(fact, cost, metered, wire_error(problem, plan, answer), problem_of_wire(problem, answer.status))


def _conclude(
    plan: Plan,
    grant: Granted,
    metered: Metered,
    timing: Timing,
    ending: Ending,
    head: Answer | Opened,
    *,
    error: ProviderError | None = None,
    problem: Problem | None = None,
    code: str = "",
) -> Conclusion:
    cost, version = _cost(plan, metered, head.status)
    # A cut says that what was metered so far need not be all that will be billed.
    if not metered.complete:
        cost = Cost(cost.nano_usd, cost.source, certain=False) if cost.nano_usd is not None else UNKNOWN_COST
    if metered.error:
        code = metered.error.code or metered.error.kind
    fact = fact_of(
        plan,
        grant,
        metered,
        timing,
        ending,
        cost,
        version=version,
        status=head.status,
        error_code=code,
        request_id=request_id_of(head) or metered.reply_id,
    )
    return Conclusion(fact, cost, metered, error, problem)


def _cost(plan: Plan, metered: Metered, status: int) -> tuple[Cost, str]:
    if not plan.tracks_cost:
        return UNKNOWN_COST, ""
    cost, version = meter(
        metered,
        asked_model=plan.model,
        price=plan.price,
        status=status,
        bills_errors=plan.provider.bills_errors,
        reports_cost=plan.provider.reports_cost,
        tools_ran=bool(plan.request.unbounded),
        untold=untold(plan.provider, plan.request.body),
        asked_tier=plan.request.tier,
    )
    if plan.request.n > 1 and cost.nano_usd and cost.source == "computed" and not plan.provider.price_provider:
        # Of several choices, llama.cpp's server counts one: usage of servers of one's own is not the last word there.
        cost = Cost(cost.nano_usd, cost.source, certain=False)
    return cost, version


def fact_of(
    plan: Plan,
    grant: Granted,
    metered: Metered,
    timing: Timing,
    ending: Ending,
    cost: Cost,
    *,
    version: str = "",
    status: int | None = None,
    error_code: str = "",
    request_id: str = "",
) -> Fact:
    """The ledger's row. What is not certain is charged at the bound, and never below what was metered."""
    known = cost.nano_usd or 0
    charged = known if cost.certain else max(grant.nano_usd, known)
    # What every row has goes by its place: with so many fields, names would cost ten times as much.
    return Fact(
        grant.attempt_id,
        plan.call_id,
        plan.provider.name,
        plan.model,
        plan.scopes,
        ending,
        grant.nano_usd,
        charged,
        cost.nano_usd,
        cost.source,
        cost.certain,
        grant.at_ms,
        timing.ended_ms,
        served_model=metered.served_model,
        dialect=plan.dialect.name,
        price_version=version,
        usage=metered.usage or EMPTY_USAGE,
        status=status,
        error_code=error_code[:100],
        request_id=request_id[:200],
        wait_ms=max(timing.granted_ms - plan.start_ms, 0),
        first_token_ms=None if timing.first_token_ms is None else max(timing.first_token_ms - timing.granted_ms, 0),
        duration_ms=max(timing.ended_ms - timing.granted_ms, 0),
        stream=plan.request.stream,
        output_tokens_max=grant.output_tokens or None,
        capped_by=grant.capped_by,
        would_refuse=grant.would_refuse,
    )


def failed_error(failed: Failed, plan: Plan) -> ProviderError:
    """The error for an exchange that brought no reply."""
    name = f"{plan.provider.name}/{plan.model}"
    kinds: dict[str, type[ProviderError]] = {"timeout": ProviderTimeoutError, "pool": ProviderTimeoutError}
    kind = MalformedReplyError if failed.kind == "too_large" else kinds.get(failed.kind, ProviderUnavailableError)
    known = "" if failed.sent else " Nothing was sent to it."
    error = kind(
        f"{name}: {failed.detail}.{known}", provider=plan.provider.name, model=plan.model, status=failed.status
    )
    error.sent = failed.sent
    return error


def wire_error(problem: WireError, plan: Plan, answer: Answer | None) -> ProviderError:
    """The error for what a provider reported."""
    status = problem.status or (answer.status if answer else None)
    said = f" ({status})" if status else ""
    error = ERRORS[problem.kind](
        f"{plan.provider.name}/{plan.model}{said}: {problem.message}",
        provider=plan.provider.name,
        model=plan.model,
        status=status,
        provider_code=problem.code or None,
        request_id=(request_id_of(answer) if answer else "") or problem.request_id or None,
        body=answer.body[:65_536] if answer else b"",
    )
    error.retry_after_seconds = problem.retry_after_seconds
    if problem.should_retry is not None:
        error.retryable = problem.should_retry
    return error


def request_id_of(head: Answer | Opened | Failed) -> str:
    """The provider's id of a request, from the head of its reply; "" where no head came or it says none."""
    headers = head.headers or {}
    for name in _REQUEST_IDS:
        if said := headers.get(name):
            return said
    return ""


def attach(error: BursarError, conclusion: Conclusion) -> BursarError:
    """Put the money on the error: what the failed call cost, as far as it is known."""
    error.call_id = conclusion.fact.call_id
    error.cost = conclusion.cost if getattr(error, "sent", False) else None
    return error
