"""What the end of an attempt means: what it cost, whether that is certain, and which error it is, if any.

Uncertain endings stay charged at the bound: bytes were sent and nobody knows what the provider did with them (a cut
or abandoned stream, a timeout, a gateway's 502, 504 or 524). Certain ones: any other status of 400 or more before
output costs nothing unless it carries usage or the provider bills errors; a whole reply costs what its usage says.
Source: DESIGN section 4, invariant 7.
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.call.books import Ending, Fact, Granted
from bursar.call.exchange import Answer, Failed, Opened
from bursar.call.meter import meter
from bursar.call.plan import Plan
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
from bursar.rules.usage import EMPTY_USAGE
from bursar.wire.dialect import ErrorKind, Metered, WireError

# A gateway between us and the model answered for it: the model may have run, and been billed, all the same.
UNCERTAIN_STATUSES = frozenset({502, 504, 524})

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


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The end of an attempt: its fact for the books, its cost for the caller, and the error to raise."""

    fact: Fact
    cost: Cost
    metered: Metered
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When an attempt began to be sent, gave its first token, and ended; epoch milliseconds."""

    granted_ms: int
    ended_ms: int
    first_token_ms: int | None = None


def conclude_answer(plan: Plan, grant: Granted, answer: Answer, timing: Timing) -> Conclusion:
    """A reply that was read to its end."""
    if answer.status >= 300:
        return _conclude_status(plan, grant, answer, timing)
    metered = plan.dialect.meter(answer.body)
    error = wire_error(metered.error, plan, answer) if metered.error else None
    ending: Ending = "error" if error else "ok"
    return _conclude(plan, grant, metered, timing, ending, error, answer)


def conclude_failed(plan: Plan, grant: Granted, failed: Failed, timing: Timing) -> Conclusion:
    """No reply. Not sent: the attempt is void and free. Sent: nobody knows, so the bound stays charged."""
    ending: Ending = "not_sent" if not failed.sent else "cancelled" if failed.kind == "cancelled" else "error"
    cost = UNKNOWN_COST if failed.sent else Cost(0, "computed", certain=True)
    metered = Metered(complete=False)
    fact = fact_of(plan, grant, metered, timing, ending, cost, status=failed.status, error_code=failed.kind)
    return Conclusion(fact, cost, metered, failed_error(failed, plan))


def conclude_stream(
    plan: Plan, grant: Granted, opened: Opened, metered: Metered, failed: Failed | None, timing: Timing
) -> Conclusion:
    """A stream that ended, or broke."""
    error: ProviderError | None = None
    ending: Ending = "ok"
    if metered.error:
        error, ending = wire_error(metered.error, plan, None), "error"
    elif failed or not metered.complete:
        ending = "interrupted"
        error = StreamInterruptedError(
            f"The stream of {plan.provider.name}/{plan.model} ended before it was complete"
            f" ({failed.detail if failed else 'the connection was closed'}).",
            provider=plan.provider.name,
            model=plan.model,
            status=opened.status,
        )
    return _conclude(plan, grant, metered, timing, ending, error, opened)


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
        request_id=_request_id(answer),
    )
    return Conclusion(fact, cost, metered, wire_error(problem, plan, answer))


def _conclude(
    plan: Plan,
    grant: Granted,
    metered: Metered,
    timing: Timing,
    ending: Ending,
    error: ProviderError | None,
    head: Answer | Opened,
) -> Conclusion:
    cost, version = _cost(plan, metered, head.status)
    # A cut says that what was metered so far need not be all that will be billed.
    if not metered.complete:
        cost = Cost(cost.nano_usd, cost.source, certain=False) if cost.nano_usd is not None else UNKNOWN_COST
    code = metered.error.code or metered.error.kind if metered.error else "incomplete" if error else ""
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
        request_id=_request_id(head) or metered.reply_id,
    )
    return Conclusion(fact, cost, metered, error)


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
    return Fact(
        attempt_id=grant.attempt_id,
        call_id=plan.call_id,
        provider=plan.provider.name,
        model=plan.model,
        scopes=plan.scopes,
        ending=ending,
        bound_nano_usd=grant.nano_usd,
        charged_nano_usd=charged,
        cost_nano_usd=cost.nano_usd,
        cost_source=cost.source,
        certain=cost.certain,
        reserved_ms=grant.at_ms,
        ended_ms=timing.ended_ms,
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
    known = "" if failed.sent else " Nothing was sent."
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
        request_id=_request_id(answer) if answer else None,
        body=answer.body[:65_536] if answer else b"",
    )
    error.retry_after_seconds = problem.retry_after_seconds
    return error


def _request_id(answer: Answer | Opened) -> str:
    return answer.headers.get("x-request-id") or answer.headers.get("x-generation-id") or ""


def attach(error: BursarError, conclusion: Conclusion) -> BursarError:
    """Put the money on the error: what the failed call cost, as far as it is known."""
    error.call_id = conclusion.fact.call_id
    error.cost = conclusion.cost if getattr(error, "sent", False) else None
    return error
