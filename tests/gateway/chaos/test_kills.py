"""Workers of a gateway are killed with SIGKILL under load, and callers leave as they please; the books are true."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.gateway.chaos.findings import Found, find_gateway
from tests.gateway.chaos.harness import Chaos, Seen, govern, govern_calmly

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")

CHAOS = Chaos(
    kills=5,
    supervisor_every=3,
    callers=8,
    budget_nano_usd=15_000_000,
    seed=5,
    pause_seconds=0.4,
    seconds_max=120,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def seen(folder: Path) -> Seen:
    return govern(CHAOS, folder)


@pytest.fixture(scope="module")
def found(folder: Path, seen: Seen) -> Found:
    return find_gateway(folder, seen)


def test_nothing_is_wrong(seen: Seen, found: Found) -> None:
    assert found.wrong == ()
    assert (seen.kills, seen.supervisors) == (CHAOS.kills, 1)
    assert seen.samples > CHAOS.kills


def test_the_bill_is_within_the_books_and_the_books_within_the_budget(found: Found) -> None:
    books = found.books
    assert 0 < books.billed_nano_usd <= books.spent_nano_usd <= books.limit_nano_usd
    assert books.held_nano_usd == 0


def test_callers_left_and_were_left(seen: Seen, found: Found) -> None:
    assert seen.tally.ended["left"] > 0
    assert seen.tally.ended["broken"] > 0
    assert seen.tally.whole
    assert found.told > 0


def test_no_call_is_paid_twice_under_its_name(seen: Seen, found: Found) -> None:
    assert found.repeated > 0
    assert found.twice == 0
    assert set(seen.again) <= {200, 402, 409, 429, 502, 503}


def test_what_is_wrong_would_be_seen(folder: Path, seen: Seen, found: Found) -> None:
    """The same findings with more told than is in the books."""
    tally = replace(seen.tally, charged={**seen.tally.charged, "nobody": (5, True)}, whole={"nobody"})
    wrong = find_gateway(folder, replace(seen, tally=tally, left=["books.db-owners/1"], limit_nano_usd=1)).wrong
    for sentence in ("told of are lost", "seen whole are not", "left behind", "1 allowed"):
        assert any(sentence in one for one in wrong), wrong


def test_reading_again_and_stopping_under_load_cut_nobody_and_lose_nothing(tmp_path: Path) -> None:
    seen, before = govern_calmly(tmp_path, callers=6, reloads=2)
    assert set(before) == {"answered"}, "while it was read again"
    found = find_gateway(tmp_path, seen)
    assert found.wrong == ()
    assert found.books.held_nano_usd == found.books.orphans == 0
    assert found.books.charges >= seen.tally.ended["answered"] >= sum(before.values())
