"""Seats and kept connections, counted at the provider; in both colours."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from bursar.call.exchange import Answer, Failed, Opened, Progress
from bursar.edges.http import PoolLimits, Seat
from tests.edges.http.provider import (
    HANG_SECONDS,
    Body,
    Client,
    Conversation,
    Making,
    Provider,
    clients,
    request,
    until,
)

SHORT_SECONDS = 0.05


async def waiting(client: Client, count: int) -> None:
    await until(lambda: client.figures().waiting == count)


async def test_one_connection_serves_one_after_another(making: Making, provider: Provider) -> None:
    client = making()
    for _ in range(5):
        assert isinstance(await client.ask(provider.url), Answer)
    body = await client.streamed(provider.url)
    assert await body.rest() == (b"{}", None)
    figures = client.figures()
    assert provider.accepted == 1
    assert (figures.opened, figures.reused, figures.exchanges, figures.idle) == (1, 5, 6, 1)


@pytest.mark.parametrize("keep", [0, 1, 3])
async def test_no_more_idle_connections_than_allowed(making: Making, provider: Provider, keep: int) -> None:
    together = asyncio.Barrier(6)

    async def answering(it: Conversation) -> None:
        await together.wait()
        await it.answer()

    provider.answering = answering
    client = making(other=PoolLimits(max_keepalive=keep))
    for _ in range(2):
        answers = await asyncio.gather(*(client.ask(provider.url) for _ in range(6)))
        assert all(isinstance(answer, Answer) for answer in answers)
        await provider.connections(keep)
        assert client.figures().idle == keep
    assert provider.accepted == 6 + 6 - keep
    assert client.figures().opened == provider.accepted
    assert client.figures().reused == keep


async def test_a_connection_that_the_provider_closed_is_not_counted_as_kept(making: Making, provider: Provider) -> None:
    client = making(other=PoolLimits(max_keepalive=1))
    for _ in range(3):
        assert isinstance(await client.ask(provider.url), Answer)
        for writer in list(provider.writers):
            writer.close()
        await provider.connections(0)
        await asyncio.sleep(SHORT_SECONDS)
    assert provider.accepted == 3
    await client.ask(provider.url)
    await client.ask(provider.url)
    assert provider.accepted == 4


async def test_nobody_complains_of_a_kept_connection_that_is_reset(provider: Provider) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with clients("async") as make:
        client = make()
        await client.ask(provider.url)
        provider.requests[0].reset()
        await until(lambda: client.figures().idle == 0)
        await client.ask(provider.url)  # forgets the one that was reset
        gc.collect()
        await asyncio.sleep(0)
    assert complaints == []
    assert provider.accepted == 2


async def test_an_idle_connection_expires(making: Making, provider: Provider) -> None:
    client = making(other=PoolLimits(keepalive_expiry_seconds=SHORT_SECONDS))
    await client.ask(provider.url)
    await asyncio.sleep(3 * SHORT_SECONDS)
    await client.ask(provider.url)
    assert provider.accepted == 2


async def test_without_an_expiry_nothing_is_kept(making: Making, provider: Provider) -> None:
    client = making(other=PoolLimits(keepalive_expiry_seconds=0))
    await client.ask(provider.url)
    await provider.connections(0)
    assert client.figures().idle == 0


async def test_a_reply_that_says_close_is_not_kept(making: Making, provider: Provider) -> None:
    provider.answering = lambda it: it.answer(headers="Connection: close\r\n")
    client = making()
    await client.ask(provider.url)
    await provider.connections(0)
    assert client.figures().idle == 0


async def test_never_more_connections_than_seats(making: Making, provider: Provider) -> None:
    most = 0

    async def answering(it: Conversation) -> None:
        nonlocal most
        most = max(most, provider.open_connections)
        await all_ask.wait()
        await it.answer()

    all_ask = asyncio.Event()
    provider.answering = answering
    client = making(other=PoolLimits(max_connections=3))
    asking = [asyncio.ensure_future(client.ask(provider.url)) for _ in range(12)]
    await until(lambda: len(provider.requests) == 3)
    await waiting(client, 9)
    all_ask.set()
    assert all(isinstance(answer, Answer) for answer in await asyncio.gather(*asking))
    assert most == 3
    figures = client.figures()
    assert (figures.seats_in_use, figures.waiting, figures.exchanges) == (0, 0, 12)
    assert figures.waits == 9


async def test_seats_are_given_first_come_first_served(making: Making, provider: Provider) -> None:
    client = making(other=PoolLimits(max_connections=1))
    seat = client.transport.seat("p")
    assert seat is not None
    assert client.transport.seat("p") is None
    asking = []
    for number in range(5):
        asking.append(asyncio.ensure_future(client.ask(provider.url, body=b"%d" % number)))
        await waiting(client, number + 1)
    seat.release()
    seat.release()  # once is enough
    await asyncio.gather(*asking)
    assert [asked.body for asked in provider.requests] == [b"0", b"1", b"2", b"3", b"4"]
    assert client.figures().seats_in_use == 0


@pytest.mark.parametrize("bounded_by", ["pool", "deadline"])
async def test_no_seat_in_time(making: Making, provider: Provider, bounded_by: str) -> None:
    seconds = SHORT_SECONDS if bounded_by == "pool" else 10.0
    client = making(other=PoolLimits(max_connections=1, pool_timeout_seconds=seconds))
    seat = client.transport.seat("p")
    assert seat is not None
    deadline_ms = None if bounded_by == "pool" else time.time_ns() // 1_000_000 + 300
    failed = await client.ask(provider.url, deadline_ms=deadline_ms)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.sent) == ("pool" if bounded_by == "pool" else "timeout", False)
    assert provider.accepted == 0
    figures = client.figures()
    assert (figures.seats_in_use, figures.waiting, figures.waits) == (1, 0, 1)
    seat.release()
    assert isinstance(await client.ask(provider.url), Answer)


async def test_a_seat_taken_before(making: Making, provider: Provider) -> None:
    client = making(other=PoolLimits(max_connections=1))
    seat = await client.wait_seat("p")
    assert isinstance(seat, Seat)
    refused = await client.wait_seat("p", SHORT_SECONDS)
    assert isinstance(refused, Failed)
    assert refused.kind == "pool"
    outcome, body = await client.open(request(provider.url, stream=True), Progress(), seat)
    assert isinstance(outcome, Opened)
    assert body is not None
    assert client.figures().seats_in_use == 1
    await body.rest()
    assert client.figures().seats_in_use == 0
    seat.release()
    assert client.figures().seats_in_use == 0


async def test_providers_do_not_wait_for_each_other(making: Making, provider: Provider) -> None:
    client = making(limits={"narrow": PoolLimits(max_connections=1)})
    assert client.transport.seat("narrow") is not None
    assert isinstance(await client.ask(provider.url), Answer)
    assert client.figures("narrow").limits.max_connections == 1
    assert client.figures("p").limits == PoolLimits()


async def pour(it: Conversation) -> None:
    await it.open_chunks()
    await it.chunk(b"first")
    await it.silence()


async def test_a_body_let_go_takes_its_connection_with_it(making: Making, provider: Provider) -> None:
    provider.answering = pour
    client = making()
    body = await client.streamed(provider.url)
    assert await body.read() == b"first"
    await body.close()
    await body.close()
    gone = await body.read()
    assert isinstance(gone, Failed)
    assert (gone.kind, gone.sent, gone.status) == ("cancelled", True, 200)
    await provider.connections(0)
    figures = client.figures()
    assert (figures.seats_in_use, figures.idle, figures.failures) == (0, 0, 0)


async def forget(client: Client, bodies: list[Body]) -> None:
    bodies.clear()
    await client.run(int)  # a thread remembers its last result
    gc.collect()


async def test_a_body_forgotten_is_let_go_with_a_warning(making: Making, provider: Provider) -> None:
    provider.answering = pour
    client = making()
    bodies = [await client.streamed(provider.url, deadline_ms=time.time_ns() // 1_000_000 + 60_000)]
    with pytest.warns(ResourceWarning, match="neither read to its end nor closed"):
        await forget(client, bodies)
    await provider.connections(0)
    assert client.figures().seats_in_use == 0


async def test_aborting_wakes_a_read_elsewhere(making: Making, provider: Provider) -> None:
    provider.answering = pour
    client = making()
    body = await client.streamed(provider.url)
    assert await body.read() == b"first"
    reading = asyncio.ensure_future(body.read())
    await asyncio.sleep(SHORT_SECONDS)
    body.body.abort()
    gone = await reading
    assert isinstance(gone, Failed)
    assert (gone.kind, gone.sent) == ("cancelled", True)
    await provider.connections(0)
    assert client.figures().seats_in_use == 0


async def test_closing_ends_what_is_under_way(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        if it.body == b"whole":
            await it.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        elif it.body == b"stream":
            await it.open_chunks()
        await it.silence()

    provider.answering = answering
    client = making(other=PoolLimits(max_connections=3))
    body = await client.streamed(provider.url, body=b"stream")
    under_way: list[asyncio.Future[object]] = [
        asyncio.ensure_future(client.ask(provider.url, body=name)) for name in (b"none", b"whole")
    ]
    under_way.append(asyncio.ensure_future(body.read()))
    await until(lambda: len(provider.requests) == 3)
    under_way.append(asyncio.ensure_future(client.ask(provider.url)))
    await waiting(client, 1)
    await asyncio.sleep(SHORT_SECONDS)
    await client.close()
    ends = await asyncio.gather(*under_way)
    assert [(end.kind, end.sent) for end in ends if isinstance(end, Failed)] == [("closed", True)] * 3 + [
        ("closed", False)
    ]
    later = await client.ask(provider.url)
    assert isinstance(later, Failed)
    assert (later.kind, later.sent) == ("closed", False)
    figures = client.figures()
    assert (figures.seats_in_use, figures.waiting) == (0, 0)
    await provider.connections(0)
    await client.close()


async def test_closing_does_not_wait_for_a_request_to_be_read(making: Making, provider: Provider) -> None:
    provider.read_bodies = False
    provider.answering = lambda _: asyncio.sleep(100 * HANG_SECONDS)
    client = making(other=PoolLimits(write_timeout_seconds=600))
    asking = asyncio.ensure_future(client.ask(provider.url, body=b"x" * 30_000_000))
    await until(lambda: bool(provider.requests))
    await asyncio.sleep(0.5)  # until every buffer on the way is full
    await client.close()
    failed = await asking
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.sent) == ("closed", True)
    await provider.dropped()


async def test_closing_closes_what_is_kept(making: Making, provider: Provider) -> None:
    client = making()
    await client.ask(provider.url)
    await client.close()
    await provider.connections(0)
    assert client.figures().idle == 0


async def test_many_at_once_leave_nothing(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        number = int(it.body)
        if number % 3 == 0:
            await it.answer(status=500)
        elif number % 3 == 1:
            it.reset()
        else:
            await it.answer(b"%d" % number)

    provider.answering = answering
    client = making(other=PoolLimits(max_connections=7, max_keepalive=2))
    outcomes = await asyncio.gather(*(client.ask(provider.url, body=b"%d" % n) for n in range(60)))
    for number, outcome in enumerate(outcomes):
        if number % 3 == 1:
            assert isinstance(outcome, Failed)
            assert outcome.kind == "broken"
        else:
            assert isinstance(outcome, Answer)
            assert outcome.body == (b"{}" if number % 3 == 0 else b"%d" % number)
    figures = client.figures()
    assert (figures.seats_in_use, figures.waiting, figures.failures, figures.exchanges) == (0, 0, 20, 60)
    assert figures.opened + figures.reused == 60
    await provider.connections(figures.idle)
    assert figures.idle <= 2
