"""A budget without end whose money calls in flight hold: who asks meanwhile is told to come back soon."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.client.simulator import Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import Running
from tests.gateway.test_serving import until


def test_what_is_held_of_a_total_is_refused_for_now(gateway: Running, sim: Sim) -> None:
    refused = gateway.chat(key=key_of(gateway, usd=0.000000001, per="total"))
    bound_usd = float(refused.json["error"]["bursar"]["needed_usd"])
    key, before = key_of(gateway, usd=1.5 * bound_usd, per="total"), sim.desk.opened
    with sim.faults("stall:60"), ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.chat, key=key)
        until(lambda: sim.desk.opened > before)
        answer = gateway.chat(key=key, headers={"x-bursar-max-wait-seconds": "0"})
        sim.release()
        assert first.result().status == 200
    assert (answer.status, answer.json["error"]["code"]) == (429, "budget_held")
    assert answer.json["error"]["bursar"]["resets_at"] is None
    assert int(answer.headers["retry-after"]) >= 1
