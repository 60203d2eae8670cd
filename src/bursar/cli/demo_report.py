"""What the demo ends with: spend by model, the proof side by side, and what to try next; or all of it as one object.

Decides whether the proof holds. What is shown is never rounded: amounts to the nano-dollar, so that a reader can add.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.cli.demo_proof import Agreement, Spend
from bursar.cli.demo_run import Tally
from bursar.cli.output import counted
from bursar.rules.money import format_usd

Say = Callable[..., None]
COLUMNS = 80
COUNTER_COLUMNS = 22
GOOD, BAD, HEAD, FAINT = "green", "bold red", "bold", "dim"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything the demo found out. Amounts are nano-USD.

    spent, held: where the budget stood at the end. naive_*: the check-then-add counter, what it counted and what the
    provider billed it. books: where they were kept, None when they were thrown away.
    """

    tally: Tally
    waited: int
    budget_nano_usd: int
    spent_nano_usd: int
    held_nano_usd: int
    agreement: Agreement
    spends: tuple[Spend, ...]
    naive_sent: int
    naive_counted_nano_usd: int
    naive_billed_nano_usd: int
    seconds: float
    books: Path | None = None

    @property
    def overspend_nano_usd(self) -> int:
        """What the provider billed above the budget."""
        return max(self.agreement.billed_nano_usd - self.budget_nano_usd, 0)

    @property
    def naive_overspend_nano_usd(self) -> int:
        """What the provider billed the naive counter above the budget."""
        return max(self.naive_billed_nano_usd - self.budget_nano_usd, 0)

    @property
    def holds(self) -> bool:
        """True when the budget was kept, by the bill and by the books, and the books agree with the bill."""
        kept = self.overspend_nano_usd == 0 and self.spent_nano_usd <= self.budget_nano_usd
        return kept and self.held_nano_usd == 0 and self.agreement.holds


def as_object(outcome: Outcome) -> dict[str, Any]:
    """The outcome for machines."""
    tally, books = outcome.tally, outcome.agreement
    return {
        "calls": tally.calls,
        "ok": tally.ok,
        "refused": tally.refused,
        "aborted": tally.aborted,
        "failed": tally.failed,
        "waited": outcome.waited,
        "budget_nano_usd": outcome.budget_nano_usd,
        "spent_nano_usd": outcome.spent_nano_usd,
        "held_nano_usd": outcome.held_nano_usd,
        "uncertain_nano_usd": books.uncertain_nano_usd,
        "billed_nano_usd": books.billed_nano_usd,
        "overspend_nano_usd": outcome.overspend_nano_usd,
        "books_equal_bill": books.holds,
        "rows_certain": books.certain,
        "rows_uncertain": books.uncertain,
        "naive_sent": outcome.naive_sent,
        "naive_counted_nano_usd": outcome.naive_counted_nano_usd,
        "naive_billed_nano_usd": outcome.naive_billed_nano_usd,
        "naive_overspend_nano_usd": outcome.naive_overspend_nano_usd,
        "by_model": {spend.model: spend.charged_nano_usd for spend in outcome.spends},
        "seconds": round(outcome.seconds, 2),
        "holds": outcome.holds,
    }


def report(outcome: Outcome, say: Say) -> None:
    """The outcome for people, 80 columns wide."""
    _tell_calls(outcome, say)
    _tell_spend(outcome, say)
    _tell_proof(outcome, say)
    _tell_agreement(outcome, say)
    _tell_next(outcome, say)


def _tell_calls(outcome: Outcome, say: Say) -> None:
    tally = outcome.tally
    say()
    ends = f"{tally.ok} ok, {tally.refused} refused, {tally.aborted} aborted by the caller, {tally.failed} failed"
    say(f"{counted(tally.calls, 'call')}: {ends}.")
    if outcome.waited:
        say(f"{counted(outcome.waited, 'call')} waited for money that others held, and were sent when it came back.")


def _tell_spend(outcome: Outcome, say: Say) -> None:
    say()
    say(f"{'Spend by model':<44} {'calls':>7} {'tokens':>10} {'charged':>16}", style=HEAD)
    for spend in outcome.spends:
        say(f"{spend.model:<44} {spend.calls:>7,} {spend.tokens:>10,} {exact(spend.charged_nano_usd):>16}")
    calls, tokens = (sum(getattr(spend, name) for spend in outcome.spends) for name in ("calls", "tokens"))
    say(f"{'':<44} {calls:>7,} {tokens:>10,} {exact(outcome.spent_nano_usd):>16}", style=HEAD)


