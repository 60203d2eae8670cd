"""The text of a request, counted: never less than what its models read, and never more than its bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.catalog.models import context_window
from bursar.catalog.tokens import count_messages, count_text, encoding_for, knows
from bursar.wire.body import read_fields
from bursar.wire.dialect import Dialect
from bursar.wire.embeddings import Embeddings
from bursar.wire.extent import TOOLS_OVERHEAD_TOKENS
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.wording import text_tokens
from tests.contract.test_dialect import asked, metered, recorded

CHAT, RESPONSES = OpenAIChat(), OpenAIResponses()
COUNTED: list[Dialect] = [CHAT, RESPONSES, Embeddings()]
WORDS = "the river runs under the old stone bridge and on " * 200
SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "description": "where it rains"}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": SCHEMA}}
IMAGE = "data:image/png;base64," + "A" * 5_000


def o200k(text: str) -> int:
    return count_text(text, "o200k_base")


def encoded(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", **fields}, ensure_ascii=False).encode()


def bounds(dialect: Dialect, body: bytes) -> tuple[int, int]:
    """By bytes, and by tokens."""
    request = dialect.parse(body)
    most: dict[str, Any] = {"output_tokens_min": 1, "output_tokens_max": 2, "context_tokens": 128_000}
    return (
        dialect.size(request, **most).input_tokens_max,
        dialect.size(request, **most, count=o200k).input_tokens_max,
    )


def counted(body: bytes, spoken: tuple[str, ...] = ("messages",)) -> int:
    return text_tokens(read_fields(body), spoken, o200k)


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        (CHAT, {"messages": [said(WORDS)]}),
        (CHAT, {"messages": [said([{"type": "text", "text": WORDS}])]}),
        (RESPONSES, {"input": WORDS}),
        (RESPONSES, {"input": "hi", "instructions": WORDS}),
        (RESPONSES, {"input": [said([{"type": "input_text", "text": WORDS}])]}),
        (Embeddings(), {"input": WORDS}),
        (Embeddings(), {"input": [WORDS[:4_950], WORDS[4_950:]]}),
    ],
)
def test_plain_text_is_bounded_by_little_more_than_its_tokens(dialect: Dialect, fields: dict[str, Any]) -> None:
    by_bytes, by_tokens = bounds(dialect, encoded(**fields))
    tokens = o200k(WORDS)
    assert tokens < by_tokens < tokens + 250
    assert by_bytes > 4 * tokens


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5), JSON)
def test_the_bound_is_between_the_count_and_the_bytes(texts: list[str], more: Any) -> None:
    messages = [said(text) for text in texts]
    whole = [said("\n".join(texts), name="bob"), *messages]
    for fields in ({"messages": messages}, {"messages": whole, "tools": [TOOL]}, {"messages": messages, "user": more}):
        by_bytes, by_tokens = bounds(CHAT, json.dumps({"model": "gpt-4o", **fields}).encode())
        assert count_messages(fields["messages"], "gpt-4o", fields.get("tools")) <= by_tokens <= by_bytes


@given(JSON)
def test_every_string_of_a_conversation_counts(value: Any) -> None:
    strings: list[str] = []
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            strings.append(one)
        elif isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            strings += one
            left += one.values()
    assert counted(encoded(messages=value)) >= sum(map(o200k, strings))


@given(st.sampled_from(COUNTED), JSON)
def test_no_request_is_counted_above_its_bytes_and_none_raises(dialect: Dialect, value: Any) -> None:
    field = "messages" if dialect is CHAT else "input"
    given_value = value if isinstance(value, list | str) and field == "input" else [value]
    body = json.dumps({"model": "m", field: given_value, "tools": value}).encode()
    try:
        dialect.parse(body)
    except Exception:
        return
    by_bytes, by_tokens = bounds(dialect, body)
    assert by_tokens <= by_bytes


def test_a_key_given_twice_counts_twice() -> None:
    twice = b'{"messages":[{"content":"%b","content":"x"}]}' % WORDS.encode()
    assert counted(twice) > o200k(WORDS)
    nested = b'{"messages":[{"a":{"type":"image_url","type":"text","image_url":"%b"}}]}' % WORDS.encode()
    assert counted(nested) > o200k(WORDS)


def test_a_result_repeats_the_name_of_its_call() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "river_" * 10, "arguments": "{}"}}
    other = {"id": "1", "type": "function", "function": {"title": "river_" * 10, "arguments": "{}"}}
    more = counted(encoded(messages=[{"tool_calls": [call]}])) - counted(encoded(messages=[{"tool_calls": [other]}]))
    assert more == o200k("river_" * 10) + 1


def test_calls_cost_what_their_frames_were_seen_to_cost() -> None:
    """16 tokens for each of several calls of one message, beside its name and its arguments."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    one, two = ([{"role": "assistant", "tool_calls": [call] * times}] for times in (1, 2))
    assert counted(encoded(messages=two)) - counted(encoded(messages=one)) >= 16 + 2


