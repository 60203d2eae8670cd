"""A hundred worlds of many callers: in each of them everything holds that is promised.

bench/simulation runs any number more. A seed that fails tells its story with `python -m bench.simulation --seed N`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from itertools import repeat
from pathlib import Path

import pytest

from tests.simulation.loop import StandstillError, VirtualLoop, simulate
from tests.simulation.world import Verdict, live

ROOT = Path(__file__).parents[2]
SEEDS = 100
# What has to happen in a hundred worlds, or they prove less than they say.
SEEN = (
    "answered", "failed", "left", "cancelled", "lost", "waited", "uncertain", "billed", "refused by a limit",
    "kill", "stop", "pause", "fail", "forget", "reconcile", "CallRefused", "AttemptFailed", "BreakerChanged",
    "HoldsExpired",
)  # fmt: skip


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    return [live(seed) for seed in range(SEEDS)]


def test_everything_holds_in_a_hundred_worlds(verdicts: list[Verdict]) -> None:
    assert {verdict.seed: verdict.wrong for verdict in verdicts if verdict.wrong} == {}


def test_everything_happened_that_can_go_wrong(verdicts: list[Verdict]) -> None:
    figures = sum((verdict.figures for verdict in verdicts), Counter[str]())
    assert {name: figures[name] for name in SEEN if figures[name] < SEEDS // 10} == {}


def test_the_same_seed_tells_the_same_story() -> None:
    program = (
        "import sys; from tests.simulation.world import Verdict, live; sys.stdout.write('\\n'.join(live(7).story))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": f"{ROOT / 'src'}"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    story = "\n".join(live(7).story)
    assert len(story) > 1_000
    assert sha256(told.stdout).hexdigest() == sha256(story.encode()).hexdigest()


def test_time_passes_without_being_waited_for() -> None:
    async def main(loop: VirtualLoop) -> float:
        await asyncio.gather(asyncio.sleep(3_600), asyncio.sleep(60))
        return loop.time()

    assert simulate(main) == 3_600.0


def test_whoever_waits_for_nobody_is_a_standstill() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(StandstillError, match="everybody waits for nobody"):
        simulate(main)


def test_whoever_never_lets_time_pass_is_a_standstill() -> None:
    async def main(loop: VirtualLoop) -> None:
        for _ in repeat(None):
            await asyncio.sleep(0)

    with pytest.raises(StandstillError, match="time stands still"):
        simulate(main)
