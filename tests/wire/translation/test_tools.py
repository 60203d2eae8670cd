"""Tools, the choice among them, and calls."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from bursar.wire.dialect import Target
from tests.wire.translation.material import CACHE, HELLO, SECRET, TOOL, WAY, body, parsed, sent

NAMED = {"type": "function", "function": {"name": "look_up"}}


def function(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f"} | fields}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (function(), {"name": "f", "input_schema": {"type": "object", "properties": {}}}),
        (
            function(parameters=None, strict=None, description=""),
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        ),
        (
            function(description="d", parameters={"type": "object"}, strict=True),
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True},
        ),
        (function(parameters={}, strict=False), {"name": "f", "input_schema": {}, "strict": False}),
        (function(parameters={}) | {"cache_control": CACHE}, {"name": "f", "input_schema": {}, "cache_control": CACHE}),
        (function(parameters={}, cache_control=CACHE), {"name": "f", "input_schema": {}, "cache_control": CACHE}),
        ({"function": {"name": "f", "parameters": {}}}, {"name": "f", "input_schema": {}}),
    ],
)
def test_tools(tool: dict[str, Any], expected: dict[str, Any]) -> None:
    assert sent(tools=[tool])["tools"] == [expected]


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto", "parallel_tool_calls": True}, None),
        ({"tool_choice": None, "parallel_tool_calls": None}, None),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": NAMED}, {"type": "tool", "name": "look_up"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": NAMED, "parallel_tool_calls": False},
            {"type": "tool", "name": "look_up", "disable_parallel_tool_use": True},
        ),
        ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
    ],
)
def test_which_tools_may_be_used(fields: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert sent(tools=[TOOL], **fields).get("tool_choice") == choice


def test_without_tools_there_is_nothing_to_choose() -> None:
    for choice in ("auto", "none", None):
        assert not {"tools", "tool_choice"} & set(sent(tools=[], tool_choice=choice, parallel_tool_calls=False))
    for demanding in ("required", NAMED):
        with pytest.raises(InvalidRequestError, match="tool_choice demands a tool"):
            parsed(tool_choice=demanding)


def test_schemas_and_arguments_keep_their_bytes() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": ' {"x" : 1.50,\n"y":1E5}'}}
    called = [*HELLO, {"role": "assistant", "tool_calls": [call]}]
    data = (
        body(messages=called).removesuffix(b"}")
        + b', "tools": [{"function": {"name": "f", "parameters": {"a" : 1.0}}}]}'
    )
    encoded = WAY.encode(WAY.parse(data), Target("m"), None)
    assert b'"input": {"x" : 1.50,\n"y":1E5}' in encoded
    assert b'"input_schema":{"a" : 1.0}' in encoded


@pytest.mark.parametrize("arguments", ["[1]", '"x"', "{", f'{{"a": {SECRET}}}', "null", "1"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    with pytest.raises(InvalidRequestError) as caught:
        parsed(messages=[*HELLO, {"role": "assistant", "tool_calls": [call]}])
    assert str(caught.value).startswith("messages[1].tool_calls[0].function.arguments cannot be translated")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0]"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0]"),
        ({"tools": [TOOL | {"defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [function(example=SECRET)]}, "tools[0].function.example"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice 'any'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "function": {"name": "f"}}},
            "tool_choice.type 'allowed_tools'",
        ),
        ({"tools": [TOOL], "tool_choice": NAMED | {"mode": "x"}}, "tool_choice.mode"),
    ],
)
def test_tools_that_are_no_functions_are_refused_by_name(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(**fields)
    assert str(caught.value).startswith(name), str(caught.value)
    assert "cannot be translated" in str(caught.value)
