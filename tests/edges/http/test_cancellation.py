"""A caller that goes at any await leaves no seat and no connection behind, and knows whether anything was sent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest

from bursar.call.exchange import Answer, Opened, Progress
from bursar.edges.http import AsyncBody, AsyncTransport, PoolLimits
from tests.edges.http.provider import HANG_SECONDS, Conversation, Provider, providing, request, until

MOST_STEPS = 400


async def settle(transport: AsyncTransport, provider: Provider) -> None:
    """Close, and hold what is left against the provider's own count."""
    figures = transport.statistics()["p"]
    assert (figures.seats_in_use, figures.waiting) == (0, 0)
    await transport.close()
    await provider.connections(0)


async def cancelled_after(task: asyncio.Task[object], steps: int) -> bool:
    """Cancel after so many steps of the event loop; whether it was still running then."""
    for _ in range(steps):
        if task.done():
            return False
        await asyncio.sleep(0)
    cancelled = task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        async with asyncio.timeout(HANG_SECONDS):
            await task
    return cancelled and task.cancelled()


async def read_all(transport: AsyncTransport, url: str, stream: bool, body: bytes, progress: Progress) -> None:
    arriving: AsyncBody | None = None
    try:
        outcome, arriving = await transport.open(request(url, stream=stream, body=body, deadline_ms=None), progress)
        assert isinstance(outcome, Answer | Opened)
        while arriving is not None and await arriving.read():
            pass
    finally:
        if arriving is not None:
            arriving.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("warm", [False, True])
async def test_cancelled_at_every_step(stream: bool, warm: bool) -> None:
    async def answering(it: Conversation) -> None:
        await it.open_chunks()
        for _ in range(3):
            await it.chunk(b"data")
            await asyncio.sleep(0)
        await it.send(b"0\r\n\r\n")

    sent_at: list[bool] = []
    async with providing(answering) as provider:
        for steps in range(MOST_STEPS):
            provider.received.clear()
            transport = AsyncTransport(limits={"p": PoolLimits()})
            if warm:
                await read_all(transport, provider.url, False, b"{}", Progress())
                provider.received.clear()
            progress = Progress()
            task = asyncio.ensure_future(read_all(transport, provider.url, stream, b"{}", progress))
            cut = await cancelled_after(task, steps)
            await settle(transport, provider)
            assert progress.sent or not provider.received
            sent_at.append(progress.sent)
            if not cut:
                break
        else:
            pytest.fail(f"not done after {MOST_STEPS} steps")
    assert not sent_at[0]
    assert sent_at[-1]
    assert sent_at == sorted(sent_at)
    assert len(sent_at) > 5


async def test_cancelled_while_it_writes(provider: Provider) -> None:
    provider.read_bodies = False
    provider.answering = lambda _: asyncio.sleep(100 * HANG_SECONDS)
    transport = AsyncTransport()
    progress = Progress()
    task = asyncio.ensure_future(read_all(transport, provider.url, False, b"x" * 20_000_000, progress))
    await until(lambda: bool(provider.requests))
    assert await cancelled_after(task, 3)
    assert progress.sent
    figures = transport.statistics()["p"]
    assert (figures.seats_in_use, figures.idle) == (0, 0)
    await provider.dropped()
    await transport.close()


async def test_cancelled_while_waiting_for_a_seat(provider: Provider) -> None:
    for steps in range(12):
        transport = AsyncTransport(other=PoolLimits(max_connections=1))
        seat = transport.seat("p")
        assert seat is not None
        waits = [asyncio.ensure_future(transport.wait_seat("p")) for _ in range(3)]
        await asyncio.sleep(0)
        waits[0].cancel()
        for _ in range(steps):
            await asyncio.sleep(0)
        seat.release()  # in the same moment as the cancellation, or after it
        first, second, third = await asyncio.gather(
            *waits[:2], asyncio.wait_for(asyncio.shield(waits[1]), HANG_SECONDS), return_exceptions=True
        )
        assert isinstance(first, asyncio.CancelledError)
        assert second is third
        waits[1].result().release()  # type: ignore[union-attr]
        (await waits[2]).release()  # type: ignore[union-attr]
        figures = transport.statistics()["p"]
        assert (figures.seats_in_use, figures.waiting) == (0, 0)
        await transport.close()


async def test_a_seat_given_to_a_waiter_that_is_cancelled_passes_on() -> None:
    transport = AsyncTransport(other=PoolLimits(max_connections=1))
    seat = transport.seat("p")
    assert seat is not None
    waits = [asyncio.ensure_future(transport.wait_seat("p")) for _ in range(2)]
    await asyncio.sleep(0)
    seat.release()  # the first has it, but has not run since
    waits[0].cancel()
    async with asyncio.timeout(HANG_SECONDS):
        (await waits[1]).release()  # type: ignore[union-attr]
    assert waits[0].cancelled()
    assert transport.statistics()["p"].seats_in_use == 0
    await transport.close()


async def test_a_read_that_is_cancelled_loses_nothing(provider: Provider) -> None:
    go_on = asyncio.Event()

    async def answering(it: Conversation) -> None:
        await it.open_chunks()
        await it.chunk(b"one")
        await go_on.wait()
        await it.chunk(b"two")
        await it.send(b"0\r\n\r\n")

    provider.answering = answering
    transport = AsyncTransport()
    _, body = await transport.open(request(provider.url, stream=True), Progress())
    assert body is not None
    assert await body.read() == b"one"
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(body.read(), 0.01)
    go_on.set()
    assert await body.read() == b"two"
    assert await body.read() == b""
    assert transport.statistics()["p"].idle == 1
    await settle(transport, provider)


async def test_nothing_is_left_for_the_collector(provider: Provider) -> None:
    transport = AsyncTransport()
    for _ in range(3):
        await read_all(transport, provider.url, True, b"{}", Progress())
    gc.collect()
    gc.disable()
    try:
        _, body = await transport.open(request(provider.url, stream=True), Progress())
        assert body is not None
        await body.read()
        await body.read()
        kept = weakref.ref(body)
        del body
        assert kept() is None
    finally:
        gc.enable()
    await settle(transport, provider)
