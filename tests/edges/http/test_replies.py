"""Replies as they should be: whole and streamed, of any status and packing, and bounded; in both colours."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from bursar.call.exchange import Answer, Failed, Opened
from bursar.edges.http.surroundings import BodyBounds
from tests.edges.http.provider import Conversation, Making, Provider, clients, request, until


async def test_a_whole_reply(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.answer(b'{"id":1}', headers="X-Request-Id: r1\r\nX-Twice: a\r\nX-Twice: b\r\n")

    provider.answering = answering
    answer = await making().ask(provider.url, body=b'{"model":"m"}', headers={"Authorization": "Bearer k"})
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (200, b'{"id":1}')
    assert answer.headers["x-request-id"] == "r1"
    assert answer.headers["x-twice"] == "a, b"
    [asked] = provider.requests
    assert asked.head.startswith(b"POST /v1/chat HTTP/1.1\r\n")
    assert asked.body == b'{"model":"m"}'
    assert asked.headers["authorization"] == "Bearer k"
    assert asked.headers["host"] == f"127.0.0.1:{provider.port}"


async def test_what_is_said_unless_the_caller_says_otherwise(making: Making, provider: Provider) -> None:
    client = making()
    await client.ask(provider.url)
    await client.ask(provider.url, headers={"USER-AGENT": "mine", "accept-encoding": "identity"})
    first, second = (asked.headers for asked in provider.requests)
    assert first["user-agent"] == "bursar"
    assert first["accept-encoding"] == "gzip, deflate"
    assert first["content-type"] == "application/json"
    assert second["user-agent"] == "mine"
    assert second["accept-encoding"] == "identity"


async def test_an_empty_body_either_way(making: Making, provider: Provider) -> None:
    provider.answering = lambda it: it.answer(b"", 204)
    answer = await making().ask(provider.url, body=b"")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 400, 401, 429, 500, 529])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_redirect_and_an_error_are_answers(
    making: Making, provider: Provider, status: int, stream: bool
) -> None:
    provider.answering = lambda it: it.answer(b"moved", status, f"Location: {provider.url}/elsewhere\r\n")
    client = making()
    outcome, body = await client.open(request(provider.url, stream=stream))
    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.body, body) == (status, b"moved", None)
    assert len(provider.requests) == 1
    assert client.figures().seats_in_use == 0
    assert client.figures().failures == 0


async def test_a_stream_comes_as_it_arrives(making: Making, provider: Provider) -> None:
    go_on = asyncio.Event()

    async def answering(it: Conversation) -> None:
        await it.open_chunks("Content-Type: text/event-stream\r\n")
        await it.chunk(b"data: 1\n\n")
        await go_on.wait()
        await it.chunk(b"data: 2\n\n")
        await it.send(b"0\r\n\r\n")

    provider.answering = answering
    client = making()
    outcome, body = await client.open(request(provider.url, stream=True))
    assert outcome == Opened(200, {"transfer-encoding": "chunked", "content-type": "text/event-stream"})
    assert body is not None
    assert await body.read() == b"data: 1\n\n"
    assert client.figures().seats_in_use == 1
    go_on.set()
    assert await body.rest() == (b"data: 2\n\n", None)
    assert client.figures().seats_in_use == 0
    assert await body.read() == b""
    await body.close()
    assert await body.read() == b""
    assert client.figures().failures == 0


async def test_a_stream_that_ends_with_its_connection(making: Making, provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        it.end()

    provider.answering = answering
    body = await making().streamed(provider.url)
    assert await body.rest() == (b"all of it", None)


@pytest.mark.parametrize("packed", ["gzip", "zlib", "bare", "members"])
@pytest.mark.parametrize("stream", [False, True])
async def test_packed_bodies(making: Making, provider: Provider, packed: str, stream: bool) -> None:
    text = b"the quick brown fox " * 5_000
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    forms = {
        "gzip": gzip.compress(text),
        "zlib": zlib.compress(text),
        "bare": bare.compress(text) + bare.flush(),
        "members": gzip.compress(text[:70]) + gzip.compress(text[70:]),
    }
    encoding = "gzip" if packed in ("gzip", "members") else "deflate"
    data = forms[packed]

    async def answering(it: Conversation) -> None:
        await it.open_chunks(f"Content-Encoding: {encoding}\r\n")
        for start in range(0, len(data), 50):
            await it.chunk(data[start : start + 50])
        await it.send(b"0\r\n\r\n")

    provider.answering = answering
    client = making()
    if stream:
        assert await (await client.streamed(provider.url)).rest() == (text, None)
    else:
        answer = await client.ask(provider.url)
        assert isinstance(answer, Answer)
        assert answer.body == text


async def test_a_packed_body_that_ends_with_its_connection(making: Making, provider: Provider) -> None:
    text = b"".join(b"%d " % number for number in range(400_000))
    packed = gzip.compress(text)

    async def answering(it: Conversation) -> None:
        await it.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + packed)
        it.end()

    provider.answering = answering
    client = making()
    answer = await client.ask(provider.url)
    assert isinstance(answer, Answer)
    assert answer.body == text
    body = await client.streamed(provider.url)
    await asyncio.sleep(0.05)  # the connection is gone before the first read
    assert await body.rest() == (text, None)


async def test_a_connection_serves_another_before_a_body_is_read_to_its_end(provider: Provider) -> None:
    async def answering(it: Conversation) -> None:
        await it.open_chunks()
        await it.chunk(it.body)
        if it.body == b"first":
            await asyncio.sleep(0.02)  # or it would end with the first piece
            await it.send(b"0\r\n\r\n")
        else:
            await go_on.wait()
            await it.send(b"nonsense\r\n")

    go_on = asyncio.Event()
    provider.answering = answering
    async with clients("async") as make:  # the blocking one frees a connection when its end was read
        client = make()
        first = await client.streamed(provider.url, body=b"first")
        assert await first.read() == b"first"
        await until(lambda: client.figures().idle == 1)
        second = await client.streamed(provider.url, body=b"second")
        assert await second.read() == b"second"
        assert await first.read() == b""
        go_on.set()
        _, failed = await second.rest()
        assert failed is not None
        assert failed.kind == "broken"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_that_cannot_be_unpacked_is_broken(making: Making, provider: Provider, stream: bool) -> None:
    provider.answering = lambda it: it.answer(b"not packed at all", headers="Content-Encoding: gzip\r\n")
    client = making()
    outcome, arriving = await client.open(request(provider.url, stream=stream))
    if arriving is not None:
        _, outcome = await arriving.rest()  # type: ignore[assignment]
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.sent, outcome.status) == ("broken", True, 200)
    assert client.figures().seats_in_use == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("bomb", [False, True])
async def test_a_reply_beyond_its_bound(making: Making, provider: Provider, stream: bool, bomb: bool) -> None:
    many = b"0" * 3_000_000
    sent = gzip.compress(many) if bomb else many
    provider.answering = lambda it: it.answer(sent, headers="Content-Encoding: gzip\r\n" if bomb else "")
    client = making(bounds=BodyBounds(whole_bytes=1_000_000))
    outcome, body = await client.open(request(provider.url, stream=stream))
    if body is not None:
        data, outcome = await body.rest()  # type: ignore[assignment]
        assert len(data) <= 1_000_000
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.sent, outcome.status) == ("too_large", True, 200)
    assert client.figures().seats_in_use == 0
    await provider.connections(0)  # the rest is not waited for


@pytest.mark.parametrize(("status", "ends_as"), [(200, Failed), (500, Answer)])
async def test_a_reply_without_an_end(making: Making, provider: Provider, status: int, ends_as: type) -> None:
    async def answering(it: Conversation) -> None:
        await it.open_chunks(status=status)
        while not it.writer.is_closing():
            await it.chunk(b"0" * 10_000)
            await asyncio.sleep(0)

    provider.answering = answering
    outcome = await making(bounds=BodyBounds(100_000, 100_000)).ask(provider.url)
    assert isinstance(outcome, ends_as)
    await provider.connections(0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_packed_body_that_ends_early_is_broken(provider: Provider, stream: bool) -> None:
    half = gzip.compress(b"x" * 1_000)[:-9]
    provider.answering = lambda it: it.answer(half, headers="Content-Encoding: gzip\r\n")
    async with clients("blocking") as make:  # aiohttp takes it for whole
        outcome, body = await make().open(request(provider.url, stream=stream))
        if body is not None:
            _, outcome = await body.rest()  # type: ignore[assignment]
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.sent, outcome.status) == ("broken", True, 200)


@pytest.mark.parametrize("bomb", [False, True])
async def test_the_body_of_an_error_is_cut(making: Making, provider: Provider, bomb: bool) -> None:
    many = b"0" * 300_000
    sent = gzip.compress(many) if bomb else many
    provider.answering = lambda it: it.answer(sent, 500, "Content-Encoding: gzip\r\n" if bomb else "")
    client = making(bounds=BodyBounds(error_bytes=1_000))
    answer = await client.ask(provider.url)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (500, b"0" * 1_000)


async def test_a_body_of_exactly_the_bound_passes(making: Making, provider: Provider) -> None:
    provider.answering = lambda it: it.answer(b"0" * 1_000)
    answer = await making(bounds=BodyBounds(whole_bytes=1_000)).ask(provider.url)
    assert isinstance(answer, Answer)
    assert len(answer.body) == 1_000


async def test_a_large_request_passes(making: Making, provider: Provider) -> None:
    body = b"x" * 3_000_000
    answer = await making().ask(provider.url, body=body)
    assert isinstance(answer, Answer)
    assert provider.requests[0].body == body


async def test_no_cookie_is_kept(making: Making, provider: Provider) -> None:
    provider.answering = lambda it: it.answer(headers="Set-Cookie: who=me; Path=/\r\n")
    client = making()
    by_name = provider.url.replace("127.0.0.1", "localhost")  # cookies of bare addresses are never kept
    await client.ask(by_name)
    await client.ask(by_name)
    assert "cookie" not in provider.requests[1].headers