def test_the_bytes_of_an_image_are_no_text_and_its_tokens_stay() -> None:
    inline = said([{"type": "image_url", "image_url": {"url": IMAGE, "detail": "high"}}])
    linked = said([{"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "high"}}])
    assert counted(encoded(messages=[inline])) < 40
    assert counted(encoded(messages=[linked])) > counted(encoded(messages=[inline]))
    by_bytes, by_tokens = bounds(CHAT, encoded(messages=[inline, said(WORDS)]))
    assert 16_384 + o200k(WORDS) < by_tokens < by_bytes
    drawn = {"type": "image_generation_call", "id": "i", "result": "A" * 5_000}
    shown = {"type": "computer_screenshot", "image_url": IMAGE}
    for part in (drawn, said([{"type": "input_image", "image_url": IMAGE}]), {"output": shown}):
        assert counted(encoded(input=[part]), ("input",)) < 40
    # What calls itself an image to be left out, and is text all the same.
    posing = said([{"type": "text", "text": "x", "image_url": IMAGE, "url": IMAGE}])
    assert counted(encoded(messages=[posing])) > 2 * o200k(IMAGE)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [said([{"type": "file", "file": {"file_id": "f"}}, {"type": "text", "text": WORDS * 30}])]},
        {"messages": [said(WORDS * 30)], "conversation": "c"},
        {"messages": [said(WORDS)], "modalities": ["text", "audio"]},
        {"messages": [said(WORDS)], "audio": {"voice": "alloy"}},
    ],
)
def test_where_text_is_not_all_that_is_read_bytes_stay_the_bound(fields: dict[str, Any]) -> None:
    by_bytes, by_tokens = bounds(CHAT, encoded(**fields))
    assert by_tokens == by_bytes


@pytest.mark.parametrize("kind", ["function", "custom", "shell", "apply_patch", "computer_use_preview", None])
def test_tools_that_the_provider_describes_leave_the_bytes(kind: str | None) -> None:
    tools = [{"type": "function", "name": "f"}, {"type": kind, "name": "g"}]
    inside = [{"type": "additional_tools", "tools": tools}, said(WORDS)]
    for fields in ({"input": WORDS, "tools": tools}, {"input": inside}):
        by_bytes, by_tokens = bounds(RESPONSES, encoded(**fields))
        assert (by_tokens < by_bytes) is (kind in {"function", "custom"})


def test_tools_and_schemas_count_as_they_were_sent() -> None:
    plain = counted(encoded(messages=[said("x")]))
    with_tool = counted(encoded(messages=[said("x")], tools=[TOOL]))
    assert with_tool - plain >= o200k(json.dumps([TOOL]))
    schema = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}
    assert counted(encoded(messages=[said("x")], response_format=schema)) - plain >= o200k(json.dumps(schema))
    _, bound = bounds(CHAT, encoded(messages=[said("x")], tools=[TOOL]))
    assert bound >= with_tool + TOOLS_OVERHEAD_TOKENS


def test_what_cannot_be_read_counts_as_its_bytes() -> None:
    deep = b"[" * 3_000 + b"]" * 3_000
    for raw in (deep, b'"\xff\xfe"', b"[1,]"):
        assert text_tokens({"messages": raw}, ("messages",), o200k) >= len(raw)  # type: ignore[dict-item]


def known(folder: Path) -> Iterator[tuple[Dialect, dict[str, Any]]]:
    for dialect, recording in recorded(folder):
        model = recording["request"].get("model", "")
        if knows(model) and (recording["provider"] == "openai" or model.startswith("openai/")):
            yield dialect, recording


def test_it_is_never_below_what_was_recorded(recordings: Path) -> None:
    compared = 0
    for dialect, recording in known(recordings):
        request = asked(dialect, recording)
        if request is None or recording["response"]["status"] >= 400 or request.unbounded:
            continue
        used = metered(dialect, recording, request).usage
        if used is None or "search" in request.model:
            continue
        vocabulary = encoding_for(request.model)
        size = dialect.size(
            request,
            output_tokens_min=1,
            output_tokens_max=2,
            context_tokens=context_window("openai", request.model),
            count=lambda text, vocabulary=vocabulary: count_text(text, vocabulary),  # type: ignore[misc]
        )
        assert size.input_tokens_max >= used.input_tokens, recording["id"]
        compared += 1
    assert compared >= 85


def test_bytes_are_the_bound_where_tokens_would_be_more() -> None:
    # Each of these letters is three bytes and three tokens, and a name counts twice.
    rare = "\ue000" * 500
    for dialect, fields in ((CHAT, {"messages": [said("x", name=rare)]}), (Embeddings(), {"input": [{"name": rare}]})):
        by_bytes, by_tokens = bounds(dialect, encoded(**fields))
        assert by_tokens == by_bytes
