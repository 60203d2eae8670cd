"""Every provider and every wire in both colours, whole and streamed: the books say what the provider billed."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from tests.client.colours import opened, whole
from tests.client.simulator import MODELS, Sim

PROVIDERS = sorted(set(MODELS) - {"own"})
# What a prompt asks of the simulator, by what it tries.
WISHES = {
    "plain": "Name three rivers. [[tokens=40]]",
    "thought": "Think of three rivers. [[tokens=60]][[reasoning=35]]",
    "cached": "Name three rivers again. [[tokens=12]][[cached=6]]",
}
TOOL = {
    "type": "function",
    "function": {"name": "rivers", "parameters": {"type": "object", "properties": {"land": {"type": "string"}}}},
}


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_chat_costs_what_the_provider_billed(sim: Sim, colour: str, provider: str, wish: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        model = f"{provider}/{MODELS[provider]}"
        reply = await llm.chat(WISHES[wish], model=model, max_tokens=200)
        seen = await llm.stream(WISHES[wish], model=model, max_tokens=200)
        for one in (reply, whole(seen.reply)):
            billed = sim.billed(one.call_id)
            assert billed > 0
            assert (one.cost.nano_usd, one.cost.certain) == (billed, True)
            assert one.text
            assert one.finish_reason == "stop"
        assert seen.text == whole(seen.reply).text
        balance = llm.budgets()["client"]
        assert balance.spent == sum(fact.charged_nano_usd for fact in llm.facts())
        assert balance.held == 0


async def test_sound_and_images_that_usage_does_not_tell_from_text_stay_at_the_bound(sim: Sim, colour: str) -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}}
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        for model, content in (
            ("gemini-2.5-flash", [{"type": "text", "text": "What is said? [[audio=20]]"}, sound]),
            ("gemini-2.5-flash-image", "Draw three rivers. [[image_out=20]]"),
        ):
            messages = [{"role": "user", "content": content}]
            reply = await llm.chat(messages, model=f"gemini/{model}", max_tokens=50)
            assert (reply.cost.source, reply.cost.certain) == ("computed", False)
            (fact,) = llm.facts(reply.call_id)
            assert (reply.cost.nano_usd or 0) < sim.billed(reply.call_id) <= fact.charged_nano_usd
        heard = await llm.chat('[[audio=0]] Of type "input_audio"?', model="gemini/gemini-2.5-flash", max_tokens=50)
        assert (heard.cost.nano_usd, heard.cost.certain) == (sim.billed(heard.call_id), True)


@pytest.mark.parametrize("provider", ["openai", "openrouter"])
async def test_responses(sim: Sim, colour: str, provider: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        asked: dict[str, Any] = {"model": f"{provider}/gpt-4o-mini", "input": WISHES["plain"]}
        if provider == "openrouter":
            asked["model"] = "openrouter/openai/gpt-4o-mini"
        reply = await llm.send("/v1/responses", **asked, max_output_tokens=100)
        seen = await llm.send_stream("responses", **asked)
        for one in (reply, whole(seen.reply)):
            assert (one.cost.nano_usd, one.cost.certain) == (sim.billed(one.call_id), True)
            assert one.cost.nano_usd
            assert one.text
            assert one.raw["object"] == "response"
        assert seen.text == whole(seen.reply).text
        # Without a limit of the caller's own, the one that the budget paid for is sent in this wire's own field.
        assert whole(seen.reply).receipt.output_tokens_max
        assert llm.facts(reply.call_id)[0].dialect == "openai_responses"


@pytest.mark.parametrize("provider", ["anthropic", "openrouter"])
async def test_messages(sim: Sim, colour: str, provider: str) -> None:
    model = {"anthropic": "anthropic/claude-haiku-4-5", "openrouter": "openrouter/anthropic/claude-sonnet-4.5"}[
        provider
    ]
    messages = [{"role": "user", "content": WISHES["plain"]}]
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        reply = await llm.send("/v1/messages", model=model, messages=messages, max_tokens=100)
        seen = await llm.send_stream("/v1/messages", model=model, messages=messages, system="Be brief.")
        for one in (reply, whole(seen.reply)):
            assert (one.cost.nano_usd, one.cost.certain) == (sim.billed(one.call_id), True)
            assert one.cost.nano_usd
            assert one.text
            assert one.raw["type"] == "message"
        assert seen.text == whole(seen.reply).text


async def test_a_conversation_with_tools_goes_to_anthropic_and_back(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "Call a tool."},
            {
                "role": "user",
                "content": 'Which rivers? [[tool=rivers:{"land": "Peru"}]][[tool=rivers:{"land": "Chile"}]]',
            },
        ]
        model = "anthropic/claude-sonnet-5"
        asked = await llm.chat(messages, model=model, tools=[TOOL], max_tokens=300)
        assert asked.finish_reason == "tool_calls"
        assert [call["function"]["arguments"] for call in asked.tool_calls] == ['{"land":"Peru"}', '{"land":"Chile"}']
        messages.append(asked.raw["choices"][0]["message"])
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": "many"} for call in asked.tool_calls]
        told = await llm.chat(messages, model=model, tools=[TOOL], max_tokens=300)
        assert told.finish_reason == "stop"
        seen = await llm.stream(messages[:2], model=model, tools=[TOOL], max_tokens=300)
        assert [call["function"]["name"] for call in whole(seen.reply).tool_calls] == ["rivers", "rivers"]
        assert llm.budgets()["client"].spent == sim.billed()


async def test_a_wire_that_a_provider_does_not_speak(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        with pytest.raises(InvalidRequestError, match="groq does not take anthropic_messages requests"):
            await llm.send("/v1/messages", model="groq/llama-3.1-8b-instant", messages=[], max_tokens=1)
        with pytest.raises(InvalidRequestError, match="send takes /chat/completions, /responses and /messages"):
            await llm.send("/v1/images", model="openai/gpt-4o-mini")
        with pytest.raises(InvalidRequestError, match="stream=True belongs to send_stream"):
            await llm.send("/responses", model="openai/gpt-4o-mini", input="x", stream=True)
        with pytest.raises(InvalidRequestError, match="logit_bias"):
            await llm.chat("hello", model="anthropic/claude-haiku-4-5", logit_bias={"1": 1})
        assert sim.entries() == []
        assert llm.budgets()["client"].held == 0
