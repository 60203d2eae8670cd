"""A gateway with the simulator behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.simulator import Sim, simulating
from tests.gateway.running import Running, serving


@pytest.fixture(scope="session")
def shared_sim() -> Iterator[Sim]:
    with simulating() as sim:
        yield sim


@pytest.fixture
def sim(shared_sim: Sim) -> Sim:
    """A simulator that has recorded nothing yet and fails at nothing."""
    shared_sim.reset()
    return shared_sim


@pytest.fixture(scope="module")
def gateway(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that the tests of a module share; each makes keys of its own where it changes anything."""
    with serving(tmp_path_factory.mktemp("gateway"), shared_sim) as running:
        yield running
