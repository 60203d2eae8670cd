"""The request log: calls found by what they carry, and the story of one, those that were refused as well.

A key of the role call sees the calls that count under its own name, and no other's.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bursar.call.books import Fact
from bursar.call.history import REFUSED, CallQuery, CallRecord, Refusal
from bursar.config.explaining import fact_explained
from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.reading import at_cursor, cursor_of, moment_ms, pairs_of
from bursar.gateway.admin.shapes import Cursor, GivenInstant, Instant, Page, Usd, instant, usd, usd_or_none
from bursar.gateway.problems import Problem

SCOPES = ("provider", "model", "key", "user", "session")
# Scopes that stand in fields of their own, or are nobody's business but the operator's.
_NO_TAGS = frozenset({*SCOPES, "provider_key"})
CallEnding = Literal["ok", "error", "aborted", "interrupted", "cancelled", "not_sent", "expired", "refused"]
Value = Annotated[str, Meta(max_length=256)]


class CallShown(Struct, frozen=True):
    """One call of the log: what it ended with, and what all its attempts came to together.

    provider, model: of the last candidate. ending: "refused" was never sent. cost_usd: null while a part is not known.
    charged_usd: what budgets carry: the cost, or the bound as long as it is not certain.
    """

    call_id: str
    at: Instant
    key: str | None
    user: str | None
    session: str | None
    tags: dict[str, str]
    provider: str
    model: str
    ending: CallEnding
    status: int | None
    code: str | None
    attempts: int
    cost_usd: Usd | None
    charged_usd: Usd
    certain: bool
    input_tokens: int
    output_tokens: int
    stream: bool
    wait_ms: int
    duration_ms: int


class Calls(Struct, frozen=True):
    """A page of calls, newest first."""

    data: list[CallShown]
    next: str | None = None


class CallsAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls: those of which an attempt, or a refusal, is all that is said. tag: name=value, each once.

    code: of an error. status: of HTTP, as the provider answered. since, until: when it was reserved.
    """

    key: Value | None = None
    provider: Value | None = None
    model: Value | None = None
    user: Value | None = None
    session: Value | None = None
    tag: list[Value] = []
    ending: CallEnding | None = None
    code: Value | None = None
    status: Annotated[int, Meta(ge=100, le=599)] | None = None
    since: GivenInstant | None = None
    until: GivenInstant | None = None
    cursor: Cursor = ""
    limit: Page = 50


class CostLine(Struct, frozen=True):
    """What one kind of token or piece came to. usd: exact; null where its price is not known."""

    leaf: str
    units: int
    usd_per_million: Usd | None
    usd: Usd | None


class AttemptCost(Struct, frozen=True):
    """What an attempt is charged, and why.

    lines: what the prices of now make of its usage; their sum is rounded up once. held_usd: the most that it could
    cost. source: who said what it cost. because: whose price it is, and who said nothing, in sentences.
    """

    held_usd: Usd
    charged_usd: Usd
    cost_usd: Usd | None
    certain: bool
    source: str
    price_version: str
    lines: list[CostLine]
    sum_usd: Usd | None
    because: list[str]


class AttemptShown(Struct, frozen=True):
    """One request to a provider. Times in milliseconds; first_token_ms counts from when it was sent.

    output_tokens_max: the output limit in force; capped_by: what made it lower. request_id: the provider's.
    would_refuse: observed budgets that would have refused it.
    """

    attempt_id: str
    at: Instant
    ended_at: Instant
    provider: str
    model: str
    served_model: str | None
    provider_key: str | None
    dialect: str
    ending: CallEnding
    status: int | None
    code: str | None
    request_id: str | None
    stream: bool
    wait_ms: int
    first_token_ms: int | None
    duration_ms: int
    output_tokens_max: int | None
    capped_by: str | None
    usage: dict[str, int]
    would_refuse: list[str]
    cost: AttemptCost


class RefusalShown(Struct, frozen=True):
    """A candidate that was not asked, and why. wait_ms: how long it had waited. binding: the budget or limit.

    final: the call ended with it.
    """

    at: Instant
    provider: str
    model: str
    code: str
    message: str
    wait_ms: int
    binding: str | None
    final: bool


class Candidate(Struct, frozen=True):
    """A model that the call could have gone to, in the order in which it came to them."""

    model: str
    outcome: Literal["answered", "failed", "refused"]
    code: str | None


class Story(Struct, frozen=True):
    """All that is known of a call: where it went, what it waited for, what it cost, and what stood in its way."""

    call: CallShown
    candidates: list[Candidate]
    attempts: list[AttemptShown]
    refusals: list[RefusalShown]


def list_calls(ask: Ask) -> Calls:
    """Calls, newest first."""
    query: CallsAsked = ask.query
    only = {name: value for name in SCOPES if (value := getattr(query, name)) is not None}
    only = pairs_of("tag", query.tag) | only
    if ask.key.role == "call" and only.setdefault("key", ask.key.name) != ask.key.name:
        raise Problem(403, "role_too_low", "a key of the role call sees its own calls alone")
    (before,) = at_cursor(query.cursor, 1) or ("",)
    ask.state.refusals.flush()
    records = ask.store.history.calls(
        CallQuery(
            only,
            query.ending or "",
            query.code or "",
            query.status,
            moment_ms("since", query.since, ask.settings.time_zone) or 0,
            moment_ms("until", query.until, ask.settings.time_zone),
            before,
            query.limit + 1,
        )
    )
    shown = records[: query.limit]
    following = cursor_of([shown[-1].call_id]) if len(records) > query.limit else None
    return Calls([call_shown(one) for one in shown], following)


