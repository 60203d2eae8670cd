"""Keys through the admin API: what the command line does, and whose text is seen once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.gateway.running import ADMIN_KEY, Running

Named = Callable[[str], str]


def make(gateway: Running, name: str, **fields: Any) -> dict[str, Any]:
    answer = gateway.ask("POST", "/api/keys", {"name": name, **fields})
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.json
    return made


def refused(gateway: Running, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    answer = gateway.ask(method, path, body)
    error = answer.json["error"]
    return answer.status, error["code"], error["message"]


def test_a_key_is_made_with_all_that_binds_it(gateway: Running, named: Named) -> None:
    team = named("team")
    assert gateway.ask("POST", "/api/teams", {"name": team, "organisation": "acme"}).status == 201
    made = make(
        gateway,
        named("full"),
        role="call",
        user="ann",
        team=team,
        models=["openai/*"],
        tags={"feature": "answers"},
        expires_at="2100-01-01T00:00:00Z",
        budget={"usd": "0.5", "per": "month"},
        limits=[{"meter": "requests", "amount": 60, "per": "minute"}, {"meter": "in_flight", "amount": 2}],
    )
    details = made["details"]
    assert made["key"].startswith("sk-bursar-")
    assert (made["id"], made["name"]) == (details["id"], details["name"])
    assert (details["organisation"], details["expires_at"]) == ("acme", "2100-01-01T00:00:00.000Z")
    assert (details["status"], details["models"], details["tags"]) == ("active", ["openai/*"], {"feature": "answers"})
    assert (details["quota"]["budget"]["usd"], details["quota"]["budget"]["per"]) == ("0.5", "month")
    assert {one["meter"]: one["amount"] for one in details["quota"]["limits"]} == {"requests": 60, "in_flight": 2}


def test_the_text_of_a_key_is_shown_once(gateway: Running, named: Named) -> None:
    made = make(gateway, named("once"))
    for path in ("/api/keys", f"/api/keys/{made['name']}", "/api/config", "/api/me"):
        assert made["key"].encode() not in gateway.ask("GET", path).body
    shown = gateway.ask("GET", f"/api/keys/{made['id']}").json
    assert shown == made["details"]


def test_it_may_use_its_models_alone_and_pays_from_its_own_budget(gateway: Running, named: Named) -> None:
    made = make(gateway, named("narrow"), models=["openai/*"], budget={"usd": "0.000001"})
    assert gateway.chat(key=made["key"], model="groq/llama-3.1-8b-instant").status == 403
    poor = gateway.chat(key=made["key"])
    assert (poor.status, poor.json["error"]["bursar"]["budget"]) == (402, f"key:{made['name']}")
    changed = gateway.ask("PATCH", f"/api/keys/{made['name']}", {"budget": {"usd": 1, "per": "total"}}).json
    assert changed["quota"]["budget"]["usd"] == "1"
    assert gateway.chat(key=made["key"]).status == 200
    shown = gateway.ask("GET", f"/api/keys/{made['name']}").json["quota"]["budget"]
    (standing,) = shown["standing"]
    assert float(standing["spent_usd"]) > 0
    assert float(standing["left_usd"]) == pytest.approx(1 - float(standing["spent_usd"]))


def test_what_is_left_away_stays_and_null_takes_away(gateway: Running, named: Named) -> None:
    name = make(gateway, named("changing"), user="ann", budget={"usd": 2}, expires_at="2100-01-01")["name"]
    path = f"/api/keys/{name}"
    after = gateway.ask("PATCH", path, {"role": "view"}).json
    assert (after["role"], after["user"], after["quota"]["budget"]["usd"]) == ("view", "ann", "2")
    after = gateway.ask("PATCH", path, {"user": "", "budget": None, "expires_at": None}).json
    assert (after["user"], after["quota"]["budget"], after["expires_at"], after["role"]) == (None, None, None, "view")


def test_a_rotated_key_has_two_texts_for_a_while(gateway: Running, named: Named) -> None:
    made = make(gateway, named("turning"))
    path = f"/api/keys/{made['name']}/rotate"
    turned = gateway.ask("POST", path, {"overlap_seconds": 3600}).json
    assert turned["details"]["old_text_until"] is not None
    assert [gateway.ask("GET", "/api/me", key=key).status for key in (made["key"], turned["key"])] == [200, 200]
    last = gateway.ask("POST", path).json
    keys = (made["key"], turned["key"], last["key"])
    assert [gateway.ask("GET", "/api/me", key=key).status for key in keys] == [401, 401, 200]
    assert last["details"]["old_text_until"] is None


def test_a_revoked_key_is_over_and_keeps_its_name(gateway: Running, named: Named) -> None:
    made = make(gateway, named("gone"), budget={"usd": 1})
    path = f"/api/keys/{made['name']}"
    assert gateway.ask("POST", f"{path}/revoke").json["status"] == "revoked"
    assert gateway.ask("GET", "/api/me", key=made["key"]).status == 401
    assert gateway.ask("GET", path).json["quota"]["budget"]["usd"] == "1"
    assert made["name"] not in [one["name"] for one in gateway.ask("GET", "/api/keys?limit=1000").json["data"]]
    assert made["name"] in [one["name"] for one in gateway.ask("GET", "/api/keys?all=true&limit=1000").json["data"]]
    assert refused(gateway, "POST", "/api/keys", {"name": made["name"]})[:2] == (409, "name_taken")
    assert refused(gateway, "PATCH", path, {"role": "view"})[:2] == (409, "key_revoked")
    assert refused(gateway, "POST", f"{path}/rotate")[:2] == (409, "key_revoked")


def test_nobody_shuts_the_door_behind_himself(gateway: Running) -> None:
    assert refused(gateway, "POST", "/api/keys/admin/revoke")[:2] == (409, "own_key")
    assert refused(gateway, "PATCH", "/api/keys/admin", {"role": "call"})[:2] == (409, "own_key")
    assert gateway.ask("GET", "/api/me", key=ADMIN_KEY).json["role"] == "admin"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "required field `name`"),
        ({"name": "a b"}, "$.name"),
        ({"name": "x", "role": "root"}, "$.role"),
        ({"name": "x", "rolle": "call"}, "rolle"),
        ({"name": "x", "budget": {"usd": -1}}, "$.budget.usd"),
        ({"name": "x", "budget": {"usd": "1e3"}}, "$.budget.usd"),
        ({"name": "x", "budget": {"usd": 1e-12}}, "finer than a nano-dollar"),
        ({"name": "x", "limits": [{"meter": "requests", "amount": 1}]}, "is per"),
        ({"name": "x", "limits": [{"meter": "requests", "amount": "1"}]}, "$.limits[0].amount"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at is a moment"),
        ({"name": "x", "expires_at": "2001-01-01"}, "expired already"),
        ({"name": "x", "tags": {"provider": "openai"}}, "cannot be called"),
        ({"name": "x", "user": "a\nb"}, "printable"),
        ([], "Expected `object`"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "body"),
    ],
)
def test_mistakes_say_where_they_are(gateway: Running, body: Any, said: str) -> None:
    status, code, message = refused(gateway, "POST", "/api/keys", body)
    assert (status, code) == (400, "invalid_request")
    assert said in message
    assert refused(gateway, "GET", "/api/keys/x")[0] == 404


def test_an_unknown_name_is_told_the_nearest(gateway: Running, named: Named) -> None:
    name = make(gateway, named("searching"))["name"]
    status, code, message = refused(gateway, "GET", f"/api/keys/{name[:-2]}")
    assert (status, code) == (404, "not_found")
    assert "did you mean" in message
    for method, path in (("POST", "/api/keys"), ("PATCH", f"/api/keys/{name}")):
        body = {"team": "nobody"} | ({"name": named("x")} if method == "POST" else {})
        status, _, message = refused(gateway, method, path, body)
        assert (status, "no team 'nobody'" in message) == (400, True)


def test_lists_come_in_pages(gateway: Running, named: Named) -> None:
    names = {make(gateway, named("page"))["name"] for _ in range(5)}
    seen: list[str] = []
    cursor = ""
    while True:
        page = gateway.ask("GET", f"/api/keys?limit=2&cursor={cursor}").json
        assert len(page["data"]) <= 2
        seen += [one["name"] for one in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert names <= set(seen)
    assert refused(gateway, "GET", "/api/keys?cursor=nonsense")[0] == 400
