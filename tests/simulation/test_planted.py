"""Each bug that is planted in the real code is found by the simulation, within so many seeds.

Those of the breaker alone are in `test_breaker_search`, those of the hold protocol in `test_hold_search`, those of the
flow and its drivers in `test_call_search`.
"""

from __future__ import annotations

import pytest

from tests.simulation.planting import PLANTED, Plant
from tests.simulation.world import live

SEEDS_MAX = 100


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert any(live(seed).wrong for seed in range(SEEDS_MAX))