def _tell_proof(outcome: Outcome, say: Say) -> None:
    budget, naive = exact(outcome.budget_nano_usd), outcome.naive_overspend_nano_usd
    say()
    say(f"{'The same calls, twice':<38} {'Bursar':>18} {'check, then add':>22}", style=HEAD)
    say(_sides("the budget", budget, budget))
    books = _sides("its own books say", exact(outcome.spent_nano_usd), exact(outcome.naive_counted_nano_usd))
    say(books, style=BAD if outcome.spent_nano_usd > outcome.budget_nano_usd else "")
    billed, naive_billed = exact(outcome.agreement.billed_nano_usd), exact(outcome.naive_billed_nano_usd)
    say(_sides("the provider billed", billed, naive_billed))
    above = exact(outcome.overspend_nano_usd) if outcome.overspend_nano_usd else "nothing"
    sides = _sides("above the budget", above, exact(naive) if naive else "nothing")
    cut = len(sides) - COUNTER_COLUMNS
    say(
        sides[:cut],
        style=BAD if outcome.overspend_nano_usd else GOOD,
        end=sides[cut:],
        end_style=BAD if naive else GOOD,
    )
    if naive:
        share = naive * 100 // max(outcome.budget_nano_usd, 1)
        say(f"  {share} % too much. A counter adds a cost once it is known: it does not see what", style=FAINT)
        say("  is in flight, and never learns of calls that were left or broke.", style=FAINT)
    else:
        say("  The counter kept this budget too: these calls cost less than it.", style=FAINT)


def _sides(what: str, left: str, right: str) -> str:
    return f"  {what:<36} {left:>18} {right:>{COUNTER_COLUMNS}}"


def _tell_agreement(outcome: Outcome, say: Say) -> None:
    books = outcome.agreement
    say()
    say("Bursar's books against the provider's record, attempt by attempt", style=HEAD)
    equal = f"{counted(books.certain, 'certain row')}: equal to the bill, to the nano-dollar"
    _check(say, not books.unequal, equal, f"{counted(len(books.unequal), 'certain row')} differ from the bill")
    above = (
        f"{counted(books.uncertain, 'uncertain row')}: {exact(books.uncertain_nano_usd)} charged, never below the bill"
    )
    _check(say, not books.below, above, f"{counted(len(books.below), 'uncertain row')} below the bill")
    known = "every billed request is in the books, and nothing is held any more"
    lost = (
        f"{counted(len(books.unknown), 'billed request')} not in the books, {exact(outcome.held_nano_usd)} still held"
    )
    _check(say, not books.unknown and not outcome.held_nano_usd, known, lost)
    if books.uncertain:
        say("  Uncertain: connection or reply broke, so the most it can cost stays set aside.", style=FAINT)
        say("  A guess in your favour could break the budget.", style=FAINT)


def _check(say: Say, holds: bool, good: str, bad: str) -> None:
    say(f"  {_mark(holds)} {good if holds else bad}", style=GOOD if holds else BAD)


def _mark(holds: bool) -> str:
    if (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf"):
        return "✓" if holds else "✗"
    return "ok" if holds else "NO"


def _tell_next(outcome: Outcome, say: Say) -> None:
    name = program()
    tries = [
        (f"{name} doctor", "what this machine needs for real calls"),
        (f"{name} config init", "a file with budgets by team, user, model"),
        (f"{name} chat --budget 0.05 'Hello!'", "a real call, 5 cents a day at most"),
    ]
    if outcome.books is not None:
        tries[0] = (f"{name} usage --books {outcome.books}", "the books of this demo")
    width = max(len(command) for command, _ in tries)
    beside = width + max(len(what) for _, what in tries) + 5 <= COLUMNS
    say()
    say(f"Done in {outcome.seconds:.1f} s; no byte left this machine. Try next:", style=HEAD)
    for command, what in tries:
        say(f"  {command:<{width}}   {what}" if beside else f"  {command}\n      {what}")


def program() -> str:
    """How this installation is called from this folder: by name, or by its path where the shell would not find it."""
    beside = Path(sys.executable).parent / "bursar"
    found = shutil.which("bursar")
    if found and Path(found).parent == beside.parent:
        return "bursar"
    if not beside.exists():
        return "python -m bursar"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def exact(nano_usd: int) -> str:
    """Dollars to the nano-dollar, so that columns line up.

    >>> exact(100_000_000)
    '$0.100000000'
    """
    return format_usd(nano_usd, digits_min=9)
