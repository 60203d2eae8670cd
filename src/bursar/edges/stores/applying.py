"""What each operation does to the books: the one place where holds begin and end, in every store.

    (nothing) ── Reserve ──▶ pending ── Settle, Adjust ──▶ settled
                               │ ├───── Void ───────────▶ voided (a row only if there is something to remember)
                               │ └───── Expire ─────────▶ expired: charged at the bound, uncertain
                               ▼                              │ Settle, Adjust: corrected once by actual - held
                       (an end happens once)                  │ Void: given back once

The rules decide and move the levels; this module finds the levels and writes down what became of the attempt. An
operation that was applied before changes nothing. A settle or adjustment of an attempt that nobody knows is believed:
the provider may have billed it, so its row is recorded and what binds its scopes is charged, in the windows of its
reservation; a second one finds the row. A voided attempt that left no row is not known any more either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from bursar.call.books import (
    Adjust,
    Balance,
    Claim,
    Ended,
    Expire,
    Expired,
    Fact,
    Granted,
    Mark,
    Operation,
    Outcome,
    Renew,
    Reserve,
    Settle,
    Void,
)
from bursar.edges.stores.bindings import Key
from bursar.edges.stores.holds import Hold, claimed_amount, hold_of
from bursar.edges.stores.observing import follow
from bursar.edges.stores.page import Page
from bursar.edges.stores.rows import Row, corrected, expired_row, names_of, not_sent, row_of
from bursar.rules.allowances import (
    Denial,
    Level,
    correct,
    decide,
    deny_missing,
    expire,
    settle,
    take,
    void,
)

# A process that ends a hold after its expiry is evidence like any other, and counts once.
_SETTLE, _VOID = "settle", "void"
# Limits that callers are told of.
_TOLD = frozenset({"requests", "tokens"})
# From this status on nothing was served.
REFUSED = 400
# The refusal for which a provider counts none of the tokens that were claimed.
RATE_REFUSED = 429


def apply(page: Page, operation: Operation) -> Outcome:
    """Apply one operation to the page and return its outcome."""
    return _APPLY[type(operation)](page, operation)


def attempt_of(operation: Operation) -> str:
    """The attempt that an operation is about, "" for none."""
    if isinstance(operation, (Settle, Adjust)):
        return operation.fact.attempt_id
    return "" if isinstance(operation, (Renew, Expire)) else operation.attempt_id


def needed_keys(page: Page) -> list[Key]:
    """The levels that the pending holds on the page claim."""
    return [claim[:3] for hold in page.holds.values() for claim in hold.claims]


def foresee(page: Page, operations: Sequence[Operation]) -> tuple[list[str], list[Key]]:
    """The attempts that operations are about, and the levels that they will most likely need.

    The levels are a guess, from the scopes that stand now: what it misses is fetched on demand.
    """
    attempt_ids, bound = [], set[tuple[Key, ...]]()
    now, now_ms = page.bindings.now, page.now_ms
    for operation in operations:
        if isinstance(operation, Reserve):
            attempt_ids.append(operation.attempt_id)
            scopes = operation.scopes
        elif isinstance(operation, (Settle, Adjust)):
            attempt_ids.append(operation.fact.attempt_id)
            scopes = operation.fact.scopes
        else:
            attempt_ids.append(attempt_of(operation))
            continue
        bound.add(now(scopes, now_ms).keys)
    return attempt_ids, list(set().union(*bound))


def _reserve(page: Page, reserve: Reserve) -> Outcome:
    hold = page.holds.get(reserve.attempt_id)
    if hold is not None:
        return hold.granted()
    row = page.rows.get(reserve.attempt_id)
    if row is not None:
        return _granted_before(page, row)
    now_ms = page.now_ms
    binding = page.bindings.now(reserve.scopes, now_ms)
    if binding.refused is not None:
        return deny_missing(binding.refused)
    places = binding.places
    levels = [page.current_level(place) for place in places]
    grant = decide(levels, reserve.demand, now_ms)
    if isinstance(grant, Denial):
        return grant
    if reserve.behind and not page.opened.keys() >= set(reserve.behind):
        return None
    if binding.would_refuse:
        names = tuple(sorted({*grant.would_refuse, *binding.would_refuse}))
        grant = grant._replace(would_refuse=names)
    claims = []
    for place, level, amount in zip(places, levels, grant.amounts, strict=True):
        take(level, amount, now_ms)
        page.move(place.key, level)
        claims.append(Claim._make((*place.key, level.meter, amount)))
    hold = hold_of(reserve, grant, tuple(claims), binding.account, page.owner_id, now_ms)
    page.holds[hold.attempt_id] = page.opened[hold.attempt_id] = hold
    page.ended.pop(hold.attempt_id, None)
    return hold.granted()


def _granted_before(page: Page, row: Row) -> Granted:
    """The first outcome of a reservation that has ended since, as far as its allowances still stand."""
    claimed = row.bound_nano_usd, row.claimed_input, row.claimed_output
    places = page.bindings.at(row.scopes, row.reserved_ms).places
    return Granted(
        row.attempt_id,
        row.reserved_ms,
        row.bound_nano_usd,
        row.output_tokens_max or 0,
        tuple(
            Claim(*place.key, place.allowance.meter, claimed_amount(place.allowance.meter, *claimed))
            for place in places
        ),
        row.capped_by,
        names_of(row.would_refuse),
    )


def _settle(page: Page, operation: Settle) -> Outcome:
    fact = operation.fact
    hold = page.holds.get(fact.attempt_id)
    if hold is not None:
        ended = _end_observed(page, hold, operation) if operation.observed else _end(page, hold, row_of(fact, hold))
        limits = _limits(page, hold) if operation.limits else ()
        return replace(ended, limits=limits) if limits else ended
    row = page.rows.get(fact.attempt_id)
    if row is None:
        return _charge_unknown(page, fact, "")
    if not _awaits(row, _SETTLE):
        return Ended(fact.attempt_id, changed=False)
    return _replace(page, row, corrected(row, fact, _SETTLE))


def _adjust(page: Page, operation: Adjust) -> Outcome:
    fact = operation.fact
    if not operation.evidence:
        raise ValueError(f"attempt {fact.attempt_id}: evidence without a name could count twice")
    hold = page.holds.get(fact.attempt_id)
    if hold is not None:
        # The settle has not been taken yet (full disk?): evidence is better than it, and it will find the row.
        row = row_of(fact, hold)
        return _end(page, hold, row._replace(evidence=corrected(row, fact, operation.evidence).evidence))
    row_before = page.rows.get(fact.attempt_id)
    if row_before is None:
        return _charge_unknown(page, fact, operation.evidence)
    if row_before.certain or operation.evidence in row_before.evidences:
        return Ended(fact.attempt_id, changed=False)
    return _replace(page, row_before, corrected(row_before, fact, operation.evidence))


def _void(page: Page, operation: Void) -> Outcome:
    hold = page.holds.get(operation.attempt_id)
    fact = operation.fact
    if hold is not None:
        moved = []
        for claim in hold.claims:
            level = page.claimed_level(claim, hold)
            if level is not None:
                void(level, claim.amount, page.now_ms)
                moved.append(level)
        _close(page, hold, None if fact is None else not_sent(row_of(fact, hold)))
        return _ended(page, hold.attempt_id, moved)
    row = page.rows.get(operation.attempt_id)
    if row is None or not _awaits(row, _VOID):
        return Ended(operation.attempt_id, changed=False)
    new = row._replace(ending="not_sent") if fact is None else corrected(row, fact, _VOID)
    return _replace(page, row, not_sent(new))


def _awaits(row: Row, evidence: str) -> bool:
    """True while an expired attempt can still be ended by its own process."""
    return row.ending == "expired" and not row.certain and evidence not in row.evidences


def _mark(page: Page, operation: Mark) -> Outcome:
    hold = page.holds.get(operation.attempt_id)
    if hold is not None:
        marked = hold.marked(operation.request_id)
        page.holds[hold.attempt_id] = page.opened[hold.attempt_id] = marked
    return None


def _renew(page: Page, operation: Renew) -> Outcome:
    return None


def _expire(page: Page, operation: Expire) -> Outcome:
    attempts = []
    for attempt_id in page.orphans:
        hold = page.holds.get(attempt_id)
        if hold is None:
            continue
        for claim in hold.claims:
            level = page.claimed_level(claim, hold)
            if level is not None:
                expire(level, claim.amount)
        _close(page, hold, expired_row(hold, page.now_ms))
        attempts.append((attempt_id, hold.bound_nano_usd))
    return Expired(tuple(attempts))


def _end(page: Page, hold: Hold, row: Row) -> Ended:
    """Settle a pending hold with its row."""
    moved = []
    now_ms, charged = page.now_ms, row.charged_nano_usd
    refunds = hold.refunds or row.status == RATE_REFUSED
    for claim in hold.claims:
        level = page.claimed_level(claim, hold)
        if level is not None:
            actual = charged if claim.meter == "nano_usd" else row.carried(claim.meter)
            settle(level, claim.amount, actual, now_ms, refunds=refunds)
            moved.append(level)
    _close(page, hold, row)
    return _ended(page, hold.attempt_id, moved)


def _end_observed(page: Page, hold: Hold, operation: Settle) -> Ended:
    """Settle a pending hold, and correct what it claims by what the provider said with its answer.

    What an answer shows still has the whole claim in it, so that it comes before what is given back; what a refusal
    shows never had it.
    """
    fact, observed = operation.fact, operation.observed
    refused = (fact.status or 0) >= REFUSED
    beyond = () if refused else follow(page, hold, fact, observed)
    ended = _end(page, hold, row_of(fact, hold))
    beyond = follow(page, hold, fact, observed) if refused else beyond
    return replace(ended, beyond=beyond) if beyond else ended


def _limits(page: Page, hold: Hold) -> tuple[Balance, ...]:
    """Where the limits on requests and tokens stand that an attempt counted for."""
    levels = [page.claimed_level(claim, hold) for claim in hold.claims if claim.meter in _TOLD]
    return tuple([page.balance(level) for level in levels if level is not None])


def _close(page: Page, hold: Hold, row: Row | None) -> None:
    """Take a hold off the books and put its row, if any, in its place."""
    attempt_id = hold.attempt_id
    del page.holds[attempt_id]
    page.opened.pop(attempt_id, None)
    page.ended[attempt_id] = None
    if row is not None:
        page.rows[attempt_id] = page.written[attempt_id] = row


def _replace(page: Page, before: Row, after: Row) -> Ended:
    """Correct an ended attempt: its windows carry what the new row says in place of what the old one said."""
    moved = []
    for place in page.bindings.at(before.scopes, before.reserved_ms).places:
        level = page.past_level(place)
        if level is not None:
            correct(level, before.carried(level.meter), after.carried(level.meter))
            moved.append(level)
    return _recorded(page, after, moved)


def _charge_unknown(page: Page, fact: Fact, evidence: str) -> Ended:
    """Believe a fact about an attempt without a hold: the provider may have billed it."""
    row = row_of(fact, None)
    if not 0 < row.reserved_ms <= page.now_ms:
        row = row._replace(reserved_ms=page.now_ms)
    if evidence:
        row = corrected(row, fact, evidence)
    moved = []
    for place in page.bindings.at(row.scopes, row.reserved_ms).places:
        level = page.past_level(place)
        if level is not None:
            settle(level, 0, row.carried(level.meter) if level.allowance.shape != "gauge" else 0, page.now_ms)
            moved.append(level)
    return _recorded(page, row, moved)


def _recorded(page: Page, row: Row, moved: list[Level]) -> Ended:
    for level in moved:
        page.move(level.key, level)
    page.rows[row.attempt_id] = page.written[row.attempt_id] = row
    return _ended(page, row.attempt_id, moved)


def _ended(page: Page, attempt_id: str, moved: list[Level]) -> Ended:
    """The outcome of an end or a correction: where the budgets that it moved stand, and which are overdrawn."""
    balances: list[Balance] = []
    overdrawn: list[str] = []
    for level in moved:
        if level.meter == "nano_usd":
            balance = page.balance(level)
            balances.append(balance)
            if balance.spent + balance.held > balance.limit and level.allowance.enforced:
                overdrawn.append(balance.allowance)
    return Ended(attempt_id, tuple(balances), True, tuple(overdrawn))


_APPLY: dict[type, Callable[[Page, Any], Outcome]] = {
    Reserve: _reserve,
    Settle: _settle,
    Void: _void,
    Adjust: _adjust,
    Mark: _mark,
    Renew: _renew,
    Expire: _expire,
}
