"""The request log: calls found again, and the story of one, also of those that were never sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.client.simulator import Sim
from tests.gateway.running import Running

Named = Callable[[str], str]


def key_of(gateway: Running, name: str, **fields: Any) -> str:
    key: str = gateway.ask("POST", "/api/keys", {"name": name, **fields}).json["key"]
    return key


def story(gateway: Running, call_id: str, **options: Any) -> Any:
    answer = gateway.ask("GET", f"/api/calls/{call_id}", **options)
    assert answer.status == 200, answer.body
    return answer.json


def listed(gateway: Running, query: str, **options: Any) -> list[str]:
    answer = gateway.ask("GET", f"/api/calls?{query}", **options)
    assert answer.status == 200, answer.body
    return [one["call_id"] for one in answer.json["data"]]


def test_the_story_of_a_call_has_its_cost_line_by_line(gateway: Running, named: Named) -> None:
    name = named("told")
    answer = gateway.chat(key=key_of(gateway, name, user="ann"), headers={"x-bursar-tags": "run=7"})
    told = story(gateway, answer.headers["x-bursar-call-id"])
    call, (attempt,) = told["call"], told["attempts"]
    assert (call["key"], call["user"], call["tags"], call["ending"], call["status"]) == (
        name, "ann", {"run": "7"}, "ok", 200
    )  # fmt: skip
    cost = attempt["cost"]
    assert call["charged_usd"] == cost["charged_usd"] == cost["cost_usd"] == answer.headers["x-bursar-cost-usd"]
    assert float(cost["sum_usd"]) == pytest.approx(sum(float(line["usd"]) for line in cost["lines"]))
    assert {line["leaf"]: line["units"] for line in cost["lines"]} == attempt["usage"]
    assert float(cost["held_usd"]) >= float(cost["cost_usd"])
    assert "the price is that of" in " ".join(cost["because"])
    assert told["candidates"] == [{"model": "openai/gpt-4o-mini", "outcome": "answered", "code": None}]
    assert told["refusals"] == []


def test_the_facts_of_a_stream_are_found(gateway: Running) -> None:
    answer = gateway.chat(stream=True)
    told = story(gateway, answer.headers["x-bursar-call-id"])
    (attempt,) = told["attempts"]
    assert (told["call"]["stream"], attempt["ending"], attempt["first_token_ms"] is not None) == (True, "ok", True)
    assert float(attempt["cost"]["cost_usd"]) > 0


def test_a_call_that_fell_back_tells_of_every_attempt(gateway: Running, sim: Sim) -> None:
    with sim.faults("status:500"):
        failed = gateway.chat(model="fast")
    told = story(gateway, failed.headers["x-bursar-call-id"])
    assert told["call"]["ending"] == "error"
    assert [one["model"] for one in told["candidates"]] == ["groq/llama-3.1-8b-instant", "openai/gpt-4o-mini"]
    assert {one["outcome"] for one in told["candidates"]} == {"failed"}
    assert len(told["attempts"]) >= 2
    assert told["call"]["attempts"] == len(told["attempts"])
    assert all(one["status"] == 500 for one in told["attempts"])


def test_a_refused_call_has_a_story_too(gateway: Running, named: Named) -> None:
    name = named("poor")
    key = key_of(gateway, name, budget={"usd": "0.000001"})
    refusal = gateway.chat(key=key)
    call_id = refusal.json["error"]["bursar"]["call_id"]
    told = story(gateway, call_id)
    assert (told["call"]["ending"], told["call"]["key"], told["call"]["attempts"]) == ("refused", name, 0)
    (one,) = told["refusals"]
    assert (one["code"], one["binding"], one["final"]) == ("budget_exhausted", f"key:{name}", True)
    assert one["message"] == refusal.json["error"]["message"]
    assert told["candidates"] == [{"model": "openai/gpt-4o-mini", "outcome": "refused", "code": "budget_exhausted"}]
    assert listed(gateway, f"key={name}&ending=refused&code=budget_exhausted") == [call_id]


def test_a_candidate_that_was_refused_is_told_beside_the_one_that_answered(gateway: Running, named: Named) -> None:
    budget = f"/api/budgets/{named('groq')}"
    name = named("way")
    gateway.ask("PUT", budget, {"usd": "0.00000001", "only": {"provider": "groq", "key": name}})
    answer = gateway.chat(key=key_of(gateway, name), model="fast")
    assert answer.status == 200, answer.body
    told = story(gateway, answer.headers["x-bursar-call-id"])
    assert [(one["model"], one["outcome"]) for one in told["candidates"]] == [
        ("groq/llama-3.1-8b-instant", "refused"), ("openai/gpt-4o-mini", "answered")
    ]  # fmt: skip
    (one,) = told["refusals"]
    assert (one["provider"], one["final"], one["binding"]) == ("groq", False, budget.rpartition("/")[2])
    assert told["call"]["ending"] == "ok"


def test_every_candidate_that_was_refused_is_told(gateway: Running, named: Named) -> None:
    name = named("none")
    refusal = gateway.chat(key=key_of(gateway, name, budget={"usd": 0}), model="fast")
    assert refusal.status == 402
    told = story(gateway, refusal.json["error"]["bursar"]["call_id"])
    assert [(one["model"], one["outcome"]) for one in told["candidates"]] == [
        ("groq/llama-3.1-8b-instant", "refused"), ("openai/gpt-4o-mini", "refused")
    ]  # fmt: skip
    assert [one["final"] for one in told["refusals"]] == [False, False, True]


def test_calls_are_found_by_what_they_carry(gateway: Running, named: Named) -> None:
    name, user, run = named("search"), named("user"), named("run")
    key = key_of(gateway, name, user=user)
    headers = {"x-bursar-tags": f"run={run}", "x-bursar-session": run}
    first, second, third = (
        gateway.chat(key=key, headers=sent).headers["x-bursar-call-id"] for sent in (headers, {}, headers)
    )
    assert listed(gateway, f"key={name}") == [third, second, first]
    assert listed(gateway, f"tag=run={run}") == listed(gateway, f"session={run}") == [third, first]
    assert listed(gateway, f"user={user}&status=200&ending=ok&model=openai/gpt-4o-mini&provider=openai") == [
        third, second, first
    ]  # fmt: skip
    assert listed(gateway, f"user={user}&provider=groq") == listed(gateway, f"user={user}&status=429") == []
    assert listed(gateway, f"key={name}&until=2001-01-01") == []
    assert listed(gateway, f"key={name}&since={quote('2001-01-01T00:00:00+01:00')}") == [third, second, first]


def test_the_log_comes_in_pages(gateway: Running, named: Named) -> None:
    name = named("paged")
    key = key_of(gateway, name)
    made = [gateway.chat(key=key).headers["x-bursar-call-id"] for _ in range(3)]
    page = gateway.ask("GET", f"/api/calls?key={name}&limit=2").json
    rest = gateway.ask("GET", f"/api/calls?key={name}&limit=2&cursor={page['next']}").json
    assert [one["call_id"] for one in page["data"] + rest["data"]] == made[::-1]
    assert rest["next"] is None


def test_a_caller_sees_his_own_calls_alone(gateway: Running, named: Named) -> None:
    mine, other = named("mine"), named("other")
    my_key, other_key = key_of(gateway, mine), key_of(gateway, other, budget={"usd": "0.000001"})
    own = gateway.chat(key=my_key).headers["x-bursar-call-id"]
    foreign = gateway.chat(key=other_key).json["error"]["bursar"]["call_id"]
    assert listed(gateway, "limit=1000", key=my_key) == [own]
    assert listed(gateway, f"key={mine}", key=my_key) == [own]
    for query in (f"key={other}", f"tag=key={other}"):
        assert gateway.ask("GET", f"/api/calls?{query}", key=my_key).status == 403
    assert story(gateway, own, key=my_key)["attempts"][0]["provider_key"] is None
    assert gateway.ask("GET", f"/api/calls/{foreign}", key=my_key).status == 404
    assert gateway.ask("GET", f"/api/calls/{foreign}", key=other_key).status == 200
    assert story(gateway, own)["attempts"][0]["provider_key"] is not None


UNREADABLE = [
    "limit=0", "limit=1001", "limit=x", "ending=well", "ending=null", "status=99", "status=null", "since=now", "tag=a",
    "tag=a=1&tag=a=2", "cursor=x", "key=a&key=b", "colour=red", "since=9999999-01-01", "%ff=1", "key=%ff",
    "since=2026-11-01T00:00:00", "&".join(f"tag=t{number}=1" for number in range(65)),
]  # fmt: skip


@pytest.mark.parametrize("query", UNREADABLE)
def test_a_query_that_cannot_be_read_is_refused(gateway: Running, query: str) -> None:
    answer = gateway.ask("GET", f"/api/calls?{query}")
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
