"""Scripts: replies in order, as whole or as streamed as they were asked for, and chat replies that Bursar reads."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.exchange import Answer, Exchange, Failed
from bursar.testing import STALL, StreamedAnswer, chat_answer, chat_stream
from bursar.testing.script import Script, Step
from bursar.wire.openai_chat import OpenAIChat

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'


def exchange(*, stream: bool = False) -> Exchange:
    return Exchange("p", "http://p/v1/chat/completions", {}, BODY, stream, None)


def said(step: Step, *, stream: bool) -> Any:
    return Script([step], None).next(exchange(stream=stream))


def test_replies_come_in_order_then_the_rest() -> None:
    first, second, rest = Answer(200, {}, b"1"), Answer(200, {}, b"2"), Answer(200, {}, b"3")
    script = Script([first, lambda asked: second if asked.provider == "p" else first], rest)
    assert [script.next(exchange()) for _ in range(4)] == [first, second, rest, rest]
    assert len(script.exchanges) == 4


def test_a_script_that_is_used_up_says_so() -> None:
    script = Script([Answer(200, {}, b"")], None)
    script.next(exchange())
    with pytest.raises(AssertionError, match=r"no reply for exchange 2 \(http://p/v1/chat/completions\)"):
        script.next(exchange())


def test_a_whole_reply_is_streamed_to_who_asked_for_a_stream() -> None:
    answer = Answer(200, {"a": "b"}, b"body")
    assert said(answer, stream=False) == answer
    assert said(answer, stream=True) == StreamedAnswer([b"body"], 200, {"a": "b"})


def test_an_error_status_is_always_whole() -> None:
    assert said(Answer(429, {}, b"no"), stream=True) == Answer(429, {}, b"no")
    assert said(StreamedAnswer([b"n", b"o"], 429, {}), stream=True) == Answer(429, {}, b"no")


def test_pieces_are_put_together_for_who_asked_for_no_stream() -> None:
    assert said(StreamedAnswer([b"n", b"o"], 200, {}), stream=False) == Answer(200, {}, b"no")
    assert said(StreamedAnswer([b"n", STALL], 200, {}), stream=False) is STALL
    broken = said(StreamedAnswer([b"n", Failed("broken", False, "cut")], 200, {"a": "b"}), stream=False)
    assert broken == Failed("broken", True, "cut", 200, {"a": "b"})


def test_a_chat_answer_is_one_that_bursar_reads() -> None:
    metered = OpenAIChat().meter(chat_answer("ho", input_tokens=3, output_tokens=2, id="r7").body)
    assert metered.usage is not None
    assert (metered.usage.input_tokens, metered.usage.output_tokens) == (3, 2)
    assert (metered.reply_id, metered.finish_reason, metered.complete) == ("r7", "stop", True)
    assert OpenAIChat().meter(chat_answer(usage=None).body).usage is None


def test_a_chat_stream_is_one_that_bursar_reads() -> None:
    dialect = OpenAIChat()
    reader = dialect.reader(dialect.parse(BODY))
    payloads: list[bytes] = []
    for piece in chat_stream(["Rhine", "Nile"], input_tokens=3, output_tokens=2).pieces:
        assert isinstance(piece, bytes)
        payloads += reader.feed(piece)
    assert reader.done
    assert [text for text in (b"Rhine", b"Nile") if any(text in payload for payload in payloads)] == [b"Rhine", b"Nile"]
    metered = reader.metered()
    assert metered.complete
    assert metered.usage is not None
    assert (metered.usage.input_tokens, metered.usage.output_tokens) == (3, 2)
