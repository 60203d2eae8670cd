"""A row of the ledger: what became of one attempt, and what of it the budgets and limits carry.

The carried amounts (`requests`, `carried_input`, `carried_output`, `charged_nano_usd`) are what windows add up: a
window's `spent` is the sum of its rows, at every commit. A row of an attempt that was never sent carries nothing.
Scopes stand in columns of their own for the dimensions that people ask for, and as JSON for the others.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple, cast

import msgspec

from bursar.call.books import Ending, Fact
from bursar.edges.stores.accounts import DIMENSIONS, account_of, scopes_of
from bursar.edges.stores.holds import Hold
from bursar.rules.allowances import Meter
from bursar.rules.money import CostSource
from bursar.rules.usage import Usage

_encode = msgspec.json.Encoder(order="sorted").encode
_decode_counts = msgspec.json.Decoder(dict[str, int]).decode
_decode_names = msgspec.json.Decoder(tuple[str, ...]).decode


class Row(NamedTuple):
    """The columns of the ledger, in their order."""

    attempt_id: str
    call_id: str
    provider: str | None
    model: str | None
    key: str | None
    user: str | None
    session: str | None
    tags: str
    asked_provider: str
    asked_model: str
    ending: str
    bound_nano_usd: int
    charged_nano_usd: int
    cost_nano_usd: int | None
    cost_source: str
    certain: int
    reserved_ms: int
    ended_ms: int
    served_model: str
    dialect: str
    price_version: str
    usage: str
    contradictory: int
    status: int | None
    error_code: str
    request_id: str
    wait_ms: int
    first_token_ms: int | None
    duration_ms: int
    stream: int
    output_tokens_max: int | None
    capped_by: str
    would_refuse: str
    requests: int
    input_tokens: int
    output_tokens: int
    carried_input: int
    carried_output: int
    claimed_input: int
    claimed_output: int
    evidence: str

    @property
    def scopes(self) -> dict[str, str]:
        """The scopes of the attempt, put together again."""
        return scopes_of(self[2:7], self.tags)

    def carried(self, meter: Meter) -> int:
        """What windows of this meter carry of the attempt."""
        if meter == "nano_usd":
            return self.charged_nano_usd
        if meter == "tokens":
            return self.carried_input + self.carried_output
        if meter == "input_tokens":
            return self.carried_input
        return self.carried_output if meter == "output_tokens" else self.requests

    @property
    def evidences(self) -> tuple[str, ...]:
        """What evidence has corrected the row already."""
        return _decode_names(self.evidence) if self.evidence else ()


def row_of(fact: Fact, hold: Hold | None) -> Row:
    """The row of an attempt that ended with `fact`. What the hold knows better (scopes, window, bound) it says.

    Raises ValueError for a negative charge: it would hand out money.
    """
    if fact.charged_nano_usd < 0:
        raise ValueError(f"attempt {fact.attempt_id}: a charge cannot be negative: {fact.charged_nano_usd}")
    usage = fact.usage
    leaves = usage.leaves
    input_tokens, output_tokens = (usage.input_tokens, usage.output_tokens) if leaves else (0, 0)
    output_tokens_max = fact.output_tokens_max
    if hold is not None:
        known = bool(leaves) or fact.certain
        claimed_input, claimed_output = hold.claimed_input, hold.claimed_output
        carried = (input_tokens, output_tokens) if known else (claimed_input, claimed_output)
        would_refuse, output_tokens_max = hold.would_refuse, output_tokens_max or hold.output_tokens_max
        account, bound, reserved_ms = hold.account, hold.bound_nano_usd, hold.reserved_ms
        capped_by, request_id = fact.capped_by or hold.capped_by, fact.request_id or hold.request_id
    else:
        claimed_input, claimed_output, carried = 0, 0, (input_tokens, output_tokens)
        would_refuse = fact.would_refuse
        account, bound, reserved_ms = account_of(fact.scopes), fact.bound_nano_usd, fact.reserved_ms
        capped_by, request_id = fact.capped_by, fact.request_id
    return Row(
        fact.attempt_id,
        fact.call_id,
        *account,
        fact.provider,
        fact.model,
        fact.ending,
        bound,
        fact.charged_nano_usd,
        fact.cost_nano_usd,
        fact.cost_source,
        int(fact.certain),
        reserved_ms,
        fact.ended_ms,
        fact.served_model,
        fact.dialect,
        fact.price_version,
        _encode(dict(leaves)).decode() if leaves else "{}",
        int(usage.contradictory),
        fact.status,
        fact.error_code,
        request_id,
        fact.wait_ms,
        fact.first_token_ms,
        fact.duration_ms,
        int(fact.stream),
        output_tokens_max,
        capped_by,
        _encode(would_refuse).decode() if would_refuse else "",
        1,
        input_tokens,
        output_tokens,
        *carried,
        claimed_input,
        claimed_output,
        "",
    )


def corrected(row: Row, fact: Fact, evidence: str) -> Row:
    """The row with a later fact in place of what it said; its scopes, window and bound stay."""
    known = bool(fact.usage.leaves) or fact.certain
    new = row_of(fact, None)
    return new._replace(
        **{name: getattr(row, name) for name in _KEPT},
        request_id=fact.request_id or row.request_id,
        capped_by=fact.capped_by or row.capped_by,
        output_tokens_max=fact.output_tokens_max or row.output_tokens_max,
        carried_input=new.input_tokens if known else row.claimed_input,
        carried_output=new.output_tokens if known else row.claimed_output,
        evidence=_encode((*row.evidences, evidence)).decode() if evidence else row.evidence,
    )


_KEPT = (
    "call_id", *DIMENSIONS, "tags", "bound_nano_usd", "reserved_ms", "would_refuse", "claimed_input", "claimed_output",
)  # fmt: skip


def not_sent(row: Row) -> Row:
    """The row of an attempt that turned out never to have been sent: it carries nothing."""
    return row._replace(
        charged_nano_usd=0,
        cost_nano_usd=0,
        cost_source="computed",
        certain=1,
        requests=0,
        carried_input=0,
        carried_output=0,
    )


def expired_row(hold: Hold, now_ms: int) -> Row:
    """The row of an orphan: charged at its bound, uncertain until evidence comes."""
    scopes = hold.scopes
    provider = scopes.get("provider", "")
    return row_of(
        Fact(
            attempt_id=hold.attempt_id,
            call_id=hold.call_id,
            provider=provider,
            model=scopes.get("model", "").removeprefix(f"{provider}/"),
            scopes=scopes,
            ending="expired",
            bound_nano_usd=hold.bound_nano_usd,
            charged_nano_usd=hold.bound_nano_usd,
            cost_nano_usd=None,
            cost_source="unknown",
            certain=False,
            reserved_ms=hold.reserved_ms,
            ended_ms=now_ms,
            duration_ms=max(now_ms - hold.reserved_ms, 0),
        ),
        hold,
    )


def fact_of(row: Row) -> Fact:
    """The row as the rest of the program knows it."""
    return Fact(
        attempt_id=row.attempt_id,
        call_id=row.call_id,
        provider=row.asked_provider,
        model=row.asked_model,
        scopes=MappingProxyType(row.scopes),
        ending=cast(Ending, row.ending),
        bound_nano_usd=row.bound_nano_usd,
        charged_nano_usd=row.charged_nano_usd,
        cost_nano_usd=row.cost_nano_usd,
        cost_source=cast(CostSource, row.cost_source),
        certain=bool(row.certain),
        reserved_ms=row.reserved_ms,
        ended_ms=row.ended_ms,
        served_model=row.served_model,
        dialect=row.dialect,
        price_version=row.price_version,
        usage=Usage(MappingProxyType(_decode_counts(row.usage)), bool(row.contradictory)),
        status=row.status,
        error_code=row.error_code,
        request_id=row.request_id,
        wait_ms=row.wait_ms,
        first_token_ms=row.first_token_ms,
        duration_ms=row.duration_ms,
        stream=bool(row.stream),
        output_tokens_max=row.output_tokens_max,
        capped_by=row.capped_by,
        would_refuse=names_of(row.would_refuse),
    )


def names_of(would_refuse: str) -> tuple[str, ...]:
    """The allowances named in the column `would_refuse`."""
    return _decode_names(would_refuse) if would_refuse else ()
