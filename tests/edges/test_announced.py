"""What relays keep of a reply that may be continued or begun again, and what they say of it."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.effects import Relay
from bursar.edges import announced
from bursar.edges.announced import Announced
from bursar.wire.openai_chat import OpenAIChat

BODY = b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}'
SAYS = b'{"choices":[{"index":0,"delta":{"content":"Rhine"}}]}'


def relay(**changes: Any) -> Relay:
    dialect = OpenAIChat()
    return Relay(dialect.reader(dialect.parse(BODY)), dialect.name, **changes)


def shows(stream: Announced, payload: bytes = SAYS) -> None:
    """Output came, and was passed on."""
    stream.deliver(stream.begun([payload], lambda: None))


def test_nothing_is_remembered_unless_it_may_be_continued() -> None:
    for keeps in (False, True):
        stream = Announced(lambda: 5)
        stream.begin(relay(keeps_said=keeps))
        shows(stream)
        assert stream.streamed(None).delivered == ((SAYS,) if keeps else ())


def test_only_what_was_seen_is_replaced_and_it_is_said_once() -> None:
    stream = Announced(lambda: 5)
    stream.begin(relay())
    stream.begin(relay())
    shows(stream)
    assert (stream.restarts, stream.mark()) == (0, b""), "the first had said nothing"
    stream.begin(relay())
    assert stream.restarts == 0, "as long as the next says nothing, what was seen stands"
    stream.begin(relay())
    shows(stream)
    assert (stream.restarts, stream.mark(), stream.mark()) == (1, b": bursar restart 1\n\n", b"")
    stream.begin(relay(continues=True))
    shows(stream)
    shows(stream)
    assert (stream.continued, stream.restarts, stream.mark()) == (1, 1, b": bursar continue 1\n\n")


@pytest.mark.parametrize(("on_abort", "kept"), [("drain", 0), ("counted", 3)])
def test_what_is_remembered_is_bounded_and_what_is_charged_by_is_whole(
    monkeypatch: pytest.MonkeyPatch, on_abort: Any, kept: int
) -> None:
    monkeypatch.setattr(announced, "KEPT_BYTES_MAX", 2 * len(SAYS))
    stream = Announced(lambda: 5)
    stream.begin(relay(keeps_said=True, on_abort=on_abort))
    for _ in range(3):
        shows(stream)
    assert len(stream.streamed(None).delivered) == kept
