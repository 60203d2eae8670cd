"""Log lines of what happened, for the standard library's logger "bursar": one line each, `event key=value ...`.

Decides which event is worth which level and what each line says; which providers' costs and tokens are logged is told
to it. Never writes prompts, replies or keys, and nothing that could break out of its line: every value that is not
plain ASCII of one word is quoted and escaped as JSON, and cut at `VALUE_CHARACTERS_MAX`. The same fields stand on the
log record as `bursar`, a dict, for handlers that write JSON (`jsonlog`), with the attempt's id and its key's
name at the gateway. Amounts are USD with nine decimals, or `unknown`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from bursar.call.events import (
    AlertRaised,
    AttemptFailed,
    BreakerChanged,
    BudgetOverdrawn,
    CallEnded,
    CallFailed,
    CallRefused,
    CostWarned,
    Event,
    HoldsExpired,
    LimitBeyondProvider,
)

VALUE_CHARACTERS_MAX = 500
# Of expired holds, so many are named; the books have them all.
ATTEMPTS_NAMED_MAX = 5

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+")
_NANO_PER_USD = 10**9

Fields = Mapping[str, object]
# What happened to an attempt.
Attempt = CallEnded | AttemptFailed | CostWarned

OVERDRAWN = (
    "These budgets stand above their limit: a provider billed more than the bound, or a limit was lowered. Calls under "
    "them are refused until the window ends; raise the limit (bursar budget top-up) or wait."
)
EXPIRED = (
    "Processes ended without settling these calls. Nobody knows what the calls cost, so the most that they can have "
    "cost counts as spent; compare with the provider's own record (bursar usage shows them as uncertain)."
)
UNSETTLED = (
    "The books could not be written. The money stays held, and the entry is repeated; see that the disk of the books "
    "has room and can be written (bursar doctor)."
)

BEYOND = (
    "The provider allows less than this limit says, so calls may still be refused there: set it to what is allowed. "
    "Said once."
)
# Of limits beyond their provider's, so many are remembered as said: a provider that says another one each time is not
# worth more.
SAID_MAX = 1_000

LEFT_ALONE = (
    "Calls to this model are refused, or go to another, until a probe succeeds (bursar breaker shows and resets it)."
)
# By the state that it is in now: what is said, and at which level.
_BREAKER = {
    "open": ("breaker_opened", logging.WARNING),
    "half_open": ("breaker_probing", logging.DEBUG),
    "closed": ("breaker_closed", logging.INFO),
}

_SEVERITY = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}


class CallLog:
    """An observer that writes events to a logger.

    Costs and tokens of ended calls: INFO, for the providers named in `costs` and `token_usage` (`log_costs` and
    `log_token_usage` of the configuration). Refusals, and calls that failed in the end: INFO. An attempt
    that failed although its call goes on, with what comes next; a call beyond its `cost_warning_threshold`, one that
    the books do not have yet, holds that expired, a limit beyond the provider's own (once), and a circuit breaker that
    opened: WARNING; one that closed: INFO. A budget above its limit: ERROR. An alert of a budget, or of a bill beyond
    the bound: INFO, WARNING or ERROR, by its severity.
    """

    def __init__(
        self, *, costs: Collection[str] = (), token_usage: Collection[str] = (), logger: logging.Logger | None = None
    ) -> None:
        self._costs = frozenset(costs)
        self._token_usage = frozenset(token_usage)
        self._logger = logger or logging.getLogger("bursar")
        self._beyond: set[tuple[str, int]] = set()

    def __call__(self, event: Event) -> None:
        """Write what there is to say of an event."""
        match event:
            case CallEnded():
                self._ended(event)
            case AttemptFailed():
                self._write(logging.WARNING, "attempt_failed", _of_failure(event), event)
            case CallFailed():
                self._write(logging.INFO, "call_failed", _of_call(event))
            case CallRefused():
                self._write(logging.INFO, "call_refused", _of_refusal(event))
            case CostWarned(fact, threshold_nano_usd):
                fields = {**_call(CallEnded(fact)), **_cost(CallEnded(fact)), "threshold_nano_usd": threshold_nano_usd}
                self._write(logging.WARNING, "cost_warned", fields, event)
            case BudgetOverdrawn(call_id, budgets):
                named = {"call": call_id, "budgets": ",".join(budgets), "meaning": OVERDRAWN}
                self._write(logging.ERROR, "budget_overdrawn", named)
            case HoldsExpired(attempts):
                self._write(logging.WARNING, "holds_expired", _of_expiry(attempts))
            case LimitBeyondProvider():
                self._limit_beyond_provider(event)
            case BreakerChanged():
                name, level = _BREAKER[event.state]
                self._write(level, name, _of_breaker(event))
            case AlertRaised():
                self._alert(event)

    def _ended(self, event: CallEnded) -> None:
        provider = event.fact.provider
        if not event.settled:
            self._write(
                logging.WARNING, "call_unsettled", {**_call(event), **_cost(event), "meaning": UNSETTLED}, event
            )
        fields: dict[str, object] = {}
        if provider in self._costs:
            fields.update(_cost(event))
        if provider in self._token_usage:
            fields.update(_tokens(event))
        if fields:
            self._write(logging.INFO, "call_ended", {**_call(event), **fields}, event)

    def _limit_beyond_provider(self, event: LimitBeyondProvider) -> None:
        said = (event.limit, event.allowed)
        if said not in self._beyond and len(self._beyond) < SAID_MAX:
            self._beyond.add(said)
            fields = {"provider": event.provider, "limit": event.limit, "allowed": event.allowed, "meaning": BEYOND}
            self._write(logging.WARNING, "limit_beyond_provider", fields)

    def _alert(self, event: AlertRaised) -> None:
        """What has a line of its own already, in each process that it happens in, needs no other."""
        if event.kind in ("budget", "billed_beyond_bound"):
            self._write(_SEVERITY[event.severity], "alert", _of_alert(event))

    def _write(self, level: int, event: str, fields: Fields, of: Attempt | None = None) -> None:
        if self._logger.isEnabledFor(level):
            kept = {"event": event, **fields, **({} if of is None else _whose(of))}
            self._logger.log(level, "%s", record_line(event, fields), extra={"bursar": kept})


def record_line(event: str, fields: Fields) -> str:
    """An event as one line. None and "" are left out, but for an amount (`..._nano_usd`), whose None is `unknown`.

    >>> record_line("call_ended", {"model": "gpt-4o", "cost_nano_usd": 42_000, "stream": True, "why": "a \\"b\\""})
    'call_ended model=gpt-4o cost_usd=0.000042000 stream=yes why="a \\\\"b\\\\""'
    """
    words = [event]
    for name, value in fields.items():
        if name.endswith("_nano_usd"):
            words.append(f"{name.removesuffix('nano_usd')}usd={_usd(value)}")
        elif value is not None and value != "":
            words.append(f"{name}={_word(value)}")
    return " ".join(words)


def _usd(nano_usd: object) -> str:
    if not isinstance(nano_usd, int):
        return "unknown"
    whole, rest = divmod(abs(nano_usd), _NANO_PER_USD)
    return f"{'-' if nano_usd < 0 else ''}{whole}.{rest:09d}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        text = text[:VALUE_CHARACTERS_MAX] + "..."
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _call(event: CallEnded) -> Fields:
    fact = event.fact
    return {
        "call": fact.call_id,
        "provider": fact.provider,
        "model": fact.model,
        "served_model": "" if fact.served_model == fact.model else fact.served_model,
        "ending": fact.ending,
        "status": fact.status,
        "error": fact.error_code,
        "duration_ms": fact.duration_ms,
        "first_token_ms": fact.first_token_ms,
    }


def _whose(of: Attempt) -> Fields:
    """The attempt's id; at the gateway the name of the caller's key, which a key of a provider does not have."""
    scopes = of.fact.scopes
    return {"attempt_id": of.fact.attempt_id, "key": scopes["key"] if "provider_key" in scopes else ""}


def _cost(event: CallEnded) -> Fields:
    fact = event.fact
    return {
        "cost_nano_usd": fact.cost_nano_usd,
        "cost_source": fact.cost_source,
        "certain": fact.certain,
        "charged_nano_usd": fact.charged_nano_usd,
    }


def _tokens(event: CallEnded) -> Fields:
    usage = event.fact.usage
    details = {leaf: count for leaf, count in usage.leaves.items() if leaf not in ("input", "output")}
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, **details}


def _of_failure(event: AttemptFailed) -> Fields:
    fact = event.fact
    return {
        "call": fact.call_id,
        "provider": fact.provider,
        "model": fact.model,
        "status": fact.status,
        "error": fact.error_code,
        "duration_ms": fact.duration_ms,
        "charged_nano_usd": fact.charged_nano_usd,
        "next": f"{event.next_provider}/{event.next_model}",
        "wait_ms": event.wait_ms,
    }


def _of_call(event: CallFailed) -> Fields:
    """Of a call that failed. What the provider said in words is not written: it may quote the prompt."""
    said = {name: getattr(event.error, name, None) for name in ("status", "request_id", "attempts")}
    call = {"call": event.call_id, "provider": event.provider, "model": event.model}
    return {**call, "error": event.error.code, **said}


def _of_refusal(event: CallRefused) -> Fields:
    return {
        "call": event.call_id,
        "provider": event.provider,
        "model": event.model,
        "code": event.error.code,
        "wait_ms": event.wait_ms,
        "retry_after_seconds": event.error.retry_after_seconds,
        "why": event.error.message,
    }


def _of_expiry(attempts: tuple[tuple[str, int], ...]) -> Fields:
    named = [attempt_id for attempt_id, _ in attempts[:ATTEMPTS_NAMED_MAX]]
    more = [f"and {len(attempts) - len(named)} more"] if len(attempts) > len(named) else []
    return {
        "holds": len(attempts),
        "charged_nano_usd": sum(charged for _, charged in attempts),
        "attempts": ", ".join(named + more),
        "meaning": EXPIRED,
    }


def _of_alert(event: AlertRaised) -> Fields:
    balance = event.balance
    standing: dict[str, object] = {}
    if balance is not None:
        standing = {
            "spent_nano_usd": balance.spent,
            "held_nano_usd": balance.held,
            "limit_nano_usd": balance.limit,
        }
    return {
        "call": event.call_id,
        "kind": event.kind,
        "name": event.name,
        "subject": event.subject,
        "percent": event.percent or None,
        **standing,
        "message": event.message,
    }


def _of_breaker(event: BreakerChanged) -> Fields:
    opened = event.state == "open"
    until = datetime.fromtimestamp(event.until_ms / 1000, UTC).isoformat(timespec="seconds") if opened else ""
    return {
        "provider": event.provider,
        "model": event.model,
        "until": until.replace("+00:00", "Z"),
        "why": event.why,
        "meaning": LEFT_ALONE if opened else "",
    }
