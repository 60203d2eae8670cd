"""Hostile texts in place of a key, over HTTP: each is refused, and seen in no answer, file, log or statement."""

from __future__ import annotations

import http.client
import logging

import pytest

from tests.gateway.running import Running
from tests.gateway.test_auth import CORPUS

CANARY = b"canary7e"
PATHS = [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/api/keys"), ("PATCH", "/api/keys/admin")]
# What a header cannot carry never comes that far.
TEXTS = [text + CANARY for text in CORPUS if not set(text) & set(b"\r\n\x00") and len(text) < 1_000]


def told(gateway: Running, method: str, path: str, headers: list[tuple[str, bytes]]) -> tuple[int, bytes]:
    """The status of an answer, and all of it."""
    connection = http.client.HTTPConnection(*gateway.address, timeout=30)
    try:
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("content-length", "2")
        connection.endheaders(b"{}")
        answer = connection.getresponse()
        return answer.status, str(answer.getheaders()).encode() + answer.read()
    finally:
        connection.close()


def test_what_is_no_key_is_refused_and_never_seen_again(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    connections = gateway.engine.store._connections  # type: ignore[attr-defined]
    for connecting in (connections.reading, connections.committing):
        with connecting() as connection:
            connection.set_trace_callback(said.append)
    answers = [
        told(gateway, method, path, [(name, prefix + text)])
        for text in TEXTS
        for name, prefix in (
            ("Authorization", b"Bearer "),
            ("Authorization", b""),
            ("x-api-key", b""),
            ("api-key", b""),
        )
        for method, path in PATHS
    ]
    assert {status for status, _ in answers} <= {400, 401}
    assert sum(status == 401 for status, _ in answers) > len(answers) * 0.9
    kept = [file.read_bytes() for file in gateway.folder.rglob("*") if file.is_file()]
    assert "SELECT version FROM keyring" in said, "the tracing works"
    for seen in (*(answer for _, answer in answers), *kept, caplog.text.encode(), "".join(said).encode()):
        assert CANARY not in seen
    assert gateway.ask("GET", "/api/keys/admin").json["status"] == "active"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Authorization", b"Bearer one"), ("Authorization", b"Bearer two")], 400),
        ([("x-api-key", b"one"), ("X-Api-Key", b"one")], 400),
        ([("Authorization", b"Bearer one"), ("x-api-key", b"two")], 401),
        ([("Cookie", b"key=one"), ("Proxy-Authorization", b"Bearer one")], 401),
    ],
)
def test_keys_that_are_sent_twice_or_elsewhere_let_nobody_in(
    gateway: Running, headers: list[tuple[str, bytes]], status: int
) -> None:
    for method, path in PATHS:
        assert told(gateway, method, path, headers)[0] == status
