"""Many callers at once on one budget, and callers who leave at every point of a stream: the books hold, and balance."""

from __future__ import annotations

import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.client.simulator import Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import ADMIN_KEY, Answer, Running
from tests.gateway.test_connections import CHAT, request, until_idle

CALLERS = 200
ADMITTED = 10


def bound_usd(gateway: Running) -> float:
    """The most that the chat of these tests can cost, in dollars."""
    spent = gateway.chat(key=key_of(gateway, "bound", usd=0.000000001))
    return float(spent.json["error"]["bursar"]["needed_usd"])


def test_of_two_hundred_at_once_a_budget_pays_for_what_it_can_and_no_more(gateway: Running, sim: Sim) -> None:
    usd = bound_usd(gateway) * ADMITTED
    key = key_of(gateway, "crowded", usd=usd)

    def call(number: int) -> Answer:
        return gateway.chat(key=key, headers={"x-bursar-max-wait-seconds": str(number % 2)}, timeout=60)

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(call, range(CALLERS)))
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 402, 429}
    assert statuses[200] >= ADMITTED
    assert statuses[402] + statuses[429] > 0
    assert sim.billed() <= usd * 10**9
    assert len(sim.entries()) == statuses[200]
    for answer in answers:
        if answer.status == 402:
            assert answer.headers["x-should-retry"] == "false"
            assert "retry-after" not in answer.headers
            assert answer.json["error"]["code"] == "budget_exhausted"
        elif answer.status == 429:
            assert answer.headers["x-should-retry"] == "true"
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json["error"]["code"] in ("budget_held", "queue_full")
    until_idle(gateway)
    (balance,) = gateway.engine.store.balances(gateway.engine.clock(), names=["key:crowded"])
    assert balance.spent == sim.billed()
    assert balance.held == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_callers_who_leave_at_every_point_of_a_stream_are_paid_for(gateway: Running, sim: Sim, path: str) -> None:
    key = key_of(gateway, f"leaving{path.replace('/', '.')}", usd=1)
    body = {**CHAT, "stream": True}
    if path == "/v1/responses":
        body = {"model": CHAT["model"], "input": "Name three rivers.", "max_output_tokens": 20, "stream": True}
    elif path == "/v1/messages":
        body["model"] = "anthropic/claude-haiku-4-5"
    sent = (
        request(body, "connection: close")
        .replace(b"/v1/chat/completions", path.encode(), 1)
        .replace(ADMIN_KEY.encode(), key.encode(), 1)
    )

    def leave_after(bytes_read: int) -> None:
        with socket.create_connection(gateway.address, timeout=30) as connection:
            connection.sendall(sent)
            seen = 0
            while seen < bytes_read and (part := connection.recv(min(bytes_read - seen, 65_536))):
                seen += len(part)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave_after, [0, 1, 100, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 10**6]))
    until_idle(gateway)
    (balance,) = gateway.engine.store.balances(gateway.engine.clock(), names=[f"key:leaving{path.replace('/', '.')}"])
    assert balance.spent == sim.billed()
    assert balance.held == 0
