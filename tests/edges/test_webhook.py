"""Posting alerts: in order, again where that may help, within bounds, and never telling where to."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bursar.call.events import AlertRaised
from bursar.edges.webhook import ADVICE_SECONDS_MAX, ANSWER_BYTES, Webhook
from bursar.errors import ConfigError
from tests.edges.hooks import Hook, hook

CANARY = "T000-canary-5e1f"


def alert(number: int = 1) -> AlertRaised:
    return AlertRaised(f"alert_{number}", "budget", "warning", 0, "all", f"number {number}")


def body_of(told: AlertRaised, address: str) -> bytes:
    return b'{"id": "%s"}' % told.id.encode()


@pytest.fixture
def owner() -> Iterator[Hook]:
    with hook() as listening:
        yield listening


@pytest.fixture
def posting(owner: Hook) -> Iterator[Callable[..., Webhook]]:
    """Makes a webhook that posts to the owner, unless told otherwise, without long pauses."""
    made: list[Webhook] = []

    def make(address: str = "", **settings: Any) -> Webhook:
        where = address or f"{owner.url}/services/{CANARY}"
        made.append(Webhook(lambda: where, body_of, **{"pauses_seconds": (0.001, 0.001), **settings}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def rest(webhook: Webhook) -> None:
    """Wait until everything is posted or given up."""
    thread = webhook._thread
    if thread is not None:
        thread.join(20)
        assert not thread.is_alive()


def test_an_alert_is_posted_as_json_to_its_address(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    webhook(alert())
    rest(webhook)
    ((path, headers, body),) = owner.posts
    assert (path, headers["content-type"], body) == (f"/services/{CANARY}", "application/json", b'{"id": "alert_1"}')
    assert "authorization" not in headers
    assert (webhook.posted, webhook.lost, len(webhook)) == (1, 0, 0)


def test_alerts_come_in_their_order(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    owner.answers = [(500, {}), (503, {})]
    for number in range(5):
        webhook(alert(number))
    rest(webhook)
    assert [said["id"] for said in owner.said] == ["alert_0"] * 3 + [f"alert_{number}" for number in range(1, 5)]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(owner: Hook, posting: Callable[..., Webhook], status: int) -> None:
    webhook = posting()
    owner.answers = [(status, {})] * 2
    webhook(alert())
    rest(webhook)
    assert (len(owner.posts), webhook.posted, webhook.lost) == (3, 1, 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_not_pass_is_given_up(
    owner: Hook, posting: Callable[..., Webhook], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = posting()
    owner.answers = [(status, {})]
    webhook(alert())
    rest(webhook)
    assert (len(owner.posts), webhook.posted, webhook.lost) == (1, 0, 1)
    assert f"alert alert_1 was not delivered: status {status}" in caplog.text


def test_patience_ends(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    owner.answers = [(500, {})] * 3
    webhook(alert(1))
    webhook(alert(2))
    rest(webhook)
    assert [said["id"] for said in owner.said] == ["alert_1"] * 3 + ["alert_2"]
    assert (webhook.posted, webhook.lost) == (1, 1)


def test_an_address_that_does_not_answer_is_given_up_after_as_many_tries(posting: Callable[..., Webhook]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/{CANARY}"
        webhook = posting(nobody)
        webhook(alert())
        rest(webhook)
    assert (webhook.posted, webhook.lost) == (0, 1)


def test_redirects_are_not_followed(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    owner.answers = [(307, {"location": f"{owner.url}/elsewhere"})]
    webhook(alert())
    rest(webhook)
    assert ([path for path, _, _ in owner.posts], webhook.lost) == ([f"/services/{CANARY}"], 1)


def test_an_answer_without_end_is_an_answer(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    owner.body = b"x" * (ANSWER_BYTES * 4)
    webhook(alert())
    rest(webhook)
    assert (len(owner.posts), webhook.posted) == (1, 1)


def test_advice_to_wait_is_heeded_within_bounds(
    owner: Hook, posting: Callable[..., Webhook], monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook, pauses = posting(pauses_seconds=(1.0,) * 4), []
    monkeypatch.setattr(webhook._closing, "wait", pauses.append)
    owner.answers = [(429, {"retry-after": text}) for text in ("7", "999999", "0", "Wed, 21 Oct 2026 07:28:00 GMT")]
    webhook(alert())
    rest(webhook)
    assert pauses == [7.0, ADVICE_SECONDS_MAX, 1.0, 1.0]


def test_only_so_many_wait(owner: Hook, posting: Callable[..., Webhook], caplog: pytest.LogCaptureFixture) -> None:
    webhook = posting(waiting_max=3)
    owner.hold.clear()
    webhook(alert(0))
    owner.wait()
    for number in range(1, 6):
        webhook(alert(number))
    assert (len(webhook), webhook.lost) == (4, 2)
    owner.hold.set()
    rest(webhook)
    assert len(owner.posts) == 4
    assert "alert alert_5 was not delivered: too many wait already" in caplog.text


def test_closing_posts_what_waits_once_and_ends(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting(pauses_seconds=(3_600.0,))
    owner.answers = [(500, {})] * 2
    webhook(alert(1))
    owner.wait()
    webhook(alert(2))
    webhook.close()
    webhook.close()
    assert [said["id"] for said in owner.said] == ["alert_1", "alert_2"]
    webhook(alert(3))
    assert (webhook.posted, webhook.lost, len(owner.posts)) == (0, 3, 2)


def test_closing_does_not_wait_for_an_address_that_hangs(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    owner.hold.clear()
    webhook(alert())
    owner.wait()
    webhook.close(0.01)
    rest(webhook)
    assert webhook.lost == 1


@pytest.mark.parametrize("address", ["hooks.example/x", "file:///etc/passwd", "http://", "https:///x", "http://[x/"])
def test_what_is_no_address_is_said_so_and_nothing_is_asked(
    posting: Callable[..., Webhook], address: str, caplog: pytest.LogCaptureFixture
) -> None:
    webhook = posting(address)
    webhook(alert())
    rest(webhook)
    assert webhook.lost == 1
    assert "was not delivered" in caplog.text
    assert address not in caplog.text


def test_a_secret_that_cannot_be_had_is_told_by_its_key(
    owner: Hook, posting: Callable[..., Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    def address() -> str:
        raise ConfigError("alerts.webhook: the file /run/hook cannot be read")

    webhook = Webhook(address, body_of)
    webhook(alert())
    rest(webhook)
    assert "alert alert_1 was not delivered: alerts.webhook: the file" in caplog.text


def test_what_nobody_foresaw_is_told_without_its_words(
    owner: Hook, posting: Callable[..., Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    def opening() -> Any:
        raise RuntimeError(f"{owner.url}/services/{CANARY}")

    webhook = posting(opening=opening)
    webhook(alert())
    rest(webhook)
    assert "was not delivered: RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def test_the_address_is_in_no_line_of_the_log(
    owner: Hook, posting: Callable[..., Webhook], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    gone = socket.create_server(("127.0.0.1", 0))
    places = ["", f"http://127.0.0.1:{gone.getsockname()[1]}/{CANARY}", f"http://{CANARY}.invalid/{CANARY}",
              f"http://[{CANARY}/", f"http://127.0.0.1/{CANARY}\n", f"gopher://x/{CANARY}"]  # fmt: skip
    gone.close()
    for answers in ([], [(500, {})] * 3, [(404, {})], [(302, {"location": f"{owner.url}/elsewhere"})]):
        for place in places:
            owner.answers = list(answers)
            webhook = posting(place)
            webhook(alert())
            rest(webhook)
            webhook.close()
            assert CANARY not in repr(vars(webhook))
    # The libraries below may name a host, which is no secret; the path is.
    assert f"/{CANARY}" not in caplog.text


def test_a_child_of_a_fork_posts_nothing(owner: Hook, posting: Callable[..., Webhook]) -> None:
    webhook = posting()
    webhook._pid = os.getpid() + 1
    webhook(alert())
    webhook.close()
    webhook._pid = os.getpid()
    assert (len(webhook), owner.posts) == (0, [])