def show_call(ask: Ask) -> Story:
    """The story of one call, by its id or that of one of its attempts."""
    call_id = ask.parts[0].partition(".")[0]
    ask.state.refusals.flush()
    record = ask.store.history.call(call_id)
    if record is None or not _may_see(ask, record):
        raise Problem(
            404, "not_found", f"there is no call {call_id[:80]!r} in the books; those under way are not there yet"
        )
    return Story(
        call_shown(record),
        _candidates(record),
        [_attempt_shown(ask, one) for one in record.attempts],
        [_refusal_shown(one) for one in record.refusals],
    )


def call_shown(record: CallRecord) -> CallShown:
    """A call in one row."""
    facts, refusals = record.attempts, record.refusals
    last: Fact | Refusal = facts[-1] if facts else refusals[-1]
    scopes = last.scopes
    known = [fact.cost_nano_usd for fact in facts]
    return CallShown(
        record.call_id,
        instant(min([*(fact.reserved_ms for fact in facts), *(one.at_ms for one in refusals)])),
        scopes.get("key"),
        scopes.get("user"),
        scopes.get("session"),
        {name: value for name, value in scopes.items() if name not in _NO_TAGS},
        last.provider,
        last.model,
        last.ending if isinstance(last, Fact) else REFUSED,  # type: ignore[arg-type]
        last.status if isinstance(last, Fact) else None,
        (last.error_code if isinstance(last, Fact) else last.code) or None,
        len(facts),
        None if None in known else usd(sum(cost for cost in known if cost is not None)),
        usd(sum(fact.charged_nano_usd for fact in facts)),
        all(fact.certain for fact in facts),
        sum(fact.usage.input_tokens for fact in facts),
        sum(fact.usage.output_tokens for fact in facts),
        any(fact.stream for fact in facts),
        sum(fact.wait_ms for fact in facts) if facts else last.wait_ms,
        sum(fact.duration_ms for fact in facts),
    )


def _may_see(ask: Ask, record: CallRecord) -> bool:
    if ask.key.role != "call":
        return True
    whose = {one.scopes.get("key") for one in record.attempts} | {one.scopes.get("key") for one in record.refusals}
    return whose == {ask.key.name}


def _candidates(record: CallRecord) -> list[Candidate]:
    """The models that the call came to, each once, with what became of it there in the end."""
    steps: list[Fact | Refusal] = sorted((*record.attempts, *record.refusals), key=_number)
    found: dict[str, Candidate] = {}
    for step in steps:
        name = f"{step.provider}/{step.model}"
        if isinstance(step, Fact):
            answered = step.ending in {"ok", "aborted"}
            found[name] = Candidate(name, "answered" if answered else "failed", step.error_code or None)
        elif name not in found or not step.final:
            found[name] = Candidate(name, "refused", step.code)
    return list(found.values())


def _number(step: Fact | Refusal) -> int:
    """The number of an attempt within its call, by which refused candidates are counted as well."""
    if isinstance(step, Refusal):
        return step.place
    number = step.attempt_id.rpartition(".")[2]
    return int(number) if number.isdecimal() else 0


def _attempt_shown(ask: Ask, fact: Fact) -> AttemptShown:
    return AttemptShown(
        fact.attempt_id,
        instant(fact.reserved_ms),
        instant(fact.ended_ms),
        fact.provider,
        fact.model,
        fact.served_model or None,
        fact.scopes.get("provider_key") if ask.key.role != "call" else None,
        fact.dialect,
        fact.ending,
        fact.status,
        fact.error_code or None,
        fact.request_id or None,
        fact.stream,
        fact.wait_ms,
        fact.first_token_ms,
        fact.duration_ms,
        fact.output_tokens_max,
        fact.capped_by or None,
        dict(fact.usage.leaves),
        list(fact.would_refuse),
        _cost_shown(ask, fact),
    )


def _cost_shown(ask: Ask, fact: Fact) -> AttemptCost:
    explained = fact_explained(ask.settings, ask.engine.prices, fact)
    return AttemptCost(
        usd(fact.bound_nano_usd),
        usd(fact.charged_nano_usd),
        usd_or_none(fact.cost_nano_usd),
        fact.certain,
        fact.cost_source,
        fact.price_version,
        [CostLine(**line) for line in explained["lines"]],
        explained["sum_usd"],
        explained["because"],
    )


def _refusal_shown(one: Refusal) -> RefusalShown:
    return RefusalShown(
        instant(one.at_ms), one.provider, one.model, one.code, one.message, one.wait_ms, one.binding or None, one.final
    )


ENDPOINTS = (
    Endpoint(
        "GET", "/api/calls", "call", "The request log, newest first; a key of the role call sees its own.", list_calls,
        Calls, query=CallsAsked,
    ),
    Endpoint("GET", "/api/calls/{id}", "call", "The story of one call.", show_call, Story),
)  # fmt: skip
