"""What the books say after a gateway was killed so often, and whether it is all true."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from bursar.call.books import Fact
from bursar.edges.stores.sqlite import SqliteStore
from bursar.sim.record import read_record
from tests.chaos.findings import Findings, find
from tests.gateway.chaos.harness import Seen
from tests.gateway.chaos.load import Tally


@dataclass(frozen=True, slots=True)
class Found:
    """The figures of the books, and in `wrong` a sentence for everything that does not hold.

    told: calls whose charge their caller was told; lost: those that are not so in the books.
    reconciled: rows that the provider's record has made certain. repeated: calls that were asked for again, under their
    name, since nobody had seen their end. twice: names that were charged for two calls.
    """

    books: Findings
    told: int
    lost: int
    reconciled: int
    repeated: int
    twice: int
    wrong: tuple[str, ...]


def find_gateway(folder: Path, seen: Seen) -> Found:
    """Compare the books with the provider's record, and with what callers were told."""
    (folder / "acknowledged").touch()  # of attempts: here callers are told of calls
    books = find(folder, seen)
    store = SqliteStore(folder / "books.db")
    try:
        facts = store.attempts(limit=sys.maxsize)
    finally:
        store.close()
    wrong = [*books.wrong, *seen.tally.strange]
    twice, lost = _charged_twice(facts, folder), _lost(facts, seen.tally)
    asked = [fact for fact in facts if fact.provider == "openrouter" and fact.request_id]
    for name, ids in (
        ("charges that callers were told of are lost", lost),
        ("names were charged for two calls", twice),
        ("streams that were seen whole are not so in the books", _missing(facts, seen.tally)),
        ("calls could be asked for at the provider, and are uncertain", [a.attempt_id for a in asked if not a.certain]),
        ("things were left behind", seen.left),
    ):
        if ids:
            wrong.append(f"{len(ids)} {name}: {', '.join(ids[:5])}")
    return Found(
        books=books,
        told=len(seen.tally.charged),
        lost=len(lost),
        reconciled=seen.settled,
        repeated=len(seen.again),
        twice=len(twice),
        wrong=tuple(wrong),
    )


def _lost(facts: list[Fact], tally: Tally) -> list[str]:
    """Calls whose charge is not what their caller was told; one that was uncertain may have become less."""
    charged: defaultdict[str, int] = defaultdict(int)
    for fact in facts:
        charged[fact.call_id] += fact.charged_nano_usd
    return [
        call_id
        for call_id, (nano_usd, certain) in tally.charged.items()
        if call_id not in charged or (charged[call_id] != nano_usd if certain else charged[call_id] > nano_usd)
    ]


def _charged_twice(facts: list[Fact], folder: Path) -> list[str]:
    """Sessions, which are the names of calls here, with charges or bills of two calls."""
    session_of = {fact.attempt_id: fact.scopes.get("session") for fact in facts}
    calls: defaultdict[str, set[str]] = defaultdict(set)
    charged = {fact.attempt_id for fact in facts if fact.charged_nano_usd}
    billed = {entry.client_request_id or "" for entry in read_record(folder / "sim.jsonl") if entry.billed_nano_usd}
    for attempt_id in charged | billed:
        session = session_of.get(attempt_id)
        if session:
            calls[session].add(attempt_id.partition(".")[0])
    return [session for session, ids in calls.items() if len(ids) > 1]


def _missing(facts: list[Fact], tally: Tally) -> list[str]:
    ended = {fact.call_id for fact in facts if fact.ending == "ok"}
    return sorted(tally.whole - ended)
