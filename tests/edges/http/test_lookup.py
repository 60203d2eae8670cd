"""Look-ups: a GET of either colour, and one that a command makes."""

from __future__ import annotations

import asyncio

from bursar.call.exchange import Answer, Failed
from bursar.edges.http.lookup import Lookup
from tests.edges.http.provider import Conversation, Making, Provider


async def test_a_get_has_no_body(making: Making, provider: Provider) -> None:
    answer = await making().ask(provider.url, headers={"Authorization": "Bearer k"}, body=b"", method="GET")
    assert isinstance(answer, Answer)
    [asked] = provider.requests
    assert asked.head.startswith(b"GET /v1/chat HTTP/1.1\r\n")
    assert asked.headers["authorization"] == "Bearer k"
    assert not {"content-type", "content-length", "transfer-encoding"} & set(asked.headers)


async def test_a_lookup_leaves_the_content_type_away(provider: Provider) -> None:
    provider.answering = lambda it: it.answer(b'{"data":[]}', 404)

    def ask() -> Answer | Failed:
        with Lookup("p", {"Authorization": "Bearer k", "Content-Type": "application/json"}) as lookup:
            return lookup.get(provider.url)

    answer = await asyncio.to_thread(ask)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (404, b'{"data":[]}')
    assert "content-type" not in provider.requests[0].headers


async def test_a_lookup_that_nobody_answers_is_a_value(provider: Provider) -> None:
    async def silent(it: Conversation) -> None:
        await it.silence()

    provider.answering = silent

    def ask() -> Answer | Failed:
        with Lookup("p", {}) as lookup:
            return lookup.get(provider.url, seconds=0.2)

    failed = await asyncio.to_thread(ask)
    assert isinstance(failed, Failed)
    assert failed.kind == "timeout"
