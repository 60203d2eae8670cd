"""Several candidates and several keys, in both colours: whoever can answer does, and the books name each attempt."""

from __future__ import annotations

from typing import Any

import pytest

import bursar
from bursar.errors import BudgetExceededError, CircuitBreakerError, ProviderAuthError, ProviderQuotaError
from tests.client.colours import opened, whole
from tests.client.simulator import KEY, Sim

FALLBACKS = ["groq/llama-3.1-8b-instant", "anthropic/claude-haiku-4-5"]


async def test_the_next_candidate_answers_in_the_callers_own_form(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        with sim.faults("status:503,provider=openai", "status:503,provider=groq"):
            reply = await llm.chat("Name three rivers.", max_tokens=60, fallbacks=FALLBACKS)
            seen = await llm.stream("Name three rivers.", max_tokens=60, fallbacks=FALLBACKS)
    for one in (reply, whole(seen.reply)):
        assert (one.provider, one.receipt.provider) == ("anthropic", "anthropic")
        assert one.model.startswith("claude-haiku-4-5")
        assert [(tried.provider, tried.charged_nano_usd) for tried in one.receipt.earlier] == [
            ("openai", 0),
            ("groq", 0),
        ]
        assert one.text == one.raw["choices"][0]["message"]["content"]
        assert one.cost.nano_usd == sim.billed(one.call_id) > 0


async def test_a_route_is_a_name_for_candidates(sim: Sim, colour: str) -> None:
    config = sim.config() | {"routes": {"fast": ["openai/gpt-4o-mini", *FALLBACKS]}}
    async with opened(colour, config, budget_usd=5) as llm:
        assert (await llm.chat(model="fast", max_tokens=20)).provider == "openai"
        with sim.faults("status:500,provider=openai"):
            assert (await llm.chat(model="fast", max_tokens=20)).provider == "groq"
        facts = llm.facts()
        assert {fact.provider for fact in facts} == {"openai", "groq"}
        assert sum(fact.charged_nano_usd for fact in facts) == sim.billed()


async def test_keys_take_turns_and_a_refused_one_rests(sim: Sim, colour: str) -> None:
    keys = [{"key": "sk-wrong-key", "name": "old", "weight": 3}, {"key": f"{KEY}-two", "name": "two"}]
    config = sim.config(openai={"keys": keys})
    del config["llm"]["providers"]["openai"]["api_key"]
    async with opened(colour, config, budget_usd=5) as llm:
        replies = [await llm.chat(max_tokens=20) for _ in range(4)]
        facts = llm.facts()
    assert [len(reply.receipt.earlier) for reply in replies] == [1, 0, 0, 0], "once, and then the wrong key rests"
    assert replies[0].receipt.earlier[0].error_code
    assert len({fact.scopes["key"] for fact in facts}) == 2, "the books tell keys apart"
    assert not any("wrong-key" in str(fact) for fact in facts)


async def test_a_key_that_rests_and_works_all_the_same_is_woken(sim: Sim, colour: str) -> None:
    """Both rest for a quota; the one that comes back first is asked all the same, and the account is full again."""
    keys = [{"key": f"{KEY}-one", "name": "one"}, {"key": f"{KEY}-two", "name": "two"}]
    config = sim.config(openai={"keys": keys})
    del config["llm"]["providers"]["openai"]["api_key"]
    async with opened(colour, config, budget_usd=5) as llm:
        with sim.faults("status:402,provider=openai"):
            with pytest.raises(ProviderQuotaError):
                await llm.chat(max_tokens=20)
        roster = llm.client._engine._roster
        roster.rest("openai", "two", 600)
        rotation = roster._rotation("openai")
        assert rotation is not None
        assert set(rotation.resting(0)) == {"one", "two"}
        reply = await llm.chat(max_tokens=20)
        assert reply.receipt.earlier == ()
        assert set(rotation.resting(0)) == {"two"}, "the one that worked rests no more"


async def test_a_wrong_key_alone_is_an_error(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openai={"api_key": "sk-wrong-key"}), budget_usd=5) as llm:
        with pytest.raises(ProviderAuthError):
            await llm.chat(max_tokens=20)


async def test_a_breaker_opens_and_the_fallback_is_asked_at_once(sim: Sim, colour: str) -> None:
    settings: dict[str, Any] = {"circuit_breaker_threshold": 2, "circuit_breaker_timeout": 600}
    async with opened(colour, sim.config(openai=settings), budget_usd=5) as llm:
        with sim.faults("status:500,provider=openai"):
            for _ in range(2):
                with pytest.raises(bursar.BursarError):
                    await llm.chat(max_tokens=20)
        asked = len(sim.entries())
        with pytest.raises(CircuitBreakerError, match="openai/gpt-4o-mini") as raised:
            await llm.chat(max_tokens=20)
        assert (raised.value.retry_after_seconds or 0) > 60
        assert len(sim.entries()) == asked, "nothing was sent, though the provider is well again"
        reply = await llm.chat(max_tokens=20, fallbacks=FALLBACKS)
        assert reply.provider == "groq"
        assert llm.client.statistics()["breakers"]["openai/gpt-4o-mini"]["state"] == "open"
        assert llm.budgets()["client"].held == 0


async def test_a_cheaper_candidate_is_asked_where_the_first_is_too_dear(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.0002") as llm:
        reply = await llm.chat(
            "Rivers?", model="openai/gpt-4o", max_tokens=200, fallbacks=["groq/llama-3.1-8b-instant"]
        )
        assert reply.provider == "groq"
        with pytest.raises(BudgetExceededError, match="Budget 'client'"):
            await llm.chat("Rivers?", model="openai/gpt-4o", max_tokens=200)
