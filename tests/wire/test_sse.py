"""Events come out the same however the stream was cut, and by the letter of the WHATWG rules."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.sse import EventStream

CASES = [
    pytest.param(b"data: a\n\n", [b"a"], id="one"),
    pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="two"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="crlf"),
    pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="cr"),
    pytest.param(b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"], id="mixed line ends"),
    pytest.param(b"data:a\n\n", [b"a"], id="no blank"),
    pytest.param(b"data:  a\n\n", [b" a"], id="one blank of two is dropped"),
    pytest.param(b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"], id="many lines"),
    pytest.param(b": comment\n\ndata: a\n\n: other\n\n", [b"a"], id="comments"),
    pytest.param(b": OPENROUTER PROCESSING\n\n\n\n: x\ndata: a\n\n", [b"a"], id="keep alive"),
    pytest.param(b"event: error\nid: 7\nretry: 10\ndata: a\n\n", [b"a"], id="other fields"),
    pytest.param(b"event: ping\n\ndata: a\n\n", [b"a"], id="an event without data is none"),
    pytest.param(b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"], id="the specification's own example"),
    pytest.param(b"data:test\n\ndata: test\n\n", [b"test", b"test"], id="the specification's other example"),
    pytest.param(b"data: a\n\ndata: b\n", [b"a"], id="an unended event is none"),
    pytest.param(b"data: a\n\ndata: b", [b"a"], id="an unended line is none"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [b"a"], id="byte order mark"),
    pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"b"], id="only one byte order mark"),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [b"a"], id="a mark in the middle is no mark"),
    pytest.param(b"database: a\n\n datax: b\n\n", [], id="other names"),
    pytest.param("data: \u2028\u0085\x0b\n\n".encode(), ["\u2028\u0085\x0b".encode()], id="other separators are text"),
    pytest.param(b"data: \n\n", [b""], id="empty data"),
    pytest.param(b"data: a\n\ndata: b\nid: 1\n\ndata: c\n\n", [b"a", b"b", b"c"], id="fast and slow mixed"),
    pytest.param(b"data: a\n\ndata: b\n\n: c\n\n", [b"a", b"b"], id="a comment after fast ones"),
    pytest.param(b"event: x\ndata: a\n\nevent: y\ndata: b\n\n", [b"a", b"b"], id="named"),
    pytest.param(b"event: x\ndata: \n\nevent: y\n\n", [b""], id="named, without data"),
    pytest.param(
        b"event: x\ndata: a\ndata: b\n\nevent: y\nid: 1\ndata: c\n\n", [b"a\nb", b"c"], id="named, more lines"
    ),
    pytest.param(b"event: x\ndata:a\n\nevent: y\rdata: b\n\n", [b"a", b"b"], id="named, written otherwise"),
    pytest.param(b"event: x\ndata: a\n\n\nevent: y\ndata: b\n\ndata: c\n\n", [b"a", b"b", b"c"], id="named or not"),
    pytest.param(b"event: x\ndata: a\n\n: c\n\nevent: y\ndata: b\n\n", [b"a", b"b"], id="named, with a comment"),
    pytest.param(b"event: x\ndata: a\rb\n\n", [b"a"], id="named, with another line end"),
    pytest.param(b"data: a\nevent: x\ndata: b\n\n", [b"a\nb"], id="named in the middle"),
    pytest.param(b"", [], id="nothing"),
]


def fed(pieces: list[bytes]) -> list[bytes]:
    stream = EventStream()
    events = [event for piece in pieces for event in stream.feed(piece)]
    assert stream.fault == ""
    return events


@pytest.mark.parametrize(("text", "events"), CASES)
def test_whole_byte_by_byte_and_with_a_tail(text: bytes, events: list[bytes]) -> None:
    assert fed([text]) == events
    assert fed([text[i : i + 1] for i in range(len(text))]) == events
    assert fed([text, b""]) == events
    for cut in range(len(text)):
        assert fed([text[:cut], text[cut:]]) == events


LINES = st.sampled_from(
    [b"data: x", b"data:", b"data", b": c", b"event: e", b"id: 1", b"", b"", b'data: {"a":1}', b"data:  y", b"z"]
)
TEXTS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]))).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def by_the_letter(text: bytes) -> list[bytes]:
    """The specification's algorithm on a whole stream, as plainly as it can be written."""
    lines = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    events, data = [], b""
    for line in lines:
        field, _, value = line.partition(b":")
        if not line:
            if data:
                events.append(data[:-1])
            data = b""
        elif field == b"data":
            data += value.removeprefix(b" ") + b"\n"
    return events


@given(TEXTS, st.lists(st.integers(0, 200)), st.booleans())
def test_any_cut_gives_what_the_specification_says(text: bytes, cuts: list[int], marked: bool) -> None:
    text = b"\xef\xbb\xbf" + text if marked else text
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    assert fed([text[start:end] for start, end in pairwise(edges)]) == by_the_letter(text)


@given(st.lists(st.binary()))
def test_nothing_that_is_fed_raises(pieces: list[bytes]) -> None:
    stream = EventStream(64)
    for piece in pieces:
        stream.feed(piece)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"data: " + b"x" * 200], id="a line"),
        pytest.param([b"data: ", b"x" * 60, b"x" * 60], id="a line in pieces"),
        pytest.param([b"data: xxxxxxxxxxxxxx\n"] * 10, id="an event of many lines"),
        pytest.param([b"data\n"] * 200, id="an event of empty lines"),
        pytest.param([b": " + b"c" * 200], id="a comment"),
        pytest.param([b"data: " + b"x" * 200 + b"\n\n"], id="a whole event"),
        pytest.param([b"event: x\ndata: " + b"x" * 200 + b"\n\n"], id="a whole event with a name"),
    ],
)
def test_what_is_too_large_is_a_fault_and_is_let_go(pieces: list[bytes]) -> None:
    stream = EventStream(100)
    assert [event for piece in pieces for event in stream.feed(piece)] == []
    assert stream.fault == "an event of the stream is larger than 100 bytes"
    assert not stream.pending
    assert stream.feed(b"\n\ndata: a\n\n") == []


def test_many_small_events_in_one_piece_are_not_too_large() -> None:
    stream = EventStream(100)
    assert stream.feed(b"data: x\n\n" * 50) == [b"x"] * 50
    assert stream.fault == ""


def test_pending_says_that_the_stream_was_cut() -> None:
    stream = EventStream()
    stream.feed(b"data: a\n\n")
    assert not stream.pending
    stream.feed(b"data: b\n")
    assert stream.pending
    stream.feed(b"\nda")
    assert stream.pending
