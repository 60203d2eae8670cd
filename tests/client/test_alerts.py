"""Alerts of a client's budgets: to a webhook and the log, once by all processes that share the books."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bursar
from bursar.errors import BudgetExceededError, CircuitBreakerError, ProviderUnavailableError
from tests.client.raw_server import CHAT_REPLY, answer, configured, raw_server
from tests.client.simulator import Sim
from tests.edges.hooks import Hook, hook

MODEL = "openai/gpt-4o-mini"
CANARY = "T0-canary-77"


@pytest.fixture
def owner() -> Iterator[Hook]:
    with hook() as listening:
        yield listening


def config(sim: Sim, owner: Hook | None, budgets: dict[str, Any], **alerts: Any) -> dict[str, Any]:
    told = {"alerts": {"webhook": f"{owner.url}/hooks/{CANARY}", **alerts}} if owner is not None else {}
    return {**sim.config(), "budgets": budgets, **told}


def cost_usd(sim: Sim) -> float:
    """What one call comes to."""
    with bursar.Client(sim.config(), books="memory:", budget_usd=1, per="total") as llm:
        cost = llm.chat("Name three rivers.", model=MODEL, max_tokens=20).cost.nano_usd
    assert cost is not None
    return cost / 10**9


def chat(llm: bursar.Client, calls: int = 1, model: str = MODEL) -> None:
    for _ in range(calls):
        llm.chat("Name three rivers.", model=model, max_tokens=20)


def test_each_share_of_a_budget_arrives_once(sim: Sim, owner: Hook, tmp_path: Path) -> None:
    budget = {"usd": f"{cost_usd(sim) * 10:.9f}", "per": "total", "mode": "observe"}
    given = config(sim, owner, {"all": budget})
    for calls in (4, 4, 4):
        with bursar.Client(given, books=tmp_path / "books.db") as llm:
            chat(llm, calls)
    assert [(said["budget"], said["threshold_percent"], said["severity"]) for said in owner.said] == [
        ("all", 50, "info"), ("all", 80, "warning"), ("all", 95, "warning"), ("all", 100, "critical"),
    ]  # fmt: skip
    assert len({said["id"] for said in owner.said}) == 4
    assert {path for path, _, _ in owner.posts} == {f"/hooks/{CANARY}"}


def test_a_budget_that_refuses_says_so(sim: Sim, owner: Hook) -> None:
    budget = {"usd": f"{cost_usd(sim) * 8:.9f}", "per": "total", "alert_at": ["100%"]}
    with bursar.Client(config(sim, owner, {"all": budget}), books="memory:") as llm:
        with pytest.raises(BudgetExceededError):
            chat(llm, 20)
        with pytest.raises(BudgetExceededError):
            chat(llm)
    (said,) = owner.said
    assert (said["threshold_percent"], said["refused"], said["period"]) == (100, True, "total")
    assert "refuses calls" in said["message"]


def test_in_slacks_form(sim: Sim, owner: Hook) -> None:
    budget = {"usd": f"{cost_usd(sim):.9f}", "per": "total", "mode": "observe", "alert_at": ["50%"]}
    with bursar.Client(config(sim, owner, {"all": budget}, form="slack"), books="memory:") as llm:
        chat(llm)
    (said,) = owner.said
    assert set(said) == {"text"}
    assert said["text"].startswith("*Bursar*: Budget 'all' (total) has reached 50 %")


def test_without_a_webhook_a_budget_that_says_shares_tells_the_log(sim: Sim, caplog: pytest.LogCaptureFixture) -> None:
    half = {"usd": f"{cost_usd(sim):.9f}", "per": "total", "mode": "observe"}
    budgets = {"loud": {**half, "alert_at": ["80%"]}, "quiet": half}
    with caplog.at_level(logging.INFO, "bursar"), bursar.Client(config(sim, None, budgets), books="memory:") as llm:
        chat(llm)
    alerts = [record.getMessage() for record in caplog.records if record.getMessage().startswith("alert ")]
    assert len(alerts) == 1
    assert "name=loud percent=80" in alerts[0]


def test_a_breaker_that_opens_is_told_of(sim: Sim, owner: Hook) -> None:
    given = {**config(sim, owner, {}), **sim.config(openai={"circuit_breaker_threshold": 2})}
    with bursar.Client(given, books="memory:", budget_usd=1, per="total") as llm, sim.faults("status:500"):
        for _ in range(3):
            with pytest.raises((ProviderUnavailableError, CircuitBreakerError)):
                chat(llm)
    assert [(said["kind"], said["provider"], said["model"]) for said in owner.said] == [
        ("breaker_opened", "openai", "gpt-4o-mini")
    ]


def test_a_provider_that_bills_beyond_the_bound_is_told_of(owner: Hook) -> None:
    dear = CHAT_REPLY.replace(b'"prompt_tokens":', b'"prompt_tokens":999')
    with raw_server(answer(dear)) as server:
        given = {**configured(server), "alerts": {"webhook": owner.url}}
        with bursar.Client(given, books="memory:", budget_usd=1, per="total") as llm:
            chat(llm, 2)
    (said,) = [said for said in owner.said if said["kind"] == "billed_beyond_bound"]
    assert (said["provider"], said["model"], said["severity"]) == ("openai", "gpt-4o-mini", "warning")


def test_a_webhook_that_fails_costs_no_call_and_its_address_is_logged_nowhere(
    sim: Sim, owner: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    owner.answers = [(404, {})] * 10
    budget = {"usd": f"{cost_usd(sim):.9f}", "per": "total", "mode": "observe"}
    with caplog.at_level(logging.DEBUG), bursar.Client(config(sim, owner, {"all": budget}), books="memory:") as llm:
        chat(llm, 2)
    assert caplog.text.count("was not delivered: status 404") == 4
    assert CANARY not in caplog.text
    assert CANARY not in json.dumps([vars(record).get("bursar", {}) for record in caplog.records], default=str)
