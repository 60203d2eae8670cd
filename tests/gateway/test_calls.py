"""Calls of every format through a real gateway."""

from __future__ import annotations

from bursar.rules.money import usd_of
from tests.client.simulator import Sim
from tests.gateway.running import Running


def test_a_chat_is_answered_as_the_provider_answered_it(gateway: Running, sim: Sim) -> None:
    answer = gateway.chat()
    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-bursar-provider"] == "openai"
    assert answer.headers["x-bursar-cost-certain"] == "true"
    assert answer.headers["x-bursar-cost-usd"] == f"{usd_of(sim.billed()):f}"


def test_a_stream_is_whole_and_ends_as_openai_ends_it(gateway: Running, sim: Sim) -> None:
    answer = gateway.chat(stream=True)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.body.count(b"data: ") > 3


def test_without_a_key_nothing_is_answered(gateway: Running, sim: Sim) -> None:
    assert gateway.chat(key=None).status == 401
    assert gateway.chat(key="sk-bursar-" + "B" * 43).status == 401
    assert sim.entries() == []


def test_what_is_not_served_says_what_is(gateway: Running) -> None:
    answer = gateway.ask("POST", "/v1/images/generations", {})
    assert answer.status == 404
    assert "/v1/chat/completions" in answer.json["error"]["message"]
