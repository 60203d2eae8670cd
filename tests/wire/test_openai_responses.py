"""The dialect of Responses: what governs, what is refused, and what is patched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from bursar.wire.dialect import Request, Target
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.responses_reader import ResponsesReader

DIALECT = OpenAIResponses()


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | fields).encode()


def parse(**fields: Any) -> Request:
    return DIALECT.parse(body(**fields))


def test_the_fields_that_govern() -> None:
    data = body(max_output_tokens=50, stream=True, service_tier="flex", models=["b", "m", "c", "b"])
    assert DIALECT.parse(data) == Request(
        data,
        "openai_responses",
        "m",
        stream=True,
        output_limit=50,
        wants_usage=True,
        reaches=("b", "c"),
        tier="flex",
    )


def test_null_counts_as_missing() -> None:
    request = parse(max_output_tokens=None, stream=None, service_tier=None, tools=None, background=None, models=None)
    assert (request.output_limit, request.stream, request.tier, request.unbounded) == (None, False, "", ())


@pytest.mark.parametrize("given", [{"input": []}, {"input": [{"role": "user"}]}, {"input": ""}])
def test_an_input_is_text_or_items(given: dict[str, Any]) -> None:
    assert parse(**given).model == "m"


@pytest.mark.parametrize("name", ["prompt", "previous_response_id", "conversation", "preset"])
def test_input_may_be_missing_where_the_provider_keeps_some(name: str) -> None:
    for given in (b'{"model":"m","%s":"x"}', b'{"model":"m","input":null,"%s":"x"}'):
        assert DIALECT.parse(given % name.encode()).model == "m"
    with pytest.raises(InvalidRequestError, match="input is missing: a string, or a list of items"):
        DIALECT.parse(b'{"model":"m","%s":null}' % name.encode())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": None}, "model is missing"),
        ({"input": None}, "input is missing"),
        ({"input": {"role": "secret"}}, "input must be a string or a list of items"),
        ({"input": ["secret"]}, "input must be a string or a list of items"),
        ({"input": 7}, "input must be a string or a list of items"),
        ({"max_output_tokens": 0}, "max_output_tokens must be between 1 and"),
        ({"max_output_tokens": "secret"}, "max_output_tokens must be a whole number"),
        ({"stream": "secret"}, "stream must be true or false"),
        ({"background": "secret"}, "background must be true or false"),
        ({"tools": {"secret": 1}}, "tools must be a list"),
        ({"service_tier": ["secret"]}, "service_tier must be a string"),
    ],
)
def test_what_the_format_does_not_allow_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as refused:
        parse(**given)
    assert "secret" not in str(refused.value)


def test_work_in_the_background_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="background is not supported: its cost is known only later"):
        parse(background=True)
    assert parse(background=False).unbounded == ()


CALLERS = [
    {"type": "function", "name": "f"},
    {"type": "custom", "name": "f"},
    {"type": "local_shell"},
    {"type": "apply_patch"},
    {"type": "computer"},
    {"type": "computer_use_preview"},
    {"type": "shell"},
    {"type": "shell", "environment": None},
    {"type": "shell", "environment": {"type": "local"}},
    {"type": "tool_search", "execution": "client"},
    {"type": "namespace", "name": "n", "tools": [{"type": "function"}, {"type": "custom"}]},
    {"type": "namespace", "name": "n", "tools": None},
]
PROVIDERS = [
    ({"type": "web_search"}, "tool web_search"),
    ({"type": "web_search_preview_2025_03_11"}, "tool web_search_preview_2025_03_11"),
    ({"type": "file_search"}, "tool file_search"),
    ({"type": "code_interpreter"}, "tool code_interpreter"),
    ({"type": "image_generation"}, "tool image_generation"),
    ({"type": "mcp"}, "tool mcp"),
    ({"type": "programmatic_tool_calling"}, "tool programmatic_tool_calling"),
    ({"type": "openrouter:web_search"}, "tool openrouter:web_search"),
    ({"type": "shell", "environment": {"type": "container_auto"}}, "tool shell"),
    ({"type": "shell", "environment": {"type": "container_reference"}}, "tool shell"),
    ({"type": "tool_search"}, "tool tool_search"),
    ({"type": "tool_search", "execution": "server"}, "tool tool_search"),
    ({"type": "namespace", "tools": [{"type": "function"}, {"type": "mcp"}]}, "tool mcp"),
    ({"type": "namespace", "tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "tool namespace"),
    ({"type": ["web_search"]}, "tool"),
]


@pytest.mark.parametrize("tool", CALLERS, ids=json.dumps)
def test_tools_at_the_callers_side_are_bounded(tool: dict[str, Any]) -> None:
    assert parse(tools=[tool]).unbounded == ()


@pytest.mark.parametrize(("tool", "name"), PROVIDERS, ids=[json.dumps(tool) for tool, _ in PROVIDERS])
def test_tools_at_the_providers_side_are_not(tool: dict[str, Any], name: str) -> None:
    assert parse(tools=[tool, tool]).unbounded == (name,)
    for kind in ("additional_tools", "tool_search_output"):
        assert parse(input=[{"role": "user", "content": "x"}, {"type": kind, "tools": [tool]}]).unbounded == (name,)


def test_what_else_has_no_bound() -> None:
    asked = parse(plugins=[{"id": "web"}], context_management=[{"type": "compaction"}], prompt={"id": "p"})
    assert asked.unbounded == ("plugin web", "context_management", "prompt")
    assert parse(search_parameters={"mode": "on"}).unbounded == ("search_parameters",)


def test_the_limit_is_set_where_the_caller_set_none() -> None:
    target = Target("m", limit_field="max_completion_tokens")
    assert json.loads(DIALECT.encode(parse(), target, 7)) == {"model": "m", "input": "hi", "max_output_tokens": 7}
    assert json.loads(DIALECT.encode(parse(max_output_tokens=None), target, 7))["max_output_tokens"] == 7
    assert json.loads(DIALECT.encode(parse(max_output_tokens=50), target, 7))["max_output_tokens"] == 50


def test_usage_is_never_asked_for_and_what_need_not_change_keeps_its_bytes() -> None:
    request = parse(stream=True)
    assert DIALECT.encode(request, Target("m"), None) is request.body
    assert json.loads(DIALECT.encode(request, Target("other", extra={"store": False}), None)) == {
        "model": "other",
        "input": "hi",
        "stream": True,
        "store": False,
    }


def test_size_is_the_input_and_the_callers_limit() -> None:
    size = DIALECT.size(parse(max_output_tokens=50), output_tokens_min=1, output_tokens_max=2)
    assert (size.output_limit, size.output_tokens_min, size.output_tokens_max, size.choices) == (50, 1, 2, 1)
    assert len(body()) < size.input_tokens_max < 1_000
    reached = parse(input=[{"role": "user", "content": [{"type": "input_image"}]}], models=["gpt-4o-mini"])
    assert DIALECT.size(reached, output_tokens_min=1, output_tokens_max=2).input_tokens_max > 48_169


def test_replies_pass_and_streams_are_read() -> None:
    assert DIALECT.reply(b"{}") == b"{}"
    assert isinstance(DIALECT.reader(parse()), ResponsesReader)
    error = DIALECT.error(429, {"retry-after": "2"}, b'{"error":{"type":"insufficient_quota","message":"m"}}')
    assert (error.kind, error.retry_after_seconds) == ("quota", 2.0)
