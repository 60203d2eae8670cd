"""Everything that can go wrong on the way, and what it is called; in both colours, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from bursar.call.exchange import Answer, Failed, FailedKind, Opened, Progress
from bursar.edges.http import PoolLimits
from tests.edges.http.provider import (
    CERTIFICATE,
    HANG_SECONDS,
    Client,
    Conversation,
    Making,
    Provider,
    Script,
    providing,
    request,
)

SHORT_SECONDS = 0.1
LIMITS: dict[str, Callable[[], PoolLimits]] = {
    "read": lambda: PoolLimits(read_timeout_seconds=SHORT_SECONDS),
    "write": lambda: PoolLimits(write_timeout_seconds=SHORT_SECONDS),
    "connect": lambda: PoolLimits(connect_timeout_seconds=SHORT_SECONDS),
}
SECRET = "sk-very-secret"


# A limit has to leave time to get as far as a test means; a busy machine gets more of it.
LIMITS_SECONDS = (SHORT_SECONDS, 10 * SHORT_SECONDS, HANG_SECONDS / 2)


def soon(seconds: float = SHORT_SECONDS) -> int:
    return time.time_ns() // 1_000_000 + int(seconds * 1000)


async def failure(client: Client, url: str, **fields: object) -> Failed:
    """How it fails, streamed or not; whatever comes, nothing is left in use."""
    progress = Progress()
    outcome, body = await client.open(request(url, **fields), progress)
    if isinstance(outcome, Opened):
        assert body is not None
        _, failed = await body.rest()
        assert failed is not None
        assert await body.read() == failed  # it stays so
        outcome = failed
    assert isinstance(outcome, Failed)
    assert outcome.sent == progress.sent or (outcome.kind == "connect" and not outcome.sent)
    assert SECRET not in outcome.detail
    figures = client.figures()
    assert (figures.seats_in_use, figures.waiting) == (0, 0)
    assert (figures.failures, figures.failures_in_row, figures.last_failure) == (1, 1, outcome.kind)
    assert figures.last_failure_ms is not None
    return outcome


async def unheard(it: Conversation) -> None:
    await it.silence()


async def test_nobody_listens(making: Making) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/?key={SECRET}"
        failed = await failure(making(), url)
    assert (failed.kind, failed.sent, failed.status) == ("connect", False, None)
    assert "refused" in failed.detail


@pytest.mark.parametrize(
    "url",
    [
        f"http://nobody.invalid/?key={SECRET}",
        f"http://127.0.0.1:1/{SECRET}\r\nX: 1",
        f"no-url-{SECRET}",
        f"ftp://127.0.0.1/{SECRET}",
        f"http:///{SECRET}",
        "http://" + "x" * 300 + ".invalid/",
        f"http://127.0.0.1:99999/{SECRET}",
    ],
)
async def test_no_such_place(making: Making, url: str) -> None:
    failed = await failure(making(), url)
    assert (failed.kind, failed.sent) == ("connect", False)


async def test_headers_that_cannot_be_sent(making: Making, provider: Provider) -> None:
    failed = await failure(making(), provider.url, headers={"X": f"a\r\nAuthorization: {SECRET}"})
    assert not failed.sent
    assert provider.requests == []


async def test_a_certificate_that_nobody_vouches_for(making: Making) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    async with providing(tls=tls) as provider:
        failed = await failure(making(), provider.url)
        assert (failed.kind, failed.sent) == ("connect", False)
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        client = making(tls=trusting)
        assert isinstance(await client.ask(provider.url), Answer)
        assert isinstance(await client.ask(provider.url), Answer)
        assert (client.figures().opened, client.figures().reused) == (1, 1)
        await client.close()


async def test_tls_with_who_speaks_none(making: Making) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        failed = await failure(making(), f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert (failed.kind, failed.sent) == ("connect", False)


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full: a further one is neither accepted nor refused."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        port: int = listening.getsockname()[1]
        yield port


@pytest.mark.parametrize("bounded_by", ["connect", "deadline"])
async def test_no_connection_in_time(making: Making, bounded_by: str) -> None:
    client = making(other=LIMITS["connect"]() if bounded_by == "connect" else None)
    with full_backlog() as port:
        failed = await failure(
            client, f"http://127.0.0.1:{port}/?key={SECRET}", deadline_ms=soon() if bounded_by == "deadline" else None
        )
    assert (failed.kind, failed.sent) == ("timeout", False)


async def test_no_handshake_in_time(making: Making) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        failed = await failure(making(other=LIMITS["connect"]()), url)
    assert (failed.kind, failed.sent) == ("timeout", False)


async def reset_before_the_head(it: Conversation) -> None:
    it.reset()


async def end_before_the_head(it: Conversation) -> None:
    it.end()


async def end_within_the_head(it: Conversation) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    it.end()


async def no_http(it: Conversation) -> None:
    await it.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n\r\n")
    it.end()


@pytest.mark.parametrize("script", [reset_before_the_head, end_before_the_head, end_within_the_head, no_http])
@pytest.mark.parametrize("stream", [False, True])
async def test_no_head(making: Making, provider: Provider, script: Script, stream: bool) -> None:
    provider.answering = script
    failed = await failure(making(), provider.url, stream=stream)
    assert (failed.kind, failed.sent, failed.status) == ("broken", True, None)


async def test_a_kept_connection_that_the_provider_closes_on_use(making: Making, provider: Provider) -> None:
    client = making()
    assert isinstance(await client.ask(provider.url), Answer)
    provider.answering = reset_before_the_head
    failed = await failure(client, provider.url)
    assert (failed.kind, failed.sent) == ("broken", True)
    assert len(provider.requests) == 2  # nothing is sent twice


async def reset_in_the_body(it: Conversation) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\nContent-Length: 100\r\n\r\npart")
    await asyncio.sleep(0.02)
    it.reset()


async def end_in_the_body(it: Conversation) -> None:
    await it.send(b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\nContent-Length: 100\r\n\r\npart")
    it.end()


async def end_between_chunks(it: Conversation) -> None:
    await it.open_chunks("X-Request-Id: r1\r\n")
    await it.chunk(b"part")
    it.end()


async def end_in_a_chunk(it: Conversation) -> None:
    await it.open_chunks("X-Request-Id: r1\r\n")
    await it.send(b"ff\r\npart")
    it.end()


async def no_chunk(it: Conversation) -> None:
    await it.open_chunks("X-Request-Id: r1\r\n")
    await it.chunk(b"part")
    await asyncio.sleep(0.02)  # aiohttp forgets a head that comes in one packet with nonsense
    await it.send(b"what is this\r\n")


BODY_BREAKS = [reset_in_the_body, end_in_the_body, end_between_chunks, end_in_a_chunk, no_chunk]


@pytest.mark.parametrize("script", BODY_BREAKS)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_whole_body(making: Making, provider: Provider, script: Script, stream: bool) -> None:
    provider.answering = script
    failed = await failure(making(), provider.url, stream=stream)
    assert (failed.kind, failed.sent, failed.status) == ("broken", True, 200)
    assert failed.headers is not None
    assert failed.headers["x-request-id"] == "r1"
    await provider.connections(0)


async def test_what_came_before_the_break_is_handed_out(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.open_chunks()
        await it.chunk(b"data: 1\n\n")
        await go_on.wait()
        it.reset()

    go_on = asyncio.Event()
    provider.answering = answering
    body = await making().streamed(provider.url)
    assert await body.read() == b"data: 1\n\n"
    go_on.set()
    data, failed = await body.rest()
    assert data == b""
    assert failed is not None
    assert failed.kind == "broken"


async def stall_in_the_body(it: Conversation) -> None:
    await it.open_chunks()
    await it.chunk(b"part")
    await unheard(it)


async def stall_later(it: Conversation) -> None:
    await it.open_chunks()
    for _ in range(3):
        await it.chunk(b"part")
        await asyncio.sleep(0.02)
    await it.silence()


@pytest.mark.parametrize(("script", "status"), [(unheard, None), (stall_in_the_body, 200), (stall_later, 200)])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("bounded_by", ["read", "deadline"])
async def test_not_heard_in_time(
    making: Making, provider: Provider, script: Script, status: int | None, stream: bool, bounded_by: str
) -> None:
    provider.answering = script
    heard = status if stream or bounded_by == "read" else None
    for seconds in LIMITS_SECONDS:
        client = making(other=PoolLimits(read_timeout_seconds=seconds) if bounded_by == "read" else None)
        deadline_ms = soon(seconds) if bounded_by == "deadline" else None
        failed = await failure(client, provider.url, stream=stream, deadline_ms=deadline_ms)
        if failed.sent and failed.status in (heard, status):
            break
    assert (failed.kind, failed.sent) == ("timeout", True)
    if stream or bounded_by == "read":
        assert failed.status == status
    await provider.connections(0)


async def drip(it: Conversation) -> None:
    await it.open_chunks()
    with contextlib.suppress(ConnectionError):
        while True:
            await it.chunk(b".")
            await asyncio.sleep(SHORT_SECONDS / 10)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reply_that_never_ends_meets_the_deadline(making: Making, provider: Provider, stream: bool) -> None:
    provider.answering = drip
    for seconds in LIMITS_SECONDS:
        failed = await failure(making(), provider.url, stream=stream, deadline_ms=soon(3 * seconds))
        if failed.sent:
            break
    assert (failed.kind, failed.sent) == ("timeout", True)


PAUSE_SECONDS = 0.25  # a read has four times as long: a busy machine is late by less


async def test_slow_pieces_are_no_stall(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.open_chunks()
        for _ in range(6):
            await it.chunk(b".")
            await asyncio.sleep(PAUSE_SECONDS)
        await it.send(b"0\r\n\r\n")

    provider.answering = answering
    body = await making(other=PoolLimits(read_timeout_seconds=4 * PAUSE_SECONDS)).streamed(provider.url)
    assert await body.rest() == (b"......", None)


async def test_a_slow_reader_is_no_stall(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.open_chunks()
        await it.chunk(b"one")
        await go_on.wait()
        await it.chunk(b"two")
        await it.send(b"0\r\n\r\n")

    go_on = asyncio.Event()
    provider.answering = answering
    body = await making(other=PoolLimits(read_timeout_seconds=2 * PAUSE_SECONDS)).streamed(provider.url)
    assert await body.read() == b"one"
    go_on.set()
    await asyncio.sleep(3 * PAUSE_SECONDS)
    assert await body.rest() == (b"two", None)


@pytest.mark.parametrize("bounded_by", ["write", "deadline"])
async def test_a_request_that_nobody_reads(making: Making, provider: Provider, bounded_by: str) -> None:
    provider.read_bodies = False
    provider.answering = lambda _: asyncio.sleep(100 * HANG_SECONDS)
    other = LIMITS["write"]() if bounded_by == "write" else PoolLimits(write_timeout_seconds=600)
    for seconds in LIMITS_SECONDS:
        deadline_ms = soon(seconds) if bounded_by == "deadline" else None
        client = making(other=other)
        failed = await failure(client, provider.url, body=b"x" * 30_000_000, deadline_ms=deadline_ms)
        if failed.sent:
            break
    assert (failed.kind, failed.sent) == ("timeout", True)
    assert client.figures().idle == 0
    await provider.dropped()


async def test_an_answer_before_the_request_was_read(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.answer(b"too large", 413, "Connection: close\r\n")
        await asyncio.sleep(0.2)  # or its reset would overtake the answer
        it.reset()

    provider.read_bodies = False
    provider.answering = answering
    client = making()
    outcome = await client.ask(provider.url, body=b"x" * 30_000_000)
    assert isinstance(outcome, Answer | Failed)
    if isinstance(outcome, Answer):
        assert (outcome.status, outcome.body) == (413, b"too large")
    else:
        assert (outcome.kind, outcome.sent) == ("broken", True)
    assert client.figures().seats_in_use == 0
    await provider.connections(0)


async def test_a_deadline_that_has_passed_sends_nothing(making: Making, provider: Provider) -> None:
    client = making()
    assert isinstance(await client.ask(provider.url), Answer)
    failed = await failure(client, provider.url, deadline_ms=soon(-1))
    assert (failed.kind, failed.sent) == ("timeout", False)
    await asyncio.sleep(0.02)
    assert len(provider.requests) == 1  # nothing went out on the kept connection


async def test_the_clock_of_deadlines_is_the_drivers(making: Making, provider: Provider) -> None:
    client = making(now_ms=lambda: 1_000)
    assert isinstance(await client.ask(provider.url, deadline_ms=60_000), Answer)
    failed = await client.ask(provider.url, deadline_ms=999)
    assert isinstance(failed, Failed)
    assert failed.kind == "timeout"
    assert client.figures().last_failure_ms == 1_000


async def test_a_reply_ends_the_row_of_failures(making: Making, provider: Provider) -> None:
    client = making()
    provider.answering = end_before_the_head
    await client.ask(provider.url)
    await client.ask(provider.url)
    assert client.figures().failures_in_row == 2
    provider.answering = lambda it: it.answer(status=500)
    await client.ask(provider.url)
    figures = client.figures()
    kind: FailedKind = "broken"
    assert (figures.failures, figures.failures_in_row, figures.last_failure) == (2, 0, kind)
