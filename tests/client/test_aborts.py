"""Streams whose callers leave: read on, closed and left to a record of the provider, or closed and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bursar
from bursar.call.books import Fact
from tests.client.colours import Teller, opened, until
from tests.client.simulator import Sim

ROUTED = "openrouter/openai/gpt-4o-mini"
# Four pieces come, then nothing more for longer than any test.
HANGS = {"extra_headers": {"x-sim-fault": "stall:60,after_chunks=4"}}


@pytest.fixture
def stopping(sim: Sim) -> Iterator[Sim]:
    """A simulator whose openai, too, ends its bill when a client leaves."""
    sim.desk.switch_cancel({"openai": True})
    yield sim
    sim.reset()


def soon(llm: Teller) -> None:
    """Ask for records at once, and again."""
    llm.client._engine._inquiries._after_seconds = (0.02,) * 200


def never(llm: Teller) -> None:
    """Ask for no record before the client closes."""
    llm.client._engine._inquiries._after_seconds = (600.0,)


async def left_fact(llm: Teller) -> Fact:
    """The row of the stream that was left, as soon as it is in the books."""
    await until(llm.facts)
    (fact,) = llm.facts()
    return fact


async def billed_at_last(sim: Sim, fact: Fact) -> int:
    """What the provider bills, once it has noticed that its client has gone."""
    await until(lambda: sim.entries(fact.attempt_id))
    (entry,) = sim.entries(fact.attempt_id)
    assert entry.aborted
    return entry.billed_nano_usd


async def test_a_stream_at_a_provider_that_stops_billing_is_closed_at_once(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openrouter=HANGS), budget_usd=5) as llm:
        never(llm)
        await llm.stream("[[tokens=500]]", model=ROUTED, leave_after=2)
        fact = await left_fact(llm)
        assert (fact.ending, fact.certain, fact.cost_nano_usd) == ("aborted", False, None)
        assert fact.charged_nano_usd == fact.bound_nano_usd == llm.budgets()["client"].spent
        assert fact.request_id.startswith("gen-")
        assert (llm.budgets()["client"].held, llm.seats(), len(llm.drain)) == (0, 0, 0)
        billed = await billed_at_last(sim, fact)
        assert 0 < billed < fact.charged_nano_usd


@pytest.mark.parametrize("late", ["", "[[late=1]]"])
async def test_its_record_settles_it_in_the_background(sim: Sim, colour: str, late: str) -> None:
    async with opened(colour, sim.config(openrouter=HANGS), budget_usd=5) as llm:
        soon(llm)
        await llm.stream(f"[[tokens=500]]{late}", model=ROUTED, leave_after=2)
        await until(lambda: llm.facts() and llm.facts()[0].certain)
        (fact,) = llm.facts()
        billed = await billed_at_last(sim, fact)
        assert (fact.charged_nano_usd, fact.cost_source, fact.ending) == (billed, "provider", "aborted")
        assert 0 < fact.usage.output_tokens <= 4
        assert llm.budgets()["client"].spent == billed


async def test_a_client_that_closes_asks_once_more(sim: Sim, colour: str, tmp_path: Path) -> None:
    books = tmp_path / "books.db"
    async with opened(colour, sim.config(openrouter=HANGS), budget_usd=5, books=books) as llm:
        never(llm)
        await llm.stream("[[tokens=500]]", model=ROUTED, leave_after=2)
        await billed_at_last(sim, await left_fact(llm))
    async with opened(colour, sim.config(), budget_usd=5, books=books) as llm:
        (fact,) = llm.facts()
        assert (fact.certain, fact.charged_nano_usd) == (True, sim.billed())
        assert llm.budgets()["client"].spent == sim.billed()


async def test_who_is_cancelled_leaves_too(sim: Sim) -> None:
    async with bursar.AsyncClient(sim.config(openrouter=HANGS), budget_usd=5, per="total", books="memory:") as client:
        llm = Teller(client)
        soon(llm)
        shown = asyncio.Event()

        async def read() -> None:
            async with client.stream("[[tokens=500]]", model=ROUTED) as stream:
                async for _ in stream:
                    shown.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(shown.wait(), 20)
        task.cancel()
        assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
        await until(lambda: llm.facts() and llm.facts()[0].certain)
        assert llm.facts()[0].charged_nano_usd == sim.billed()


@pytest.mark.parametrize("said", ["drain", None])
async def test_a_drain_reads_on_where_it_is_asked_for_or_nothing_else_would_tell(
    sim: Sim, colour: str, said: str | None
) -> None:
    config = sim.config(openrouter={"on_abort": said}) if said else sim.config()
    async with opened(colour, config, budget_usd=5) as llm:
        await llm.stream("[[tokens=9000]]", model=ROUTED if said else "openai/gpt-4o-mini", leave_after=2)
        await llm.drained()
        (fact,) = llm.facts()
        assert (fact.ending, fact.certain, fact.usage.output_tokens) == ("aborted", True, 9000)
        assert fact.charged_nano_usd == sim.billed()


async def test_a_stream_that_ended_before_its_caller_left_is_settled_as_it_ended(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        seen = await llm.stream("[[tokens=4]]", model=ROUTED)
        assert isinstance(seen.reply, bursar.Reply)
        assert (seen.reply.receipt.certain, llm.facts()[0].ending) == (True, "ok")


async def test_an_interrupted_stream_is_settled_by_its_record_as_well(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openrouter={"max_retries": 0}), budget_usd=5) as llm:
        soon(llm)
        with sim.faults("truncate:2"), pytest.raises(bursar.StreamInterruptedError) as raised:
            await llm.stream("[[tokens=8]]", model=ROUTED)
        assert raised.value.reply.receipt.charged_nano_usd > sim.billed(), "nobody knew yet"
        await until(lambda: llm.facts()[0].certain)
        assert llm.facts()[0].charged_nano_usd == sim.billed() == llm.budgets()["client"].spent


COUNTED: dict[str, Any] = {**HANGS, "on_abort": "counted", "cancel_stops_billing": True}


@pytest.mark.parametrize("limit", [6, 4000])
async def test_counted_charges_what_was_delivered_and_a_margin(stopping: Sim, colour: str, limit: int) -> None:
    async with opened(colour, stopping.config(openai=COUNTED), budget_usd=5) as llm:
        await llm.stream("[[tokens=5000]]", max_tokens=limit, leave_after=3)
        fact = await left_fact(llm)
        billed = await billed_at_last(stopping, fact)
        assert (fact.ending, fact.cost_source, fact.certain) == ("aborted", "estimated", False)
        assert 0 < billed <= fact.charged_nano_usd <= fact.bound_nano_usd
        assert (fact.charged_nano_usd == fact.bound_nano_usd) is (limit == 6), "never more than was held"
        assert fact.charged_nano_usd == fact.cost_nano_usd == llm.budgets()["client"].spent
        assert llm.budgets()["client"].held == 0


async def test_what_was_counted_is_the_fact_once_there_is_a_record(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(openrouter=COUNTED), budget_usd=5) as llm:
        soon(llm)
        await llm.stream("[[tokens=500]]", model=ROUTED, leave_after=3)
        await until(lambda: llm.facts() and llm.facts()[0].certain)
        assert llm.facts()[0].charged_nano_usd == sim.billed() == llm.budgets()["client"].spent


async def test_counting_what_has_no_price_leaves_the_bound(stopping: Sim, colour: str) -> None:
    keys = {**COUNTED, "enable_cost_tracking": False}
    async with opened(colour, stopping.config(openai=keys)) as llm:
        await llm.stream("[[tokens=500]]", leave_after=3)
        fact = await left_fact(llm)
        assert (fact.cost_nano_usd, fact.cost_source, fact.certain) == (None, "unknown", False)
        assert fact.charged_nano_usd == fact.bound_nano_usd
