"""The books against the bill: each way in which they can disagree is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bursar.cli.demo_proof import Agreement, agreement, spend_by_model
from bursar.cli.demo_report import Outcome, as_object, report
from bursar.cli.demo_run import Tally
from bursar.rules.usage import Usage
from bursar.sim.record import Entry
from tests.contract.store.material import fact


def entry(attempt_id: str | None, billed_nano_usd: int) -> Entry:
    return Entry(
        id="sim",
        client_request_id=attempt_id,
        provider="openai",
        kind="chat",
        model="gpt-4o",
        model_asked="gpt-4o",
        stream=False,
        status=200,
        usage={},
        billed_nano_usd=billed_nano_usd,
        aborted=False,
        at_ms=0,
    )


def test_equal_books_hold() -> None:
    facts = [fact("a", 70), fact("b", 100, certain=False), fact("c", 0), fact("d", 30, certain=False)]
    found = agreement(facts, [entry("a", 70), entry("b", 100), entry("d", 5), entry("x", 0)])
    assert found == Agreement(2, 2, 70, 130, 175)
    assert found.holds


@pytest.mark.parametrize(
    ("facts", "entries", "wrong"),
    [
        ([fact("a", 70)], [entry("a", 69)], {"unequal": ("a",)}),
        ([fact("a", 70)], [entry("a", 71)], {"unequal": ("a",)}),
        ([fact("a", 70)], [], {"unequal": ("a",)}),
        ([fact("a", 70)], [entry("a", 70), entry("a", 70)], {"unequal": ("a",)}),
        ([fact("a", 70, certain=False)], [entry("a", 71)], {"below": ("a",)}),
        ([], [entry("a", 1)], {"unknown": ("a",)}),
        ([], [entry(None, 1)], {"unknown": ("",)}),
    ],
)
def test_every_disagreement_is_found(facts: list[Any], entries: list[Entry], wrong: dict[str, Any]) -> None:
    found = agreement(facts, entries)
    assert {name: getattr(found, name) for name in ("unequal", "below", "unknown") if getattr(found, name)} == wrong
    assert not found.holds


def test_spend_is_by_provider_and_model_dearest_first() -> None:
    facts = [fact("a", 5, usage=Usage.of(3, 4)), fact("b", 6), fact("c", 20, model="gpt-4o-mini")]
    shown = [(one.model, one.calls, one.tokens, one.charged_nano_usd) for one in spend_by_model(facts)]
    assert shown == [("openai/gpt-4o-mini", 1, 0, 20), ("openai/gpt-4o", 2, 7, 11)]


GOOD = Outcome(
    tally=Tally(4, 4, ok=2, refused=1, aborted=1),
    waited=1,
    budget_nano_usd=100,
    spent_nano_usd=99,
    held_nano_usd=0,
    agreement=Agreement(2, 1, 90, 9, 95),
    spends=(),
    naive_sent=4,
    naive_counted_nano_usd=120,
    naive_billed_nano_usd=150,
    seconds=1.0,
)


def test_a_proof_that_holds() -> None:
    assert GOOD.holds
    assert (GOOD.overspend_nano_usd, GOOD.naive_overspend_nano_usd) == (0, 50)
    assert as_object(GOOD)["holds"] is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget_nano_usd": 94},
        {"budget_nano_usd": 98},
        {"held_nano_usd": 1},
        {"agreement": replace(GOOD.agreement, unequal=("a",))},
        {"agreement": replace(GOOD.agreement, below=("a",))},
        {"agreement": replace(GOOD.agreement, unknown=("a",))},
    ],
)
def test_a_proof_that_does_not_hold_says_so(wrong: dict[str, Any]) -> None:
    broken = replace(GOOD, **wrong)
    assert not broken.holds
    said: list[str] = []
    report(broken, lambda text="", style="", end="", end_style="": said.append(f"{style}|{text}{end}"))
    assert [line for line in said if line.startswith("bold red|")]
