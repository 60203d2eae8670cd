"""Callers who are cancelled at any step, twice, or with their event loop: no hold, seat or task is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import bursar
from bursar.sim.config import SimConfig
from bursar.sim.server import running
from tests.client.colours import until
from tests.client.simulator import Sim

STEPS_MAX = 600

Ask = Callable[[bursar.AsyncClient], Coroutine[Any, Any, object]]


async def ask_chat(llm: bursar.AsyncClient) -> object:
    return await llm.chat("[[tokens=20]]", model="openai/gpt-4o-mini", max_tokens=30)


async def ask_stream(llm: bursar.AsyncClient) -> object:
    async with llm.stream("[[tokens=20]]", model="openai/gpt-4o-mini", max_tokens=30) as stream:
        async for _ in stream:
            pass
    return stream.reply


async def ask_embed(llm: bursar.AsyncClient) -> object:
    return await llm.embed(["a"], model="openai/text-embedding-3-small")


async def ask_session(llm: bursar.AsyncClient) -> object:
    async with llm.session("s", budget_usd=1).stream("hi", model="openai/gpt-4o-mini", max_tokens=30) as stream:
        async for _ in stream:
            pass
    return stream.reply


def check(llm: bursar.AsyncClient, sim: Sim, label: object) -> None:
    """Nothing is held, no seat is taken, and the books are not below the bill."""
    for balance in llm.budgets():
        assert balance.held == 0, label
    assert all(pool.seats_in_use == 0 and pool.waiting == 0 for pool in llm.pools().values()), label
    facts = llm._engine.store.attempts(limit=10_000)
    for fact in facts:
        billed = sim.billed(fact.attempt_id)
        assert fact.charged_nano_usd == billed if fact.certain else fact.charged_nano_usd >= billed, label
    known = {fact.attempt_id for fact in facts}
    assert all(entry.client_request_id in known for entry in sim.entries() if entry.billed_nano_usd), label


@contextlib.contextmanager
def no_complaints() -> Any:
    """Nobody tells the event loop of an error that nobody saw."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    yield
    gc.collect()
    assert told == []


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def quiet(llm: bursar.AsyncClient) -> None:
    """Until everybody who was left has been read on, and the teller has taken what they had to say."""
    if llm._driver_made is not None:
        while llm._driver_made.drain._tasks:
            await asyncio.wait(set(llm._driver_made.drain._tasks))
    # Whatever was queued stands before this.
    await llm.chat("last", model="openai/gpt-4o-mini", max_tokens=5)


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("ask", [ask_chat, ask_stream, ask_embed, ask_session])
async def test_a_call_may_be_cancelled_at_any_step(ask: Ask, again: bool) -> None:
    """Cancelled after k steps of the event loop, for every k up to the call's end; or twice: the second cancel meets
    the call while it is read on, or settled.
    """
    with no_complaints():
        async with running(SimConfig()) as here:
            sim = Sim(here.url, here.desk, asyncio.get_running_loop())
            async with bursar.AsyncClient(sim.config(), budget_usd=50, per="total", books="memory:") as llm:
                await ask(llm)
                before = asyncio.all_tasks()
                cancelled = 0
                for count in range(STEPS_MAX):
                    task = asyncio.create_task(ask(llm))
                    await steps(count)
                    if not task.cancel():
                        break
                    if again:
                        await steps(1 + count % 3)
                        for left in list(llm._driver_made.drain._tasks if llm._driver_made else ()):
                            left.cancel()
                    outcome = (await asyncio.gather(task, return_exceptions=True))[0]
                    if not isinstance(outcome, asyncio.CancelledError):
                        assert not isinstance(outcome, BaseException), (count, outcome)
                        break
                    cancelled += 1
                    if count % 8 == 0:
                        await quiet(llm)
                        check(llm, sim, count)
                assert 5 < cancelled < STEPS_MAX - 1, "every step was tried, up to the end of the call"
                await quiet(llm)
                check(llm, sim, "the end")
                mine = {task for task in asyncio.all_tasks() - before if "bursar.edges" in repr(task)}
                assert not mine


