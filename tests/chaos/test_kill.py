"""Processes are killed with SIGKILL in the middle of everything; the budget holds, and the books are true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from bursar.sim.record import read_record
from tests.chaos.findings import Findings, find
from tests.chaos.harness import Chaos, Counted, Observed, count_naively, govern

CHAOS = Chaos(
    kills=20,
    processes=6,
    budget_nano_usd=60_000_000,
    seed=4,
    pause_seconds=0.1,
    seconds_max=100,
    apart_nano_usd=4_000_000,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chaos")


@pytest.fixture(scope="module")
def observed(folder: Path) -> Observed:
    return govern(CHAOS, folder)


@pytest.fixture(scope="module")
def found(folder: Path, observed: Observed) -> Findings:
    return find(folder, observed)


def test_nothing_is_wrong(observed: Observed, found: Findings) -> None:
    assert found.wrong == ()
    assert observed.kills == 20
    assert observed.samples > 20


def test_the_bill_is_within_the_books_and_the_books_within_the_budget(found: Findings) -> None:
    assert 0 < found.billed_nano_usd <= found.spent_nano_usd <= found.limit_nano_usd
    # The budget was what ended it. What is left depends on who held money last and on what was corrected afterwards.
    assert found.spent_nano_usd > found.limit_nano_usd * 9 // 10
    assert found.held_nano_usd == 0


def test_every_acknowledged_charge_is_in_the_books(found: Findings) -> None:
    assert found.lost == 0
    assert 100 < found.acknowledged <= found.charges


def test_calls_were_tried_again_and_elsewhere(found: Findings) -> None:
    assert found.retried > 20
    assert found.elsewhere > 5


def test_what_the_dead_had_in_flight_is_charged_at_its_bound(found: Findings) -> None:
    assert found.orphans > 0
    assert found.orphans_nano_usd > 0


def test_a_check_then_add_counter_overspends_and_forgets(tmp_path: Path) -> None:
    counted: Counted = count_naively(replace(CHAOS, budget_nano_usd=30_000_000), tmp_path)
    assert counted.overspend_nano_usd > 0
    assert counted.lost_nano_usd > 0


def test_what_is_wrong_would_be_seen(folder: Path, observed: Observed, found: Findings) -> None:
    """The same findings with one line too many in the files that they are drawn from."""
    told = (folder / "acknowledged").read_bytes()
    record = (folder / "sim.jsonl").read_bytes()
    billed = next(entry for entry in read_record(folder / "sim.jsonl") if entry.billed_nano_usd)
    stray = msgspec.json.encode(msgspec.structs.replace(billed, client_request_id="nobody.1"))
    try:
        (folder / "acknowledged").write_bytes(told + b"nobody.0 5\n")
        (folder / "sim.jsonl").write_bytes(record + stray + b"\n")
        wrong = find(folder, observed).wrong
        assert any("acknowledged charges are lost" in sentence for sentence in wrong)
        assert any("billed requests are not in the books" in sentence for sentence in wrong)
        lower = replace(observed, limit_nano_usd=found.spent_nano_usd - 1)
        assert any("allowed" in sentence for sentence in find(folder, lower).wrong)
    finally:
        (folder / "acknowledged").write_bytes(told)
        (folder / "sim.jsonl").write_bytes(record)
