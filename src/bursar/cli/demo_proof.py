"""Holds the books against the provider's own record, attempt by attempt, and says whether they agree.

Decides nothing and believes neither side: a row of the books and an entry of the record belong together when they carry
the same attempt id, which the provider was sent with the request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.call.books import Fact
    from bursar.sim.record import Entry


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the rows of the ledger stand to the bill. Amounts are nano-USD; the tuples hold attempt ids.

    certain, uncertain: rows of either mark, and what they charge. unequal: rows marked certain that differ from the
    bill. below: rows marked uncertain that charge less than was billed. unknown: billed requests without a row.
    """

    certain: int
    uncertain: int
    certain_nano_usd: int
    uncertain_nano_usd: int
    billed_nano_usd: int
    unequal: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """True when certain rows equal the bill, uncertain ones are never below it, and nothing billed is unknown."""
        return not (self.unequal or self.below or self.unknown)


def agreement(facts: Iterable[Fact], entries: Iterable[Entry]) -> Agreement:
    """Compare every row with what was billed under its attempt id; a request that was billed nothing may be missing."""
    billed: defaultdict[str, int] = defaultdict(int)
    for entry in entries:
        billed[entry.client_request_id or ""] += entry.billed_nano_usd
    rows = {fact.attempt_id: fact for fact in facts}
    certain = [fact for fact in rows.values() if fact.certain]
    uncertain = [fact for fact in rows.values() if not fact.certain]
    return Agreement(
        certain=len(certain),
        uncertain=len(uncertain),
        certain_nano_usd=sum(fact.charged_nano_usd for fact in certain),
        uncertain_nano_usd=sum(fact.charged_nano_usd for fact in uncertain),
        billed_nano_usd=sum(billed.values()),
        unequal=tuple(one.attempt_id for one in certain if one.charged_nano_usd != billed.get(one.attempt_id, 0)),
        below=tuple(one.attempt_id for one in uncertain if one.charged_nano_usd < billed.get(one.attempt_id, 0)),
        unknown=tuple(attempt_id for attempt_id, nano in billed.items() if nano and attempt_id not in rows),
    )


@dataclass(frozen=True, slots=True)
class Spend:
    """What one model came to: rows of the ledger, tokens both ways, and what the budget carries for them."""

    model: str
    calls: int
    tokens: int
    charged_nano_usd: int


def spend_by_model(facts: Iterable[Fact]) -> list[Spend]:
    """The ledger by provider and model, dearest first."""
    groups: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        groups[f"{fact.provider}/{fact.model}"].append(fact)
    spends = [
        Spend(
            model,
            len(rows),
            sum(row.usage.total_tokens for row in rows),
            sum(row.charged_nano_usd for row in rows),
        )
        for model, rows in groups.items()
    ]
    return sorted(spends, key=lambda spend: (-spend.charged_nano_usd, spend.model))
