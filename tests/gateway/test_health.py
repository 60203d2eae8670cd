"""Health: who is told what, and what being ready is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from bursar.engine import open_engine
from bursar.gateway import health
from bursar.gateway.health import Readiness, books_problem
from bursar.gateway.keys import Keysmith, Wanted
from bursar.rules.keys import Role
from tests.client.simulator import Sim
from tests.gateway.running import Running, serving

PATHS = ("/health", "/health/live", "/health/ready")


@pytest.fixture
def own(tmp_path: Path, sim: Sim) -> Iterator[Running]:
    """A gateway of one test, for what would harm others."""
    with serving(tmp_path, sim) as running:
        yield running


def key_of(running: Running, role: Role) -> str:
    """A key of this role, made anew."""
    state = running.worker.gateway.state
    smith = Keysmith(state.engine.store, state.doorkeeper.secret, state.engine.clock)
    return smith.create(Wanted(f"{role}-{token_hex(4)}", role=role)).text


def look_again(running: Running) -> None:
    """Forget what was found of the books within the last second."""
    running.worker.gateway.readiness = Readiness()


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_only_whether_all_is_well_is_told(gateway: Running, path: str) -> None:
    answer = gateway.ask("GET", path, key=None)
    assert answer.status == 200
    assert answer.json in ({"status": "ok"}, {"status": "ok", "live": True, "ready": True})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PATHS)
def test_a_load_balancer_may_ask_for_the_head_alone(gateway: Running, path: str) -> None:
    answer = gateway.ask("HEAD", path, key=None)
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("path", PATHS)
def test_health_takes_nothing(gateway: Running, path: str) -> None:
    assert gateway.ask("POST", path, {}).status == 405


def test_a_wrong_key_is_refused_and_not_taken_for_none(gateway: Running) -> None:
    assert gateway.ask("GET", "/health", key="sk-bursar-" + "B" * 43).status == 401


@pytest.mark.parametrize(("role", "detailed"), [("call", False), ("view", True), ("admin", True)])
def test_the_sections_need_the_role_view(gateway: Running, role: Role, detailed: bool) -> None:
    answer = gateway.ask("GET", "/health", key=key_of(gateway, role))
    assert answer.status == 200
    assert ("repository_stats" in answer.json) is detailed


def test_the_sections_of_a_gateway_that_has_served(gateway: Running, sim: Sim) -> None:
    assert gateway.chat().status == 200
    told = gateway.ask("GET", "/health").json
    assert (told["status"], told["ready"], told["problems"]) == ("ok", True, [])
    openai = told["llm_client_stats"]["openai"]
    assert openai["pool"]["max_connections"] == 100
    assert openai["pool"]["exchanges"] >= 1
    assert openai["pool"]["in_use"] == 0
    assert openai["breaker"] == {"state": "closed", "models": {}}
    assert openai["success_rate"] == 1.0
    assert openai["statistics"]["count"] >= 1
    assert openai["statistics"]["total_cost"] > 0
    assert openai["statistics"]["p95"] > 0
    repository = told["repository_stats"]
    assert (repository["readers"]["max"], repository["writers"]) == (16, {"open": 1, "max": 4})
    assert repository["queue"] == {"operations": 0, "waiting": 0, "unsettled": 0}
    assert repository["commits"] > 0
    assert repository["wal_bytes"] > 0
    assert told["websocket_stats"]["active_connections"] == 0
    assert told["uptime_seconds"] > 0
    assert told["requests_under_way"] == 1


def test_an_open_breaker_is_shown_by_its_model(tmp_path: Path, sim: Sim) -> None:
    with serving(tmp_path, sim, sim.config(openai={"circuit_breaker_threshold": 2})) as running:
        with sim.faults("status:500"):
            assert {running.chat().status for _ in range(3)} == {503}
        breaker = running.ask("GET", "/health").json["llm_client_stats"]["openai"]["breaker"]
    assert breaker["state"] == "open"
    assert breaker["models"]["gpt-4o-mini"]["opened"] == 1


def test_books_that_others_keep_locked_are_not_ready_and_live(own: Running) -> None:
    own.worker.gateway.readiness = Readiness(patience_seconds=0.05)
    with closing(sqlite3.connect(own.folder / "books.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers = [own.ask("GET", path, key=None) for path in ("/health/ready", "/health", "/health/live")]
        assert [answer.status for answer in answers] == [503, 503, 200]
        assert answers[0].json == {"status": "unavailable"}
        other.execute("ROLLBACK")
    look_again(own)
    assert own.ask("GET", "/health/ready", key=None).status == 200


def test_books_that_are_gone_are_told_to_those_who_may_know(own: Running) -> None:
    (own.folder / "books.db").rename(own.folder / "elsewhere.db")
    told = own.ask("GET", "/health", key=None)
    assert (told.status, set(told.json)) == (503, {"status", "live", "ready"})
    (own.folder / "elsewhere.db").rename(own.folder / "books.db")


def test_the_books_are_looked_at_once_a_second_whoever_asks(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    monkeypatch.setattr(health, "books_problem", lambda engine: looks.append(engine) or "")
    own.worker.gateway.readiness = Readiness(look_seconds=3_600)
    for _ in range(5):
        assert own.ask("GET", "/health/ready", key=None).status == 200
    assert len(looks) == 1


def test_a_look_that_breaks_is_not_ready(own: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(engine: Any) -> str:
        raise RuntimeError("no")

    monkeypatch.setattr(health, "books_problem", broken)
    look_again(own)
    assert [own.ask("GET", "/health/ready", key=None).status for _ in range(2)] == [503, 503]


def test_who_is_stopping_is_not_ready(own: Running) -> None:
    own.worker.gateway.stopping = True
    assert own.ask("GET", "/health/ready", key=None).status == 503
    assert own.ask("GET", "/health").json["problems"] == ["the gateway is stopping"]
    assert own.ask("GET", "/health/live", key=None).status == 200


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bursar.config import load

    engine = open_engine(load({}, books=tmp_path / "books.db", environ={}))
    assert books_problem(engine) == ""
    monkeypatch.setattr(health, "FREE_BYTES_MIN", 10**18)
    assert "is full" in books_problem(engine)
    engine.close()
    assert "closed" in books_problem(engine)
