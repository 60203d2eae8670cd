"""Bodies, headers and paths that nobody should send: no error of ours, no hang, nothing held.

What is cut off, slow, or leaves is in `test_connections`.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.gateway.calls import BODY_BYTES_MAX
from tests.client.simulator import Sim
from tests.gateway.keyed import key_of
from tests.gateway.running import ADMIN_KEY, Answer, Running
from tests.gateway.test_connections import CHAT, connected, rest, until_idle

PATHS = ("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages", "/v1/messages/count_tokens")
ODD = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# What HTTP allows in a header.
LATIN = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
# What stands in bodies, in the wrong places as well.
NAMES = st.sampled_from(
    ["model", "messages", "input", "stream", "n", "max_tokens", "max_completion_tokens", "max_output_tokens", "tools",
     "user", "usage", "metadata", "stream_options", "models", "service_tier", "thinking", "fallbacks", "system",
     "plugins", "role", "content", "type", "include", "user_id"]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20), st.sampled_from(["openai/gpt-4o-mini", "gpt-4o-mini", "user", "text", "nowhere/x"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
BODIES = st.dictionaries(NAMES, VALUES, max_size=8)


def check(gateway: Running, answer: Answer) -> None:
    """An answer that says what is wrong with the request, or what became of it."""
    assert answer.status < 500 or "provider" in answer.json["error"].get("bursar", {}), (answer.status, answer.body)
    if answer.status >= 400:
        error = answer.json["error"]
        assert error["message"]
        assert error["type"]
        assert "Traceback" not in error["message"]


@ODD
@given(path=st.sampled_from(PATHS), fields=BODIES, whole=st.booleans())
def test_bodies_of_every_shape(gateway: Running, sim: Sim, path: str, fields: dict[str, Any], whole: bool) -> None:
    base = {**CHAT, "input": "x", "max_output_tokens": 20} if whole else {}
    check(gateway, gateway.ask("POST", path, {**base, **fields}))


@ODD
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=200))
def test_bytes_of_every_kind(gateway: Running, path: str, body: bytes) -> None:
    answer = gateway.ask("POST", path, body)
    check(gateway, answer)
    assert answer.status == 400


@ODD
@given(
    name=st.sampled_from(
        ["x-bursar-tags", "x-bursar-session", "x-bursar-user", "x-bursar-max-cost-usd", "x-bursar-max-wait-seconds",
         "x-bursar-timeout-seconds", "x-bursar-usage-cost", "idempotency-key", "anthropic-version", "anthropic-beta",
         "openai-beta", "content-encoding", "accept-encoding", "content-type"]
    ),
    value=st.text(LATIN, max_size=40).map(str.strip),
)  # fmt: skip
def test_headers_of_every_kind(gateway: Running, sim: Sim, name: str, value: str) -> None:
    check(gateway, gateway.chat(headers={name: value}))


DEEP = b'{"model":"gpt-4o-mini","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"null", 400), (b"[]", 400), (b'"x"', 400), (b"{", 400), (b"{}", 400), (DEEP, 400),
        (b'{"model":"gpt-4o-mini","model":"gpt-4o","messages":[],"input":"x"}', 400),
        (b'{"model":"gpt-4o-mini","max_tokens":1,"messages":[],"input":"x","\\u006dax_tokens":9999}', 400),
        (b'{"model":"\xff","messages":[],"input":"x"}', 400), (b'{"model":12,"messages":[],"input":"x"}', 400),
        (b'{"model":"' + b"m" * 300 + b'","messages":[],"input":"x"}', 400),
        (b'{"model":"a b","messages":[],"input":"x","max_tokens":9}', 404),
        (b'{"model":"/","messages":[],"input":"x","max_tokens":9}', 404),
    ],
    ids=range(14),
)  # fmt: skip
def test_bodies_that_are_wrong(gateway: Running, sim: Sim, path: str, body: bytes, status: int) -> None:
    answer = gateway.ask("POST", path, body)
    check(gateway, answer)
    assert answer.status == status, answer.body
    assert sim.entries() == []


class TestPacked:
    """Bodies that are packed."""

    def send(self, gateway: Running, body: bytes, coding: str) -> Answer:
        return gateway.ask("POST", "/v1/chat/completions", body, headers={"content-encoding": coding})

    def test_gzip_and_deflate_are_read(self, gateway: Running, sim: Sim) -> None:
        plain = json.dumps(CHAT).encode()
        assert self.send(gateway, gzip.compress(plain), "gzip").status == 200
        assert self.send(gateway, zlib.compress(plain), "deflate").status == 200

    def test_a_bomb_is_not_unpacked(self, gateway: Running) -> None:
        bomb = gzip.compress(b" " * (BODY_BYTES_MAX + 1))
        assert len(bomb) < 100_000
        answer = self.send(gateway, bomb, "gzip")
        assert (answer.status, answer.json["error"]["code"]) == (413, "request_too_large")

    @pytest.mark.parametrize(
        ("body", "coding", "status"),
        [
            (b"{}", "gzip", 400),
            (gzip.compress(b"{}")[:-6], "gzip", 400),
            (b"{}", "br", 415),
            (b"{}", "gzip, gzip", 415),
        ],
    )
    def test_what_cannot_be_unpacked_is_refused(self, gateway: Running, body: bytes, coding: str, status: int) -> None:
        assert self.send(gateway, body, coding).status == status


def test_a_body_that_says_it_is_huge_is_not_waited_for(gateway: Running) -> None:
    with connected(gateway) as connection:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\n"
        connection.sendall(f"{head}content-length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize("host", ["evil.example", "/v1/models", "x@y", "127.0.0.1:1", "a" * 5_000])
def test_a_host_decides_nothing(gateway: Running, host: str) -> None:
    answer = gateway.ask("GET", "/v1/models", headers={"host": host})
    assert answer.status in (200, 400)
    assert gateway.ask("GET", "/v1/models", key=None, headers={"host": host}).status in (400, 401)


@pytest.mark.parametrize(
    "path",
    ["//v1/models", "/v1//models", "/v1/../v1/chat/completions", "/V1/models", "/v1/./models", "/v1/chat",
     "/%2e%2e/etc/passwd", "/v1/chat/completions/", "/v1\\models", "/v1/models%00", "/", "*"],
)  # fmt: skip
def test_a_path_that_is_not_in_the_table_does_not_exist(gateway: Running, path: str) -> None:
    for key in (ADMIN_KEY, None):
        answer = gateway.ask("POST", path, {}, key=key)
        assert answer.status in (400, 404), (path, answer.body)


@pytest.mark.parametrize("name", ["authorization", "content-length", "x-bursar-user", "idempotency-key", "host"])
def test_a_header_that_governs_comes_once(gateway: Running, sim: Sim, name: str) -> None:
    body = json.dumps(CHAT).encode()
    lines = {"authorization": f"Bearer {ADMIN_KEY}", "content-length": str(len(body)), "x-bursar-user": "ann",
             "idempotency-key": "twice", "host": "gateway"}  # fmt: skip
    head = [f"{header}: {value}" for header, value in lines.items()]
    with connected(gateway) as connection:
        text = "\r\n".join(
            ["POST /v1/chat/completions HTTP/1.1", *head, f"{name}: {lines[name]}9", "connection: close"]
        )
        connection.sendall(text.encode() + b"\r\n\r\n" + body)
        assert rest(connection).startswith(b"HTTP/1.1 400")
    assert sim.entries() == []


@pytest.mark.parametrize("name", ["x-api-key", "api-key", "authorization"])
def test_a_key_is_read_where_it_may_stand(gateway: Running, name: str) -> None:
    key = key_of(gateway)
    shown = f"Bearer {key}" if name == "authorization" else key
    assert gateway.ask("GET", "/v1/models", key=None, headers={name: shown}).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"x-goog-api-key": ADMIN_KEY}, {"authorization": ADMIN_KEY}, {"authorization": f"Basic {ADMIN_KEY}"},
     {"cookie": f"key={ADMIN_KEY}"}, {"x-api-key": ""}, {"x-api-key": "' OR 1=1 --"}],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_none(gateway: Running, headers: dict[str, str]) -> None:
    assert gateway.ask("POST", "/v1/chat/completions", CHAT, key=None, headers=headers).status == 401
    assert gateway.ask("POST", f"/v1/chat/completions?key={ADMIN_KEY}", CHAT, key=None).status == 401


def test_after_all_that_nothing_is_held(gateway: Running) -> None:
    until_idle(gateway)
    assert gateway.engine.store.check(gateway.engine.clock()) == []  # type: ignore[attr-defined]
