"""Streams that break and go on under another attempt, before they said anything or (where a route allows it) after,
while their callers wait, give up on one delta, leave, are cancelled or interrupted: nobody takes two beginnings for
one, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import bursar
from bursar.call.books import Expire
from bursar.sim.config import SimConfig
from bursar.sim.server import running
from tests.client.colours import opened, until, whole
from tests.client.failing_server import FailingServer, failing_here, failing_server
from tests.client.simulator import Sim
from tests.client.test_cancelling import no_complaints, steps
from tests.client.test_interrupts import LINES_MAX, Interrupts

GROQ = "groq/llama-3.1-8b-instant"
MODEL = "openai/gpt-4o-mini"
STEPS_MAX = 2_000


@pytest.fixture(scope="module")
def failing() -> Iterator[FailingServer]:
    with failing_server() as server:
        yield server


def config_of(sim: Sim, failing: FailingServer, failure: str, **keys: Any) -> dict[str, Any]:
    """openai fails the first attempt of each call, and has another after a moment."""
    again = {"max_retries": 1, "retry_base_seconds": 0.02, "read_timeout": 0.3}
    config = sim.config(openai={**again, "base_url": failing.base(failure, once=True), **keys})
    return config | {"routes": {"again": {"candidates": [MODEL], "after_first_token": "restart"}}}


def check(llm: Any, sim: Sim, failing: FailingServer, label: object = "") -> None:
    """Nothing is held, no seat is taken, and the books are not below the bill."""
    (balance,) = llm.budgets()
    assert balance.held == 0, label
    assert all(pool.seats_in_use == 0 and pool.waiting == 0 for pool in llm.pools().values()), label
    facts = llm._engine.store.attempts(limit=10_000)
    for fact in facts:
        billed = sim.billed(fact.attempt_id) + failing.billed[fact.attempt_id]
        assert fact.charged_nano_usd == (billed if fact.certain else fact.bound_nano_usd), label
        assert fact.charged_nano_usd >= billed, label
    assert balance.spent == sum(fact.charged_nano_usd for fact in facts), label
    known = {fact.attempt_id for fact in facts}
    assert known >= set(failing.billed) & {f"{fact.call_id}.{n}" for fact in facts for n in (0, 1)}, label


async def quiet(llm: bursar.AsyncClient) -> None:
    """Until everybody who was left has been read on, and the teller has taken what they had to say."""
    if llm._driver_made is not None:
        while llm._driver_made.drain._tasks:
            await asyncio.wait(set(llm._driver_made.drain._tasks))
    await llm.chat("last", model=GROQ, max_tokens=5)


# While their callers wait


async def test_giving_up_on_one_delta_does_not_give_up_what_follows_a_break(sim: Sim, failing: FailingServer) -> None:
    config = config_of(sim, failing, "reset_before_output", retry_base_seconds=0.2, retry_jitter=0)
    async with bursar.AsyncClient(config, budget_usd=5, per="total", books="memory:") as llm:
        texts: list[str] = []
        given_up = 0
        async with llm.stream("hi", model=MODEL, max_tokens=30) as stream:
            while True:
                try:
                    texts.append((await asyncio.wait_for(anext(stream), 0.02)).text)
                except TimeoutError:
                    given_up += 1
                except StopAsyncIteration:
                    break
        assert given_up > 1, "the wait before the retry was longer than any patience"
        assert "".join(texts) == whole(stream.reply).text == "Rhine, Nile"
        assert len(whole(stream.reply).receipt.earlier) == 1
        check(llm, sim, failing)


async def test_an_end_that_is_waited_for_in_pieces_is_an_end(sim: Sim) -> None:
    async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
        async with llm.stream("hi", model=MODEL, max_tokens=30) as stream:
            while stream.reply is None:
                task = asyncio.create_task(anext(stream))
                for _ in range(3):
                    await asyncio.sleep(0)
                task.cancel()
                outcome = (await asyncio.gather(task, return_exceptions=True))[0]
                assert not isinstance(outcome, bursar.BursarError), "the settle was waited for in pieces"
        assert whole(stream.reply).cost.nano_usd == sim.billed()


# Who leaves


@pytest.mark.parametrize("pulled", [False, True])
async def test_who_leaves_before_the_break_is_not_asked_for_again(
    sim: Sim, failing: FailingServer, pulled: bool
) -> None:
    config = config_of(sim, failing, "reset_before_output")
    async with bursar.AsyncClient(config, budget_usd=5, per="total", books="memory:") as llm:
        async with llm.stream("hi", model=MODEL, max_tokens=30, fallbacks=[GROQ]) as stream:
            if pulled:
                task = asyncio.create_task(anext(stream))
                await asyncio.sleep(0)
                task.cancel()
        await quiet(llm)
        asked = [fact for fact in llm._engine.store.attempts() if fact.stream]
        assert [(fact.ending, fact.certain) for fact in asked] == [("aborted", False)]
        check(llm, sim, failing)


@pytest.mark.parametrize("how", ["leaves", "is cancelled"])
async def test_who_goes_during_the_wait_before_a_retry_is_not_retried_for(
    sim: Sim, failing: FailingServer, how: str
) -> None:
    config = config_of(sim, failing, "reset_before_output", retry_base_seconds=8.0)
    async with bursar.AsyncClient(config, budget_usd=5, per="total", books="memory:") as llm:

        async def read() -> None:
            async with llm.stream("hi", model=MODEL, max_tokens=30) as stream:
                if how == "leaves":
                    await asyncio.wait_for(anext(stream), 0.3)
                else:
                    await anext(stream)

        task = asyncio.create_task(read())
        await until(llm._engine.store.attempts)
        if how == "is cancelled":
            task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(outcome, TimeoutError if how == "leaves" else asyncio.CancelledError)
        assert llm._driver_made is not None
        async with asyncio.timeout(5):
            await llm._driver_made.drain.close(5)  # nothing sleeps on
        llm._driver_made.drain._closing = False
        assert len(llm._engine.store.attempts()) == 1
        check(llm, sim, failing)


async def test_a_whole_call_that_is_cancelled_between_two_attempts_sends_no_more(
    sim: Sim, failing: FailingServer
) -> None:
    """Its first attempt was sent, so the call may be read on; its second was not, and waits for a seat."""
    config = config_of(sim, failing, "unavailable", max_retries=0)
    config["llm"]["providers"]["groq"] |= {"max_connections": 1}
    async with bursar.AsyncClient(config, budget_usd=5, per="total", books="memory:") as llm:
        with sim.faults("stall:60,provider=groq"):
            holder = asyncio.create_task(llm.chat("hi", model=GROQ, max_tokens=5))
            await until(lambda: llm.pools() and llm.pools()["groq"].seats_in_use)
            task = asyncio.create_task(llm.chat("hi", model=MODEL, max_tokens=30, fallbacks=[GROQ]))
            await until(lambda: llm.pools()["groq"].waiting)
            gone = llm._engine.store.attempts(provider="openai")[0].call_id
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            sim.release()
            await holder
        await quiet(llm)
        facts = llm._engine.store.attempts()
        assert [fact.provider for fact in facts if fact.attempt_id.startswith(gone)] == ["openai"]
        check(llm, sim, failing)


async def test_closing_a_client_ends_a_call_that_waits_to_ask_again(
    sim: Sim, failing: FailingServer, colour: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(sim, failing, "unavailable", retry_base_seconds=0.4, retry_jitter=0)
    with caplog.at_level(logging.WARNING, "bursar"):
        async with opened(colour, config, budget_usd=5) as llm:
            task = asyncio.create_task(llm.chat(max_tokens=30))
            await until(lambda: "attempt_failed" in caplog.text)
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
    assert isinstance(outcome, bursar.BursarError)


# At any step


async def read_replaced(llm: bursar.AsyncClient) -> object:
    async with llm.stream("hi", model="again", max_tokens=30, fallbacks=[GROQ]) as stream:
        async for _ in stream:
            pass
    return stream.reply


@pytest.mark.parametrize(
    ("failure", "retried"),
    [("closed_before_output", True), ("closed_before_output", False), ("closed_after_output", True)],
    ids=["asked again", "answered by another", "begun again"],
)
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_a_replaced_stream_may_be_cancelled_at_any_step(failure: str, retried: bool, again: bool) -> None:
    """Cancelled after k steps of the event loop, for every k up to the call's end; or twice, as calls are."""
    keys = {"max_retries": int(retried), "retry_base_seconds": 0.0}
    with no_complaints():
        async with running(SimConfig()) as here, failing_here() as failing:
            sim = Sim(here.url, here.desk, asyncio.get_running_loop())
            config = config_of(sim, failing, failure, **keys)
            async with bursar.AsyncClient(config, budget_usd=50, per="total", books="memory:") as llm:
                await read_replaced(llm)
                before = asyncio.all_tasks()
                cancelled = 0
                for count in range(STEPS_MAX):
                    llm._engine._retries._budgets.clear()  # so many retries in so little time would be refused
                    task = asyncio.create_task(read_replaced(llm))
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
                    if cancelled % 8 == 0:
                        await quiet(llm)
                        check(llm, sim, failing, count)
                assert 5 < cancelled < STEPS_MAX - 1, "every step was tried, up to the end of the call"
                await quiet(llm)
                check(llm, sim, failing, "the end")
                mine = {task for task in asyncio.all_tasks() - before if "bursar.edges" in repr(task)}
                assert not mine


