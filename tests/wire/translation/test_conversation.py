"""Messages become turns: whose they are, in what order, with everything that stood in them."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from tests.wire.translation.material import CACHE, SECRET, parsed, sent, turns

ASKED = {"role": "user", "content": "a"}
ANSWERED = {"role": "assistant", "content": "b"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ],
}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}


def said(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text} for text in texts]}


def result(call_id: str, *texts: str) -> dict[str, Any]:
    content = {"content": [{"type": "text", "text": text} for text in texts]} if texts else {}
    return {"type": "tool_result", "tool_use_id": call_id} | content


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([ASKED, ANSWERED, ASKED], [said("user", "a"), said("assistant", "b"), said("user", "a")]),
        ([ASKED, ASKED], [said("user", "a", "a")]),
        ([ASKED, {"role": "user", "content": [{"type": "text", "text": "c"}]}], [said("user", "a", "c")]),
        # What is blank says nothing, and the API refuses it.
        ([ASKED, {"role": "assistant", "content": " \n"}, ASKED], [said("user", "a", "a")]),
        ([ASKED, {"role": "assistant", "content": ""}], [said("user", "a")]),
        (
            [ASKED, {"role": "assistant", "content": None, "refusal": "no"}],
            [said("user", "a"), said("assistant", "no")],
        ),
        (
            [ASKED, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
            [said("user", "a"), said("assistant", "no")],
        ),
    ],
)
def test_turns(messages: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert turns(*messages) == expected


def test_the_results_of_parallel_calls_are_one_turn_with_what_the_user_says_then() -> None:
    results = [
        {"role": "tool", "tool_call_id": "1", "content": "one", "name": "f"},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "two"}]},
        {"role": "tool", "tool_call_id": "3", "content": ""},
    ]
    assert turns(ASKED, CALLED, *results, ASKED)[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [result("1", "one"), result("2", "two"), result("3"), {"type": "text", "text": "a"}],
        },
    ]


def test_instructions_before_the_conversation_are_the_system_text() -> None:
    first = {"role": "system", "content": "s"}
    second = {"role": "developer", "content": [{"type": "text", "text": "d", "cache_control": CACHE}]}
    body = sent(messages=[first, second, {"role": "system", "content": ""}, ASKED])
    assert body["system"] == [{"type": "text", "text": "s"}, {"type": "text", "text": "d", "cache_control": CACHE}]
    assert body["messages"] == [said("user", "a")]


def test_later_instructions_stay_where_they_are() -> None:
    system, developer = {"role": "system", "content": "s"}, {"role": "developer", "content": "d"}
    assert turns(ASKED, system, developer, ANSWERED, ASKED, system)[1::2] == [
        said("system", "s", "d"),
        said("user", "a"),
    ]
    assert turns(ASKED, CALLED, {"role": "tool", "tool_call_id": "1", "content": "x"}, system)[-1] == said(
        "system", "s"
    )


@pytest.mark.parametrize(
    "messages",
    [[ASKED, ANSWERED, {"role": "system", "content": "s"}], [ASKED, {"role": "system", "content": "s"}, ASKED]],
)
def test_an_instruction_where_the_api_takes_none_is_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[2\]\.role cannot be translated"):
        parsed(messages=messages)


def test_thinking_goes_back_as_it_came_and_first() -> None:
    kept = [
        {"type": "compaction", "content": "c"},
        THINKING | {"more": 1.5},
        {"type": "redacted_thinking", "data": "d"},
    ]
    earlier = CALLED | {"content": "b", "reasoning_content": "hm", "thinking_blocks": kept}
    content = turns(ASKED, earlier)[1]["content"]
    assert content[:3] == kept
    assert [block["type"] for block in content[3:]] == ["text", "tool_use", "tool_use"]
    assert turns(ASKED, ANSWERED | {"thinking_blocks": None, "reasoning_content": None, "annotations": []})


def test_cache_markers_stay_on_what_they_mark() -> None:
    marked = [
        ASKED | {"cache_control": CACHE},
        CALLED | {"cache_control": CACHE},
        {"role": "tool", "tool_call_id": "1", "content": "x", "cache_control": CACHE},
        {"role": "tool", "tool_call_id": "2", "content": [{"type": "text", "text": "y", "cache_control": CACHE}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "z"}, {"type": "text", "text": "", "cache_control": CACHE}],
        },
    ]
    asked, called, results = turns(*marked)
    assert asked["content"][0]["cache_control"] == CACHE
    assert [block.get("cache_control") for block in called["content"]] == [None, CACHE]
    assert results["content"][0]["cache_control"] == CACHE
    assert results["content"][1]["content"][0]["cache_control"] == CACHE
    assert results["content"][2]["cache_control"] == CACHE
    assert "cache_control" not in turns(ASKED | {"cache_control": None})[0]["content"][0]
    body = sent(messages=[{"role": "system", "content": "s", "cache_control": CACHE}, ASKED])
    assert body["system"][0]["cache_control"] == CACHE


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"role": "function", "name": "f", "content": SECRET}, "messages[1].role 'function'"),
        ({"role": "user", "content": SECRET, "name": "n"}, "messages[1].name"),
        ({"role": "system", "content": SECRET, "name": "n"}, "messages[1].name"),
        ({"role": "assistant", "content": SECRET, "name": "n"}, "messages[1].name"),
        ({"role": "assistant", "audio": {"id": "a"}}, "messages[1].audio"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": SECRET}}, "messages[1].function_call"),
        ({"role": "assistant", "content": "b", "reasoning_details": []}, "messages[1].reasoning_details"),
        ({"role": "assistant", "content": "b", "reasoning_content": SECRET}, "messages[1].reasoning_content"),
        (
            {"role": "assistant", "content": "b", "reasoning_content": SECRET, "thinking_blocks": []},
            "messages[1].reasoning_content",
        ),
        (
            {"role": "assistant", "content": "b", "thinking_blocks": [{"type": "text", "text": SECRET}]},
            "messages[1].thinking_blocks[0].type 'text'",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]},
            "messages[1].content[0].type 'input_audio'",
        ),
        ({"role": "user", "content": [{"type": SECRET}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": SECRET, SECRET: 1}, "a key of messages[1]"),
        (
            {"role": "assistant", "content": [{"type": "image_url", "image_url": "x"}]},
            "messages[1].content[0].type 'image_url'",
        ),
        ({"role": "tool", "tool_call_id": "1", "content": "x", "is_error": True}, "messages[1].is_error"),
    ],
)
def test_what_no_turn_can_hold_is_refused_by_name(message: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(messages=[ASKED, message])
    assert str(caught.value).startswith(f"{field} cannot be translated for an Anthropic model")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([ASKED, {"role": "user"}], "messages[1].content is missing"),
        ([{"role": "user", "content": 5}], "messages[0].content: expected str | array, got int"),
        (["x"], "messages[0]: expected object, got str"),
        ([], "messages must hold something that a user or an assistant said"),
        ([{"role": "system", "content": "s"}], "messages must hold something that a user or an assistant said"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id is missing"),
    ],
)
def test_what_is_no_conversation_is_refused(messages: list[Any], complaint: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(messages=messages)
    assert str(caught.value) == complaint
