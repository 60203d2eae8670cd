"""Embeddings: input only, never streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidRequestError
from bursar.wire.dialect import Request, Target
from bursar.wire.embeddings import Embeddings

EMBEDDINGS = Embeddings()


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "e", "input": "secret"} | fields).encode()


def test_what_governs() -> None:
    data = body(models=["e", "f"], encoding_format="base64")
    assert EMBEDDINGS.parse(data) == Request(data, "embeddings", "e", reaches=("f",))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": None}, "model is missing"),
        ({"input": None}, "input is missing"),
        ({"input": 7}, "input must be"),
        ({"input": {"secret": 1}}, "input must be"),
        ({"stream": True}, "cannot be streamed"),
        ({"models": "secret"}, "models must be"),
    ],
)
def test_a_wrong_type_names_the_field_and_never_the_value(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says) as refused:
        EMBEDDINGS.parse(body(**fields))
    assert "secret" not in str(refused.value)


@given(st.lists(st.text(), max_size=8) | st.lists(st.integers(0, 200_000)) | st.text())
def test_the_input_is_bounded_by_its_bytes_and_there_is_no_output(given_input: list[Any] | str) -> None:
    size = EMBEDDINGS.size(EMBEDDINGS.parse(body(input=given_input)), output_tokens_min=1, output_tokens_max=9)
    texts = [given_input] if isinstance(given_input, str) else [item for item in given_input if isinstance(item, str)]
    tokens = sum(len(text.encode("utf-8", "ignore")) + 2 for text in texts) + len(given_input) - len(texts)
    assert size.input_tokens_max >= tokens
    assert (size.output_limit, size.output_tokens_min, size.output_tokens_max) == (0, 0, 0)


def test_only_the_model_changes() -> None:
    data = b'{"input":[1, 2],"model":"e","x":1.0}'
    request = EMBEDDINGS.parse(data)
    assert EMBEDDINGS.encode(request, Target("e"), 5) is data
    assert EMBEDDINGS.encode(request, Target("f", extra={"user": "u"}), 5) == (
        b'{"input":[1, 2],"model":"f","x":1.0,"user":"u"}'
    )


def test_usage_has_no_output() -> None:
    reply = {"object": "list", "data": [], "model": "e-1", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    metered = EMBEDDINGS.meter(json.dumps(reply).encode())
    assert metered.usage is not None
    assert (dict(metered.usage.leaves), metered.served_model, metered.error) == ({"input": 8}, "e-1", None)


def test_a_reply_without_data_is_malformed_and_still_billed() -> None:
    metered = EMBEDDINGS.meter(b'{"usage":{"prompt_tokens":8,"total_tokens":8}}')
    assert metered.usage is not None
    assert metered.error is not None
    assert (metered.error.kind, metered.complete) == ("malformed", False)


def test_errors_and_streams_are_read_all_the_same() -> None:
    assert EMBEDDINGS.error(404, {}, b'{"error":{"code":"model_not_found","message":"m"}}').kind == "model"
    reader = EMBEDDINGS.reader(EMBEDDINGS.parse(body()))
    reader.feed(b'data: {"error":"m"}\n\n')
    assert reader.done
