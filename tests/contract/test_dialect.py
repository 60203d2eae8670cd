"""What every dialect must do, tried on every dialect; and every recorded exchange, on the dialect it was made in."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.catalog.models import context_window, server_tools
from bursar.errors import InvalidRequestError
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.dialect import Dialect, Metered, Request, Target
from bursar.wire.embeddings import Embeddings
from bursar.wire.openai_chat import LIMIT_FIELDS, OpenAIChat
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.translation.chat_over_messages import ChatOverMessages

DIALECTS: list[Dialect] = [OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Embeddings()]
# A translation keeps no bytes and sends nothing that it does not know; what else a dialect must do, it must do, too.
EVERY: list[Dialect] = [*DIALECTS, ChatOverMessages()]
LEAST: dict[str, dict[str, Any]] = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "chat_over_messages": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "openai_responses": {"model": "m", "input": [{"role": "user", "content": "hi"}]},
    "anthropic_messages": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "embeddings": {"model": "m", "input": "hi"},
}


def body(dialect: Dialect, **more: Any) -> bytes:
    return json.dumps(LEAST[dialect.name] | more).encode()


@pytest.fixture(params=DIALECTS, ids=[dialect.name for dialect in DIALECTS])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


@pytest.fixture(params=EVERY, ids=[dialect.name for dialect in EVERY])
def way(request: pytest.FixtureRequest) -> Dialect:
    found: Dialect = request.param
    return found


def test_a_parsed_request_keeps_the_bytes_and_says_whose_it_is(dialect: Dialect) -> None:
    data = body(dialect, unknown={"a": [1.50]})
    request = dialect.parse(data)
    assert request.body is data
    assert (request.dialect, request.model, request.n, request.stream) == (dialect.name, "m", 1, False)
    assert dialect.path.startswith("/")


def test_unknown_values_keep_their_bytes(dialect: Dialect) -> None:
    data = body(dialect).removesuffix(b"}") + b', "x" : { "y":[1.50, 1E5,"\\u00e9"] } }'
    sent = dialect.encode(dialect.parse(data), Target("other"), 7)
    assert b'"x":{ "y":[1.50, 1E5,"\\u00e9"] }' in sent
    assert json.loads(sent)["model"] == "other"


def test_what_is_encoded_can_be_parsed_and_encoded_again(dialect: Dialect) -> None:
    target = Target("other", extra={"user": "u"})
    once = dialect.encode(dialect.parse(body(dialect)), target, 7)
    assert dialect.encode(dialect.parse(once), target, 7) == once


def test_a_key_given_twice_is_refused(way: Dialect) -> None:
    data = body(way).removesuffix(b"}") + b', "model": "cheap"}'
    with pytest.raises(InvalidRequestError, match="'model' twice"):
        way.parse(data)


@given(st.sampled_from(EVERY), st.binary())
def test_no_bytes_raise_anything_but_a_refusal(dialect: Dialect, data: bytes) -> None:
    for piece in (data, b"{" + data + b"}", body(dialect).removesuffix(b"}") + data):
        with contextlib.suppress(InvalidRequestError):
            dialect.parse(piece)
        dialect.meter(piece)
        dialect.reply(piece)
        dialect.error(500, {}, piece)
        reader = dialect.reader(dialect.parse(body(dialect)))
        for fed in (piece, b"data: " + piece + b"\n\n", b"data: [DONE]\n\n"):
            reader.feed(fed)
            reader.metered()


@given(st.sampled_from(EVERY), st.text(), st.integers(1, 10**6))
def test_the_bound_grows_with_the_text_and_is_above_the_estimate(dialect: Dialect, text: str, context: int) -> None:
    request = dialect.parse(body(dialect, user=text))
    size = dialect.size(request, output_tokens_min=1, output_tokens_max=2, context_tokens=context)
    assert size.input_tokens_max >= len(text.encode("utf-8", "ignore"))
    assert size.input_tokens_likely <= size.input_tokens_max


def test_an_error_is_no_success(way: Dialect) -> None:
    said = b'{"error":{"message":"m","code":"invalid_api_key"}}'
    error = way.error(401, {"retry-after": "3"}, said)
    assert (error.kind, error.code, error.status, error.retry_after_seconds) == ("auth", "invalid_api_key", 401, 3.0)
    metered = way.meter(said)
    assert (metered.error is not None, metered.complete) == (True, False)


def test_an_empty_stream_is_not_complete(way: Dialect) -> None:
    reader = way.reader(way.parse(body(way)))
    assert reader.metered() == Metered(complete=False)
    assert not reader.done


def recorded(folder: Path) -> Iterator[tuple[Dialect, dict[str, Any]]]:
    """Every recorded exchange in a dialect that is spoken, with that dialect."""
    for file in sorted(folder.glob("*/*.json")):
        recording = json.loads(file.read_text("utf-8"))
        for dialect in DIALECTS:
            if recording["path"].partition("#")[0].endswith(dialect.path):
                yield dialect, recording


def asked(dialect: Dialect, recording: dict[str, Any]) -> Request | None:
    """The recorded request; None where the recorder kept none, or it is one that we refuse to send."""
    if "note" in recording["request"] or recording["request"].get("background"):
        return None
    return dialect.parse(json.dumps(recording["request"], ensure_ascii=False, separators=(",", ":")).encode())


def metered(dialect: Dialect, recording: dict[str, Any], request: Request) -> Metered:
    reply = recording["response"]["body"].encode()
    if "event-stream" not in recording["response"]["content_type"]:
        return dialect.meter(reply)
    reader = dialect.reader(request)
    reader.feed(reply)
    return reader.metered()


def test_the_bound_is_never_below_what_was_recorded(recordings: Path) -> None:
    compared = 0
    for dialect, recording in recorded(recordings):
        request = asked(dialect, recording)
        if request is None or recording["response"]["status"] >= 400:
            continue
        used = metered(dialect, recording, request).usage
        if used is None or request.unbounded or server_tools(recording["provider"], request.model):
            continue  # what the provider's own tools read has no bound, which is why they are refused under a budget
        context_tokens = context_window(recording["provider"], request.model)
        size = dialect.size(request, output_tokens_min=1, output_tokens_max=2, context_tokens=context_tokens)
        assert size.input_tokens_max >= used.input_tokens, recording["id"]
        compared += 1
    assert compared >= 225


def test_recorded_streams_are_the_same_however_they_are_cut(recordings: Path) -> None:
    streams = 0
    for dialect, recording in recorded(recordings):
        reply = recording["response"]["body"].encode()
        if "event-stream" not in recording["response"]["content_type"] or reply.startswith(b"{"):
            continue
        request = asked(dialect, recording)
        if request is None:
            continue
        whole, bytewise = dialect.reader(request), dialect.reader(request)
        shown = whole.feed(reply)
        assert [payload for i in range(len(reply)) for payload in bytewise.feed(reply[i : i + 1])] == shown
        assert bytewise.metered() == whole.metered()
        assert shown
        assert whole.done
        streams += 1
    assert streams >= 14


def test_recorded_requests_are_sent_on_unchanged_but_for_the_model(recordings: Path) -> None:
    for dialect, recording in recorded(recordings):
        request = asked(dialect, recording)
        if request is not None:
            limit_field = next((name for name in LIMIT_FIELDS if name in recording["request"]), "max_tokens")
            target = Target("other", limit_field=limit_field, usage_field="")
            sent = json.loads(dialect.encode(request, target, None))
            assert sent == recording["request"] | {"model": "other"}


def test_recorded_replies_name_their_model_and_id(recordings: Path) -> None:
    for dialect, recording in recorded(recordings):
        request = asked(dialect, recording)
        if request is None or recording["response"]["status"] >= 400:
            continue
        said = metered(dialect, recording, request)
        assert said.served_model, recording["id"]
        assert said.reply_id, recording["id"]
        assert said.error is not None or (said.complete and said.finish_reason), recording["id"]
