"""Clients of both colours against a simulator that remembers what it billed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.colours import COLOURS
from tests.client.simulator import Sim, simulating


@pytest.fixture(scope="session")
def shared_sim() -> Iterator[Sim]:
    with simulating() as sim:
        yield sim


@pytest.fixture
def sim(shared_sim: Sim) -> Sim:
    """A simulator that has recorded nothing yet and fails at nothing."""
    shared_sim.reset()
    return shared_sim


@pytest.fixture(params=COLOURS)
def colour(request: pytest.FixtureRequest) -> str:
    return str(request.param)
