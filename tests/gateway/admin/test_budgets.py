"""Budgets and limits through the admin API, and those of teams, users and organisations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.running import Running

Named = Callable[[str], str]


def refused(gateway: Running, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    answer = gateway.ask(method, path, body)
    error = answer.json["error"]
    return answer.status, error["code"], error["message"]


def test_budgets_are_listed_with_where_they_stand_and_are_defined(gateway: Running, named: Named) -> None:
    gateway.chat(headers={"x-bursar-tags": "team=listed"})
    shown = {one["name"]: one for one in gateway.ask("GET", "/api/budgets").json["data"]}
    company, teams = shown["company"], shown["teams"]
    assert (company["usd"], company["per"], company["editable"], company["alert_at"]) == ("1000", "month", False, [80])
    assert company["defined_in"].startswith(str(gateway.folder / "bursar.yaml"))
    (standing,) = company["standing"]
    spent, held, left = (float(standing[name]) for name in ("spent_usd", "held_usd", "left_usd"))
    assert spent > 0
    assert spent + held + left == pytest.approx(1000)
    assert standing["resets_at"].endswith("-01T00:00:00.000Z")
    assert "listed" in [one["subject"] for one in teams["standing"]]
    assert {one["name"] for one in gateway.ask("GET", "/api/limits").json["data"]} >= {"flight"}


def test_a_budget_that_a_file_defines_is_changed_there(gateway: Running) -> None:
    for method, body in (("PUT", {"usd": 5000}), ("DELETE", None)):
        status, code, message = refused(gateway, method, "/api/budgets/company", body)
        assert (status, code) == (409, "defined_in_file")
        assert str(gateway.folder / "bursar.yaml") in message
    assert refused(gateway, "PUT", "/api/limits/flight", {"amount": 9})[:2] == (409, "defined_in_file")
    assert refused(gateway, "DELETE", "/api/limits/flight")[:2] == (409, "defined_in_file")
    assert gateway.ask("GET", "/api/budgets/company").json["budget"]["usd"] == "1000"


def test_a_budget_is_made_changed_topped_up_and_removed(gateway: Running, named: Named) -> None:
    team, path = named("team"), f"/api/budgets/{named('made')}"
    made = gateway.ask("PUT", path, {"usd": "0.000001", "only": {"team": team}}).json
    assert (made["usd"], made["per"], made["only"], made["editable"]) == ("0.000001", "day", {"team": team}, True)
    tags = {"x-bursar-tags": f"team={team}"}
    assert gateway.chat(headers=tags).status == 402
    topped = gateway.ask("POST", f"{path}/top-ups", {"usd": 2}).json
    assert (topped["limit_usd"], topped["subject"]) == ("2.000001", "")
    assert gateway.chat(headers=tags).status == 200
    changed = gateway.ask("PUT", path, {"usd": 3, "rolling": True, "per": "week"}).json
    assert (changed["usd"], changed["rolling"], changed["per"]) == ("3", True, "week")
    assert float(changed["standing"][0]["spent_usd"]) > 0
    assert refused(gateway, "POST", f"{path}/top-ups", {"usd": 1})[0] == 409
    assert gateway.ask("DELETE", path).json == {"removed": path.rpartition("/")[2]}
    assert refused(gateway, "GET", path)[0] == 404


def test_each_of_many_has_a_standing_of_its_own_in_pages(gateway: Running, named: Named) -> None:
    path = f"/api/budgets/{named('each')}"
    made = gateway.ask("PUT", path, {"usd": 1, "each": "run", "missing": "refuse", "only": {"team": named("none")}})
    assert made.status == 200, made.body
    for subject in ("a", "b/c", "d"):
        assert gateway.ask("POST", f"{path}/top-ups", {"usd": 1, "subject": subject}).json["limit_usd"] == "2"
    assert refused(gateway, "POST", f"{path}/top-ups", {"usd": 1})[0] == 400
    page = gateway.ask("GET", f"{path}?limit=2").json
    assert [one["subject"] for one in page["data"]] == ["a", "b/c"]
    rest = gateway.ask("GET", f"{path}?limit=2&cursor={page['next']}").json
    assert ([one["subject"] for one in rest["data"]], rest["next"]) == (["d"], None)
    (one,) = gateway.ask("GET", f"{path}?subject=b/c").json["data"]
    assert one["subject"] == "b/c"


def test_a_limit_is_made_changed_and_removed(gateway: Running, named: Named) -> None:
    path = f"/api/limits/{named('made')}"
    team = named("team")
    made = gateway.ask("PUT", path, {"meter": "requests", "amount": 1, "per": "hour", "only": {"team": team}}).json
    assert (made["meter"], made["amount"], made["per"], made["window"]) == ("requests", 1, "hour", False)
    tags = {"x-bursar-tags": f"team={team}", "x-bursar-max-wait-seconds": "0"}
    assert [gateway.chat(headers=tags).status for _ in range(2)] == [200, 429]
    changed = gateway.ask("PUT", path, {"amount": 100, "window": True}).json
    assert (changed["amount"], changed["window"], changed["per"]) == (100, True, "hour")
    assert gateway.chat(headers=tags).status == 200
    gauge = gateway.ask("PUT", path, {"meter": "in_flight", "amount": 3}).json
    assert (gauge["meter"], gauge["per"], gauge["window"]) == ("in_flight", None, False)
    assert gateway.ask("GET", path).json["limit"] == gauge
    assert gateway.ask("DELETE", path).status == 200
    assert refused(gateway, "DELETE", path)[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("budgets/new", {}, "needs usd"),
        ("budgets/a%20b", {"usd": 1}, "a name has"),
        ("budgets/new", {"usd": 1, "per": "year"}, "$.per"),
        ("budgets/new", {"usd": 1, "each": "a b"}, "is no name"),
        ("budgets/new", {"usd": 1, "only": {"provider": "opnai"}}, "did you mean openai?"),
        ("budgets/new", {"usd": 1, "only": {"model": "gpt-4o"}}, "takes provider/model"),
        ("budgets/new", {"usd": 1, "missing": "refuse"}, "needs each"),
        ("budgets/new", {"usd": 1, "rolling": True, "per": "total"}, "does not roll"),
        ("budgets/new", {"usd": True}, "$.usd"),
        ("budgets/new", {"usd": 1, "alert_at": [0]}, "$.alert_at"),
        ("budgets/flight", {"usd": 1}, "change it there"),
        ("limits/new", {"amount": 1}, "needs meter"),
        ("limits/new", {"meter": "requests"}, "needs amount"),
        ("limits/new", {"meter": "requests", "amount": 1, "per": "total"}, "needs window"),
        ("limits/new", {"meter": "in_flight", "amount": 1, "per": "day"}, "no period"),
        ("limits/new", {"meter": "tokens", "amount": 9_000_000_000_000_000}, "beyond what can be counted"),
    ],
)
def test_what_cannot_be_is_refused(gateway: Running, path: str, body: Any, said: str) -> None:
    status, _, message = refused(gateway, "PUT", f"/api/{path}", body)
    assert status in (400, 409), message
    assert said in message
    assert refused(gateway, "GET", "/api/budgets/new")[0] == refused(gateway, "GET", "/api/limits/new")[0] == 404


@pytest.mark.parametrize("holder", ["team", "user", "organisation"])
def test_those_who_hold_keys_have_budgets_that_bind_them_all(gateway: Running, named: Named, holder: str) -> None:
    name = named(holder)
    if holder == "team":
        assert gateway.ask("POST", "/api/teams", {"name": name}).status == 201
    key = gateway.ask("POST", "/api/keys", {"name": named("held"), holder: name}).json
    path = f"/api/{holder}s/{name}"
    body = {"budget": {"usd": "0.000001"}, "limits": [{"meter": "requests", "amount": 5, "per": "minute"}]}
    changed = gateway.ask("PATCH", path, body).json
    assert (changed["keys"], changed["quota"]["budget"]["usd"]) == ([key["name"]], "0.000001")
    refusal = gateway.chat(key=key["key"])
    assert (refusal.status, refusal.json["error"]["bursar"]["budget"]) == (402, f"{holder}:{name}")
    after = gateway.ask("PATCH", path, {"budget": None, "limits": [{"meter": "requests", "amount": 0}]}).json
    assert after["quota"] == {"budget": None, "limits": []}
    assert gateway.chat(key=key["key"]).status == 200
    assert name in [one["name"] for one in gateway.ask("GET", f"/api/{holder}s?limit=1000").json["data"]]
    assert gateway.ask("GET", path).json == after


def test_a_team_is_made_once_and_goes_when_no_key_belongs_to_it(gateway: Running, named: Named) -> None:
    name = named("team")
    made = gateway.ask("POST", "/api/teams", {"name": name, "organisation": "acme", "budget": {"usd": 7}}).json
    assert (made["organisation"], made["quota"]["budget"]["usd"], made["keys"]) == ("acme", "7", [])
    assert refused(gateway, "POST", "/api/teams", {"name": name})[:2] == (409, "name_taken")
    key = gateway.ask("POST", "/api/keys", {"name": named("member"), "team": name}).json
    assert refused(gateway, "DELETE", f"/api/teams/{name}")[0] == 409
    gateway.ask("POST", f"/api/keys/{key['name']}/revoke")
    assert gateway.ask("DELETE", f"/api/teams/{name}").json == {"removed": name}
    for path in (f"/api/teams/{name}", "/api/users/nobody", "/api/organisations/nobody"):
        assert refused(gateway, "GET", path)[0] == 404
    assert refused(gateway, "PATCH", f"/api/teams/{name}", {"budget": {"usd": 1}})[0] == 404


def test_a_user_may_have_any_printable_name(gateway: Running, named: Named) -> None:
    name = named("ann/from%20there?")
    path = "/api/users/" + name.replace("%", "%25").replace("?", "%3F")
    assert gateway.ask("PATCH", path, {"budget": {"usd": 1}}).json["name"] == name
    assert gateway.ask("GET", path).json["quota"]["budget"]["only"] == {"user": name}
    assert refused(gateway, "PATCH", "/api/users/a%1bb", {"budget": {"usd": 1}})[0] == 400
    assert refused(gateway, "PATCH", "/api/users/a%0Ab", {"budget": {"usd": 1}})[0] == 404
