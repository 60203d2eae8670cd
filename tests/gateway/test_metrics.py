"""/metrics: who may read it, what is on it, and that no counter goes back over a reload."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

from tests.client.simulator import Sim
from tests.gateway.running import ADMIN_KEY, Running, serving
from tests.gateway.test_health import key_of
from tests.telemetry.exposition import read, value_of

GPT = {"provider": "openai", "model": "gpt-4o-mini"}
BUDGETS = {
    "all": {"usd": 5, "per": "total"},
    "teams": {"usd": 1, "per": "total", "each": "team"},
    "poor": {"usd": "0.0000001", "per": "total", "only": {"team": "poor"}},
}
LIMITS = {"flight": {"in_flight": 7}}


def page_of(running: Running) -> str:
    answer = running.ask("GET", "/metrics")
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.body.decode()


def counters(page: str) -> dict[object, Decimal]:
    ends = ("_total", "_bucket", "_count", "_sum")
    return {series: value for series, value in read(page).items() if series[0].endswith(ends)}


def test_the_page_needs_the_role_view(gateway: Running) -> None:
    keys = (None, key_of(gateway, "call"), key_of(gateway, "view"))
    assert [gateway.ask("GET", "/metrics", key=key).status for key in keys] == [401, 403, 200]


def test_the_page_can_be_open(tmp_path: Path, sim: Sim) -> None:
    with serving(tmp_path, sim, {"gateway": {"metrics": "open"}}) as running:
        assert running.ask("GET", "/metrics", key=None).status == 200
        assert running.ask("GET", "/metrics", key="nonsense").status == 200


def test_a_gateway_that_has_served_shows_it(tmp_path: Path, sim: Sim) -> None:
    with serving(tmp_path, sim, {"budgets": BUDGETS, "limits": LIMITS}) as running:
        for team in ("search", "search", "ads"):
            assert running.chat(headers={"x-bursar-tags": f"team={team}"}).status == 200
        assert running.chat(headers={"x-bursar-tags": "team=poor"}).status == 402
        page = page_of(running)
        assert value_of(page, "bursar_calls_total", **GPT, outcome="answered") == 3
        assert value_of(page, "bursar_calls_total", provider="openai", model="gpt-4o-mini", outcome="refused") == 1
        assert value_of(page, "bursar_refusals_total", provider="openai", code="budget_exhausted") == 1
        billed = Decimal(sim.billed()) / 10**9
        assert value_of(page, "bursar_cost_usd_total", **GPT, certain="true") == billed
        assert value_of(page, "bursar_budget_spent_usd", budget="all") == billed
        assert value_of(page, "bursar_budget_limit_usd", budget="all") == 5
        assert value_of(page, "bursar_budget_held_usd", budget="all") == 0
        assert value_of(page, "bursar_budget_spent_usd", budget="teams") == billed
        assert value_of(page, "bursar_budget_subjects", budget="teams") == 2
        assert value_of(page, "bursar_limit_capacity", limit="flight") == 7
        assert value_of(page, "bursar_pool_exchanges_total", provider="openai") >= 3
        assert value_of(page, "bursar_pool_seats_max", provider="openai") == 100
        assert value_of(page, "bursar_books_commits_total") > 3
        assert value_of(page, "bursar_books_up") == 1
        assert value_of(page, "bursar_workers") == 1
        assert value_of(page, "bursar_requests_under_way") == 1
        assert value_of(page, "process_cpu_seconds_total") > 0


def test_no_counter_goes_back_over_a_reload(tmp_path: Path, sim: Sim) -> None:
    with serving(tmp_path, sim) as running:
        running.chat()
        before = counters(page_of(running))
        asyncio.run_coroutine_threadsafe(running.worker.gateway.reload(), running.worker.loop).result(30)
        after = counters(page_of(running))
        assert [series for series, value in before.items() if after[series] < value] == []
        running.chat()
        assert value_of(page_of(running), "bursar_pool_exchanges_total", provider="openai") == 2


def test_books_that_cannot_be_read_leave_the_rest_of_the_page(tmp_path: Path, sim: Sim) -> None:
    with serving(tmp_path, sim) as running:
        running.chat()
        running.engine.store.close()
        page = running.ask("GET", "/metrics", key=ADMIN_KEY).body.decode()
        assert value_of(page, "bursar_books_up") == 0
        assert value_of(page, "bursar_calls_total", **GPT, outcome="answered") == 1


def test_nobody_is_named_on_the_page(tmp_path: Path, sim: Sim) -> None:
    people = {"x-bursar-user": "ann-canary", "x-bursar-session": "session-canary", "x-bursar-tags": "team=team-canary"}
    budgets = {**BUDGETS, "users": {"usd": 1, "per": "day", "each": "user"}}
    with serving(tmp_path, sim, {"budgets": budgets}) as running:
        running.chat("prompt-canary", headers=people)
        page = page_of(running)
        assert "canary" not in page
        assert "sk-" not in page
