"""Streams that break once their callers have seen some: the error, another beginning, or the rest, as the route says;
in both colours, in chat and Messages, and with books that say what the simulator billed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

import bursar
from bursar.errors import BudgetExceededError, ProviderUnavailableError, StreamInterruptedError
from tests.client.colours import Teller, opened, whole
from tests.client.simulator import MODELS, Sim

SAID = "one two three four five six"
PROMPT = f"{SAID} [[echo]]"
OPENAI, GROQ, HAIKU = "openai/gpt-4o-mini", "groq/llama-3.1-8b-instant", "anthropic/claude-haiku-4-5"
MISTRAL, OWN, OPUS = "mistral/mistral-small-2603", "own/tiny-chat", "anthropic/claude-opus-5-5"


@dataclass
class Seen:
    """What a caller saw of a stream: the text as it would stand on a screen that is cleared at a restart."""

    text: str = ""
    restarts: int = 0
    continued: int = 0
    told: list[bool] = field(default_factory=list)
    reply: Any = None

    def take(self, delta: Any) -> None:
        self.told.append(delta.restarted)
        self.text = delta.text if delta.restarted else self.text + delta.text

    def end(self, stream: Any) -> None:
        self.restarts, self.continued, self.reply = stream.restarts, stream.continued, stream.reply


async def read(llm: Teller, seen: Seen, path: str = "", prompt: str = PROMPT, **options: Any) -> Seen:
    """Read a stream of a colour to its end, or to its error; `seen` has what was seen of it either way."""
    if path:
        options["messages"] = [{"role": "user", "content": prompt}]
    if isinstance(llm.client, bursar.AsyncClient):
        async with llm.client.send_stream(path, **options) if path else llm.client.stream(prompt, **options) as stream:
            try:
                async for delta in stream:
                    seen.take(delta)
            finally:
                seen.end(stream)
        return seen

    def go(client: bursar.Client) -> Seen:
        with client.send_stream(path, **options) if path else client.stream(prompt, **options) as stream:
            try:
                for delta in stream:
                    seen.take(delta)
            finally:
                seen.end(stream)
        return seen

    return await asyncio.to_thread(go, llm.client)


def config_of(sim: Sim, *candidates: str, how: str, **providers: Any) -> dict[str, Any]:
    made = sim.config(**{"own": {"price": "free", "row": "vllm"}, **providers})
    return made | {"routes": {"r": {"candidates": list(candidates), "after_first_token": how}}}


def check(llm: Teller, sim: Sim) -> None:
    """Nothing is held, certain rows are the bill, and what broke off stays charged at its bound."""
    (balance,) = llm.budgets().values()
    assert (balance.held, llm.seats()) == (0, 0)
    facts = llm.facts()
    for fact in facts:
        billed = sim.billed(fact.attempt_id)
        assert fact.charged_nano_usd == (billed if fact.certain else fact.bound_nano_usd)
        assert fact.charged_nano_usd >= billed
    assert balance.spent == sum(fact.charged_nano_usd for fact in facts)


# Who goes on, and how

BREAKS = {"cut": "truncate:3", "stalled": "stall:30,after_chunks=3",
          "an error": "error_in_stream:3", "malformed": "malformed_json:3"}  # fmt: skip


@pytest.mark.parametrize("how", ["never", "restart", "continue"])
@pytest.mark.parametrize("fault", BREAKS)
async def test_each_break_goes_on_as_the_route_says(sim: Sim, colour: str, fault: str, how: str) -> None:
    config = config_of(sim, OPENAI, GROQ, how=how, openai={"stall_timeout": 0.2})
    async with opened(colour, config, budget_usd=5) as llm:
        seen = Seen()
        with sim.faults(f"{BREAKS[fault]},provider=openai"):
            if how == "never":
                with pytest.raises(StreamInterruptedError) as raised:
                    await read(llm, seen, model="r", max_tokens=60)
                assert SAID.startswith(raised.value.reply.text)
                assert len(llm.facts()) == 1
            else:
                await read(llm, seen, model="r", max_tokens=60)
        check(llm, sim)
        if how == "never":
            assert (seen.restarts, seen.continued, any(seen.told)) == (0, 0, False)
            return
        reply = whole(seen.reply)
        assert seen.text == reply.text == SAID
        assert (seen.restarts, seen.continued) == ((1, 0) if how == "restart" else (0, 1))
        assert sum(seen.told) == seen.restarts, "the first delta of a reply that begins anew says so, and no other"
        assert (reply.provider, reply.finish_reason) == ("groq", "stop")
        (earlier,) = reply.receipt.earlier
        first = llm.facts(reply.call_id)
        assert {fact.provider for fact in first} == {"openai", "groq"}
        assert earlier.charged_nano_usd == next(fact.bound_nano_usd for fact in first if fact.provider == "openai")


@pytest.mark.parametrize("how", ["restart", "continue"])
@pytest.mark.parametrize(
    ("second", "goes_on"),
    [(GROQ, True), (HAIKU, True), (MISTRAL, True), (OWN, True), ("openrouter/anthropic/claude-sonnet-4.5", True),
     ("openrouter/openai/gpt-4o-mini", False), (OPUS, False), ("deepseek/deepseek-v4-flash", False),
     ("azure/gpt-4o-mini", False)],
)  # fmt: skip
async def test_a_reply_is_continued_where_the_next_model_can(
    sim: Sim, colour: str, second: str, goes_on: bool, how: str
) -> None:
    async with opened(colour, config_of(sim, OPENAI, second, how=how), budget_usd=5) as llm:
        with sim.faults("truncate:3,provider=openai"):
            seen = await read(llm, Seen(), model="r", max_tokens=60)
        check(llm, sim)
    continued = goes_on and how == "continue"
    assert (seen.text, whole(seen.reply).text) == (SAID, SAID)
    assert (seen.continued, seen.restarts) == ((1, 0) if continued else (0, 1))
    first, last = sim.entries(seen.reply.call_id)
    prompts = first.usage["prompt_tokens"], last.usage["prompt_tokens"]
    assert prompts[1] > prompts[0] if continued else prompts[1] <= prompts[0] + 8
    assert last.usage["completion_tokens"] == (3 if continued else 6)
    assert last.output_limit == (57 if continued else 60), "the caller's limit is for the whole reply"


@pytest.mark.parametrize(("second", "goes_on"), [("openrouter/anthropic/claude-sonnet-4.5", True), (OPUS, False)])
async def test_messages_are_continued_in_the_block_that_was_open(
    sim: Sim, colour: str, second: str, goes_on: bool
) -> None:
    async with opened(colour, config_of(sim, HAIKU, second, how="continue"), budget_usd=5) as llm:
        with sim.faults("truncate:3,provider=anthropic,model=claude-haiku-4-5"):
            seen = await read(llm, Seen(), "/messages", model="r", max_tokens=60)
        check(llm, sim)
    assert (seen.continued, seen.restarts) == ((1, 0) if goes_on else (0, 1))
    assert seen.text == SAID
    assert whole(seen.reply).raw["content"] == [{"type": "text", "text": SAID}]
    assert whole(seen.reply).finish_reason == "end_turn"


async def test_responses_are_begun_again(sim: Sim, colour: str) -> None:
    config = config_of(sim, OPENAI, "openrouter/openai/gpt-4o-mini", how="continue")
    async with opened(colour, config, budget_usd=5) as llm:
        with sim.faults("truncate:3,provider=openai"):
            seen = Seen()
            stream = {"input": PROMPT, "model": "r", "max_output_tokens": 60}
            if isinstance(llm.client, bursar.AsyncClient):
                async with llm.client.send_stream("/responses", **stream) as opened_stream:
                    async for delta in opened_stream:
                        seen.take(delta)
            else:

                def go(client: bursar.Client) -> Any:
                    with client.send_stream("/responses", **stream) as opened_stream:
                        for delta in opened_stream:
                            seen.take(delta)
                    return opened_stream

                opened_stream = await asyncio.to_thread(go, llm.client)
            seen.end(opened_stream)
        check(llm, sim)
    assert (seen.text, whole(seen.reply).text, seen.restarts, seen.continued) == (SAID, SAID, 1, 0)


async def test_alone_the_same_model_goes_on_where_it_broke_off(sim: Sim, colour: str) -> None:
    """It says what it would have said, had nothing happened."""
    again = {"max_retries": 3, "retry_base_seconds": 0.01}
    prompt = "Tell me of rivers. [[tokens=20]]"
    async with opened(colour, config_of(sim, GROQ, how="continue", groq=again), budget_usd=5) as llm:
        undisturbed = await read(llm, Seen(), prompt=prompt, model="r", max_tokens=60)
        with sim.faults("truncate:3,provider=groq,times=2"):
            seen = await read(llm, Seen(), prompt=prompt, model="r", max_tokens=60)
        check(llm, sim)
    assert seen.text == whole(seen.reply).text == undisturbed.text
    assert (seen.continued, seen.restarts, len(seen.reply.receipt.earlier)) == (2, 0, 2)
    limits = [entry.output_limit for entry in sim.entries(seen.reply.call_id)]
    assert limits == [60, 57, 54]


async def test_what_was_said_twice_over_is_void_after_a_restart(sim: Sim, colour: str) -> None:
    """openai breaks, groq goes on and breaks, azure begins anew and breaks, mistral goes on from there."""
    config = config_of(sim, OPENAI, GROQ, "azure/gpt-4o-mini", MISTRAL, how="continue")
    async with opened(colour, config, budget_usd=5) as llm:
        faults = [f"truncate:{count},provider={name}" for name, count in (("openai", 3), ("groq", 1), ("azure", 2))]
        with sim.faults(*faults):
            seen = await read(llm, Seen(), model="r", max_tokens=60)
        check(llm, sim)
    assert seen.text == whole(seen.reply).text == SAID
    assert (seen.continued, seen.restarts) == (2, 1)
    assert [entry.output_limit for entry in sim.entries(seen.reply.call_id)] == [60, 57, 60, 58]


# What is begun again instead

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("[[tool=look:{\"a\":1234567}]]", {"tools": TOOLS}),
        (PROMPT, {"n": 2}),
        (PROMPT, {"response_format": {"type": "json_object"}}),
        (PROMPT, {"reasoning_effort": "low"}),
    ],
    ids=["a tool call", "several choices", "a form", "thinking"],
)  # fmt: skip
async def test_what_is_no_plain_text_is_begun_again(
    sim: Sim, colour: str, prompt: str, options: dict[str, Any]
) -> None:
    async with opened(colour, config_of(sim, OPENAI, GROQ, how="continue"), budget_usd=5) as llm:
        with sim.faults("truncate:3,provider=openai"):
            seen = await read(llm, Seen(), prompt=prompt, model="r", max_tokens=60, **options)
        check(llm, sim)
    assert (seen.continued, seen.restarts) == (0, 1)
    if "tools" in options:
        assert [call["function"]["arguments"] for call in seen.reply.tool_calls] == ['{"a":1234567}']


# When nothing more comes of it


async def test_who_saw_some_gets_it_whatever_became_of_the_others(sim: Sim, colour: str) -> None:
    async with opened(colour, config_of(sim, OPENAI, GROQ, how="restart"), budget_usd=5) as llm:
        seen = Seen()
        with sim.faults("truncate:3,provider=openai", "status:503,provider=groq"):
            with pytest.raises(StreamInterruptedError) as raised:
                await read(llm, seen, model="r", max_tokens=60)
        check(llm, sim)
        error = raised.value
        assert seen.text == error.reply.text
        assert SAID.startswith(error.reply.text)
        assert isinstance(error.__cause__, ProviderUnavailableError)
        assert [one.provider for one in error.earlier] == ["groq"]
        assert (error.attempts, seen.restarts) == (2, 0)


async def test_the_last_of_several_that_broke_is_what_the_caller_has(sim: Sim, colour: str) -> None:
    async with opened(colour, config_of(sim, OPENAI, GROQ, how="continue"), budget_usd=5) as llm:
        seen = Seen()
        with sim.faults("truncate:3,provider=openai", "truncate:1,provider=groq"):
            with pytest.raises(StreamInterruptedError) as raised:
                await read(llm, seen, model="r", max_tokens=60)
        check(llm, sim)
        assert seen.text == raised.value.reply.text == "one two three four"
        charged = sum(fact.charged_nano_usd for fact in llm.facts())
        assert charged == raised.value.reply.receipt.charged_nano_usd + raised.value.earlier[0].charged_nano_usd


async def test_a_cap_on_one_call_covers_the_attempt_that_goes_on(sim: Sim, colour: str) -> None:
    """The first is charged its bound, and nothing is left for the second."""
    async with opened(colour, config_of(sim, OPENAI, GROQ, how="continue"), budget_usd=5) as llm:
        with sim.faults("truncate:3,provider=openai"):
            with pytest.raises(StreamInterruptedError) as raised:
                await read(llm, Seen(), model="r", max_tokens=60, max_cost_usd="0.00008")
        assert isinstance(raised.value.__cause__, BudgetExceededError)
        assert sum(fact.charged_nano_usd for fact in llm.facts()) <= 80_000
        assert [entry.provider for entry in sim.entries()] == ["openai"]
        check(llm, sim)


async def test_a_deadline_bounds_what_goes_on(sim: Sim, colour: str) -> None:
    config = config_of(sim, OPENAI, GROQ, how="continue", openai={"stall_timeout": 30.0})
    async with opened(colour, config, budget_usd=5) as llm:
        with sim.faults("stall:30,after_chunks=3,provider=openai"):
            with pytest.raises(StreamInterruptedError):
                await read(llm, Seen(), model="r", max_tokens=60, timeout=0.4)
        assert [entry.provider for entry in sim.entries()] == ["openai"]
        check(llm, sim)


async def test_who_leaves_is_given_no_other(sim: Sim, colour: str) -> None:
    async with opened(colour, config_of(sim, OPENAI, GROQ, how="restart"), budget_usd=5) as llm:
        with sim.faults("truncate:3,provider=openai"):
            await llm.stream(PROMPT, model="r", max_tokens=60, leave_after=2)
            await llm.drained()
        assert [entry.provider for entry in sim.entries()] == ["openai"]
        check(llm, sim)


def test_every_model_that_is_said_to_go_on_is_one_of_the_simulator() -> None:
    assert {name.partition("/")[0] for name in (GROQ, HAIKU, MISTRAL, OWN)} <= MODELS.keys()
