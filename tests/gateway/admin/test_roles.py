"""Who may do what: every route with no key and with a key of every role, and paths that try to get around it."""

from __future__ import annotations

import http.client
import re
from typing import Any

import pytest

from bursar.gateway.admin.table import ENDPOINTS, admin_entries
from bursar.gateway.app import served
from bursar.rules.keys import ROLES
from tests.gateway.running import ADMIN_KEY, Running

Roles = dict[str | None, str | None]

# Harmless values for the variables of paths, and bodies that change nothing: what is refused never looks at them.
NOWHERE = "nothing-of-this-name"
ROUTES = [(one.method, one.path, one.role) for one in ENDPOINTS] + [("GET", "/api/openapi.json", "call")]


def filled(path: str) -> str:
    return re.sub(r"\{[a-z:]+\}", NOWHERE, path)


def test_the_table_has_these_routes_and_no_other() -> None:
    assert {(method, path) for method, path, _ in ROUTES} == set(admin_entries())
    below = {(method, path) for method, path in served() if path.startswith("/api")}
    assert below == set(admin_entries())


def test_whatever_changes_anything_needs_an_admin() -> None:
    assert [(method, path) for method, path, role in ROUTES if method != "GET" and role != "admin"] == []
    assert {path for _, path, role in ROUTES if role == "call"} == {
        "/api/me", "/api/calls", "/api/calls/{id}", "/api/openapi.json"
    }  # fmt: skip


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_every_role_at_every_route(gateway: Running, roles: Roles, method: str, path: str, role: str) -> None:
    body = None if method in ("GET", "DELETE") else b"not even JSON"
    for asking, key in roles.items():
        if (method, path) == ("POST", "/api/reload") and asking == "admin":
            continue
        answer = gateway.ask(method, filled(path), body, key=key)
        if asking is None:
            assert (answer.status, answer.json["error"]["code"]) == (401, "missing_api_key")
        elif ROLES.index(asking) < ROLES.index(role):  # type: ignore[arg-type]
            assert (answer.status, answer.json["error"]["code"]) == (403, "role_too_low")
        else:
            assert answer.status in (200, 400, 404, 409), answer.body
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_no_way_around_the_key(gateway: Running, method: str, path: str, role: str) -> None:
    plain = filled(path)
    ways = [
        plain,
        plain.replace("/api/", "//api/"),
        plain.replace("/api/", "/api//"),
        plain.replace("/api/", "/api%2F"),
        plain.replace("/api/", "/api%252F"),
        plain.replace("/api/", "/v1/../api/"),
        plain.replace("/api/", "/api/./"),
        plain.replace("/api", "/API"),
        f"{plain}/",
        f"{plain};a=b",
        f"{plain}%00",
        f"{plain}?key={ADMIN_KEY}&authorization=Bearer%20{ADMIN_KEY}",
        f"http://localhost{plain}",
    ]
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    try:
        for way in ways:
            for host in ("localhost", "evil.example/health/live?", "[::1", "/v1/models", ""):
                answer = raw(
                    connection,
                    method,
                    way,
                    {"host": host, "x-forwarded-prefix": "/health", "x-original-url": "/health/live"},
                )
                assert answer in (400, 401, 404, 405), (way, host)
    finally:
        connection.close()


def raw(connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str]) -> int:
    """The status of a request whose Host is what is said here."""
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("content-length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_key_changes_neither_its_own_budget_nor_its_role(gateway: Running) -> None:
    body = {"name": "of-its-own", "budget": {"usd": 1}, "role": "call"}
    key = gateway.ask("POST", "/api/keys", body).json["key"]
    attempts: list[tuple[str, str, Any]] = [
        ("PATCH", "/api/keys/of-its-own", {"role": "admin"}),
        ("PATCH", "/api/keys/of-its-own", {"budget": {"usd": 1000}}),
        ("PUT", "/api/budgets/key:of-its-own", {"usd": 1000}),
        ("POST", "/api/budgets/key:of-its-own/top-ups", {"usd": 1000}),
        ("DELETE", "/api/budgets/key:of-its-own", None),
        ("POST", "/api/keys/of-its-own/rotate", {}),
        ("POST", "/api/keys", {"name": "another"}),
    ]
    for role in ("call", "view"):
        gateway.ask("PATCH", "/api/keys/of-its-own", {"role": role})
        for method, path, given in attempts:
            assert gateway.ask(method, path, given, key=key).status == 403
    shown = gateway.ask("GET", "/api/keys/of-its-own").json
    assert (shown["role"], shown["quota"]["budget"]["usd"]) == ("view", "1")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/me"), ("DELETE", "/api/keys"), ("GET", "/api/reload"), ("OPTIONS", "/api/keys")]
)
def test_a_method_that_is_not_served_names_those_that_are(gateway: Running, method: str, path: str) -> None:
    answer = gateway.ask(method, path)
    assert answer.status == 405
    assert answer.headers["allow"]


HOSTILE = "<script>alert(1)</script>\"'&\\u202e${7*7}"


def test_what_others_have_called_things_stays_text(gateway: Running) -> None:
    headers = {"x-bursar-user": HOSTILE, "x-bursar-session": HOSTILE, "x-bursar-tags": f"run={HOSTILE}"}
    assert gateway.chat(headers=headers).status == 200
    for path in ("/api/calls", "/api/usage?by=user&by=session&by=tag:run", "/api/budgets", "/api/budgets/users"):
        answer = gateway.ask("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert HOSTILE in gateway.ask("GET", "/api/usage?by=user").body.decode().replace('\\"', '"').replace("\\\\", "\\")
    for path in (
        f"/api/keys/{'%3Cscript%3E'}",
        "/api/users/%1b[31m",
        "/api/prices/%3Cimg%20src=x%3E",
        "/api/calls/%0d%0aset-cookie:a",
    ):
        answer = gateway.ask("GET", f"/api/{path}")
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/json"
        assert "set-cookie" not in answer.headers
        assert not any(byte < 0x20 for byte in answer.body)


@pytest.mark.parametrize("name", ["<b>", "a\u202eb", "a\x1bb", "a/b", "", "a" * 65, "ключ"])
def test_names_of_keys_and_teams_are_plain(gateway: Running, name: str) -> None:
    for path in ("/api/keys", "/api/teams"):
        assert gateway.ask("POST", path, {"name": name}).status == 400
