"""Texts, wishes and counts: deterministic, bounded, and never more tokens than the bound allows."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.sim import text
from bursar.sim.asks import ChatAsk, Message, read_chat, read_embedding
from bursar.sim.failures import RefusedRequestError
from bursar.sim.generation import generate
from bursar.sim.prices import Model, PriceCard
from bursar.sim.usage import prompt_tokens
from bursar.sim.wishes import NO_WISHES, read_wishes

PLAIN = Model("plain", PriceCard(1, 1))


@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_prompt_never_counts_more_than_its_bytes_and_overhead(texts: list[str]) -> None:
    length_bytes = sum(len(entry.encode("utf-8", "surrogatepass")) for entry in texts)
    assert prompt_tokens(texts, len(texts)) <= length_bytes + 4 * len(texts) + 8


@given(st.text(max_size=200))
def test_pieces_join_to_the_text(written: str) -> None:
    pieces = text.split_pieces(written)
    assert "".join(pieces) == (written if written.strip() else "")


def test_the_same_seed_and_request_give_the_same_words_in_any_process() -> None:
    code = "from bursar.sim import text; print(text.Words(7).pieces(text.digest(7, 'm', ['user', 'hi']), 0, 9))"
    here = str(text.Words(7).pieces(text.digest(7, "m", ["user", "hi"]), 0, 9))
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20)
    assert there.stdout.strip() == here
    assert text.digest(8, "m", ["user", "hi"]) != text.digest(7, "m", ["user", "hi"])
    assert text.digest(7, "m", ["userhi"]) != text.digest(7, "m", ["user", "hi"])


@pytest.mark.parametrize("count", [0, 1, 200, text.POOL_WORDS + 5, 3 * text.POOL_WORDS])
def test_any_number_of_words_can_be_had(count: int) -> None:
    assert len(text.Words(1).pieces(2**64 - 1, 5, count)) == count


def test_planned_lengths_lie_between_5_and_200() -> None:
    lengths = {text.planned_tokens(text.digest(0, "m", [str(i)])) for i in range(3000)}
    assert min(lengths) == 5
    assert max(lengths) == 200


def test_wishes_are_read_from_the_last_user_message() -> None:
    wishes = read_wishes('do [[tokens=12]] [[cached=5]] [[tool=f:{"a": [1]}]] [[fault=status:503]] [[nothing=1]]')
    assert (wishes.tokens, wishes.cached_tokens, wishes.tools, wishes.fault) == (
        12,
        5,
        ('f:{"a": [1]}',),
        "status:503",
    )
    assert read_wishes("[[tokens=x]]").tokens is None
    assert read_wishes("[[echo]] hi there ").echo == "hi there"
    ask = ChatAsk(
        "m", [Message("user", "[[tokens=3]]"), Message("user", "[[tokens=4]]"), Message("system", "[[tokens=5]]")]
    )
    assert ask.wishes().tokens == 4
    assert ChatAsk("m", [Message("system", "[[tokens=5]]")]).wishes() is NO_WISHES


def test_a_limit_cuts_text_and_says_so() -> None:
    words = text.Words(0)
    for limit in (1, 3, 4, 5):
        ask = ChatAsk("plain", [Message("user", "[[tokens=4]]")], max_tokens=limit)
        generation = generate(ask, PLAIN, words, 0, ask.wishes())
        assert generation.usage.completion_tokens == min(4, limit)
        assert generation.choices[0].finish_reason == ("length" if limit < 4 else "stop")


def test_reasoning_is_inside_the_completion_and_comes_first() -> None:
    model = Model("o3-mini", PriceCard(1, 1), reasoning=True)
    for limit, reasoning, shown in ((None, 10, 20), (15, 10, 5), (6, 6, 0)):
        ask = ChatAsk("o3-mini", [Message("user", "[[tokens=30]]")], max_completion_tokens=limit)
        generation = generate(ask, model, text.Words(0), 0, ask.wishes())
        assert generation.usage.reasoning_tokens == reasoning
        assert generation.usage.completion_tokens == reasoning + shown
        assert len(generation.choices[0].pieces) == shown


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m"}',
        b'{"model":"m","messages":[]}',
        b'{"model":5,"messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user","content":5}]}',
        b'{"model":"m","messages":[{"content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user"}],"max_tokens":0}',
        b'{"model":"m","messages":[{"role":"user"}],"max_completion_tokens":-1}',
        b'{"model":"m","messages":[{"role":"user"}],"max_tokens":1.5}',
        b'{"model":"m","messages":[{"role":"user"}],"n":0}',
        b'{"model":"m","messages":[{"role":"user"}],"n":129}',
        b"[" * 100_000,
    ],
)
def test_a_bad_chat_body_is_a_400(body: bytes) -> None:
    with pytest.raises(RefusedRequestError) as caught:
        read_chat(body)
    assert caught.value.failure.status == 400


@pytest.mark.parametrize("given_input", ["5", '""', "[]", '[""]', "[[]]", '{"a":1}'])
def test_a_bad_embedding_input_is_a_400(given_input: str) -> None:
    with pytest.raises(RefusedRequestError) as caught:
        read_embedding(b'{"model":"m","input":%s}' % given_input.encode())
    assert caught.value.failure.status == 400
