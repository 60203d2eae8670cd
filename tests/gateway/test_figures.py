"""Which budgets and limits stand on the page of metrics, and what of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.config import load
from bursar.engine import Engine, open_engine
from bursar.gateway import figures
from bursar.gateway.figures import of_books
from bursar.rules.allowances import Allowance
from bursar.telemetry.prometheus import text_of
from tests.telemetry.exposition import read, value_of

BUDGETS = {"all": {"usd": 5, "per": "day"}, "teams": {"usd": 2, "per": "day", "each": "team"}}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    settings = load({"budgets": BUDGETS, "limits": {"flight": {"in_flight": 7}}}, books=tmp_path / "b.db", environ={})
    opened = open_engine(settings)
    yield opened
    opened.close()


def page(engine: Engine) -> str:
    return text_of(of_books(engine))


def test_budgets_stand_there_before_the_first_call(engine: Engine) -> None:
    told = page(engine)
    assert value_of(told, "bursar_budget_limit_usd", budget="all") == 5
    assert value_of(told, "bursar_budget_limit_usd", budget="teams") == 2
    assert value_of(told, "bursar_budget_spent_usd", budget="all") == 0
    assert value_of(told, "bursar_budget_subjects", budget="teams") == 0
    assert value_of(told, "bursar_limit_capacity", limit="flight") == 7
    assert value_of(told, "bursar_books_bytes") > 0


def test_a_budget_that_was_topped_up_shows_what_it_may_cost_now(engine: Engine) -> None:
    engine.store.top_up("all", 10**9, "", engine.clock)
    assert value_of(page(engine), "bursar_budget_limit_usd", budget="all") == 6


def test_no_session_has_a_series(engine: Engine) -> None:
    engine.open_session("session-canary", 1)
    assert "canary" not in page(engine)


def test_only_so_many_have_one_and_the_files_come_first(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "ALLOWANCES_MAX", 5)
    for number in range(20):
        name = f"key:{number:02d}"
        budget = Allowance(name, "nano_usd", 10**9, "calendar", "day", only=(("key", name),), source=name)
        engine.store.put_allowance(budget, engine.clock)
    labels = [dict(pairs) for (name, pairs) in read(page(engine)) if name == "bursar_budget_limit_usd"]
    assert [one["budget"] for one in labels] == ["all", "teams", "key:00", "key:01"], "and flight, which is no budget"
