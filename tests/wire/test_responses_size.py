"""The bound of a Responses request is never below what it can come to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidRequestError
from bursar.wire.body import read_fields
from bursar.wire.extent import (
    IMAGE_TOKENS_MAX,
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOLS_OVERHEAD_TOKENS,
    Extent,
)
from bursar.wire.responses_size import extent_of, items_of, stored, tools_inside

CONTEXT = 1_000_000
DATA_URL = "data:image/png;base64," + "A" * 4_000_000


def extent(asked: Any, *, ascii_only: bool = True, **fields: Any) -> Extent:
    body = json.dumps({"model": "m", "input": asked} | fields, ensure_ascii=ascii_only).encode()
    return extent_of(body, read_fields(body), ("m",), CONTEXT)


def said(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


TEXT = {"type": "input_text", "text": "x"}


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_text_is_never_more_tokens_than_its_bytes(text: str, ascii_only: bool) -> None:
    for asked in (text, [{"role": "user", "content": text}], [said({"type": "input_text", "text": text})]):
        assert extent(asked, ascii_only=ascii_only).input_tokens_max >= len(text.encode())
    assert extent("x", ascii_only=ascii_only, instructions=text).input_tokens_max >= len(text.encode())


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}, TEXT]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "x"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "function_call_output", "call_id": "c", "output": [TEXT]},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "x"},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "x"}]},
        {"type": "tool_search_output", "tools": [{"type": "function"}]},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "function"}]},
        {"type": "mcp_call", "output": "x"},
        {"type": "shell_call_output", "output": [{"stdout": "x", "stderr": ""}]},
    ],
    ids=json.dumps,
)
def test_items_that_stand_whole_in_the_body(item: dict[str, Any]) -> None:
    assert extent([item]).input_tokens_max < 2_000


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg"},
        {"id": "msg"},
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "x"}]},
        {"type": "reasoning", "id": "r", "summary": [], "content": [], "encrypted_content": None},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": ""},
        {"type": "compaction", "encrypted_content": "gAAAA"},
        {"type": "compaction_trigger"},
        {"type": "web_search_call", "id": "ws", "action": {"type": "search"}, "status": "completed"},
        {"type": "file_search_call", "id": "fs", "queries": ["x"], "results": None},
        {"type": "code_interpreter_call", "id": "ci", "code": "1", "outputs": None},
        {"type": "something_new"},
        {"type": None},
        {"type": ["function_call"]},
        {},
        said({"type": "input_file", "file_id": "f"}),
        said({"type": "input_file", "file_data": DATA_URL}),
        said({"type": "input_file", "file_url": "https://a/b.pdf"}),
        said({"type": "input_audio", "data": "AAAA"}),
        said(TEXT, {"type": "something_new"}),
        said(7),
        {"role": "user", "content": {"type": "input_file", "file_id": "f"}},
        {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
        {"type": "function_call_output", "call_id": "c", "output": [TEXT, {"type": "input_file", "file_id": "f"}]},
        {"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_file", "file_id": "f"}]},
    ],
    ids=lambda item: json.dumps(item)[:80],
)
def test_what_the_body_only_refers_to_is_bounded_by_the_context(item: dict[str, Any]) -> None:
    assert CONTEXT <= extent([{"role": "user", "content": "x"}, item]).input_tokens_max < CONTEXT + 1_000


@pytest.mark.parametrize(
    "item",
    [
        said({"type": "input_image", "image_url": DATA_URL}),
        said({"type": "input_image", "image_url": "https://a/b.png"}),
        said({"type": "input_image", "file_id": "f"}),
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image", "image_url": DATA_URL}]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": DATA_URL}},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "file_id": "f"}},
        {"type": "image_generation_call", "id": "ig", "result": "A" * 4_000_000},
        {"type": "image_generation_call", "id": "ig", "result": None},
        {"type": "image_generation_call", "id": "ig"},
    ],
    ids=lambda item: json.dumps(item)[:80],
)
def test_an_image_counts_as_one_and_its_bytes_do_not(item: dict[str, Any]) -> None:
    assert IMAGE_TOKENS_MAX < extent([item]).input_tokens_max < IMAGE_TOKENS_MAX + 1_000


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "preset"])
def test_what_is_stored_is_bounded_by_the_context(name: str) -> None:
    given: dict[str, Any] = {name: "stored"}
    assert extent("x", **given).input_tokens_max >= CONTEXT
    given[name] = None
    assert extent("x", **given).input_tokens_max < 1_000
    assert stored(read_fields(json.dumps({name: "x"}).encode()))


def test_nothing_hides_behind_an_escape() -> None:
    body = b'{"model":"m","\\u0069nput":[{"typ\\u0065":"item\\u005freference","id":"i"}]}'
    assert extent_of(body, read_fields(body), ("m",), CONTEXT).input_tokens_max == CONTEXT
    body = b'{"model":"m","input":[{"typ\\u0065":"additional\\u005ftools","to\\u006fls":[{"type":"mcp"}]}]}'
    assert list(tools_inside(items_of(read_fields(body)))) == [{"type": "mcp"}]


def test_tools_bring_a_hidden_prompt_wherever_they_stand() -> None:
    plain = extent([said(TEXT)]).input_tokens_max
    assert extent([said(TEXT)], tools=[]).input_tokens_max > plain + TOOLS_OVERHEAD_TOKENS
    assert extent([said(TEXT), {"type": "additional_tools", "tools": []}]).input_tokens_max > plain + (
        TOOLS_OVERHEAD_TOKENS
    )


@pytest.mark.parametrize("tools", [None, [], {}, 0])
def test_items_without_tools(tools: Any) -> None:
    assert list(tools_inside(items_of({"input": raw([{"type": "additional_tools", "tools": tools}])}))) == []


def test_tools_of_another_type_are_no_less_tools() -> None:
    assert list(tools_inside(items_of({"input": raw([{"tools": {"type": "mcp"}}])}))) == [{"type": "mcp"}]


def test_an_input_that_is_neither_text_nor_items_is_refused() -> None:
    for asked in ({"type": "message"}, ["x"], 7, True):
        with pytest.raises(InvalidRequestError):
            items_of({"input": raw(asked)})
    assert items_of({}) == items_of({"input": raw(None)}) == items_of({"input": raw("x")}) == []


def test_every_item_is_framed() -> None:
    item = {"role": "user", "content": "x"}
    one, many = extent([item]), extent([item] * 101)
    item_bytes = len(json.dumps(item)) + 2
    assert many.input_tokens_max - one.input_tokens_max == 100 * (item_bytes + MESSAGE_OVERHEAD_TOKENS)
    assert extent("").input_tokens_max == len('{"model": "m", "input": ""}') + REQUEST_OVERHEAD_TOKENS + (
        MESSAGE_OVERHEAD_TOKENS
    )


def test_the_estimate_is_a_quarter_of_the_text() -> None:
    assert 1_000 <= extent("word " * 800).input_tokens_likely <= 1_100


def raw(value: Any) -> Any:
    return read_fields(json.dumps({"value": value}).encode())["value"]
