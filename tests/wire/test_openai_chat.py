"""Chat bodies: what governs is read and checked, what must change is patched, nothing else moves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidRequestError
from bursar.wire.dialect import Request, Target
from bursar.wire.openai_chat import OpenAIChat

CHAT = OpenAIChat()
HELLO = [{"role": "user", "content": "secret"}]


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO} | fields).encode()


def parsed(**fields: Any) -> Request:
    return CHAT.parse(body(**fields))


def test_the_least_body() -> None:
    data = body()
    assert CHAT.parse(data) == Request(data, "openai_chat", "m")


def test_what_governs() -> None:
    request = parsed(
        stream=True,
        n=3,
        max_tokens=5,
        max_completion_tokens=7,
        stream_options={"include_usage": True},
        models=["m", "b", "c", "b"],
        service_tier="flex",
        something_new={"a": 1},
    )
    assert (request.stream, request.n, request.output_limit, request.wants_usage) == (True, 3, 7, True)
    assert (request.reaches, request.unbounded, request.tier) == (("b", "c"), (), "flex")


def test_null_counts_as_missing() -> None:
    names = ("stream", "n", "max_tokens", "max_completion_tokens", "stream_options", "models", "tools", "plugins")
    request = parsed(**dict.fromkeys(names), web_search_options=None, service_tier=None)
    assert request == Request(request.body, "openai_chat", "m")


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}, {"function": {}}]}, ()),
        ({"tools": [{"type": "openrouter:web_search"}]}, ("tool openrouter:web_search",)),
        ({"tools": [{"type": "web_search"}, {"type": "web_search"}, {"type": ["x"]}]}, ("tool web_search", "tool")),
        ({"web_search_options": {}}, ("web_search_options",)),
        ({"plugins": [{"id": "web"}, {"id": "file-parser"}]}, ("plugin web", "plugin file-parser")),
        ({"search_parameters": {"mode": "on"}, "plugins": []}, ("search_parameters",)),
        ({"prediction": {"type": "content", "content": "x"}}, ("prediction",)),
    ],
)
def test_what_no_bound_covers_is_named(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    assert parsed(**fields).unbounded == names


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "secret"}, "messages"),
        ({"messages": {"secret": 1}}, "messages"),
        ({"n": 0}, "n must"),
        ({"n": 129}, "n must"),
        ({"n": "secret"}, "n must"),
        ({"n": True}, "n must"),
        ({"n": 1.5}, "n must"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_tokens": "secret"}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": []}, "max_completion_tokens"),
        ({"stream": "secret"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": "secret"}, "stream_options"),
        ({"models": "secret"}, "models"),
        ({"models": [1]}, "models"),
        ({"tools": "secret"}, "tools"),
        ({"plugins": {"secret": 1}}, "plugins"),
        ({"service_tier": ["secret"]}, "service_tier"),
    ],
)
def test_a_wrong_type_names_the_field_and_never_the_value(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named) as refused:
        parsed(**fields)
    assert "secret" not in str(refused.value)


def test_the_field_must_be_there() -> None:
    for missing in ("model", "messages"):
        fields = json.loads(body())
        del fields[missing]
        with pytest.raises(InvalidRequestError, match=f"{missing} is missing"):
            CHAT.parse(json.dumps(fields).encode())


def test_a_body_with_nothing_to_change_goes_as_it_came() -> None:
    data = b'{ "model" : "m",\n "messages" : [ ] }'
    assert CHAT.encode(CHAT.parse(data), Target("m"), None) is data


def test_model_limit_and_usage_are_set() -> None:
    data = b'{"stream":true,"model":"fast","seed":1.50,"messages":[]}'
    assert CHAT.encode(CHAT.parse(data), Target("gpt-4o", "max_completion_tokens"), 99) == (
        b'{"stream":true,"model":"gpt-4o","seed":1.50,"messages":[],'
        b'"max_completion_tokens":99,"stream_options":{"include_usage":true}}'
    )


def test_the_callers_limit_is_never_changed() -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        request = parsed(**{name: 7})
        assert CHAT.encode(request, Target("m", name), 3) is request.body
        for field in ("max_tokens", "max_completion_tokens"):
            sent = json.loads(CHAT.encode(request, Target("m", field), 3))
            assert {key: value for key, value in sent.items() if key.startswith("max")} == {field: 7}
    both = parsed(max_tokens=7, max_completion_tokens=9)
    assert CHAT.encode(both, Target("m", "max_tokens"), 3) is both.body


def test_stream_options_are_merged_and_only_for_streams_that_need_asking() -> None:
    request = parsed(stream=True, stream_options={"include_obfuscation": False, "include_usage": False})
    sent = json.loads(CHAT.encode(request, Target("m"), None))
    assert sent["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert CHAT.encode(request, Target("m", usage_field=""), None) is request.body
    assert "stream_options" not in json.loads(CHAT.encode(parsed(), Target("m"), 5))
    asked = parsed(stream=True, stream_options={"include_usage": True})
    assert CHAT.encode(asked, Target("m"), None) is asked.body


def test_extra_keys_are_set_where_the_caller_set_none() -> None:
    target = Target("m", extra={"models": ["m", "b"], "provider": {"data_collection": "deny"}})
    sent = json.loads(CHAT.encode(parsed(provider={"sort": "price"}), target, None))
    assert (sent["models"], sent["provider"]) == (["m", "b"], {"sort": "price"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["model", "messages", "n", "max_tokens", "stream", "stream_options", "models", "tools", "plugins", "x"]
    ),
    JSON,
)


@given(FIELDS, st.booleans())
def test_any_body_is_parsed_and_sized_and_encoded_or_refused(fields: dict[str, Any], given_well: bool) -> None:
    whole = {"model": "m", "messages": HELLO} | fields if given_well else fields
    try:
        request = CHAT.parse(json.dumps(whole).encode())
    except InvalidRequestError:
        return
    size = CHAT.size(request, output_tokens_min=1, output_tokens_max=10)
    assert 0 < size.input_tokens_likely <= size.input_tokens_max
    sent = json.loads(CHAT.encode(request, Target("other", extra={"provider": {}}), 5))
    assert sent["model"] == "other"
    changed = ("model", "stream_options") if request.output_limit else ("model", "stream_options", "max_tokens")
    kept = {key: value for key, value in whole.items() if key not in changed}
    assert {key: sent[key] for key in kept} == kept
