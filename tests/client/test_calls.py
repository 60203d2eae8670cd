"""Every kind of call in both colours over every form of provider: the books say what the provider billed."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import bursar
from tests.client.colours import opened, whole
from tests.client.simulator import MODELS, Sim

PROVIDERS = ("openai", "openrouter", "groq")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_chat_costs_what_the_provider_billed(sim: Sim, colour: str, provider: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        reply = await llm.chat("Name three rivers.", model=f"{provider}/{MODELS[provider]}", max_tokens=60)
        billed = sim.billed(reply.call_id)
        assert billed > 0
        assert reply.cost.certain
        assert reply.cost.nano_usd == billed == reply.receipt.charged_nano_usd
        assert reply.cost.usd == Decimal(billed) / 10**9
        assert reply.cost.source == ("provider" if provider == "openrouter" else "computed")
        assert reply.receipt.held_nano_usd >= billed
        assert reply.text
        assert reply.text == reply.raw["choices"][0]["message"]["content"]
        assert reply.finish_reason in ("stop", "length")
        assert reply.usage.output_tokens <= 60
        entry = sim.entries(reply.call_id)[0]
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (
            entry.usage["prompt_tokens"],
            entry.usage["completion_tokens"],
        )
        assert (reply.provider, reply.receipt.provider) == (provider, provider)
        balance = llm.budgets()["client"]
        assert (balance.spent, balance.held) == (billed, 0)
        assert reply.receipt.budgets == (balance,)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_stream_costs_what_the_provider_billed(sim: Sim, colour: str, provider: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        seen = await llm.stream("Name three rivers.", model=f"{provider}/{MODELS[provider]}")
        reply = whole(seen.reply)
        assert reply.text == seen.text != ""
        assert reply.cost.certain
        assert reply.cost.nano_usd == sim.billed(reply.call_id) > 0
        assert reply.finish_reason == "stop"
        fact = llm.facts(reply.call_id)[0]
        assert fact.stream
        assert fact.first_token_ms is not None
        assert llm.budgets()["client"].held == 0


async def test_embeddings_cost_their_input(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        reply = await llm.embed(["a river", "a mountain"])
        assert len(reply.vectors) == 2
        assert all(isinstance(number, float) for number in reply.vectors[0])
        assert reply.cost.nano_usd == sim.billed(reply.call_id) > 0
        assert reply.usage.output_tokens == 0
        one = await llm.embed("a river", dimensions=8)
        assert len(one.vectors) == 1
        as_text = await llm.embed("a river", encoding_format="base64")
        assert as_text.vectors[0] == pytest.approx((await llm.embed("a river")).vectors[0])


async def test_an_estimate_holds_and_sends_nothing_and_bounds_what_follows(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        quote = await llm.estimate("Name three rivers.", max_tokens=60)
        assert sim.entries() == []
        assert llm.facts() == []
        assert quote.model == "openai/gpt-4o-mini"
        assert quote.output_tokens_max == 60
        assert quote.fits
        reply = await llm.chat("Name three rivers.", max_tokens=60)
        assert quote.input_tokens == reply.usage.input_tokens
        assert quote.most_nano_usd is not None
        assert (reply.cost.nano_usd or 0) <= quote.most_nano_usd < reply.receipt.held_nano_usd, "bytes are held"
        assert quote.likely_nano_usd is not None
        assert quote.likely_nano_usd <= quote.most_nano_usd
        dear = await llm.estimate("x", model="openai/gpt-4o", max_tokens=1_000_000)
        assert not dear.fits
        assert [fit.fits for fit in dear.budgets] == [False]
        assert "does not fit" in str(dear)
        unknown = await llm.estimate("x", model="openai/gpt-nobody-knows")
        assert (unknown.most_nano_usd, unknown.likely_usd, unknown.fits) == (None, None, False)


async def test_a_session_counts_its_calls_together_and_continues(sim: Sim, tmp_path: Path) -> None:
    books = tmp_path / "b.db"
    with bursar.Client(sim.config(), books=books) as llm:
        session = llm.session("run-1", budget_usd="0.01", tags={"team": "search"})
        first = session.chat("hello", model="openai/gpt-4o-mini", max_tokens=10)
        with session as same, same.stream("hello", model="openai/gpt-4o-mini", max_tokens=10) as stream:
            list(stream)
        session.embed("a", model="openai/text-embedding-3-small")
        assert session.estimate("hello", model="openai/gpt-4o-mini").budgets[0].balance.allowance == "session:run-1"
        balance = session.balance
        assert balance is not None
        assert balance.spent == sim.billed() > 0
        assert first.receipt.budgets[0].allowance == "session:run-1"
        assert {fact.scopes["team"] for fact in llm._engine.store.attempts()} == {"search"}
        with pytest.raises(bursar.BudgetExceededError, match="session:run-1"):
            session.chat("hello", model="openai/gpt-4o", max_tokens=10_000)
    async with bursar.AsyncClient(sim.config(), books=books) as again:
        async with again.session("run-1", budget_usd="0.01") as continued:
            assert continued.balance is not None
            assert continued.balance.spent == balance.spent
            await continued.chat("hello", model="openai/gpt-4o-mini", max_tokens=10)
            async with continued.stream("hello", model="openai/gpt-4o-mini", max_tokens=10) as later:
                async for _ in later:
                    pass
            await continued.embed("a", model="openai/text-embedding-3-small")
            quote = await continued.estimate("hello", model="openai/gpt-4o-mini")
            assert quote.budgets[0].balance.spent == continued.balance.spent == sim.billed()


async def test_an_unbudgeted_session_only_counts(sim: Sim) -> None:
    with bursar.Client(sim.config(), books="memory:") as llm:
        session = llm.session("s")
        session.chat("hello", model="openai/gpt-4o-mini")
        assert session.balance is None
        assert llm._engine.store.attempts()[0].scopes["session"] == "s"


@pytest.mark.parametrize("bad", ["", "x" * 300, "two\nlines", 5])
async def test_a_session_needs_a_name(sim: Sim, colour: str, bad: Any) -> None:
    async with opened(colour, sim.config()) as llm:
        with pytest.raises(bursar.InvalidRequestError, match="session"):
            llm.client.session(bad, budget_usd=1)
        with pytest.raises(bursar.InvalidRequestError, match="budget_usd"):
            llm.client.session("good", budget_usd="much")


async def test_tools_pass_both_ways(sim: Sim, colour: str) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
    async with opened(colour, sim.config(), budget_usd=1) as llm:
        reply = await llm.chat('[[tool=weather:{"place":"Ulm"}]]', tools=tools)
        call = reply.tool_calls[0]
        assert call["function"]["name"] == "weather"
        assert json.loads(call["function"]["arguments"]) == {"place": "Ulm"}
        assert reply.finish_reason == "tool_calls"
        messages = [
            {"role": "user", "content": "weather?"},
            reply.raw["choices"][0]["message"],
            {"role": "tool", "tool_call_id": call["id"], "content": "rain"},
        ]
        answer = await llm.chat(messages, tools=tools)
        assert answer.text
        streamed = whole((await llm.stream('[[tool=weather:{"place":"Ulm"}]]', tools=tools)).reply)
        assert json.loads(streamed.tool_calls[0]["function"]["arguments"]) == {"place": "Ulm"}
        assert llm.budgets()["client"].spent == sim.billed()


async def test_several_choices_are_bounded_and_billed_together(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=1) as llm:
        one = await llm.chat("hello", max_tokens=20)
        three = await llm.chat("hello", max_tokens=20, n=3)
        assert len(three.raw["choices"]) == 3
        assert three.cost.nano_usd == sim.billed(three.call_id)
        assert three.receipt.held_nano_usd > 2 * one.receipt.held_nano_usd
        streamed = whole((await llm.stream("hello", max_tokens=20, n=2)).reply)
        assert len(streamed.raw["choices"]) == 2
        assert streamed.cost.nano_usd == sim.billed(streamed.call_id)


async def test_fallbacks_reach_openrouter_and_the_bound_covers_the_dearest(sim: Sim, colour: str) -> None:
    keys = {
        "fallback_models": ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5"],
        "provider_preferences": {"allow_fallbacks": True, "data_collection": "deny"},
        "app_name": "MCP Platform",
        "app_url": "https://localhost:8000",
    }
    async with opened(colour, sim.config(openrouter=keys), budget_usd=5) as llm:
        cheap = await llm.chat("hello", model="openrouter/openai/gpt-4o-mini", max_tokens=100)
        dear = await llm.chat("hello", model="openrouter/anthropic/claude-sonnet-4.5", max_tokens=100)
        entry = sim.entries(cheap.call_id)[0]
        assert entry.preferences["models"] == ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5"]
        assert entry.preferences["provider"] == {"allow_fallbacks": True, "data_collection": "deny"}
        assert entry.headers["http-referer"] == "https://localhost:8000"
        assert entry.headers["x-title"] == "MCP Platform"
        # 100 tokens of the dearest model's output alone are 1.5 thousandths of a dollar.
        assert cheap.receipt.held_nano_usd > 1_500_000
        assert cheap.receipt.held_nano_usd == pytest.approx(dear.receipt.held_nano_usd, rel=0.01)
        with sim.faults("model_down,provider=openrouter,model=openai/gpt-4o-mini"):
            fallen = await llm.chat("hello", model="openrouter/openai/gpt-4o-mini", max_tokens=100)
        assert fallen.model.startswith("anthropic/")
        assert fallen.cost.nano_usd == sim.billed(fallen.call_id) <= fallen.receipt.held_nano_usd
        assert llm.budgets()["client"].spent == sim.billed()


async def test_without_enable_fallbacks_no_fallbacks_are_sent(sim: Sim, colour: str) -> None:
    keys = {"fallback_models": ["anthropic/claude-sonnet-4.5"], "enable_fallbacks": False}
    async with opened(colour, sim.config(openrouter=keys), budget_usd=5) as llm:
        reply = await llm.chat("hello", model="openrouter/openai/gpt-4o-mini", max_tokens=100)
        assert "models" not in sim.entries(reply.call_id)[0].preferences


async def test_an_elastic_output_is_enforced_at_the_provider(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd="0.01") as llm:
        reply = await llm.chat("[[tokens=9000]]")
        entry = sim.entries(reply.call_id)[0]
        assert reply.receipt.capped_by == "client"
        assert entry.output_limit == reply.receipt.output_tokens_max
        assert reply.usage.output_tokens == reply.receipt.output_tokens_max
        assert reply.finish_reason == "length"
        assert reply.receipt.held_nano_usd <= 10_000_000 // 4 + 1
        assert "output limited to" in str(reply.receipt)


async def test_a_call_that_no_budget_binds_is_sent_without_a_limit(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config()) as llm:
        reply = await llm.chat("hello")
        assert sim.entries(reply.call_id)[0].output_limit is None
        assert reply.receipt.output_tokens_max is None
        assert reply.receipt.budgets == ()


async def test_many_calls_at_once_never_pass_a_budget_and_add_up(sim: Sim, colour: str) -> None:
    import asyncio

    async with opened(colour, sim.config(), budget_usd="0.02") as llm:
        asks = [llm.chat(f"[[tokens=60]] {i}", max_tokens=200) for i in range(40)]
        asks += [llm.stream(f"[[tokens=60]] {i}", max_tokens=200) for i in range(40)]  # type: ignore[misc]
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
        assert not [one for one in outcomes if isinstance(one, BaseException)]
        balance = llm.budgets()["client"]
        assert balance.spent == sim.billed() <= 20_000_000
        assert balance.held == 0
        assert llm.seats() == 0
