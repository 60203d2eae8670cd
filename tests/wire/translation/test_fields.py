"""The fields of a body: translated, passed on, left away where they change nothing, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from tests.wire.translation.material import MODEL, SECRET, parsed, sent

PLAIN = {"model", "max_tokens", "messages"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
WANTED = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


def test_the_least_body() -> None:
    assert sent() == {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": [{"type": "text", "text": SECRET}]}],
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stream": True}, {"stream": True}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 1.0, "top_p": 0.5}, {"temperature": 1.0, "top_p": 0.5}),
        ({"service_tier": "default"}, {"service_tier": "standard_only"}),
        ({"service_tier": "auto"}, {"service_tier": "auto"}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"safety_identifier": "u", "user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"metadata": {"user_id": "u"}}, {"metadata": {"user_id": "u"}}),
        ({"response_format": WANTED}, {"output_config": {"format": FORMAT}}),
        (
            {"response_format": WANTED, "output_config": {"task_budget": 1}},
            {"output_config": {"task_budget": 1, "format": FORMAT}},
        ),
        ({"top_k": 5, "speed": "fast", "inference_geo": "us"}, {"top_k": 5, "speed": "fast", "inference_geo": "us"}),
        ({"thinking": {"type": "disabled"}}, {"thinking": {"type": "disabled"}}),
        ({"cache_control": {"type": "ephemeral"}}, {"cache_control": {"type": "ephemeral"}}),
    ],
)
def test_fields_that_have_a_counterpart(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    body = sent(**fields)
    assert {name: value for name, value in body.items() if name not in PLAIN} == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1},
        {"logprobs": False, "top_logprobs": 0},
        {"frequency_penalty": 0, "presence_penalty": 0.0},
        {"logit_bias": {}},
        {"modalities": ["text"]},
        {"store": False, "verbosity": "medium"},
        {"response_format": {"type": "text"}},
        {"stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"stream_options": {"include_usage": None, "anything_new": None}},
        {"stop": [], "tools": [], "user": "", "metadata": {}},
        {"seed": None, "audio": None, "stop": None, "temperature": None, "response_format": None, "metadata": None},
    ],
)
def test_what_changes_nothing_may_go(fields: dict[str, Any]) -> None:
    assert set(sent(**fields)) == PLAIN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("seed", 7),
        ("seed", 0),
        ("frequency_penalty", 0.1),
        ("presence_penalty", -1),
        ("frequency_penalty", False),
        ("logprobs", 0),
        ("audio", {"voice": "alloy"}),
        ("modalities", ["text", "audio"]),
        ("prediction", {"type": "content", "content": SECRET}),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("store", True),
        ("verbosity", "low"),
        ("web_search_options", {}),
        ("prompt_cache_key", SECRET),
        ("models", ["a", "b"]),
        ("provider", {"order": ["x"]}),
        ("service_tier", "flex"),
        ("service_tier", "priority"),
        ("temperature", 1.5),
        ("temperature", -0.1),
        ("container", "c"),
        ("mcp_servers", []),
        ("system", SECRET),
        ("stop_sequences", ["x"]),
        ("anything_new", 1),
    ],
)
def test_fields_without_a_counterpart_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(**{name: value})
    assert str(caught.value).startswith(f"{name} cannot be translated for an Anthropic model")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format.type 'json_object'"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "description": SECRET}}},
            "response_format.json_schema.description",
        ),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"stream": True, "stream_options": {"unknown": 1}}, "stream_options.unknown"),
        ({"metadata": {"topic": SECRET}}, "metadata.topic"),
        ({"user": "a", "metadata": {"user_id": "b"}}, "user"),
        ({"response_format": WANTED, "output_config": {"format": {}}}, "output_config.format"),
        ({"reasoning_effort": "low", "output_config": {"effort": "max"}}, "output_config.effort"),
    ],
)
def test_inner_fields_without_a_counterpart_are_refused_by_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(**fields)
    assert str(caught.value).startswith(f"{name} cannot be translated for an Anthropic model")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [{"temperature": "hot"}, {"temperature": True}, {"stop": 5}, {"user": 5}, {"response_format": 5}, {"tools": {}}],
)
def test_fields_of_another_type_are_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{next(iter(fields))}"):
        parsed(**fields)


def test_the_larger_of_two_limits_is_sent() -> None:
    assert sent(max_tokens=5, max_completion_tokens=9)["max_tokens"] == 9
    assert sent(max_tokens=None, max_completion_tokens=9)["max_tokens"] == 9
