"""Calls with an Idempotency-Key: made once, whoever sends them how often, and paid once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest

from bursar.call.replays import LEASE_MS, Wanted
from bursar.edges.stores.replays import MemoryReplays
from bursar.gateway import replaying
from tests.client.simulator import Sim
from tests.gateway.gates import gated, until_waiting
from tests.gateway.keyed import key_of
from tests.gateway.running import Answer, Running, serving
from tests.gateway.test_connections import CHAT, request, until_idle


@pytest.fixture(scope="module")
def keeping(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that keeps replies."""
    with serving(tmp_path_factory.mktemp("keeping"), shared_sim, {"gateway": {"store_replies": True}}) as running:
        yield running


def ask(gateway: Running, name: str, text: str = "Name three rivers.", **fields: Any) -> Answer:
    return gateway.chat(text, headers={"idempotency-key": name}, **fields)


def test_a_call_that_is_sent_again_later_gets_the_reply_of_the_first(keeping: Running, sim: Sim) -> None:
    first, second = ask(keeping, "later"), ask(keeping, "later")
    assert (second.status, second.body) == (200, first.body)
    assert second.headers["x-bursar-call-id"] == first.headers["x-bursar-call-id"]
    assert second.headers["x-bursar-cost-usd"] == first.headers["x-bursar-cost-usd"]
    assert second.headers["x-bursar-replayed"] == "true"
    assert "x-bursar-replayed" not in first.headers
    assert len(sim.entries()) == 1


def test_a_stream_that_is_sent_again_later_is_whole(keeping: Running, sim: Sim) -> None:
    first, second = ask(keeping, "stream", stream=True), ask(keeping, "stream", stream=True)
    assert second.body == first.body
    assert second.body.endswith(b"data: [DONE]\n\n")
    assert second.headers["content-type"] == first.headers["content-type"]
    assert len(sim.entries()) == 1


def test_without_storing_the_second_is_told_the_id_of_the_call(gateway: Running, sim: Sim) -> None:
    first = ask(gateway, "told")
    until_idle(gateway)
    second = ask(gateway, "told")
    assert second.status == 409
    assert second.json["error"]["code"] == "idempotency_key_used"
    assert second.json["error"]["bursar"] == {"call_id": first.headers["x-bursar-call-id"]}
    assert second.headers["x-should-retry"] == "false"
    assert len(sim.entries()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_those_who_ask_meanwhile_wait_for_the_first(gateway: Running, sim: Sim, stream: bool) -> None:
    with ThreadPoolExecutor(5) as pool, gated(gateway) as gate:
        asked = [pool.submit(ask, gateway, f"meanwhile {stream}", stream=stream) for _ in range(5)]
        until_waiting(gateway, 4)
        gate.opened.set()
        answers = [one.result() for one in asked]
    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.body for answer in answers}) == 1
    assert sum("x-bursar-replayed" in answer.headers for answer in answers) == 4
    assert len(sim.entries()) == 1
    assert ask(gateway, f"meanwhile {stream}", stream=stream).status == 409


def test_other_parameters_under_the_same_key_are_a_conflict(keeping: Running, sim: Sim) -> None:
    ask(keeping, "other")
    answer = ask(keeping, "other", "Name three lakes.")
    assert (answer.status, answer.json["error"]["code"]) == (409, "idempotency_key_reused")
    assert len(sim.entries()) == 1


def test_keys_of_two_callers_have_nothing_to_do_with_each_other(keeping: Running, sim: Sim) -> None:
    first = ask(keeping, "mine")
    second = ask(keeping, "mine", "What is mine is not yours.", key=key_of(keeping))
    assert (first.status, second.status) == (200, 200)
    assert "x-bursar-replayed" not in second.headers
    assert len(sim.entries()) == 2


def test_what_was_refused_leaves_the_key_free(keeping: Running, sim: Sim) -> None:
    poor = key_of(keeping, "poor", usd=0.000000001)
    assert ask(keeping, "refused", key=poor).status == 402
    keeping.engine.store.remove_allowance("key:poor", keeping.engine.clock)
    assert ask(keeping, "refused", key=poor).status == 200
    assert ask(keeping, "unknown model", model="nowhere/x").status == 404
    assert ask(keeping, "unknown model").status == 200


def test_what_failed_and_cost_nothing_leaves_the_key_free(keeping: Running, sim: Sim) -> None:
    with sim.faults("status:429,times=1"):
        assert ask(keeping, "failed").status == 429
    assert ask(keeping, "failed").status == 200


