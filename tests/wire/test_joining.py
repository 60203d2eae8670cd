"""Two broken halves of a reply as one: no second beginning, no word twice, every block under its own number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.continuing import Said
from bursar.wire.dialect import Metered
from bursar.wire.joining import Joined, Joint, Seam
from bursar.wire.readings import reading_of
from tests.wire.test_continuing import CHAT, MESSAGES, chunk, event, opens, says

BLANKS = " \n\t"


class Feeding:
    """A reader that gives each payload as it was fed."""

    done = False

    def feed(self, data: bytes) -> list[bytes]:
        return [data]

    def metered(self) -> Metered:
        return Metered(complete=False)


def joined(dialect: str, said: Said, payloads: Sequence[bytes], *, echoed: bool = False) -> list[bytes]:
    reader = Joined(Feeding(), dialect, Joint(said, echoed))
    return [shown for payload in payloads for shown in reader.feed(payload)]


def whole(dialect: str, before: Sequence[bytes], after: Sequence[bytes]) -> Any:
    return reading_of(dialect).whole.of_chunks([*before, *after])


START, STOP = chunk({"role": "assistant", "content": ""}), chunk({}, finish_reason="stop")


def test_a_chat_goes_on_without_a_second_beginning() -> None:
    after = joined(
        CHAT, Said("Rhine,", 1), [START, chunk({"role": "assistant", "content": " Nile"}), STOP, b'{"choices":[]}']
    )
    assert [reading_of(CHAT).chunk(payload).text for payload in after] == [" Nile", "", ""]
    assert b"role" not in b"".join(after)
    assert whole(CHAT, [START, chunk({"content": "Rhine,"})], after).text == "Rhine, Nile"


def test_what_follows_the_seam_passes_as_it_came() -> None:
    odd = b'{ "choices" : [{"index":0, "delta":{"content":"x"}}]}'
    assert joined(CHAT, Said("Rhine", 1), [chunk({"content": ","}), odd])[-1] is odd


def test_a_call_after_what_was_said_is_not_lost() -> None:
    call = chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{}"}}]})
    after = joined(CHAT, Said("Let me look. ", 1), [START, call, STOP])
    assert reading_of(CHAT).chunk(after[0]).tool_calls[0]["id"] == "a"


@pytest.mark.parametrize("echoed", ["Rhine, Ni", "", "Rhine,"])
def test_an_echo_is_taken_away_and_what_is_none_is_kept(echoed: str) -> None:
    payloads = [START, *[chunk({"content": letter}) for letter in echoed], STOP]
    after = joined(CHAT, Said("Rhine, Nile", 2), payloads, echoed=True)
    assert "".join(reading_of(CHAT).chunk(payload).text for payload in after) == echoed
    assert reading_of(CHAT).chunk(after[-1]).finish_reason == "stop"


def begun(text: str, *, closed: bool = False) -> list[bytes]:
    shown = [event("message_start", message={"role": "assistant"}), opens(0), says(text)]
    return [*shown, event("content_block_stop", index=0)] if closed else shown


ENDS = [event("message_delta", delta={"stop_reason": "end_turn"}), event("message_stop")]
STARTS = [event("message_start", message={"role": "assistant"}), event("ping")]


@pytest.mark.parametrize("closed", [False, True])
def test_messages_go_on_in_the_open_block_or_a_new_one(closed: bool) -> None:
    said = Said("Rhine, ", 1, 0, opened=not closed)
    after = joined(MESSAGES, said, [*STARTS, opens(0), says("Nile"), event("content_block_stop", index=0), *ENDS])
    reply = whole(MESSAGES, begun("Rhine, ", closed=closed), after)
    assert reply.text == "Rhine, Nile"
    assert reply.finish_reason == "end_turn"
    assert len(reply.raw["content"]) == 1 + closed
    assert b"message_start" not in b"".join(after)


def test_a_tool_after_an_open_block_closes_it() -> None:
    tool = opens(0, type="tool_use", id="t", name="look", input={})
    after = joined(MESSAGES, Said("I look.", 1, 2), [*STARTS, tool, event("content_block_stop", index=0), *ENDS])
    kinds = [(one["type"], one.get("index")) for one in map(msgspec.json.decode, after)]
    assert kinds[:3] == [("content_block_stop", 2), ("content_block_start", 3), ("content_block_stop", 3)]


def test_nothing_more_to_say_closes_what_is_open() -> None:
    after = joined(MESSAGES, Said("Rhine.", 1), [*STARTS, *ENDS])
    assert [one["type"] for one in map(msgspec.json.decode, after)] == [
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_block_that_opens_with_text_says_it() -> None:
    after = joined(MESSAGES, Said("Rhine,", 1), [*STARTS, opens(0, text=" Nile"), says("."), *ENDS])
    assert whole(MESSAGES, begun("Rhine,"), after).text == "Rhine, Nile."


@given(st.text(alphabet="ab \n", max_size=12), st.text(alphabet="ab \n", max_size=12), st.data(), st.booleans())
def test_at_any_cut_nothing_is_lost_and_nothing_said_twice(before: str, rest: str, data: Any, echoed: bool) -> None:
    """A provider that has the text without its last blanks, and goes on with them or repeats it all."""
    if not before.strip():
        return
    stripped = before.rstrip()
    told = (stripped if echoed else "") + before[len(stripped) :] + rest
    seam = Seam(before, echoed=echoed)
    shown, at = "", 0
    while at < len(told):
        size = data.draw(st.integers(1, len(told) - at))
        shown += seam.rest(told[at : at + size])
        at += size
    assert before + shown + seam.end() == before + rest
    assert seam.settled


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", b'{"choices":7}', b'{"choices":[7]}', b'{"delta":7,"index":"x"}']
)
@pytest.mark.parametrize("dialect", [CHAT, MESSAGES])
def test_odd_events_raise_nothing(dialect: str, payload: bytes) -> None:
    joined(dialect, Said("x ", 1), [payload, payload, chunk({"content": "\\ud800"}), says("y")], echoed=True)


def test_half_a_character_passes() -> None:
    odd = b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}'
    (shown,) = joined(CHAT, Said("x ", 1), [odd])
    make: Callable[[bytes], Any] = reading_of(CHAT).chunk
    assert make(shown).raw["choices"][0]["delta"]["content"] == "\ud83d"
