"""What a caller is told of its call in headers."""

from __future__ import annotations

from pathlib import Path

from bursar.call.books import Balance
from bursar.gateway.facts import limits_of
from bursar.gateway.quotas import Limit
from bursar.rules.money import usd_of
from tests.client.simulator import Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import Running, serving


def test_a_whole_reply_says_what_it_was_and_what_it_cost(gateway: Running, sim: Sim) -> None:
    told = gateway.chat(key=key_of(gateway, "facts", usd=1)).headers
    (entry,) = sim.entries()
    assert (entry.client_request_id or "").startswith(told["x-bursar-call-id"])
    assert (told["x-bursar-provider"], told["x-bursar-model"]) == ("openai", "gpt-4o-mini")
    assert told["x-bursar-cost-usd"] == f"{usd_of(entry.billed_nano_usd):f}"
    assert told["x-bursar-cost-certain"] == "true"
    assert told["x-bursar-budget"] == "key:facts"
    assert told["x-bursar-budget-remaining-usd"] == f"{usd_of(10**9 - entry.billed_nano_usd):f}"
    assert told["x-bursar-attempts"] == "1"
    assert int(told["x-bursar-wait-ms"]) >= 0
    assert told["x-request-id"] == told["x-bursar-call-id"]


def test_a_budget_that_caps_the_output_says_so_in_streams_as_well(gateway: Running, sim: Sim) -> None:
    key = key_of(gateway, "capped", usd=0.01)
    for stream in (False, True):
        told = gateway.chat(key=key, max_tokens=None, stream=stream).headers
        assert told["x-bursar-budget"] == "key:capped"
        assert 0 < int(told["x-bursar-output-cap"]) < 16_384
        assert ("x-bursar-cost-usd" in told) != stream


def test_what_an_earlier_attempt_may_have_cost_is_counted(sim: Sim, tmp_path: Path) -> None:
    with serving(tmp_path, sim, sim.config(openai={"max_retries": 1})) as running, sim.faults("status:502,times=1"):
        answer = running.chat()
        held = running.engine.store.attempts(call_id=answer.headers["x-bursar-call-id"])
    assert answer.headers["x-bursar-attempts"] == "2"
    assert answer.headers["x-bursar-cost-usd"] == f"{usd_of(sum(fact.charged_nano_usd for fact in held)):f}"
    assert answer.headers["x-bursar-cost-certain"] == "false"


def test_limits_of_a_key_are_told_as_openai_tells_them(gateway: Running, sim: Sim) -> None:
    key = key_of(gateway, limits=(Limit("requests", 60, "minute"), Limit("tokens", 100_000, "minute")))
    told = gateway.chat(key=key).headers
    assert told["x-ratelimit-limit-requests"] == "60"
    assert told["x-ratelimit-remaining-requests"] == "59"
    assert told["x-ratelimit-reset-requests"].endswith("s")
    assert told["x-ratelimit-limit-tokens"] == "100000"
    assert 0 < int(told["x-ratelimit-remaining-tokens"]) < 100_000
    assert not [name for name in gateway.chat().headers if name.startswith("x-ratelimit")]


def test_of_several_limits_the_one_with_the_least_left_is_told() -> None:
    limits = [
        Balance("key", "", "requests", "minute", 50, 0, 60, 5_000),
        Balance("team", "", "requests", "day", 999, 3, 1_000, 90_061_000),
    ]
    assert limits_of(limits, 1_000) == [
        (b"x-ratelimit-limit-requests", b"1000"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"x-ratelimit-reset-requests", b"25h1m0s"),
    ]
