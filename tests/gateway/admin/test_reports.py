"""Usage, prices, breakers, pools, statistics and the configuration through the admin API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from bursar.call.events import BreakerChanged
from tests.client.colours import standing_still
from tests.client.simulator import Sim
from tests.gateway.running import Running, serving

Named = Callable[[str], str]


def data(gateway: Running, path: str) -> list[dict[str, Any]]:
    answer = gateway.ask("GET", path)
    assert answer.status == 200, answer.body
    rows: list[dict[str, Any]] = answer.json["data"]
    return rows


def refused(gateway: Running, method: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = gateway.ask(method, path, body)
    return answer.status, answer.json["error"]["message"]


def test_usage_is_added_up_by_what_is_asked_for(gateway: Running, named: Named) -> None:
    team = named("team")
    costs = []
    with standing_still(gateway.engine):
        for run in ("a", "a", "b"):
            answer = gateway.chat(headers={"x-bursar-tags": f"team={team}, run={run}"})
            costs.append(Decimal(answer.headers["x-bursar-cost-usd"]))
    (whole,) = data(gateway, f"/api/usage?tag=team={team}")
    assert (whole["group"], whole["calls"], whole["ok"]) == ({"model": "openai/gpt-4o-mini"}, 3, 3)
    assert Decimal(whole["charged_usd"]) == Decimal(whole["certain_usd"]) == sum(costs)
    rows = data(gateway, f"/api/usage?by=tag:run&by=team&by=day&tag=team={team}")
    assert [(row["group"]["run"], row["group"]["team"], row["calls"]) for row in rows] == [
        ("a", team, 2),
        ("b", team, 1),
    ]
    assert len(rows[0]["group"]["day"]) == len("2026-11-23")
    page = gateway.ask("GET", f"/api/usage?by=tag:run,provider&tag=team={team}&limit=1").json
    rest = gateway.ask("GET", f"/api/usage?by=tag:run,provider&tag=team={team}&limit=1&cursor={page['next']}").json
    assert [one["data"][0]["group"]["run"] for one in (page, rest)] == ["a", "b"]
    assert rest["next"] is None
    assert data(gateway, f"/api/usage?tag=team={team}&until=2001-01-01") == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("by=modl", "did you mean model?"),
        ("by=model&by=key&by=day&by=hour", "up to 3"),
        ("by=", "tag:NAME"),
        ("time_zone=Mars/Olympus", "no time zone"),
        ("by=model&cursor=WyJhIiwiYiJd", "cursor"),
    ],
)
def test_what_cannot_be_added_up_is_refused(gateway: Running, query: str, said: str) -> None:
    status, message = refused(gateway, "GET", f"/api/usage?{query}")
    assert status == 400
    assert said in message


def test_a_price_has_its_source_and_its_reasons(gateway: Running) -> None:
    (price,) = data(gateway, "/api/prices/openai/gpt-4o-mini?usage=input=1000000&usage=output=3&on=2026-11-01")
    assert (price["date"], price["usd_per_million"]["input"], price["cost"]["sum_usd"]) == (
        "2026-11-01", "0.15", "0.1500018"
    )  # fmt: skip
    assert price["source"].startswith("genai-prices")
    assert price["because"]
    assert "openai/gpt-4o-mini" in [one["model"] for one in data(gateway, "/api/prices/gpt-4o-mini")]
    lists = gateway.ask("GET", "/api/prices").json
    assert lists["overrides"] == 0
    assert lists["lists"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("openai/gpt-4o-minni", 404, "openai/gpt-4o-mini"),
        ("openai/gpt-4o-mini?tier=golden", 404, "golden"),
        ("openai/gpt-4o-mini?usage=inptu=1", 400, "did you mean input?"),
        ("openai/gpt-4o-mini?usage=input=-1", 400, "needs a count"),
        ("openai/gpt-4o-mini?on=yesterday", 400, "on is a moment"),
    ],
)
def test_a_price_that_is_not_there(gateway: Running, path: str, status: int, said: str) -> None:
    found, message = refused(gateway, "GET", f"/api/prices/{path}")
    assert found == status
    assert said in message


def test_breakers_are_seen_and_reset(gateway: Running) -> None:
    board, clock = gateway.engine.store.board, gateway.engine.clock
    told = BreakerChanged("groq", "ill", "open", clock() + 60_000, clock(), "5 failures in a row", 1)
    board.post([told], clock)
    (shown,) = data(gateway, "/api/breakers")
    assert (shown["provider"], shown["model"], shown["state"], shown["why"]) == ("groq", "ill", "open", told.why)
    assert shown["until"] > shown["since"]
    assert gateway.ask("POST", "/api/breakers/reset", {"provider": "openai"}).json == {"asked": 0}
    answer = gateway.ask("POST", "/api/breakers/reset", {"provider": "groq", "model": "ill"})
    assert (answer.status, answer.json) == (202, {"asked": 1})
    assert data(gateway, "/api/breakers")[0]["reset_asked"]


def test_pools_and_statistics_are_of_the_calls_that_were(gateway: Running) -> None:
    assert gateway.chat().status == 200
    pool = next(one for one in data(gateway, "/api/pools") if one["provider"] == "openai")
    assert pool["exchanges"] >= 1
    assert pool["max_connections"] > 0
    figures = gateway.ask("GET", "/api/statistics").json
    assert figures["providers"]["openai"]["count"] >= 1
    assert Decimal(figures["models"]["openai/gpt-4o-mini"]["total_cost_usd"]) > 0


@pytest.fixture
def own_gateway(sim: Sim, tmp_path: Path) -> Iterator[Running]:
    config = {"budgets": {"all": {"usd": 7, "per": "day"}}, "alerts": {"webhook": "${HOOK}"}}
    with serving(tmp_path, sim, config, HOOK="https://hooks.example/T0/secret-of-the-hook") as running:
        yield running


def test_the_configuration_is_shown_without_secrets_and_read_again(own_gateway: Running) -> None:
    shown = own_gateway.ask("GET", "/api/config")
    assert shown.json["config"]["budgets"]["all"]["usd"] == 7
    assert shown.json["file"] == str(own_gateway.folder / "bursar.yaml")
    for secret in (b"secret-of-the-hook", b"sk-sim", b"a secret of the tests"):
        assert secret not in shown.body
    path = own_gateway.folder / "bursar.yaml"
    file = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump(file | {"budgets": {"all": {"usd": 8, "per": "day"}}}), "utf-8")
    assert own_gateway.ask("POST", "/api/reload").json["file"] == str(path)
    assert own_gateway.ask("GET", "/api/budgets/all").json["budget"]["usd"] == "8"
    path.write_text("budgets: {all: {usd: nine}}", "utf-8")
    answer = own_gateway.ask("POST", "/api/reload")
    assert (answer.status, answer.json["error"]["code"]) == (409, "config_invalid")
    assert "nothing has changed" in answer.json["error"]["message"]
    assert own_gateway.ask("GET", "/api/budgets/all").json["budget"]["usd"] == "8"
