"""Calls that callers' keys make, through the engine: whose budgets and limits bind them, and whose they are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bursar.call.books import Fact, UsageQuery
from bursar.call.flow import Result
from bursar.config import load
from bursar.edges.blocking import BlockingDriver
from bursar.edges.drain import BlockingDrain
from bursar.edges.http.blocking import BlockingTransport
from bursar.engine import Asked, Engine, open_engine
from bursar.errors import BudgetExceededError, InvalidRequestError, LimitExceededError
from bursar.gateway.quotas import HOLDERS, Budget, Holder, Limit, Quotas
from bursar.wire.openai_chat import OpenAIChat
from tests.client.simulator import Sim

CHAT = OpenAIChat()
BODY = b'{"model":"-","messages":[{"role":"user","content":"hello"}],"max_tokens":20}'
# What the calls of `ci` are counted under.
OF = {"key": "ci", "team": "search", "user": "ann", "organisation": "acme"}


class Caller:
    """Calls the simulator through an engine, as keys of callers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.quotas = Quotas(engine.store, engine.clock)
        self._transport = BlockingTransport(engine.pool_limits(), now_ms=engine.clock)
        self._drain = BlockingDrain()
        self._driver = BlockingDriver(self._transport, engine.teller, self._drain, engine.clock)

    def call(self, **of: str) -> Fact:
        """A call of the key `ci`, its team, user and organisation, unless told otherwise; its row of the ledger."""
        whose = {**OF, **of}
        tags = {name: whose[name] for name in ("team", "organisation") if whose[name]}
        asked = Asked(model="openai/gpt-4o-mini", key=whose["key"], user=whose["user"], tags=tags, max_wait_seconds=0)
        route = self.engine.route(CHAT, BODY, asked)
        result = self._driver.call(route, self.engine.observe)
        assert isinstance(result, Result)
        (fact,) = self.engine.store.attempts(call_id=route.first().call_id)
        return fact

    def close(self) -> None:
        self._drain.close()
        self._transport.close()
        self.engine.close()


@pytest.fixture
def caller(sim: Sim) -> Iterator[Caller]:
    config: dict[str, Any] = {**sim.config(), "limits": {"rpm": {"requests": 100, "per": "minute", "each": "provider"}}}
    made = Caller(open_engine(load(config, books="memory:", environ={})))
    yield made
    made.close()


def test_a_call_is_counted_under_the_callers_key_and_the_providers_beside_it(caller: Caller) -> None:
    fact = caller.call()
    assert fact.scopes["key"] == "ci"
    assert fact.scopes["provider_key"].startswith("openai:")
    (row,) = caller.engine.store.usage(UsageQuery(group_by=("key", "provider_key", "team")))
    assert row.group == ("ci", fact.scopes["provider_key"], "search")


@pytest.mark.parametrize("holder", HOLDERS)
def test_the_budget_of_a_key_a_team_a_user_and_an_organisation_binds(caller: Caller, holder: Holder) -> None:
    caller.quotas.set(holder, OF[holder], Budget(1))
    with pytest.raises(BudgetExceededError) as raised:
        caller.call()
    assert raised.value.budget == f"{holder}:{OF[holder]}"
    caller.call(**{holder: "other"})
    caller.quotas.set(holder, OF[holder], Budget(10**9))
    assert caller.call().charged_nano_usd > 0


@pytest.mark.parametrize("holder", HOLDERS)
def test_their_limits_bind_as_well(caller: Caller, holder: Holder) -> None:
    caller.quotas.set(holder, OF[holder], limits=(Limit("requests", 1, "hour"),))
    caller.call()
    with pytest.raises(LimitExceededError) as raised:
        caller.call()
    assert raised.value.limit == f"{holder}:{OF[holder]}:requests"
    caller.call(**{holder: "other"})


def test_the_tightest_of_them_binds_and_what_is_spent_counts_for_all(caller: Caller) -> None:
    for holder in HOLDERS:
        caller.quotas.set(holder, OF[holder], Budget(10**9))  # type: ignore[arg-type]
    spent = caller.call().charged_nano_usd
    names = [f"{holder}:{OF[holder]}" for holder in HOLDERS]
    assert {one.allowance: one.spent for one in caller.engine.balances() if one.allowance in names} == dict.fromkeys(
        names, spent
    )
    caller.quotas.set("team", "search", Budget(spent))
    with pytest.raises(BudgetExceededError) as raised:
        caller.call()
    assert raised.value.budget == "team:search"


def test_a_budget_that_is_made_later_counts_what_the_key_has_spent(caller: Caller) -> None:
    spent = caller.call().charged_nano_usd
    caller.quotas.set("key", "ci", Budget(spent))
    with pytest.raises(BudgetExceededError):
        caller.call()


def test_a_provider_key_is_no_tag_of_a_caller(caller: Caller) -> None:
    asked = Asked(model="openai/gpt-4o-mini", key="ci", tags={"provider_key": "openai:0badcafe"})
    with pytest.raises(InvalidRequestError, match="cannot be called 'provider_key'"):
        caller.engine.plan(CHAT, BODY, asked)


def test_records_are_asked_for_with_the_providers_key(caller: Caller, sim: Sim) -> None:
    """A cost that is not certain is found again under the key that the call was sent with, whoever asked for it."""
    engine = caller.engine
    plan = engine.plan(CHAT, BODY, Asked(model="openrouter/openai/gpt-4o-mini", key="ci"))
    fact = Fact("a", "a", "openrouter", "x", plan.scopes, "ok", 1, 1, None, "unknown", False, 0, 0)
    source = engine._roster.source_of(fact)
    assert source is not None
    assert source.headers["Authorization"] == "Bearer sk-sim-test"
