"""Proxies that the environment names: found, and spoken to by both colours as real proxies expect."""

from __future__ import annotations

import asyncio
import base64
import ssl

import pytest

from bursar.call.exchange import Answer, Failed
from bursar.edges.http.surroundings import Proxy, default_tls, lower_headers, proxy_for
from tests.edges.http.provider import CERTIFICATE, Conversation, Making, Provider, providing

NAMED = "http://user:p%40ss@127.0.0.1:3128"
CREDENTIALS = "Basic " + base64.b64encode(b"user:p@ss").decode()


def test_no_proxy_is_the_default() -> None:
    assert proxy_for("https://api.example/v1") is None


def test_a_proxy_by_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", NAMED)
    assert proxy_for("https://api.example/v1") == Proxy("http://127.0.0.1:3128", CREDENTIALS)
    assert proxy_for("http://api.example/v1") is None
    monkeypatch.setenv("all_proxy", "other:8080")
    assert proxy_for("http://api.example/v1") == Proxy("http://other:8080", None)


def test_exceptions_are_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", NAMED)
    monkeypatch.setenv("NO_PROXY", "localhost,.example")
    assert proxy_for("https://api.example/v1") is None
    assert proxy_for("https://api.other/v1") is not None


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(ValueError, match="socks5"):
        proxy_for("https://api.example/v1")


async def test_a_proxy_that_cannot_be_used_is_no_connection(
    making: Making, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    failed = await making().ask(provider.url)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.sent) == ("connect", False)
    assert isinstance(await making(heed_environment=False).ask(provider.url), Answer)


async def test_plain_requests_go_through_the_proxy(
    making: Making, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{provider.port}")
    client = making()
    for _ in range(2):
        answer = await client.ask("http://api.invalid/v1/chat", headers={"Authorization": "Bearer k"})
        assert isinstance(answer, Answer)
    for asked in provider.requests:
        assert asked.head.startswith(b"POST http://api.invalid/v1/chat HTTP/1.1\r\n")
        assert asked.headers["proxy-authorization"] == CREDENTIALS
        assert asked.headers["authorization"] == "Bearer k"
        assert asked.headers["host"] == "api.invalid"
    assert provider.accepted == 1


async def tunnel(it: Conversation, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await it.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
        sink.close()

    await asyncio.gather(pump(it.reader, writer), pump(reader, it.writer), return_exceptions=True)


async def test_tls_goes_through_a_tunnel(making: Making, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    async with providing(tls=tls) as secure:
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{provider.port}")
        provider.answering = lambda it: tunnel(it, secure.port)
        client = making(tls=ssl.create_default_context(cafile=str(CERTIFICATE)))
        answer = await client.ask(f"https://localhost:{secure.port}/v1", headers={"Authorization": "Bearer k"})
        assert isinstance(answer, Answer)
        await client.close()
    assert provider.requests[0].head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % secure.port)
    assert provider.requests[0].headers["proxy-authorization"] == CREDENTIALS
    assert "authorization" not in provider.requests[0].headers
    assert secure.requests[0].headers["authorization"] == "Bearer k"
    assert "proxy-authorization" not in secure.requests[0].headers


async def test_a_proxy_that_refuses_is_no_connection(
    making: Making, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{provider.port}")
    provider.answering = lambda it: it.answer(status=407)
    failed = await making().ask("https://api.invalid/v1")
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.sent) == ("connect", False)


def test_headers_by_lower_case_name() -> None:
    assert lower_headers([("A-B", "1"), ("c", "2"), ("a-b", "3")]) == {"a-b": "1, 3", "c": "2"}


def test_certificates_are_checked() -> None:
    context = default_tls()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