async def test_a_cancelled_caller_leaves_at_once_and_what_was_sent_is_read_on(sim: Sim) -> None:
    with sim.faults("stall:60,after_chunks=1"):
        async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
            asked = sim.desk.opened
            task = asyncio.create_task(ask_chat(llm))
            await until(lambda: sim.desk.opened > asked)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert llm.budgets()[0].held > 0, "it is still being read"
            sim.release()
            await quiet(llm)
            aborted = [fact for fact in llm._engine.store.attempts() if fact.ending == "aborted"]
            assert [fact.certain for fact in aborted] == [True]
            check(llm, sim, "read on")


async def test_closing_a_client_cuts_what_stalls_and_ends_every_hold(sim: Sim) -> None:
    with sim.faults("stall:60,after_chunks=1"):
        llm = bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:")
        engine = llm._engine
        tasks = [asyncio.create_task(ask(llm)) for ask in (ask_chat, ask_stream, ask_chat)]
        await until(lambda: llm.pools() and llm.pools()["openai"].opened == 3)
        for task in tasks[:2]:
            task.cancel()
        await asyncio.sleep(0)
        assert llm._driver_made is not None
        await llm._driver_made.drain.close(0.05)
        await llm.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes[:2]] == [asyncio.CancelledError] * 2
        assert isinstance(outcomes[2], bursar.BursarError)
    with pytest.raises(bursar.StoreUnavailableError):
        engine.balances()


@pytest.mark.parametrize("ask", [ask_chat, ask_stream])
@pytest.mark.parametrize("ending", ["returns", "raises", "cancelled"])
def test_an_event_loop_that_ends_under_its_calls_forgets_no_hold(sim: Sim, ask: Ask, ending: str) -> None:
    """`asyncio.run` cancels what is under way, at whatever step it is; the client was not closed."""
    clients: list[bursar.AsyncClient] = []

    async def main(count: int) -> None:
        llm = bursar.AsyncClient(sim.config(), budget_usd=50, per="total", books="memory:")
        clients.append(llm)
        await llm.chat("warm", model="openai/gpt-4o-mini", max_tokens=5)
        for _ in range(3):
            asyncio.create_task(ask(llm))  # noqa: RUF006 - left for the loop to cancel
        await asyncio.sleep(count / 4_000)
        if ending == "raises":
            raise ZeroDivisionError
        if ending == "cancelled":
            raise asyncio.CancelledError

    for count in range(0, 60, 10):
        with contextlib.suppress(ZeroDivisionError, asyncio.CancelledError):
            asyncio.run(main(count))
        gc.collect()
        llm = clients.pop()
        llm._engine.teller.close()
        (balance,) = llm.budgets()
        assert balance.held == 0, count
        facts = llm._engine.store.attempts()
        for fact in facts:
            billed = sim.billed(fact.attempt_id)
            assert fact.charged_nano_usd >= billed
        assert balance.spent == sum(fact.charged_nano_usd for fact in facts)
        llm._engine.close()


async def test_a_client_that_is_forgotten_closes_its_connections_and_its_books(sim: Sim) -> None:
    async def use() -> bursar.Reply:
        llm = bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:")
        books.append(llm._engine.store)
        async with llm.stream("[[tokens=9000]]", model="openai/gpt-4o-mini") as stream:
            async for _ in stream:
                break
        return await llm.chat("hi", model="openai/gpt-4o-mini")

    books: list[Any] = []
    with no_complaints():
        reply = await use()
        assert reply.text
        gc.collect()
        await until(lambda: len(asyncio.all_tasks()) == 1)
        with pytest.raises(bursar.StoreUnavailableError):
            books[0].balances(0)
        del reply


def test_a_blocking_client_that_is_forgotten_closes_its_books(sim: Sim) -> None:
    def use() -> Any:
        llm = bursar.Client(sim.config(), budget_usd=5, per="total", books="memory:")
        llm.chat("hi", model="openai/gpt-4o-mini")
        return llm._engine.store

    store = use()
    gc.collect()
    with pytest.raises(bursar.StoreUnavailableError):
        store.balances(0)
