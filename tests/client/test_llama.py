"""A provider that nobody here wrote: llama.cpp's own server, said to be free, and with prices of the user's own."""

from __future__ import annotations

from typing import Any

import pytest

import bursar
from tests.client.colours import opened, whole

INPUT_NANO_USD, OUTPUT_NANO_USD = 3_000, 7_000


def config(url: str, *, free: bool) -> dict[str, Any]:
    local: dict[str, Any] = {"base_url": url}
    if free:
        local["price"] = "free"
        return {"llm": {"providers": {"local": local}}}
    return {"llm": {"providers": {"local": local}}, "prices": {"local/tiny": {"input": 3, "output": 7}}}


async def test_what_is_said_to_be_free_costs_nothing_and_is_counted(llama_base_url: str, colour: str) -> None:
    async with opened(colour, config(llama_base_url, free=True), budget_usd="0.000001") as llm:
        reply = await llm.chat("Name three rivers.", model="local/tiny", max_tokens=12, temperature=0)
        assert len(reply.text) == 12
        assert reply.finish_reason == "length"
        assert (reply.cost.nano_usd, reply.cost.certain) == (0, True)
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (23, 12)
        seen = await llm.stream("Name three rivers.", model="local/tiny", max_tokens=12, temperature=0)
        assert seen.text == whole(seen.reply).text == reply.text
        assert whole(seen.reply).usage.output_tokens == 12
        vectors = await llm.embed(["a", "bc"], model="local/tiny")
        assert [len(vector) for vector in vectors.vectors] == [32, 32]
        assert vectors.usage.input_tokens == 7
        assert llm.budgets()["client"].spent == 0
        assert len(llm.facts()) == 3


async def test_a_price_of_the_users_own_is_charged_by_its_usage(llama_base_url: str, colour: str) -> None:
    async with opened(colour, config(llama_base_url, free=False), budget_usd=1) as llm:
        reply = await llm.chat("Name three rivers.", model="local/tiny", max_tokens=12)
        assert reply.cost.nano_usd == 23 * INPUT_NANO_USD + 12 * OUTPUT_NANO_USD
        assert reply.cost.certain
        assert reply.cost.nano_usd <= reply.receipt.held_nano_usd
        seen = await llm.stream("Name three rivers.", model="local/tiny", max_tokens=12)
        assert whole(seen.reply).cost.nano_usd == reply.cost.nano_usd
        vectors = await llm.embed("a", model="local/tiny")
        assert vectors.cost.nano_usd == vectors.usage.input_tokens * INPUT_NANO_USD
        assert llm.budgets()["client"].spent == 2 * reply.cost.nano_usd + (vectors.cost.nano_usd or 0)


@pytest.mark.parametrize(
    "messages",
    [
        "",
        "x",
        "\u00e9\U0001f600\u4e2d" * 50,
        [{"role": role, "content": ""} for role in ("system", "user", "assistant", "user") * 20],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    ],
)
async def test_the_bound_covers_what_its_template_makes_of_the_messages(
    llama_base_url: str, colour: str, messages: Any
) -> None:
    async with opened(colour, config(llama_base_url, free=False), budget_usd=1) as llm:
        reply = await llm.chat(messages, model="local/tiny", max_tokens=3)
        assert reply.receipt.held_nano_usd >= (reply.cost.nano_usd or 0)


async def test_several_choices_whose_usage_counts_one_stay_at_the_bound(llama_base_url: str, colour: str) -> None:
    async with opened(colour, config(llama_base_url, free=False), budget_usd=1) as llm:
        reply = await llm.chat("Name three rivers.", model="local/tiny", max_tokens=5, n=2)
        assert len(reply.raw["choices"]) == 2
        assert not reply.cost.certain, "its usage counts one of two"
        assert reply.receipt.charged_nano_usd == reply.receipt.held_nano_usd
        assert reply.receipt.held_nano_usd >= 2 * (23 * INPUT_NANO_USD + 5 * OUTPUT_NANO_USD)


async def test_its_errors_are_told_apart(llama_base_url: str, colour: str) -> None:
    async with opened(colour, config(llama_base_url, free=False), budget_usd=1) as llm:
        with pytest.raises(bursar.ProviderError) as raised:
            await llm.chat("x" * 9_000, model="local/tiny", max_tokens=3)
        assert raised.value.status == 400
        assert llm.budgets()["client"].spent == 0
        with pytest.raises(bursar.ProviderError):
            await llm.chat([{"role": "user"}], model="local/tiny", max_tokens=3)
        assert llm.budgets()["client"].held == 0


async def test_a_stream_that_is_left_is_read_to_its_end(llama_base_url: str, colour: str) -> None:
    async with opened(colour, config(llama_base_url, free=False), budget_usd=1) as llm:
        await llm.stream("Name three rivers.", model="local/tiny", max_tokens=150, leave_after=1)
        await llm.drained()
        (fact,) = llm.facts()
        assert fact.certain
        assert fact.usage.output_tokens == 150
        assert fact.ending == "aborted"
