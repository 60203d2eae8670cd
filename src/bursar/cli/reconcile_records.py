"""Settling what is uncertain by the providers' own records; how `bursar reconcile` asks, and what it says.

Each correction is committed before the next question, so a run that is interrupted has lost nothing: the next one asks
only about what is still uncertain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bursar.call.evidence import adjustment
from bursar.cli.ending import PROVIDER_FAILED
from bursar.cli.output import counted, echo_json, iso, note
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.call.books import Adjust, Fact, Store
    from bursar.cli.spans import Span
    from bursar.config import Settings
    from bursar.edges.records import Records

# As many as are looked at in one run, oldest last; the next run finds the others.
ATTEMPTS_MAX = 100_000
# A record can be late, most of all that of a stream that was cut. After so long its absence says something else.
LATE_MS = 3_600_000

REASONS = {
    "no_id": "no id of the provider's came back to ask for: nothing answered, or no stream had opened",
    "not_yet": "no record yet; ask again later",
    "no_record": "no record: it may never have run, but only the bill can tell (bursar reconcile --bill)",
    "no_cost": "the record does not say what was charged",
    "not_asked": "not asked: the provider did not answer",
    "no_records": "the provider keeps no records to ask for; compare its bill (bursar reconcile --bill)",
    "not_tracked": "enable_cost_tracking is off for the provider",
    "not_configured": "the provider is not configured here",
}


class Doubt(NamedTuple):
    """An attempt that stays uncertain; `reason` is a key of REASONS."""

    fact: Fact
    reason: str


class Settled(NamedTuple):
    """An attempt that has become certain, as it was and as it is now."""

    before: Fact
    after: Fact


@dataclass(slots=True)
class Outcome:
    """What a run came to. stopped: by provider, why no more of its records could be asked for."""

    settled: list[Settled] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    overdrawn: set[str] = field(default_factory=set)
    stopped: dict[str, str] = field(default_factory=dict)

    @property
    def returned_nano_usd(self) -> int:
        """What came back to the budgets."""
        return sum(max(one.before.charged_nano_usd - one.after.charged_nano_usd, 0) for one in self.settled)

    @property
    def added_nano_usd(self) -> int:
        """What was charged on top of the bounds."""
        return sum(max(one.after.charged_nano_usd - one.before.charged_nano_usd, 0) for one in self.settled)


def settle_records(settings: Settings, provider: str, span: Span, *, dry_run: bool, as_json: bool) -> None:
    """Settle what can be settled, and say what stays uncertain and why."""
    from bursar.cli.opening import now_ms, open_books

    with open_books(settings) as store:
        if provider:
            check_provider(settings, store, provider)
        facts = store.attempts(
            provider=provider, since_ms=span.since_ms, until_ms=span.until_ms, uncertain=True, limit=ATTEMPTS_MAX
        )
        outcome = run(settings, store, facts, now_ms, dry_run=dry_run)
    if as_json:
        echo_json(shown(outcome, dry_run))
    else:
        draw_outcome(outcome, len(facts), dry_run)
    if outcome.stopped:
        raise click.exceptions.Exit(PROVIDER_FAILED)


def check_provider(settings: Settings, store: Store, name: str) -> None:
    """Refuse a provider that nobody has heard of: no row, no configuration, no books. Raises click.UsageError."""
    from bursar.call.books import UsageQuery
    from bursar.catalog.providers import known_rows
    from bursar.config.nearest import did_you_mean

    known = {*known_rows(), *settings.providers}
    if name not in known and name not in (booked := {row.group[0] for row in store.usage(UsageQuery(("provider",)))}):
        hint = did_you_mean(name, sorted(known | booked), "providers")
        raise click.UsageError(f"there is no provider {name!r}; {hint}", click.get_current_context())


def run(
    settings: Settings, store: Store, facts: Sequence[Fact], clock: Callable[[], int], *, dry_run: bool = False
) -> Outcome:
    """Ask each provider for the records of its attempts. Raises ConfigError for a provider without its key."""
    from bursar.catalog.headers import headers_of
    from bursar.catalog.providers import known_rows, row_of
    from bursar.edges.http.lookup import Lookup
    from bursar.edges.records import Records

    outcome = Outcome()
    for name in dict.fromkeys(fact.provider for fact in facts):
        own = [fact for fact in facts if fact.provider == name]
        chosen = settings.providers.get(name)
        row = row_of(chosen) if chosen else known_rows().get(name)
        if chosen is None or row is None or not row.records or not chosen.enable_cost_tracking:
            reason = "no_records" if row and not row.records else "not_tracked" if chosen else "not_configured"
            outcome.doubts += [Doubt(fact, reason) for fact in own]
            continue
        askable = [fact for fact in own if fact.request_id]
        outcome.doubts += [Doubt(fact, "no_id") for fact in own if not fact.request_id]
        if askable:
            note(f"Asking {name} for the records of {counted(len(askable), 'attempt')} ...")
            with Lookup(name, headers_of(row, chosen.require_key(), chosen)) as lookup:
                settle_provider(
                    store, askable, Records(lookup, row.base_url + row.records), row.records, clock, outcome, dry_run
                )
    return outcome


def settle_provider(
    store: Store,
    facts: Iterable[Fact],
    records: Records,
    path: str,
    clock: Callable[[], int],
    outcome: Outcome,
    dry_run: bool = False,
) -> None:
    """Ask one provider for the record of each attempt. The first question that stays unanswered is the last."""
    from bursar.edges.records import Absent, Unanswered
    from bursar.wire.generation import read_generation

    for fact in facts:
        if fact.provider in outcome.stopped:
            outcome.doubts.append(Doubt(fact, "not_asked"))
            continue
        found = records.find(fact.request_id)
        if isinstance(found, Unanswered):
            outcome.stopped[fact.provider] = found.detail
            outcome.doubts.append(Doubt(fact, "not_asked"))
        elif isinstance(found, Absent):
            late = clock() - fact.ended_ms > LATE_MS
            outcome.doubts.append(Doubt(fact, "no_record" if late else "not_yet"))
        else:
            adjust = adjustment(fact, read_generation(found.body), path)
            if adjust is None:
                outcome.doubts.append(Doubt(fact, "no_cost"))
            else:
                _commit(store, fact, adjust, clock, outcome, dry_run)


def _commit(
    store: Store, fact: Fact, adjust: Adjust, clock: Callable[[], int], outcome: Outcome, dry_run: bool
) -> None:
    from bursar.call.books import Ended

    if not dry_run:
        (ended,) = store.transact([adjust], clock)
        if not isinstance(ended, Ended) or not ended.changed:
            return  # another process had the same evidence, and was first
        outcome.overdrawn.update(ended.overdrawn)
    outcome.settled.append(Settled(fact, adjust.fact))


def shown(outcome: Outcome, dry_run: bool) -> dict[str, Any]:
    """The outcome as JSON."""
    return {
        "dry_run": dry_run,
        "settled": len(outcome.settled),
        "returned_nano_usd": outcome.returned_nano_usd,
        "added_nano_usd": outcome.added_nano_usd,
        "uncertain": len(outcome.doubts),
        "uncertain_nano_usd": sum(doubt.fact.charged_nano_usd for doubt in outcome.doubts),
        "overdrawn": sorted(outcome.overdrawn),
        "stopped": outcome.stopped,
        "attempts": [
            *(_shown(one.before, after=one.after.charged_nano_usd, reason=None) for one in outcome.settled),
            *(_shown(doubt.fact, after=doubt.fact.charged_nano_usd, reason=doubt.reason) for doubt in outcome.doubts),
        ],
    }


def _shown(fact: Fact, *, after: int, reason: str | None) -> dict[str, Any]:
    return {
        "attempt_id": fact.attempt_id,
        "provider": fact.provider,
        "model": fact.model,
        "request_id": fact.request_id or None,
        "at": iso(fact.reserved_ms),
        "ending": fact.ending,
        "charged_before_nano_usd": fact.charged_nano_usd,
        "charged_nano_usd": after,
        "certain": reason is None,
        "reason": reason,
    }


def draw_outcome(outcome: Outcome, asked: int, dry_run: bool) -> None:
    """Say it in lines."""
    for line in lines_of(outcome, asked, dry_run):
        click.echo(line)
    for name, why in outcome.stopped.items():
        note(f"{name} did not say: {why}\nRun this again later: what was settled stays so.")


def lines_of(outcome: Outcome, asked: int, dry_run: bool) -> Iterator[str]:
    """What a run came to, a sentence a line."""
    if not asked:
        yield "Nothing is uncertain."
        return
    would = "would be " if dry_run else ""
    settled = counted(len(outcome.settled), "attempt")
    yield f"{settled} {would}settled of {asked:,} uncertain"
    if outcome.settled:
        came, was = ("would come", "would be") if dry_run else ("came", "was")
        yield f"  {format_usd(outcome.returned_nano_usd)} {came} back"
        if outcome.added_nano_usd:
            yield f"  {format_usd(outcome.added_nano_usd)} {was} charged on top of what had been set aside"
    for budget in sorted(outcome.overdrawn):
        yield f"  budget {budget} now stands above its limit"
    if outcome.doubts:
        charged = sum(doubt.fact.charged_nano_usd for doubt in outcome.doubts)
        yield f"{counted(len(outcome.doubts), 'attempt')} charged at the most they can have cost, {format_usd(charged)}"
    groups = Counter((doubt.fact.provider, doubt.reason) for doubt in outcome.doubts)
    for (name, reason), number in sorted(groups.items()):
        yield f"  {number:,} {name}: {REASONS[reason]}"
