"""Whom a call counts for: what the key fixes beats headers, which beat the body; and what a provider gets of it."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.gateway.asking import tags_of, user_of
from bursar.gateway.problems import Problem
from bursar.rules.keys import Team
from bursar.wire.body import fields_of
from tests.client.simulator import Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import Answer, Running

HAIKU = "anthropic/claude-haiku-4-5"


def scopes(gateway: Running, answer: Answer) -> dict[str, str]:
    assert answer.status == 200, answer.body
    (fact,) = gateway.engine.store.attempts(call_id=answer.headers["x-bursar-call-id"])
    return dict(fact.scopes)


def test_headers_of_ours_say_what_a_call_counts_for(gateway: Running, sim: Sim) -> None:
    headers = {"x-bursar-tags": "feature=answers, stage=test", "x-bursar-session": "s1", "x-bursar-user": "ann"}
    found = scopes(gateway, gateway.chat(headers=headers))
    assert found | {"feature": "answers", "stage": "test", "session": "s1", "user": "ann"} == found
    assert found["key"] == "admin"


@pytest.mark.parametrize(
    ("path", "fields"),
    [("/v1/chat/completions", {"user": "bob"}), ("/v1/messages", {"model": HAIKU, "metadata": {"user_id": "bob"}})],
)
def test_the_body_names_a_user_unless_a_header_or_the_key_does(
    gateway: Running, sim: Sim, path: str, fields: dict[str, Any]
) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9} | fields
    fixed = key_of(gateway, user="eve")
    said = {"x-bursar-user": "ann"}
    assert scopes(gateway, gateway.ask("POST", path, body))["user"] == "bob"
    assert scopes(gateway, gateway.ask("POST", path, body, headers=said))["user"] == "ann"
    assert scopes(gateway, gateway.ask("POST", path, body, key=fixed, headers=said))["user"] == "eve"


def test_what_a_key_fixes_cannot_be_said_otherwise(gateway: Running, sim: Sim) -> None:
    gateway.engine.store.keyring.put_team(Team("search", "acme", 0))
    key = key_of(gateway, "fixed", team="search", organisation="acme", tags={"stage": "live"})
    said = {"x-bursar-tags": "team=ads, organisation=evil, stage=test, feature=answers"}
    found = scopes(gateway, gateway.chat(key=key, headers=said))
    assert found | {"team": "search", "organisation": "acme", "stage": "live", "feature": "answers"} == found


@pytest.mark.parametrize("tag", ["key", "provider_key", "user", "session", "model", "provider"])
def test_a_tag_takes_no_scopes_name(gateway: Running, sim: Sim, tag: str) -> None:
    assert gateway.chat(headers={"x-bursar-tags": f"{tag}=x"}).status == 400
    assert sim.entries() == []


def test_a_call_may_have_a_cap_and_a_deadline_of_its_own(gateway: Running, sim: Sim) -> None:
    refused = gateway.chat(headers={"x-bursar-max-cost-usd": "0.0000001"})
    assert (refused.status, refused.json["error"]["bursar"]["budget"]) == (402, "max_cost_usd")
    for name, value in (("max-cost-usd", "lots"), ("timeout-seconds", "soon"), ("max-wait-seconds", "nan")):
        assert gateway.chat(headers={f"x-bursar-{name}": value}).status == 400
    assert sim.entries() == []


def test_nothing_of_ours_goes_to_the_provider_and_of_the_callers_what_is_listed(gateway: Running, sim: Sim) -> None:
    seen: list[dict[str, str]] = []
    open_ = sim.desk.open

    def opening(form: Any, kind: str, headers: Any) -> Any:
        seen.append({name.lower(): value for name, value in headers.items()})
        return open_(form, kind, headers)

    sim.desk.open = opening  # type: ignore[method-assign]
    try:
        said = {"x-bursar-tags": "a=b", "x-bursar-user": "ann", "cookie": "secret=1", "x-forwarded-for": "10.0.0.1",
                "openai-organization": "org-mine", "openai-beta": "assistants=v2", "idempotency-key": "outward",
                "accept-language": "de", "origin": "http://x"}  # fmt: skip
        assert gateway.chat(headers=said).status == 200
    finally:
        sim.desk.open = open_  # type: ignore[method-assign]
    (headers,) = seen
    assert not [name for name in headers if name.startswith("x-bursar")]
    assert headers["openai-beta"] == "assistants=v2"
    assert headers["authorization"] == "Bearer sk-sim-test"
    assert not headers.keys() & {"cookie", "x-forwarded-for", "openai-organization", "idempotency-key", "origin"}


@pytest.mark.parametrize(
    ("value", "tags"),
    [(b"", {}), (b"team=search", {"team": "search"}), (b" a = b ,, c=d=e ", {"a": "b", "c": "d=e"})],
)
def test_tags_are_read(value: bytes, tags: dict[str, str]) -> None:
    assert (tags_of(value) if value else {}) == tags


@pytest.mark.parametrize("value", [b"team", b"=x", b"team=", b"a=b,c", b"a=\xff", b"a=" + b"b" * 3_000])
def test_tags_that_are_none_are_refused(value: bytes) -> None:
    with pytest.raises(Problem):
        tags_of(value)


@pytest.mark.parametrize(
    ("body", "user"),
    [("{}", None), ('{"user":null}', None), ('{"user":7}', None), ('{"user":""}', None), ('{"user":"a"}', "a"),
     ('{"metadata":null}', None), ('{"metadata":{"user_id":"m"}}', "m"), ('{"metadata":[1]}', None)],
)  # fmt: skip
def test_a_user_is_a_text_or_nobody(body: str, user: str | None) -> None:
    assert user_of(fields_of(body.encode())) == user


def test_users_with_long_names_are_told_apart() -> None:
    names = [user_of(fields_of(b'{"user":"%b"}' % (b"u" * 300 + end))) for end in (b"a", b"b")]
    assert names[0] != names[1]
    assert all(name is not None and len(name) <= 256 for name in names)
