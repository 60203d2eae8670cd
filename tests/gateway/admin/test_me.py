"""What a key may know of itself."""

from __future__ import annotations

from collections.abc import Callable

from tests.gateway.running import Running

Named = Callable[[str], str]


def test_a_key_sees_itself_what_binds_it_and_its_use(gateway: Running, named: Named) -> None:
    team, name = named("team"), named("self")
    gateway.ask("POST", "/api/teams", {"name": team, "budget": {"usd": 3}})
    body = {"name": name, "team": team, "budget": {"usd": 1}, "limits": [{"meter": "in_flight", "amount": 4}]}
    key = gateway.ask("POST", "/api/keys", body).json["key"]
    other = gateway.ask("POST", "/api/keys", {"name": named("other"), "budget": {"usd": 9}}).json["key"]
    gateway.chat(key=key)
    gateway.chat(key=other)
    me = gateway.ask("GET", "/api/me", key=key).json
    assert (me["name"], me["team"], me["role"]) == (name, team, "call")
    assert {one["name"] for one in me["budgets"]} == {f"key:{name}", f"team:{team}", "teams"}
    assert {one["name"] for one in me["limits"]} == {f"key:{name}:in_flight", "flight"}
    assert [one["subject"] for budget in me["budgets"] for one in budget["standing"] if budget["each"]] == [team]
    (today,) = me["today"]
    assert (today["group"], today["calls"]) == ({"model": "openai/gpt-4o-mini"}, 1)
    own = next(one for one in me["budgets"] if one["name"] == f"key:{name}")
    assert own["standing"][0]["spent_usd"] == today["charged_usd"]
