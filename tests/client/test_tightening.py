"""Calls that fit a budget by their tokens alone go through in both colours, and the books are the bill."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import bursar
from tests.client.colours import Teller, opened, whole
from tests.client.simulator import Sim

# Three digits are a token of OpenAI's and four a token of the simulator's: the bound is above the bill, as it must be.
DIGITS = "314 159 265 358 979 323 846 264 338 327 950 288 " * 400
WISH = [{"role": "user", "content": DIGITS}, {"role": "user", "content": "[[tokens=20]]"}]
LIMIT = {"max_tokens": 100}


async def chat(llm: Teller) -> Any:
    return await llm.chat(WISH, **LIMIT)


async def stream(llm: Teller) -> Any:
    return whole((await llm.stream(WISH, **LIMIT)).reply)


async def responses(llm: Teller) -> Any:
    return await llm.send("/responses", model="openai/gpt-4o-mini", input=WISH, max_output_tokens=100)


async def routed(llm: Teller) -> Any:
    return await llm.chat(WISH, model="openrouter/openai/gpt-4o-mini", **LIMIT)


async def deployed(llm: Teller) -> Any:
    return await llm.chat(WISH, model="azure/gpt-4o-mini", **LIMIT)


async def embedded(llm: Teller) -> Any:
    return await llm.embed(DIGITS)


WAYS: list[Callable[[Teller], Awaitable[Any]]] = [chat, stream, responses, routed, deployed, embedded]


@pytest.mark.parametrize("ask", WAYS)
async def test_it_goes_through_and_the_books_are_the_bill(
    sim: Sim, colour: str, ask: Callable[[Teller], Awaitable[Any]]
) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        by_bytes = (await ask(llm)).receipt.held_nano_usd
    budget_usd = f"{by_bytes * 8 // 10 / 1e9:.9f}"
    async with opened(colour, sim.config(), budget_usd=budget_usd) as llm:
        reply = await ask(llm)
        balance = llm.budgets()["client"]
        assert reply.receipt.held_nano_usd < balance.limit < by_bytes
        assert reply.cost.certain
        assert (balance.spent, balance.held) == (sim.billed(reply.call_id), 0)
        assert reply.cost.nano_usd == balance.spent <= reply.receipt.held_nano_usd
        (fact,) = llm.facts(reply.call_id)
        assert fact.bound_nano_usd == reply.receipt.held_nano_usd


async def test_models_whose_vocabulary_is_not_known_are_bounded_by_bytes(sim: Sim, colour: str) -> None:
    for model in ("openrouter/anthropic/claude-sonnet-4.5", "groq/llama-3.1-8b-instant", "mistral/mistral-small-2603"):
        async with opened(colour, sim.config(), budget_usd=5) as llm:
            by_bytes = (await llm.chat(WISH, model=model, **LIMIT)).receipt.held_nano_usd
            quote = await llm.estimate(WISH, model=model, **LIMIT)
            assert quote.most_nano_usd == by_bytes
        async with opened(colour, sim.config(), budget_usd=f"{(by_bytes - 1) / 1e9:.9f}") as llm:
            with pytest.raises(bursar.BudgetExceededError) as raised:
                await llm.chat(WISH, model=model, **LIMIT)
            assert raised.value.needed_nano_usd == by_bytes


async def test_a_fallback_of_another_maker_leaves_the_bytes(sim: Sim, colour: str) -> None:
    config = sim.config(openrouter={"enable_fallbacks": True, "fallback_models": ["anthropic/claude-haiku-4.5"]})
    async with opened(colour, config, budget_usd="0.01") as llm:
        with pytest.raises(bursar.BudgetExceededError):
            await llm.chat(WISH, model="openrouter/openai/gpt-4o-mini", **LIMIT)
    assert sim.entries() == []


async def test_what_does_not_fit_by_tokens_either_is_refused_by_them(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        quote = await llm.estimate(WISH, **LIMIT)
        assert quote.most_nano_usd is not None
    async with opened(colour, sim.config(), budget_usd=f"{(quote.most_nano_usd - 1) / 1e9:.9f}") as llm:
        assert not (await llm.estimate(WISH, **LIMIT)).fits
        with pytest.raises(bursar.BudgetExceededError) as raised:
            await llm.chat(WISH, **LIMIT)
        assert raised.value.needed_nano_usd == quote.most_nano_usd
        assert raised.value.affordable_output_tokens == 99
        assert llm.facts() == []
        assert llm.budgets()["client"].held == 0
    async with opened(colour, sim.config(), budget_usd=f"{quote.most_nano_usd / 1e9:.9f}") as llm:
        assert (await llm.estimate(WISH, **LIMIT)).fits
        assert (await llm.chat(WISH, **LIMIT)).receipt.held_nano_usd == quote.most_nano_usd
    assert len(sim.entries()) == 1


async def test_a_cap_on_one_call_is_kept_by_tokens(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        quote = await llm.estimate(WISH, **LIMIT)
        assert quote.most_nano_usd is not None
        cap = f"{quote.most_nano_usd / 1e9:.9f}"
        reply = await llm.chat(WISH, max_cost_usd=cap, **LIMIT)
        assert reply.receipt.held_nano_usd == quote.most_nano_usd
        with pytest.raises(bursar.BudgetExceededError, match="max_cost_usd"):
            await llm.chat(WISH, max_cost_usd=f"{(quote.most_nano_usd - 1) / 1e9:.9f}", **LIMIT)


async def test_more_output_is_afforded_by_tokens(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        limited = await llm.chat(WISH, max_tokens=1_024)
    # A quarter of the budget is what the least output needs by bytes.
    budget_usd = f"{limited.receipt.held_nano_usd * 4 / 1e9:.9f}"
    async with opened(colour, sim.config(), budget_usd=budget_usd) as llm:
        reply = await llm.chat(WISH)
        assert reply.receipt.output_tokens_max is not None
        assert reply.receipt.output_tokens_max > 2_500
        assert reply.receipt.capped_by == "client"
        balance = llm.budgets()["client"]
        assert (balance.spent, balance.held) == (sim.billed(reply.call_id), 0)


async def test_much_text_is_counted_too(sim: Sim, colour: str) -> None:
    messages = [{"role": "user", "content": DIGITS * 10}]
    async with opened(colour, sim.config(), budget_usd="0.018") as llm:
        reply = await llm.chat(messages, **LIMIT)
        assert reply.receipt.held_nano_usd < 18_000_000 < len(DIGITS) * 10 * 150
        assert llm.budgets()["client"].spent == sim.billed()


async def test_a_call_whose_text_cannot_be_counted_is_bounded_by_its_bytes(
    sim: Sim, colour: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(text: str, vocabularies: tuple[str, ...]) -> int:
        raise ValueError("a shipped vocabulary is damaged")

    monkeypatch.setattr("bursar.engine.bounding.count_at_most", damaged)
    async with opened(colour, sim.config(), budget_usd="0.0005") as llm:
        with pytest.raises(bursar.BudgetExceededError):
            await llm.chat(WISH, **LIMIT)
    assert "could not be counted" in caplog.text
