"""Arguments parted into what governs a call and what goes to the provider."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bursar.client.asking import chat_body, embedding_body, split
from bursar.errors import InvalidRequestError


def body(fields: dict[str, Any], *, stream: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.json.decode(chat_body("hi", fields, stream=stream))
    del made["messages"], made["model"]
    return made


def test_what_governs_is_parted_from_what_is_sent() -> None:
    asked, fields = split(
        {
            "self": object(), "messages": "hi", "model": "m", "max_tokens": 5, "max_cost_usd": None, "timeout": 1,
            "max_wait_seconds": 0, "tags": {"a": "b"}, "user": "u", "session": "s", "extra_headers": {"X": "y"},
            "extra_body": {"seed": 2}, "params": {"seed": 1, "top_p": 0.5},
        }
    )  # fmt: skip
    assert (asked.model, asked.timeout, asked.max_wait_seconds, asked.user, asked.session) == ("m", 1, 0, "u", "s")
    assert (asked.max_cost_usd, asked.tags, asked.extra_headers) == (None, {"a": "b"}, {"X": "y"})
    assert fields == {"seed": 2, "top_p": 0.5, "max_tokens": 5}, "extra_body has the last word"


def test_options_without_a_name_of_ours_go_to_the_provider() -> None:
    asked, fields = split({"model": "m", "temperature": 0, "stop": None, "whatever": {"a": 1}})
    assert asked.model == "m"
    assert fields == {"temperature": 0, "stop": None, "whatever": {"a": 1}}


def test_streaming_is_said_by_the_method() -> None:
    assert body({}, stream=True) == {"stream": True}
    assert body({"stream": False}) == {"stream": False}
    with pytest.raises(InvalidRequestError, match=r"stream\(\)"):
        body({"stream": True})


def test_a_string_is_one_message_and_a_list_stays_a_list() -> None:
    made = msgspec.json.decode(chat_body("hi", {}, stream=False))
    assert made == {"model": "-", "messages": [{"role": "user", "content": "hi"}]}
    messages = [{"role": "user", "content": None, "odd": 1}]
    assert msgspec.json.decode(chat_body(messages, {}, stream=False))["messages"] == messages
    assert msgspec.json.decode(embedding_body(["a"], {"dimensions": 3})) == {
        "model": "-", "input": ["a"], "dimensions": 3
    }  # fmt: skip


@pytest.mark.parametrize("name", ["model_dump", "to_dict", "dict"])
def test_objects_that_can_say_what_they_are_do(name: str) -> None:
    made = type("Message", (), {name: lambda self: {"role": "user", "content": "x"}})()
    assert body({"odd": made})["odd"] == {"role": "user", "content": "x"}


def test_what_is_no_json_names_types_and_never_the_prompt() -> None:
    circle: list[Any] = ["secret"]
    circle.append(circle)
    for value in (object(), {1, object()}, circle, "\ud800secret", 2**70 + 0j):
        with pytest.raises(InvalidRequestError) as raised:
            body({"odd": value})
        assert "secret" not in str(raised.value)