def ask_retried(llm: bursar.Client) -> object:
    return llm.chat("hi", model=MODEL, max_tokens=30)


def stream_retried(llm: bursar.Client) -> object:
    with llm.stream("hi", model="again", max_tokens=30) as stream:
        for _ in stream:
            pass
    return stream.reply


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # a body that is dropped says so, and is closed
@pytest.mark.parametrize(
    ("ask", "failure", "stride"),
    [
        (ask_retried, "unavailable", 9),
        (stream_retried, "reset_before_output", 14),
        (stream_retried, "closed_after_output", 17),
    ],
)
def test_an_interrupt_at_any_line_of_a_retried_call_leaves_no_hold(
    sim: Sim, failing: FailingServer, ask: Any, failure: str, stride: int
) -> None:
    config = config_of(sim, failing, failure, retry_base_seconds=0.001, circuit_breaker_threshold=0)
    with bursar.Client(config, budget_usd=50, per="total", books="memory:") as llm:
        ask(llm)
        line = 1
        interrupted = 0
        while line < LINES_MAX:
            llm._engine._retries._budgets.clear()  # so many retries in so little time would be refused
            interrupts = Interrupts(line)
            try:
                with interrupts.armed():
                    ask(llm)
            except KeyboardInterrupt:
                interrupted += 1
            if not interrupts.at:
                break
            gc.collect(1)
            llm._driver.drain.close()
            llm._driver.drain._closing = False
            llm._engine.teller.ask_blocking(Expire())  # whatever was queued stands before it
            check(llm, sim, failing, interrupts.at)
            line += stride
        assert interrupted > 30
        assert line < LINES_MAX


def test_an_interrupted_sleep_is_the_end_of_the_call(sim: Sim, failing: FailingServer) -> None:
    config = config_of(sim, failing, "unavailable", retry_base_seconds=30.0, retry_cap_seconds=30.0)
    with bursar.Client(config, budget_usd=5, per="total", books="memory:") as llm:
        main = threading.main_thread().ident or 0
        interrupt = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            llm.chat("hi", model=MODEL, max_tokens=30)
        interrupt.join()
        assert len(llm._engine.store.attempts()) == 1
        check(llm, sim, failing)
