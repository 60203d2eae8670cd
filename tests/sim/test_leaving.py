"""Clients that go away: the provider bills as a real one does, and the record is written all the same."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from bursar.sim import server
from bursar.sim.config import SimConfig
from bursar.sim.record import read_record
from bursar.sim.server import running
from tests.sim.client import CHAT, Caller, calling


@pytest.fixture(autouse=True)
def nothing_is_logged_as_an_error(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A client that leaves is everyday life, not a traceback."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []


def raw_request(provider: str, *, stream: bool, fault: str = "", content: str = "[[tokens=10]]") -> bytes:
    prefix, model = CHAT[provider]
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": content}]}).encode()
    head = f"POST {prefix}/chat/completions HTTP/1.1\r\nHost: sim\r\nAuthorization: Bearer sk-sim-1\r\n"
    head += f"Content-Length: {len(body)}\r\nX-Client-Request-Id: gone\r\n"
    return (head + (f"x-sim-fault: {fault}\r\n" if fault else "") + "\r\n").encode() + body


async def leave(url: str, request: bytes, until: bytes = b"") -> None:
    """Send a request, wait until these bytes have come, and be gone."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    await writer.drain()
    if until:
        await asyncio.wait_for(reader.readuntil(until), 10)
    writer.transport.abort()


async def settled(caller: Caller) -> dict[str, object]:
    async with asyncio.timeout(10):
        while True:
            found = (await caller.send("GET", "/sim/requests/gone")).json
            if found:
                assert len(found) == 1
                return dict(found[0])
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_sends_and_dies_is_billed_in_full(stream: bool) -> None:
    async with calling(SimConfig(latency=0.2)) as caller:
        await caller.chat("openai", "[[tokens=10]]", stream=stream)
        full = (await caller.bill())["billed_nano_usd"]
        await leave(caller.url, raw_request("openai", stream=stream))
        entry = await settled(caller)
    assert entry["billed_nano_usd"] == full > 0
    assert entry["aborted"] is True


async def test_a_stream_left_midway_is_billed_in_full_by_default() -> None:
    async with calling() as caller:
        await leave(caller.url, raw_request("openai", stream=True, fault="stall:60,after_chunks=4"), b"delta")
        entry = await settled(caller)
    assert entry["usage"]["completion_tokens"] == 10  # type: ignore[index]


async def test_without_latency_the_bill_is_written_before_the_first_byte() -> None:
    async with calling() as caller:
        host, port = caller.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw_request("openai", stream=True, fault="stall:60"))
        entry = await settled(caller)
        assert entry["usage"]["completion_tokens"] == 10  # type: ignore[index]
        assert entry["aborted"] is False
        writer.transport.abort()


async def test_a_stream_that_is_cancelled_is_billed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "SHUTDOWN_SECONDS", 0.05)
    path = tmp_path / "record.jsonl"
    config = SimConfig(record=path, cancel_stops_billing=frozenset({"openrouter"}))
    async with running(config) as sim:
        host, port = sim.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1)
        writer.write(raw_request("openrouter", stream=True, content="[[tokens=16000]]"))
        await asyncio.wait_for(reader.read(1), 10)
    writer.transport.abort()
    [entry] = read_record(path)
    assert 0 < entry.usage["completion_tokens"] < 16_000
    assert entry.aborted


async def test_a_provider_that_stops_on_cancel_bills_what_it_sent() -> None:
    async with calling(SimConfig(cancel_stops_billing=frozenset({"openrouter"}))) as caller:
        request = raw_request("openrouter", stream=True, fault="stall:60,after_chunks=4")
        await leave(caller.url, request, b'"delta":{"content":"')
        entry = await settled(caller)
        assert entry["usage"]["completion_tokens"] == 4  # type: ignore[index]
        assert entry["aborted"] is True
        page = await caller.send("GET", f"/openrouter/api/v1/generation?id={entry['id']}")
        assert page.json["data"]["cancelled"] is True
        assert round(page.json["data"]["total_cost"] * 10**9) == entry["billed_nano_usd"]
        await caller.chat("openrouter", "[[tokens=10]]", stream=True)
        last = (await caller.record())[-1]
        assert (last["usage"]["completion_tokens"], last["aborted"]) == (10, False)


async def test_a_provider_that_stops_on_cancel_bills_no_tokens_before_the_first() -> None:
    async with calling(SimConfig(latency=20, cancel_stops_billing=frozenset({"openai"}))) as caller:
        for stream in (False, True):
            await caller.send("POST", "/sim/reset")
            await leave(caller.url, raw_request("openai", stream=stream))
            entry = await settled(caller)
            assert entry["aborted"] is True
            assert entry["usage"]["completion_tokens"] == 0  # type: ignore[index]
            assert entry["billed_nano_usd"] > 0  # type: ignore[operator]


async def test_a_client_that_does_not_read_is_billed_when_generation_ends() -> None:
    async with calling(SimConfig(latency=0.01)) as caller:
        host, port = caller.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        writer.write(raw_request("openai", stream=True, content="[[tokens=16000]]"))
        entry = await settled(caller)
        writer.transport.abort()
    assert entry["usage"]["completion_tokens"] == 16_000  # type: ignore[index]


async def test_stopping_the_simulator_bills_what_it_has_begun(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    config = SimConfig(latency=500, record=path)
    async with running(config) as sim:
        host, port = sim.url.removeprefix("http://").split(":")
        writers = []
        for stream in (False, True):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(raw_request("openai", stream=stream))
            writers.append(writer)
        for _ in range(1000):
            if sim.desk.opened == 2:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    for writer in writers:
        writer.transport.abort()
    assert [entry.usage["completion_tokens"] for entry in read_record(path)] == [10, 10]


async def test_an_upload_that_ends_early_is_nobodys_request() -> None:
    async with calling() as caller:
        await leave(caller.url, raw_request("openai", stream=False)[:-20])
        await caller.chat("openai")
        assert (await caller.bill())["count"] == 1
