"""A chat that is sent as messages: governed, bounded, and the same conversation on the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidRequestError
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.assembly import assembled
from bursar.wire.dialect import Request, Target
from tests.wire.translation.material import HELLO, MODEL, SECRET, TOOL, WAY, body, events, message, parsed, replied

MESSAGES = AnthropicMessages()
BOUNDS = {"output_tokens_min": 1, "output_tokens_max": 2, "context_tokens": 200_000}

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda text: not text.isspace())
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
thoughts = st.builds(lambda said, by: {"type": "thinking", "thinking": said, "signature": by}, words, words)
uses = st.builds(
    lambda at, name, taken: {"type": "tool_use", "id": at, "name": name, "input": taken},
    ids,
    words,
    st.dictionaries(words, words | st.integers(-(2**53), 2**53) | st.lists(words), max_size=3),
)


def test_what_governs() -> None:
    data = body(stream=True, stream_options={"include_usage": True}, max_completion_tokens=200)
    assert WAY.parse(data) == Request(
        data, "chat_over_messages", MODEL, stream=True, output_limit=200, wants_usage=True
    )
    assert not parsed().wants_usage
    assert (WAY.name, WAY.path, WAY.needs_limit) == ("chat_over_messages", "/messages", True)


def test_what_changes_the_price_or_has_no_bound_is_known() -> None:
    assert parsed(speed="fast", inference_geo="us").tier == "fast+us"
    assert parsed(service_tier="default").tier == ""
    compacting = {"edits": [{"type": "compact_20260112"}]}
    assert (
        parsed(context_management=compacting).unbounded == MESSAGES.parse(body(context_management=compacting)).unbounded
    )
    assert parsed(context_management=compacting).unbounded


def test_limit_model_and_extras() -> None:
    plain = parsed(max_tokens=None)
    encoded = json.loads(WAY.encode(plain, Target("m", limit_field="other", extra={"metadata": {"user_id": "x"}}), 7))
    assert (encoded["model"], encoded["max_tokens"], encoded["metadata"]) == ("m", 7, {"user_id": "x"})
    own = json.loads(WAY.encode(parsed(user="u"), Target("m", extra={"metadata": {"user_id": "x"}}), 7))
    assert (own["max_tokens"], own["metadata"]) == (100, {"user_id": "u"})
    assert "max_tokens" not in json.loads(WAY.encode(plain, Target("m"), None))


def test_the_bound_is_that_of_what_is_sent() -> None:
    results = [{"role": "tool", "tool_call_id": "1", "content": "x" * 50}]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 90_000}}
    for fields in (
        {"messages": [*HELLO, *results]},
        {"tools": [TOOL]},
        {"messages": [{"role": "user", "content": [image]}]},
    ):
        request = parsed(**fields)
        sent = MESSAGES.parse(WAY.encode(request, Target(MODEL), None))
        assert WAY.size(request, **BOUNDS) == MESSAGES.size(sent, **BOUNDS)
    assert WAY.size(parsed(messages=[{"role": "user", "content": [image]}]), **BOUNDS).input_tokens_max < 20_000
    pdf = {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}
    assert WAY.size(parsed(messages=[{"role": "user", "content": [pdf]}]), **BOUNDS).input_tokens_max >= 200_000


def test_a_budget_of_thinking_leaves_room_for_the_answer() -> None:
    request = WAY.parse(body(model="claude-haiku-4-5", max_tokens=None, reasoning_effort="high"))
    size = WAY.size(request, **BOUNDS)
    sent = json.loads(WAY.encode(request, Target("claude-haiku-4-5"), size.output_tokens_min))
    assert 1_024 <= sent["thinking"]["budget_tokens"] < sent["max_tokens"] == size.output_tokens_min


@pytest.mark.parametrize("fields", [{"n": 2}, {"messages": [{"role": "user", "content": SECRET, "name": "n"}]}])
def test_what_cannot_be_translated_is_refused_before_anything_is_sent(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be translated"):
        parsed(**fields)


def test_errors_and_usage_are_anthropics() -> None:
    said = b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}'
    assert WAY.error(529, {}, said) == MESSAGES.error(529, {}, said)
    assert WAY.meter(said) == MESSAGES.meter(said)
    reply = json.dumps(message({"type": "text", "text": "a"})).encode()
    assert WAY.meter(reply) == MESSAGES.meter(reply)
    assert WAY.meter(reply).usage is not None


@given(st.lists(thoughts, max_size=2), st.lists(words, max_size=2), st.lists(uses, max_size=3), st.booleans())
def test_what_was_said_goes_back_as_it_was(
    thinking: list[Any], said: list[str], calls: list[Any], streamed: bool
) -> None:
    """Anthropic's reply, as chat, sent back in the next request: the same blocks in the same order."""
    texts = [{"type": "text", "text": text} for text in said]
    reply = message(*thinking, *texts, *calls, stop_reason="tool_use" if calls else "end_turn")
    if streamed:
        chunks = WAY.reader(parsed(stream=True)).feed(events(reply))
        answer = assembled(json.loads(chunk) for chunk in chunks)["choices"][0]["message"]
    else:
        answer = replied(reply)["choices"][0]["message"]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": call["name"]} for call in calls]
    again = json.loads(WAY.encode(parsed(messages=[*HELLO, answer, *results]), Target(MODEL), None))["messages"]
    joined = [{"type": "text", "text": "".join(said)}] if said else []
    went = [*thinking, *joined, *calls]
    assert [turn["role"] for turn in again] == ["user", *(["assistant"] if went else []), *(["user"] if calls else [])]
    if went:
        assert again[1]["content"] == went
    if calls:
        assert [block["tool_use_id"] for block in again[2]["content"]] == [call["id"] for call in calls]
        assert [block["content"][0]["text"] for block in again[2]["content"]] == [call["name"] for call in calls]


def test_replies_and_chunks_are_what_openais_own_client_reads(recordings: Path) -> None:
    chat = pytest.importorskip("openai.types.chat", reason="the openai SDK is not installed: its models were NOT tried")
    read = 0
    for file in sorted((recordings / "anthropic").glob("messages.*.200.*.json")):
        recording = json.loads(file.read_text("utf-8"))
        reply = recording["response"]["body"].encode()
        if "event-stream" in recording["response"]["content_type"]:
            for chunk in WAY.reader(parsed(stream=True, stream_options={"include_usage": True})).feed(reply):
                chat.ChatCompletionChunk.model_validate_json(chunk, strict=True)
        elif recording["path"].endswith("/messages"):
            completion = chat.ChatCompletion.model_validate_json(WAY.reply(reply), strict=True)
            assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
        read += 1
    assert read >= 95
