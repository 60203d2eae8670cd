"""Streams that are cut, left, waited for and read again: never shown as success, never forgotten by the books."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import bursar
from tests.client.colours import opened, until, whole
from tests.client.raw_server import configured, raw_server
from tests.client.simulator import Sim

EVENTS = [
    b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":"Rh"},"finish_reason":null}]}',
    b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"ine"},"finish_reason":null}]}',
    b'{"id":"s","model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}',
    b'{"id":"s","model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}',
    b"[DONE]",
]
PIECES = [b"data: " + event + b"\n\n" for event in EVENTS]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
PLAIN = HEAD + b"connection: close\r\n\r\n" + b"".join(PIECES)
CHUNKED = (
    HEAD
    + b"transfer-encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in PIECES)
    + b"0\r\n\r\n"
)
COST_NANO_USD = 9 * 150 + 2 * 600
TERMINATOR = b"data: [DONE]\n"


@pytest.mark.parametrize("framing", ["plain", "chunked"])
async def test_a_stream_cut_at_any_byte_is_no_success_and_stays_at_its_bound(colour: str, framing: str) -> None:
    data = PLAIN if framing == "plain" else CHUNKED
    over = data.index(TERMINATOR) + len(TERMINATOR)  # a line more and the event is whole, as all that came before
    finished = data.index(b"\n\n", data.index(b'"stop"')) + 2
    told = data.index(b"\n\n", data.index(b'"prompt_tokens"')) + 2
    wave = asyncio.Semaphore(16)
    with raw_server(data, closing=True) as server:
        async with opened(colour, configured(server), budget_usd=50) as llm:

            async def cut(at: int) -> tuple[int, Any]:
                async with wave:
                    options: dict[str, Any] = {
                        "max_tokens": 20,
                        "extra_headers": {"x-cut": str(at)},
                        "user": f"cut-{at}",
                    }
                    return at, (await asyncio.gather(llm.stream("hi", **options), return_exceptions=True))[0]

            outcomes = await asyncio.gather(*(cut(at) for at in range(len(data))))
            facts = {fact.scopes["user"]: fact for fact in llm.client._engine.store.attempts(limit=10_000)}
            balance = llm.budgets()["client"]
    assert len(facts) == len(data)
    for at, outcome in outcomes:
        fact = facts[f"cut-{at}"]
        if isinstance(outcome, bursar.BursarError):
            assert isinstance(outcome, bursar.ProviderError), at
            assert outcome.sent
            assert fact.ending in ("error", "interrupted"), at
        else:
            # What was shown as whole had its last word: a finish reason, and then the end of the connection.
            assert at >= (finished if framing == "plain" else over), at
            assert outcome.text == "Rhine", at
            assert fact.ending == "ok"
        # The price of a cut stream is known only where its last word about money had come.
        assert not fact.certain or at >= told, at
        assert fact.charged_nano_usd == (COST_NANO_USD if fact.certain else fact.bound_nano_usd), at
    assert balance.held == 0
    assert balance.spent == sum(fact.charged_nano_usd for fact in facts.values())


async def test_the_same_stream_uncut_is_a_success(colour: str) -> None:
    for data in (PLAIN, CHUNKED):
        with raw_server(data, closing=True) as server:
            async with opened(colour, configured(server), budget_usd=5) as llm:
                seen = await llm.stream("hi", max_tokens=20)
                assert seen.texts == ["Rh", "ine", ""]
                assert whole(seen.reply).cost.nano_usd == COST_NANO_USD


async def test_an_interrupted_stream_hands_over_what_came(colour: str) -> None:
    at = CHUNKED.index(b'"stop"')
    with raw_server(CHUNKED, closing=True) as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            with pytest.raises(bursar.StreamInterruptedError) as raised:
                # aiohttp drops what it had received but not yet handed over when a connection breaks.
                await llm.stream("hi", max_tokens=20, extra_headers={"x-cut": str(at), "x-pause": "0.1"})
    partial = raised.value.reply
    assert partial.text == "Rhine"
    assert partial.finish_reason is None
    assert not partial.cost.certain
    assert partial.receipt.charged_nano_usd == partial.receipt.held_nano_usd > 0
    assert raised.value.cost == partial.cost


async def test_usage_that_still_grows_is_not_the_price_of_a_stream_that_was_cut(colour: str) -> None:
    growing = EVENTS[0].replace(
        b'"choices"', b'"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10},"choices"'
    )
    data = HEAD + b"connection: close\r\n\r\ndata: " + growing + b"\n\n"
    with raw_server(data, closing=True) as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            with pytest.raises(bursar.StreamInterruptedError) as raised:
                await llm.stream("hi", max_tokens=20)
            (fact,) = llm.facts()
    assert fact.usage.output_tokens == 1
    assert (fact.certain, fact.charged_nano_usd) == (False, fact.bound_nano_usd)
    assert raised.value.cost is not None
    assert (raised.value.cost.nano_usd, raised.value.cost.certain) == (9 * 150 + 600, False)


@pytest.mark.parametrize("fault", ["truncate:2", "error_in_stream:2", "malformed_json:2"])
async def test_a_stream_that_failed_fails_again_when_it_is_read_on(sim: Sim, fault: str) -> None:
    with sim.faults(fault):
        async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
            async with llm.stream("hi", model="openai/gpt-4o-mini") as stream:
                with pytest.raises(bursar.ProviderError) as first:
                    async for _ in stream:
                        pass
                with pytest.raises(bursar.ProviderError) as second:
                    async for _ in stream:
                        pass
                assert second.value is first.value
        with bursar.Client(sim.config(), budget_usd=5, per="total", books="memory:") as llm_too:
            with llm_too.stream("hi", model="openai/gpt-4o-mini") as blocking:
                with pytest.raises(bursar.ProviderError) as first:
                    list(blocking)
                with pytest.raises(bursar.ProviderError) as second:
                    list(blocking)
                assert second.value is first.value


async def test_a_finished_stream_has_no_more(sim: Sim) -> None:
    async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
        async with llm.stream("hi", model="openai/gpt-4o-mini") as stream:
            assert stream.reply is None
            assert [delta async for delta in stream]
            assert [delta async for delta in stream] == []
        assert whole(stream.reply).text
    with bursar.Client(sim.config(), budget_usd=5, per="total", books="memory:") as llm_too:
        with llm_too.stream("hi", model="openai/gpt-4o-mini") as blocking:
            assert list(blocking)
            assert list(blocking) == []


async def test_a_stream_is_a_context_manager(sim: Sim) -> None:
    async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
        with pytest.raises(bursar.InvalidRequestError, match="context manager"):
            async for _ in llm.stream("hi", model="openai/gpt-4o-mini"):
                pass
    with bursar.Client(sim.config(), budget_usd=5, per="total", books="memory:") as llm_too:
        with pytest.raises(bursar.InvalidRequestError, match="context manager"):
            list(llm_too.stream("hi", model="openai/gpt-4o-mini"))
    assert sim.entries() == []


async def test_a_stream_is_entered_once(sim: Sim) -> None:
    async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
        stream = llm.stream("hi", model="openai/gpt-4o-mini")
        async with stream:
            with pytest.raises(bursar.InvalidRequestError, match="once"):
                await stream.__aenter__()
        assert len(sim.entries()) <= 1
    with bursar.Client(sim.config(), budget_usd=5, per="total", books="memory:") as llm_too:
        blocking = llm_too.stream("hi", model="openai/gpt-4o-mini")
        with blocking, pytest.raises(bursar.InvalidRequestError, match="once"):
            blocking.__enter__()


async def test_a_stream_that_is_left_is_read_on_and_paid_exactly(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5, books="memory:") as llm:
        seen = await llm.stream("[[tokens=9000]]", leave_after=2)
        assert seen.reply is None
        await llm.drained()
        fact = llm.facts()[0]
        assert fact.ending == "aborted"
        assert fact.certain
        assert fact.charged_nano_usd == sim.billed() == llm.budgets()["client"].spent
        assert llm.budgets()["client"].held == 0
        assert llm.seats() == 0


async def test_a_stream_left_by_an_exception_is_read_on_too(sim: Sim) -> None:
    async def leave(llm: bursar.AsyncClient) -> None:
        async with llm.stream("[[tokens=9000]]", model="openai/gpt-4o-mini") as stream:
            async for _ in stream:
                raise ZeroDivisionError

    def leave_too(llm: bursar.Client) -> None:
        with llm.stream("[[tokens=9000]]", model="openai/gpt-4o-mini") as stream:
            for _ in stream:
                raise ZeroDivisionError

    for colour in ("async", "blocking"):
        async with opened(colour, sim.config(), budget_usd=5, books="memory:") as llm:
            client = llm.client
            left = leave(client) if isinstance(client, bursar.AsyncClient) else asyncio.to_thread(leave_too, client)
            with pytest.raises(ZeroDivisionError):
                await left
            await llm.drained()
            (fact,) = llm.facts()
            assert (fact.ending, fact.certain) == ("aborted", True)
            assert fact.charged_nano_usd == sim.billed(fact.attempt_id)


async def test_giving_up_on_one_delta_does_not_give_up_the_stream(sim: Sim) -> None:
    with sim.faults("stall:0.2,after_chunks=2"):
        async with bursar.AsyncClient(sim.config(), budget_usd=5, per="total", books="memory:") as llm:
            texts = []
            async with llm.stream("[[tokens=30]]", model="openai/gpt-4o-mini") as stream:
                while True:
                    try:
                        delta = await asyncio.wait_for(anext(stream), 0.02)
                    except TimeoutError:
                        continue
                    except StopAsyncIteration:
                        break
                    texts.append(delta.text)
            assert whole(stream.reply).text == "".join(texts)
            assert whole(stream.reply).cost.nano_usd == sim.billed()


async def test_a_stalled_stream_that_was_left_is_cut_when_the_client_closes(sim: Sim, colour: str) -> None:
    with sim.faults("stall:60,after_chunks=2"):
        async with opened(colour, sim.config(), budget_usd=5) as llm:
            await llm.stream("[[tokens=30]]", leave_after=1)
            await llm.drained(seconds=0.05)
            await until(llm.facts)  # what a cut settles is queued, and not waited for
            (fact,) = llm.facts()
            assert fact.ending == "aborted"
            assert (fact.certain, fact.charged_nano_usd) == (False, fact.bound_nano_usd)
            assert llm.budgets()["client"].held == 0


async def test_more_streams_than_the_drain_takes_are_cut_at_their_bound(sim: Sim, colour: str) -> None:
    async with opened(colour, sim.config(), budget_usd=5) as llm:
        await llm.chat("make the driver")
        llm.drain._drains_max = 0
        await llm.stream("[[tokens=9000]]", leave_after=1)
        await llm.chat("the settle has been queued before this one")
        (fact,) = [fact for fact in llm.facts() if fact.stream]
        assert fact.ending == "aborted"
        assert not fact.certain
        assert fact.charged_nano_usd == fact.bound_nano_usd >= sim.billed(fact.attempt_id)
        assert llm.seats() == 0
