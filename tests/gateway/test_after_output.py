"""Streams that broke off and were continued or begun again, as those who read bytes see them, and official SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.client.simulator import Sim
from tests.gateway.running import ADMIN_KEY, Running, serving

SAID = "one two three four five six"
ASK: Any = [{"role": "user", "content": f"{SAID} [[echo]]"}]
HAIKU = "anthropic/claude-haiku-4-5"
ROUTES = {
    "goes-on": {"candidates": ["openai/gpt-4o-mini", HAIKU], "after_first_token": "continue"},
    "again": {"candidates": ["openai/gpt-4o-mini", HAIKU], "after_first_token": "restart"},
    "claude": {"candidates": [HAIKU, "openrouter/anthropic/claude-sonnet-4.5"], "after_first_token": "continue"},
}
BREAKS = ("truncate:3,provider=openai", "truncate:3,provider=anthropic,model=claude-haiku-4-5")


@pytest.fixture(scope="module")
def routed(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("routed"), shared_sim, shared_sim.config() | {"routes": ROUTES}) as running:
        yield running


@pytest.mark.parametrize(("route", "mark"), [("goes-on", b"continue"), ("again", b"restart")])
def test_the_place_is_marked_between_two_events(routed: Running, sim: Sim, route: str, mark: bytes) -> None:
    with sim.faults(BREAKS[0]):
        body = routed.chat(model=route, messages=ASK, max_tokens=60, stream=True).body
    before, _, after = body.partition(b": bursar " + mark + b" 1\n\n")
    assert before.endswith(b"\n\n")
    assert b'"content":" three"' in before
    assert (b'"content":" three"' in after) is (mark == b"restart")
    assert b'"content":" six"' in after
    assert after.endswith(b"data: [DONE]\n\n")


def test_the_sdk_of_openai_takes_a_continuation_for_one_reply(routed: Running, sim: Sim) -> None:
    with openai.OpenAI(base_url=f"{routed.url}/v1", api_key=ADMIN_KEY, max_retries=0, timeout=30) as client:
        with sim.faults(BREAKS[0]):
            with client.chat.completions.stream(model="goes-on", messages=ASK, max_tokens=60) as stream:
                reply = stream.get_final_completion()
    message = reply.choices[0].message
    assert (message.content, message.role, reply.choices[0].finish_reason) == (SAID, "assistant", "stop")


def test_the_sdk_of_anthropic_takes_a_continuation_for_one_message(routed: Running, sim: Sim) -> None:
    with anthropic.Anthropic(base_url=routed.url, api_key=ADMIN_KEY, max_retries=0, timeout=30) as client:
        with sim.faults(BREAKS[1]):
            with client.messages.stream(model="claude", messages=ASK, max_tokens=60) as stream:
                message = stream.get_final_message()
    (block,) = message.content
    assert (block.type, getattr(block, "text", ""), message.stop_reason) == ("text", SAID, "end_turn")
