"""Callers who are slow, endless, many requests at once, or gone: the gateway lets go of them, and its books balance."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bursar.gateway import protocol
from tests.client.simulator import Sim
from tests.gateway.running import ADMIN_KEY, Running, serving


def request(body: dict[str, Any], *headers: str) -> bytes:
    data = json.dumps(body).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", f"authorization: Bearer {ADMIN_KEY}", *headers]
    return "\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode() + data


CHAT: dict[str, Any] = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Name three rivers."}],
    "max_tokens": 20,
}


@pytest.fixture(scope="module")
def gateway(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose budget holds money for every call that is under way."""
    budgets = {"budgets": {"all": {"usd": 1_000, "per": "total"}}}
    with serving(tmp_path_factory.mktemp("gateway"), shared_sim, budgets) as running:
        yield running


@contextmanager
def connected(gateway: Running) -> Iterator[socket.socket]:
    with socket.create_connection(gateway.address, timeout=30) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the gateway closes."""
    data = b""
    try:
        while part := connection.recv(65_536):
            data += part
    except ConnectionResetError:
        pass
    return data


def held(gateway: Running) -> int:
    return sum(balance.held for balance in gateway.engine.balances())


def until_idle(gateway: Running) -> None:
    """Until no call is under way, the drain's included."""
    patience = threading.Event()
    for _ in range(600):
        if not gateway.worker.gateway.state.under_way and not held(gateway):
            return
        patience.wait(0.05)
    raise AssertionError("something is still under way")


def test_a_head_without_end_is_refused(gateway: Running) -> None:
    with connected(gateway) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\n")
        answer = b""
        for number in range(40):
            try:
                connection.sendall(b"x-endless-%d: " % number + b"a" * 4_096 + b"\r\n")
            except (BrokenPipeError, ConnectionResetError):
                break
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # a reset may take the answer with it
    assert gateway.chat().status == 200


def test_a_head_or_body_that_does_not_come_is_not_waited_for(
    gateway: Running, sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    for said in (b"", b"POST /v1/chat/completions HT", request(CHAT)[:-10]):
        with connected(gateway) as connection:
            connection.sendall(said)
            assert rest(connection).startswith(b"HTTP/1.1 408 ")
    assert sim.entries() == []
    until_idle(gateway)


def test_one_who_reads_nothing_is_let_go(gateway: Running, sim: Sim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "UNREAD_SECONDS", 0.3)
    with connected(gateway) as connection, sim.faults("oversized:8000000"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.sendall(request(CHAT))
        until_idle(gateway)
    assert gateway.chat().status == 200


def test_requests_in_one_breath_are_answered_in_order(gateway: Running, sim: Sim) -> None:
    with connected(gateway) as connection:
        connection.sendall(request(CHAT) + request(CHAT, "connection: close"))
        answers = rest(connection)
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert len(sim.entries()) == 2


def test_whoever_leaves_is_noticed_at_once_and_what_was_sent_is_paid_for(gateway: Running, sim: Sim) -> None:
    before = sim.desk.opened
    drain, patience = gateway.worker.gateway.state.drain, threading.Event()
    with sim.faults("stall:60"):
        with connected(gateway) as connection:
            connection.sendall(request(CHAT))
            while sim.desk.opened == before:
                patience.wait(0.01)
        while not drain:
            patience.wait(0.01)
        sim.release()
        until_idle(gateway)
    fact = gateway.engine.store.attempts(limit=1)[0]
    assert fact.ending == "aborted"
    assert fact.certain
    assert fact.charged_nano_usd == sim.billed() > 0


@pytest.mark.parametrize("line", ["GET /v1/models HTTP/9", "\x00\x01", "GET http://[ HTTP/1.1"])
def test_what_is_no_http_is_refused(gateway: Running, line: str) -> None:
    with connected(gateway) as connection:
        connection.sendall(line.encode() + b"\r\nhost: gateway\r\n\r\n")
        assert b" 400 " in rest(connection).partition(b"\r\n")[0]


def test_two_lengths_that_differ_are_refused(gateway: Running, sim: Sim) -> None:
    with connected(gateway) as connection:
        connection.sendall(request(CHAT, "content-length: 3"))
        assert b" 400 " in rest(connection).partition(b"\r\n")[0]
    assert sim.entries() == []
