"""The TypeScript that tools are counted as, and that no schema can break it or make it grow."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.catalog.tool_types import json_text, namespace


def tool(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": {"type": "object", **parameters}}}


def test_a_whole_schema() -> None:
    schema = tool(
        properties={
            "city": {"type": "string", "description": "Where."},
            "unit": {"enum": ["C", "F"]},
            "days": {"type": ["integer", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "any": {"type": "array"},
            "at": {
                "type": "object",
                "properties": {"lat": {"type": "number"}, "deep": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}},
                "required": ["lat"],
            },
            "who": {"$ref": "#/$defs/Person"},
        },
        required=["city"],
    )
    schema["function"]["parameters"]["$defs"] = {"Person": {"type": "object", "properties": {"n": {"type": "string"}}}}
    assert namespace([schema]) == (
        "namespace functions {\n\n"
        "type f = (_: {\n"
        "// Where.\n"
        "city: string,\n"
        'unit?: "C" | "F",\n'
        "days?: number | null,\n"
        "tags?: string[],\n"
        "any?: any[],\n"
        "at?: {\n  lat: number,\n  deep?: boolean | null,\n},\n"
        "who?: Person,\n"
        "}) => any;\n"
        "type Person = {\n  n?: string,\n};\n\n"
        "} // namespace functions"
    )


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        "text",
        {},
        [None],
        [[]],
        [{"type": "web_search"}],
        [{"function": 3}],
        [{"function": {"parameters": 3}}],
        [tool(properties=3)],
        [tool(properties={"a": 3})],
        [tool(properties={"a": {"type": 3, "anyOf": 4, "enum": 5}})],
        [tool(properties={"a": {"type": [3, None]}}, required=7)],
        [tool(properties={"a": {"type": "array", "items": 3}})],
        [tool(properties={"a": {"type": "string"}}, **{"$defs": 3})],
    ],
)
def test_odd_tools_are_written_somehow(odd: object) -> None:
    assert namespace(odd).startswith("namespace functions {")


def test_what_is_no_function_is_written_as_json() -> None:
    assert '{"type": "web_search"}' in namespace([{"type": "web_search"}])


def test_a_schema_made_to_explode_stays_small() -> None:
    wide = {f"D{i}": {"type": "object", "properties": {x: {"$ref": "#/$defs/D0"} for x in "abcdef"}} for i in range(50)}
    assert len(namespace([tool(properties={"a": {"$ref": "#/$defs/D0"}}, **{"$defs": wide})])) < 10_000
    one_branch: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        one_branch = {"type": ["object", "object", "object"], "properties": {"a": one_branch}}
    assert len(namespace([tool(properties={"a": one_branch})])) < 10_000


def test_json_text_of_what_has_none_is_empty() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert json_text(loop) == ""
    assert json_text({(1, 2): 3}) == ""
    assert json_text({"é": 1}) == '{"é": 1}'