def test_what_failed_and_may_have_cost_something_is_never_sent_again(keeping: Running, sim: Sim) -> None:
    with sim.faults("status:504,times=1"):
        first = ask(keeping, "dear")
    second = ask(keeping, "dear")
    assert (first.status, second.status) == (second.status, first.status)
    assert second.body == first.body
    assert len(sim.entries()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_and_comes_back_gets_the_reply(keeping: Running, sim: Sim, stream: bool) -> None:
    name = f"leaves {stream}"
    with ThreadPoolExecutor(1) as pool, gated(keeping) as gate:
        with socket.create_connection(keeping.address, timeout=30) as connection:
            connection.sendall(request({**CHAT, "stream": stream}, f"idempotency-key: {name}"))
            gate.wait_reached()
        again = pool.submit(ask, keeping, name, stream=stream)
        until_waiting(keeping, 1)
        gate.opened.set()
        answer = again.result()
    assert answer.status == 200
    assert answer.headers["x-bursar-replayed"] == "true"
    assert len(sim.entries()) == 1
    until_idle(keeping)


def test_only_so_many_wait_at_once(gateway: Running, sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "WAITING_MAX", 1)
    with ThreadPoolExecutor(2) as pool, gated(gateway) as gate:
        first = pool.submit(ask, gateway, "crowded")
        gate.wait_reached()
        second = pool.submit(ask, gateway, "crowded")
        until_waiting(gateway, 1)
        third = ask(gateway, "crowded")
        gate.opened.set()
        assert (third.status, third.json["error"]["code"]) == (409, "idempotency_key_busy")
        assert second.result().body == first.result().body
    assert len(sim.entries()) == 1


def test_who_waits_and_leaves_is_forgotten(gateway: Running, sim: Sim) -> None:
    with ThreadPoolExecutor(1) as pool, gated(gateway) as gate:
        first = pool.submit(ask, gateway, "forgotten")
        gate.wait_reached()
        with socket.create_connection(gateway.address, timeout=30) as connection:
            connection.sendall(request(CHAT, "idempotency-key: forgotten"))
            until_waiting(gateway, 1)
        until_waiting(gateway, 0)
        gate.opened.set()
        assert first.result().status == 200
    until_idle(gateway)
    assert ask(gateway, "forgotten").status == 409


def test_how_a_call_ends_whose_caller_has_gone_is_told_to_no_log(
    gateway: Running, sim: Sim, caplog: pytest.LogCaptureFixture
) -> None:
    body = request(CHAT, "idempotency-key: unheard")
    assert ask_bytes(gateway, body).startswith(b"HTTP/1.1 200")
    until_idle(gateway)
    state, patience = gateway.worker.gateway.state, threading.Event()
    with contextlib.closing(sqlite3.connect(gateway.folder / "books.db", isolation_level=None)) as books:
        books.execute("BEGIN IMMEDIATE")  # what is known of the call cannot be read until this ends
        with socket.create_connection(gateway.address, timeout=30) as connection:
            connection.sendall(body)
            while state.under_way < 2:
                patience.wait(0.01)
        while state.under_way > 1:
            patience.wait(0.01)
        books.execute("ROLLBACK")
    until_idle(gateway)
    gc.collect()
    assert caplog.text == ""


async def test_what_is_under_way_is_said_so_again_and_again_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "LEASE_MS", 3)
    now_ms = 1_000
    replays = MemoryReplays()
    renewed: list[list[Wanted]] = []
    twice = asyncio.Event()
    loop = asyncio.get_running_loop()

    def renewing(performed: Sequence[Wanted], clock: Callable[[], int]) -> None:
        renewed.append(list(performed))
        if len(renewed) == 2:
            loop.call_soon_threadsafe(twice.set)

    monkeypatch.setattr(replays, "renew", renewing)
    leases = replaying.Leases(replays, lambda: now_ms)
    wanted = Wanted("ci", "name", "print", "call-1", leases.owner, 2_000)
    leases.enter(wanted)
    await asyncio.wait_for(twice.wait(), 30)
    leases.leave(wanted)
    assert renewed[:2] == [[wanted]] * 2


def test_a_row_that_a_dead_worker_left_blocks_nobody(gateway: Running, sim: Sim) -> None:
    replays, clock = gateway.engine.store.replays, gateway.engine.clock
    body = json.dumps(CHAT).encode()
    wanted = Wanted(
        "admin",
        sha256(b"dead").hexdigest(),
        sha256(b"/v1/chat/completions\n" + body).hexdigest(),
        "gone",
        "dead",
        2**60,
    )
    assert replays.begin(wanted, lambda: clock() - LEASE_MS).state == "mine"
    assert gateway.ask("POST", "/v1/chat/completions", body, headers={"idempotency-key": "dead"}).status == 200
    assert len(sim.entries()) == 1


@pytest.mark.parametrize("name", ["", "x" * 256, "caf\xe9"])
def test_a_key_that_is_none_is_refused(gateway: Running, sim: Sim, name: str) -> None:
    answer = ask(gateway, name)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_idempotency_key")
    assert sim.entries() == []


def ask_bytes(gateway: Running, data: bytes) -> bytes:
    with socket.create_connection(gateway.address, timeout=30) as connection:
        connection.sendall(data)
        return connection.recv(65_536)
