"""The cost within a reply, for callers who ask for it there; every other byte as it came."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from bursar.gateway.costing import HELD_MAX, Tail
from bursar.rules.money import usd_of
from tests.client.simulator import Sim
from tests.gateway.running import Answer, Running

ASKED = {"x-bursar-usage-cost": "true"}
HAIKU = "anthropic/claude-haiku-4-5"
MESSAGES: Any = [{"role": "user", "content": "Name three rivers."}]
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {"model": "gpt-4o-mini", "messages": MESSAGES, "max_tokens": 20},
    "/v1/responses": {"model": "gpt-4o-mini", "input": "Name three rivers.", "max_output_tokens": 20},
    "/v1/messages": {"model": HAIKU, "messages": MESSAGES, "max_tokens": 20},
}


def usages(answer: Answer) -> list[dict[str, Any]]:
    """What events of a stream say of usage, where any does."""
    found = []
    for line in answer.body.splitlines():
        if line.startswith(b"data: {"):
            event = json.loads(line.removeprefix(b"data: "), parse_float=Decimal)
            found.append(event.get("usage") or event.get("response", {}).get("usage"))
    return [usage for usage in found if usage]


@pytest.mark.parametrize("path", BODIES)
def test_a_whole_reply_has_its_cost_where_it_is_asked_for(gateway: Running, sim: Sim, path: str) -> None:
    plain = gateway.ask("POST", path, BODIES[path])
    assert "cost" not in plain.json["usage"]
    answer = gateway.ask("POST", path, BODIES[path], headers=ASKED)
    usage = json.loads(answer.body, parse_float=Decimal)["usage"]
    call_id = answer.headers["x-bursar-call-id"]
    assert usage["cost"] == usd_of(sim.billed(call_id))
    assert usage["bursar"] == {"call_id": call_id, "certain": True}


@pytest.mark.parametrize("path", BODIES)
def test_a_stream_has_its_cost_with_its_last_usage(gateway: Running, sim: Sim, path: str) -> None:
    answer = gateway.ask("POST", path, {**BODIES[path], "stream": True}, headers=ASKED)
    assert answer.status == 200
    costs = [usage["cost"] for usage in usages(answer) if "cost" in usage]
    assert costs == [usd_of(sim.billed())]
    assert "cost" in usages(answer)[-1]
    assert sim.billed() > 0


def test_every_other_byte_is_as_it_came(gateway: Running, sim: Sim) -> None:
    body = {**BODIES["/v1/chat/completions"], "stream": True, "stream_options": {"include_usage": True}, "seed": 1}
    plain, costed = (gateway.ask("POST", "/v1/chat/completions", body, headers=said) for said in ({}, ASKED))
    assert len(plain.body.split(b"\n\n")) == len(costed.body.split(b"\n\n"))
    assert b'"cost"' not in plain.body
    assert costed.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "openrouter/openai/gpt-4o-mini", HAIKU])
@pytest.mark.parametrize("stream", [False, True])
def test_openrouters_way_of_asking_works_everywhere(gateway: Running, sim: Sim, model: str, stream: bool) -> None:
    answer = gateway.chat(model=model, usage={"include": True}, stream=stream)
    assert answer.status == 200, answer.body
    found = usages(answer) if stream else [json.loads(answer.body, parse_float=Decimal)["usage"]]
    assert found[-1]["cost"] == usd_of(sim.billed())


def test_a_stream_that_breaks_loses_nothing_of_what_was_held_back(gateway: Running, sim: Sim) -> None:
    with sim.faults("no_done"):
        answer = gateway.chat(stream=True, headers=ASKED)
    assert usages(answer)[-1]["cost"]


class TestTail:
    """What is held back of a stream."""

    def test_what_has_no_usage_passes_at_once(self) -> None:
        tail = Tail("openai_chat")
        assert tail.passed([b'{"usage":null}', b"{}"]) == [b'{"usage":null}', b"{}"]

    def test_usage_that_comes_with_every_chunk_is_held_one_chunk_long(self) -> None:
        tail = Tail("openai_chat")
        assert tail.passed([b'{"usage":{"a":1}}']) == []
        assert tail.passed([b'{"usage":{"a":2}}']) == [b'{"usage":{"a":1}}']
        assert tail.rest() == [b'{"usage":{"a":2}}']

    def test_what_follows_usage_waits_with_it_up_to_a_bound(self) -> None:
        tail = Tail("anthropic_messages")
        first = b'{"type":"message_delta","usage":{}}'
        assert tail.passed([first, *[b"{}"] * (HELD_MAX - 1)]) == []
        assert tail.passed([b"{}"]) == [first, *[b"{}"] * HELD_MAX]
        assert tail.rest() == []
