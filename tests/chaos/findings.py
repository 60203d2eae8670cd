"""What the books say after the chaos, and whether it is all true."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bursar.call.books import Fact
from bursar.cli.demo_proof import agreement
from bursar.edges.stores.sqlite import SqliteStore
from bursar.sim.record import read_record
from tests.chaos.harness import Observed


@dataclass(frozen=True, slots=True)
class Findings:
    """The figures, and in `wrong` a sentence for everything that does not hold. Amounts are nano-USD.

    charges: rows of the ledger. acknowledged: charges that a caller had been told; lost: those not in the ledger with
    the same amount. orphans: attempts whose process was killed, charged at their bound. retried: calls of several
    attempts; elsewhere: those whose attempts went to several models.
    """

    charges: int
    certain: int
    billed_nano_usd: int
    spent_nano_usd: int
    limit_nano_usd: int
    acknowledged: int
    lost: int
    orphans: int
    orphans_nano_usd: int
    held_nano_usd: int
    retried: int
    elsewhere: int
    wrong: tuple[str, ...]

    @property
    def overspend_nano_usd(self) -> int:
        """What was billed above the budget."""
        return max(self.billed_nano_usd - self.limit_nano_usd, 0)


def find(folder: Path, observed: Observed) -> Findings:
    """Open the books once more, which ends what the last dead have left, and compare them with the record."""
    store = SqliteStore(folder / "books.db")
    try:
        now_ms = time.time_ns() // 1_000_000
        facts = store.attempts(limit=sys.maxsize)
        balances, problems = store.balances(now_ms), store.check(now_ms)
    finally:
        store.close()
    agreed = agreement(facts, read_record(folder / "sim.jsonl"))
    told = read_acknowledged(folder / "acknowledged")
    charged = {fact.attempt_id: fact.charged_nano_usd for fact in facts}
    # What was told as uncertain may have been corrected since by the provider's own record: downwards, and for certain.
    corrected = {fact.attempt_id for fact in facts if fact.certain and fact.cost_source == "provider"}
    lost = [
        attempt_id
        for attempt_id, nano_usd in told.items()
        if (now := charged.get(attempt_id)) != nano_usd and not (attempt_id in corrected and (now or 0) < nano_usd)
    ]
    orphans = [fact for fact in facts if fact.ending == "expired"]
    calls: defaultdict[str, list[str]] = defaultdict(list)
    for fact in facts:
        calls[fact.call_id].append(f"{fact.provider}/{fact.model}")
    held = sum(balance.held for balance in balances)
    spent = sum(balance.spent for balance in balances if balance.allowance == "company")
    wrong = [*observed.wrong, *problems]
    for name, attempt_ids in (
        ("certain rows differ from the bill", agreed.unequal),
        ("uncertain rows are below the bill", agreed.below),
        ("billed requests are not in the books", agreed.unknown),
        ("acknowledged charges are lost", lost),
        (
            "orphans are neither charged at their bound nor by the record",
            [one.attempt_id for one in orphans if not (one.attempt_id in corrected or _at_bound(one))],
        ),
    ):
        if attempt_ids:
            wrong.append(f"{len(attempt_ids)} {name}: {', '.join(attempt_ids[:5])}")
    if held:
        wrong.append(f"{held} nano-USD are held, and nobody is left")
    if spent != sum(charged.values()):
        wrong.append(f"the budget says {spent}, the ledger {sum(charged.values())}")
    if not agreed.billed_nano_usd <= spent <= observed.limit_nano_usd:
        wrong.append(f"{agreed.billed_nano_usd} billed, {spent} spent, {observed.limit_nano_usd} allowed")
    return Findings(
        charges=len(facts),
        certain=agreed.certain,
        billed_nano_usd=agreed.billed_nano_usd,
        spent_nano_usd=spent,
        limit_nano_usd=observed.limit_nano_usd,
        acknowledged=len(told),
        lost=len(lost),
        orphans=len(orphans),
        orphans_nano_usd=sum(one.charged_nano_usd for one in orphans),
        held_nano_usd=held,
        retried=sum(len(of_call) > 1 for of_call in calls.values()),
        elsewhere=sum(len(set(of_call)) > 1 for of_call in calls.values()),
        wrong=tuple(wrong),
    )


def read_acknowledged(path: Path) -> dict[str, int]:
    """Attempt ids with what their callers were told; the last word counts where there were two."""
    told = {}
    for line in path.read_text("ascii").splitlines():
        attempt_id, nano_usd = line.split()
        told[attempt_id] = int(nano_usd)
    return told


def _at_bound(orphan: Fact) -> bool:
    return not orphan.certain and orphan.charged_nano_usd == orphan.bound_nano_usd > 0
