"""Messages requests: which fields govern, what is refused, and what is patched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bursar.errors import InvalidRequestError
from bursar.rules.estimate import MIN_OUTPUT_TOKENS, Size
from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.dialect import Request, Target

DIALECT = AnthropicMessages()
LEAST: dict[str, Any] = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}
TARGET = Target("claude-x")


def parse(**more: Any) -> Request:
    return DIALECT.parse(json.dumps(LEAST | more).encode())


def size(request: Request, least: int = 8, most: int = 64) -> Size:
    return DIALECT.size(request, output_tokens_min=least, output_tokens_max=most, context_tokens=1000)


def test_what_governs() -> None:
    request = parse(max_tokens=60, stream=True)
    assert (request.model, request.stream, request.output_limit, request.n) == ("claude-x", True, 60, 1)
    assert (request.wants_usage, request.tier, request.unbounded, request.reaches) == (True, "", (), ())
    assert parse().output_limit is None
    assert parse(max_tokens=0).output_limit == 0  # fills a cache and writes nothing
    assert DIALECT.needs_limit


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"model": None}, "model is missing"),
        ({"messages": None}, "messages is missing"),
        ({"messages": "hi"}, "messages must be a list"),
        ({"max_tokens": -1}, "max_tokens must be between"),
        ({"max_tokens": "60"}, "max_tokens must be a whole number"),
        ({"stream": "yes"}, "stream must be"),
        ({"tools": {}}, "tools must be a list"),
        ({"speed": 2}, "speed must be a string"),
        ({"thinking": "much"}, "thinking must be an object"),
        ({"thinking": {"budget_tokens": -1}}, r"thinking\.budget_tokens must be"),
        ({"thinking": {"budget_tokens": "all"}}, r"thinking\.budget_tokens must be"),
        ({"fallbacks": "best"}, "fallbacks must be a list"),
        ({"max_tokens": 5, "fallbacks": [{"model": "a", "max_tokens": 1.5}]}, r"fallbacks\[\]\.max_tokens must be"),
        ({"fallbacks": [{"model": "a", "max_tokens": 10}]}, "set it for both"),
    ],
)
def test_what_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        parse(**more)


@pytest.mark.parametrize(
    ("more", "tier"),
    [
        ({"service_tier": "auto"}, ""),
        ({"service_tier": "standard_only", "speed": "standard", "inference_geo": "global"}, ""),
        ({"speed": "fast"}, "fast"),
        ({"inference_geo": "us"}, "us"),
        ({"service_tier": "priority", "speed": "fast", "inference_geo": "us"}, "priority+fast+us"),
        ({"speed": None, "fallbacks": [{"model": "a", "speed": "fast"}]}, "fast"),
    ],
)
def test_a_dearer_way_to_be_served_is_known_before_it_is_sent(more: dict[str, Any], tier: str) -> None:
    assert parse(**more).tier == tier


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "f", "input_schema": {}},
        {"type": "custom", "name": "f"},
        {"type": None, "name": "f"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "computer_20251124", "name": "computer"},
        {"type": "memory_20250818", "name": "memory"},
    ],
)
def test_tools_that_the_caller_runs_are_bounded(tool: dict[str, Any]) -> None:
    assert parse(tools=[tool]).unbounded == ()


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"tools": [{"type": "web_search_20260318"}] * 2}, ("tool web_search_20260318",)),
        ({"tools": [{"type": "code_execution_20260521"}]}, ("tool code_execution_20260521",)),
        ({"tools": [{"type": "advisor_20260301", "model": "claude-opus-4-8"}]}, ("tool advisor_20260301",)),
        ({"tools": [{"type": "tool_search_tool_bm25_20251119"}]}, ("tool tool_search_tool_bm25_20251119",)),
        ({"tools": [{"type": "customised"}]}, ("tool customised",)),
        ({"tools": [{"type": 7}]}, ("tool",)),
        ({"mcp_servers": [{"type": "url"}]}, ("mcp_servers",)),
        ({"container": {"skills": [{}]}}, ("container",)),
        ({"compaction": {"type": "summarize"}}, ("compaction",)),
        (
            {"context_management": {"edits": [{"type": "compact_20260112"}, {"type": "clear_tool_uses_20250919"}]}},
            ("context_management compact_20260112",),
        ),
        ({"context_management": {"edits": [{}]}}, ("context_management",)),
        ({"plugins": [{"id": "web"}]}, ("plugin web",)),
        ({"fallbacks": "default"}, ("fallbacks default",)),
        ({"mcp_servers": None, "tools": None, "context_management": None, "fallbacks": []}, ()),
    ],
)
def test_what_runs_at_the_provider_has_no_bound(more: dict[str, Any], names: tuple[str, ...]) -> None:
    assert parse(**more).unbounded == names


def test_models_that_may_step_in_are_bounded_too() -> None:
    hops = [{"model": "claude-y", "max_tokens": 90}, {"model": "claude-z"}]
    request = parse(max_tokens=60, fallbacks=hops, models=["claude-x", "claude-w"])
    assert request.reaches == ("claude-w", "claude-y", "claude-z")
    assert request.output_limit == 90
    # Each of them may be paid, where one declines midway.
    assert size(request).choices == 3
    assert size(parse()).choices == 1


def test_the_size() -> None:
    found = size(parse())
    assert found.input_tokens_max >= len(parse().body)
    assert (found.output_limit, found.output_tokens_min, found.output_tokens_max) == (None, 8, 64)
    assert size(parse(max_tokens=60)).output_limit == 60


@pytest.mark.parametrize("more", [{}, {"fallbacks": [{"model": "a"}]}])
def test_a_limit_of_ours_leaves_room_beyond_what_was_given_to_thinking(more: dict[str, Any]) -> None:
    """The format demands thinking.budget_tokens < max_tokens, even where a model's maximum is not known."""
    request = parse(thinking={"type": "enabled", "budget_tokens": 2_000}, **more)
    least = 2_000 + MIN_OUTPUT_TOKENS
    found = size(request, least=1_024, most=64_000)
    assert (found.output_tokens_min, found.output_tokens_max) == (least, 64_000)
    found = size(request, least=1_024, most=2_000)
    assert (found.output_tokens_min, found.output_tokens_max) == (least, least)
    assert size(request, least=8_192, most=64_000).output_tokens_min == 8_192
    # Of the models that step in, too; and adaptive thinking asks for no room.
    hop = parse(fallbacks=[{"model": "a", "thinking": {"type": "enabled", "budget_tokens": 5_000}}])
    assert size(hop, most=64_000).output_tokens_min == 5_000 + MIN_OUTPUT_TOKENS
    assert size(parse(thinking={"type": "adaptive"})).output_tokens_min == 8


def test_what_is_patched() -> None:
    request = parse(temperature=0.50, thinking={"type": "adaptive"})
    assert DIALECT.encode(request, TARGET, None) is request.body
    sent = DIALECT.encode(request, Target("other", limit_field="max_completion_tokens", extra={"user": "u"}), 77)
    assert json.loads(sent) == json.loads(request.body) | {"model": "other", "max_tokens": 77, "user": "u"}
    # The caller's own limit and fields stay.
    request = parse(max_tokens=0, user="mine", stream=True)
    assert DIALECT.encode(request, Target("claude-x", extra={"user": "u"}), 77) is request.body


def test_a_reply_stays_as_it_came() -> None:
    assert DIALECT.reply(b"{}") == b"{}"
