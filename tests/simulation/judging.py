"""Whether all is true at the end: the books against the providers' own accounts, and what each caller saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bursar.errors import LimitExceededError, QueueFullError
from bursar.rules.money import nano_of

if TYPE_CHECKING:
    from tests.simulation.calling import Caller
    from tests.simulation.world import World

# How much later than its deadline a caller may hear of it: two commits with their acknowledgements; where the books
# have failed also the patience with which a settle is tried again.
LATE_MS = 50
LATE_FAILING_MS = 3_000
# Nobody takes longer, with or without a deadline.
CALL_MS_MAX = 3_600_000


def judge(world: World) -> Iterator[str]:
    """Everything that does not hold at the end."""
    yield from _books(world)
    yield from _reconciled(world)
    for caller in world.callers:
        for problem in _caller(world, caller):
            yield f"call {caller.script.number} ({caller.call_id}, {caller.outcome}): {problem}"


def _books(world: World) -> Iterator[str]:
    books, now_ms = world.books, world.loop.now_ms()
    yield from books.check(now_ms)
    if books.pending():
        yield f"held for ever: {books.pending()}"
    facts = {fact.attempt_id: fact for fact in books.attempts(limit=1_000_000)}
    bills = world.billed()
    for name in bills.keys() - facts.keys():
        yield f"{name} was billed {bills[name]}, and the books do not know it"
    for name, fact in facts.items():
        billed = bills.get(name, 0)
        if fact.certain and fact.charged_nano_usd != billed:
            yield f"{name} is charged {fact.charged_nano_usd} for certain, and was billed {billed}"
        if not fact.certain and fact.charged_nano_usd < billed:
            yield f"{name} is charged {fact.charged_nano_usd}, and was billed {billed}"
        if name not in world.sent and fact.charged_nano_usd and fact.ending != "expired":
            yield f"{name} is charged {fact.charged_nano_usd}, and was never sent"
    spent = sum(fact.charged_nano_usd for fact in facts.values())
    for balance in books.balances(now_ms):
        if balance.held:
            yield f"{balance.allowance} {balance.subject} still holds {balance.held}"
        if balance.allowance == "company" and balance.spent != spent:
            yield f"the budget says {balance.spent}, the ledger {spent}"
    world.verdict.figures["attempts"] += len(facts)
    world.verdict.figures["billed"] += len(bills)
    world.verdict.figures["uncertain"] += sum(not fact.certain for fact in facts.values())
    world.verdict.figures["refused by a limit"] += sum(provider.refused for provider in world.providers.values())
    charged: dict[str, int] = defaultdict(int)
    for fact in facts.values():
        charged[fact.call_id] += fact.charged_nano_usd
    for caller in world.callers:
        cap = caller.script.max_cost_usd
        if cap is not None and charged[caller.call_id] > nano_of(cap):
            yield f"call {caller.script.number} costs {charged[caller.call_id]}, and may cost {cap} USD"


def _reconciled(world: World) -> Iterator[str]:
    """What does not hold once the providers' records are known: whatever was billed is certain then, and equal."""
    bills = world.billed()
    for name, billed in bills.items():
        world.books.correct(name, billed, world.loop.now_ms)
    for fact in world.books.attempts(limit=1_000_000):
        if fact.attempt_id in bills and (fact.charged_nano_usd, fact.certain) != (bills[fact.attempt_id], True):
            yield f"{fact.attempt_id} was billed {bills[fact.attempt_id]}, and once corrected says {fact}"
    yield from world.books.check(world.loop.now_ms())


def _caller(world: World, caller: Caller) -> Iterator[str]:
    """What one caller saw."""
    script, error = caller.script, caller.error
    if caller.ended_ms is None:
        yield "it never ended"
        return
    if caller.outcome == "lost":
        return
    late_ms = LATE_FAILING_MS if world.books_failed else LATE_MS
    took_ms = caller.ended_ms - caller.began_ms
    if took_ms > min(CALL_MS_MAX, CALL_MS_MAX if script.timeout is None else script.timeout * 1000 + late_ms):
        yield f"it took {took_ms} ms"
    if caller.outcome == "cancelled" and caller.cancelled_ms != caller.ended_ms:
        yield f"it was cancelled at {caller.cancelled_ms} and ended at {caller.ended_ms}"
    if isinstance(error, (LimitExceededError, QueueFullError)) and script.patient:
        yield f"it had patience, and was refused: {error}"
    if caller.result is None:
        return
    fact = caller.result.fact
    whole = world.providers[fact.provider].answered.get(fact.attempt_id)
    if caller.outcome == "answered" and caller.text != whole:
        yield f"it was shown {caller.text!r} as the whole of {whole!r}"
    if caller.result.receipt.charged_nano_usd != fact.charged_nano_usd:
        yield "its receipt says something else than its row"
