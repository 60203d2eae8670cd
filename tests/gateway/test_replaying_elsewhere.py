"""Calls with an Idempotency-Key that reach different gateways on one set of books."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.client.simulator import Sim
from tests.gateway.gates import gated, until_waiting
from tests.gateway.running import Running, serving
from tests.gateway.test_connections import until_idle


@pytest.fixture(scope="module")
def both(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Running]]:
    """Two gateways on one set of books."""
    folder = tmp_path_factory.mktemp("both")
    with serving(folder, shared_sim) as first, serving(folder, shared_sim) as second:
        yield first, second


@pytest.mark.parametrize("stream", [False, True])
def test_whoever_is_asked_there_is_one_call_and_one_bill(both: tuple[Running, Running], sim: Sim, stream: bool) -> None:
    headers = {"idempotency-key": f"elsewhere {stream}"}
    with ThreadPoolExecutor(6) as pool, gated(*both) as gate:
        asked = [pool.submit(both[place % 2].chat, headers=headers, stream=stream) for place in range(6)]
        until_waiting(both[0], 5)
        gate.opened.set()
        answers = [one.result() for one in asked]
    assert [answer.status for answer in answers] == [200] * 6
    assert len({answer.body for answer in answers}) == 1
    assert len({answer.headers["x-bursar-call-id"] for answer in answers}) == 1
    assert len(sim.entries()) == 1
    for gateway in both:
        until_idle(gateway)
        assert gateway.chat(headers=headers, stream=stream).status == 409
