"""A response put together from its events, as far as they came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.responses_assembly import assembled_response

MESSAGE = {"type": "message", "id": "msg", "role": "assistant", "status": "in_progress", "content": []}
CALL = {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "f", "arguments": ""}
CREATED = {"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}


def added(index: int, item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def piece(kind: str, index: int, delta: Any, content_index: int = 0) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "content_index": content_index, "delta": delta}


def output(*events: Any) -> Any:
    return assembled_response([CREATED, *events])["output"]


def test_the_finished_response_is_the_reply() -> None:
    finished = {"id": "r", "status": "completed", "output": [MESSAGE]}
    events = [CREATED, added(0, MESSAGE), piece("output_text", 0, "x"), {"type": "x", "response": finished}]
    assert assembled_response(events) is finished


def test_a_finished_response_without_items_has_those_of_the_stream() -> None:
    finished = {"id": "r", "status": "completed", "output": []}
    whole = MESSAGE | {"status": "completed"}
    assert assembled_response([CREATED, done(0, whole), {"response": finished}]) == finished | {"output": [whole]}


def test_fragments_are_joined_part_by_part() -> None:
    assert output(
        added(0, MESSAGE),
        piece("refusal", 0, "no", content_index=1),
        piece("output_text", 0, "Rhi"),
        added(0, MESSAGE),
        piece("output_text", 0, "ne"),
        added(1, CALL),
        piece("function_call_arguments", 1, '{"a"'),
        piece("function_call_arguments", 1, ":1}"),
    ) == [
        MESSAGE | {"content": [{"type": "output_text", "text": "Rhine"}, {"type": "refusal", "refusal": "no"}]},
        CALL | {"arguments": '{"a":1}'},
    ]


def test_an_item_that_was_done_replaces_its_fragments_and_order_is_that_of_the_items() -> None:
    whole = MESSAGE | {"content": [{"type": "output_text", "text": "Rhine"}]}
    events = [added(1, CALL), added(0, MESSAGE), piece("output_text", 0, "Rhi"), done(0, whole), done(1, CALL)]
    assert output(*events) == [whole, CALL]


def test_text_whose_item_was_never_announced_is_a_message() -> None:
    assert output(piece("output_text", 0, "x")) == [
        {"type": "message", "content": [{"type": "output_text", "text": "x"}]}
    ]


@pytest.mark.parametrize(
    ("kind", "item", "field"),
    [("mcp_call_arguments", {"type": "mcp_call"}, "arguments"), ("custom_tool_call_input", {}, "input")],
)
def test_other_calls(kind: str, item: dict[str, Any], field: str) -> None:
    assert output(added(0, item), piece(kind, 0, "a"), piece(kind, 0, "b")) == [item | {field: "ab"}]


def test_thought_is_kept_apart() -> None:
    thought = output(added(0, {"type": "reasoning"}), piece("reasoning_text", 0, "hm"))
    assert thought == [{"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}]}]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"type": 7},
        {"type": "response.output_item.added", "item": "x"},
        {"type": "response.output_item.done", "item": None},
        {"type": "response.output_text.delta", "delta": 7},
        {"type": ["x"], "delta": "x"},
        {"response": "x"},
    ],
)
def test_what_does_not_fit_is_left_out(odd: dict[str, Any]) -> None:
    assert output(odd, done(0, MESSAGE)) == [MESSAGE]


@pytest.mark.parametrize("index", [None, "1", True, 1.0])
def test_an_odd_index_is_the_first(index: Any) -> None:
    assert output(added(0, MESSAGE), piece("output_text", 0, "x"), piece("output_text", index, "y", index)) == [
        MESSAGE | {"content": [{"type": "output_text", "text": "xy"}]}
    ]


def test_of_nothing_comes_nothing() -> None:
    assert assembled_response([]) == {"output": []}


EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            [None, "response.output_item.added", "response.output_item.done", "response.output_text.delta"]
        )
        | st.integers(),
        "output_index": st.none() | st.integers(-1, 3) | st.text(max_size=1),
        "content_index": st.none() | st.integers(-1, 3) | st.text(max_size=1),
        "item": st.none() | st.dictionaries(st.sampled_from(["type", "content", "arguments"]), st.integers()),
        "delta": st.none() | st.text(max_size=3) | st.lists(st.integers(), max_size=1),
        "response": st.none() | st.dictionaries(st.sampled_from(["output", "status"]), st.lists(st.integers())),
    },
)


@given(st.lists(EVENTS))
def test_no_event_raises(events: list[dict[str, Any]]) -> None:
    assert isinstance(assembled_response(events).get("output"), list)
