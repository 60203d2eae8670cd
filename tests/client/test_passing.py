"""What goes to the provider: everything the caller gave, unchanged, and of our own only what must be there."""

from __future__ import annotations

from typing import Any

import pytest

import bursar
from tests.client.colours import opened, whole
from tests.client.raw_server import configured, raw_server

STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b'data: {"id":"s","model":"m","choices":[{"index":0,"delta":{"content":"ho"},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"s","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}\n\n'
    b"data: [DONE]\n\n"
)
MESSAGES = [
    {
        "role": "system",
        "content": "Sei kurz. \u2028 \U0001f600",
        "name": "s",
        "unknown_to_us": {"deep": [1, 2.50, None]},
    },
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ],
    },
]
PARAMETERS: dict[str, Any] = {
    "temperature": 0.1,
    "top_p": 1.0,
    "seed": 2**62,
    "stop": ["\n", "END"],
    "logit_bias": {"50256": -100},
    "tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    "parallel_tool_calls": False,
    "metadata": {"a": "b"},
    "a_parameter_of_next_year": {"x": [True, None, "\u00e9"]},
}


async def test_messages_and_parameters_pass_unchanged(colour: str) -> None:
    with raw_server() as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            await llm.chat(MESSAGES, max_tokens=60, extra_body={"from_extra_body": 1.25}, **PARAMETERS)
    sent = server.received[0].json
    assert sent == {
        "model": "gpt-4o-mini",
        "messages": MESSAGES,
        **PARAMETERS,
        "max_completion_tokens": 60,
        "from_extra_body": 1.25,
    }
    assert server.received[0].path == "/v1/chat/completions"
    # As bytes too: no number is rewritten, no text escaped.
    assert b'"seed":4611686018427387904' in server.received[0].body
    assert "Sei kurz. \u2028 \U0001f600".encode() in server.received[0].body


@pytest.mark.parametrize(
    ("provider", "field"),
    [
        ("openai", "max_completion_tokens"),
        ("groq", "max_completion_tokens"),
        ("openrouter", "max_tokens"),
        ("mine", "max_tokens"),
    ],
)
async def test_the_output_limit_goes_under_the_providers_own_name(colour: str, provider: str, field: str) -> None:
    with raw_server() as server:
        config = configured(server, provider, price="free")
        async with opened(colour, config, budget_usd=5) as llm:
            await llm.chat(model=f"{provider}/gpt-4o-mini", max_tokens=60)
            await llm.chat(model=f"{provider}/gpt-4o-mini", max_completion_tokens=70)
            await llm.chat(model=f"{provider}/gpt-4o-mini")
    limits = [{key: value for key, value in one.json.items() if key.startswith("max_")} for one in server.received]
    assert limits[:2] == [{field: 60}, {field: 70}], "a name that a provider does not know would not be heeded"
    assert list(limits[2]) == [field], "the limit that the budget imposes"


async def test_both_limits_of_a_caller_go_as_they_came_and_the_larger_bounds(colour: str) -> None:
    with raw_server() as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            reply = await llm.chat(max_tokens=60, max_completion_tokens=900)
    assert server.received[0].json["max_tokens"] == 60
    assert server.received[0].json["max_completion_tokens"] == 900
    assert reply.receipt.output_tokens_max == 900


async def test_without_a_budget_only_the_model_is_ours(colour: str) -> None:
    with raw_server() as server:
        async with opened(colour, configured(server)) as llm:
            await llm.chat("hi")
    assert server.received[0].json == {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "x": 1}}, {"include_usage": True, "x": 1}),
        ({"stream_options": None}, {"include_usage": True}),
    ],
)
async def test_usage_is_asked_for_and_hidden_from_a_caller_who_did_not(colour: str, given: Any, sent: Any) -> None:
    with raw_server(STREAM, closing=True) as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            seen = await llm.stream(**given)
    assert server.received[0].json["stream"] is True
    assert server.received[0].json["stream_options"] == sent
    assert seen.texts == ["ho"], "no delta for the usage"
    assert whole(seen.reply).usage.total_tokens == 10


async def test_usage_that_was_asked_for_is_shown(colour: str) -> None:
    with raw_server(STREAM, closing=True) as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            seen = await llm.stream(stream_options={"include_usage": True})
    assert seen.texts == ["ho", ""]


async def test_headers_are_the_providers_ours_and_the_callers(colour: str) -> None:
    with raw_server() as server:
        config = configured(server, extra_headers={"X-Configured": "c"})
        async with opened(colour, config, budget_usd=5) as llm:
            reply = await llm.chat(extra_headers={"X-Mine": "m"})
            with pytest.raises(bursar.InvalidRequestError, match="header"):
                await llm.chat(extra_headers={"X-Mine": "a\r\nEvil: b"})
    headers = server.received[0].headers
    assert headers["authorization"] == "Bearer sk-sim-raw"
    assert (headers["x-configured"], headers["x-mine"]) == ("c", "m")
    assert headers["x-client-request-id"] == reply.receipt.attempt_id
    assert len(server.received) == 1


async def test_what_governs_a_call_is_not_sent(colour: str) -> None:
    with raw_server() as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            await llm.chat(
                "hi", user="u", session="s", tags={"team": "t"}, max_cost_usd=1, timeout=30, max_wait_seconds=1,
                max_tokens=5,
            )  # fmt: skip
    assert sorted(server.received[0].json) == ["max_completion_tokens", "messages", "model"]


async def test_objects_of_other_libraries_go_as_what_they_stand_for(colour: str) -> None:
    class Message:
        def model_dump(self) -> dict[str, str]:
            return {"role": "user", "content": "from an object"}

    with raw_server() as server:
        async with opened(colour, configured(server)) as llm:
            await llm.chat([Message()])
            with pytest.raises(bursar.InvalidRequestError, match="object is not JSON"):
                await llm.chat([object()])
            with pytest.raises(bursar.InvalidRequestError):
                await llm.chat("\ud800")
    assert server.received[0].json["messages"] == [{"role": "user", "content": "from an object"}]


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": "many"}, {"n": 0}, {"n": 1000}, {"timeout": -1},
        {"timeout": float("nan")}, {"timeout": "soon"}, {"max_wait_seconds": float("inf")}, {"max_cost_usd": -1},
        {"max_cost_usd": "nan"}, {"tags": {"provider": "x"}}, {"tags": {"": "x"}}, {"tags": {"t": ""}},
        {"tags": {"t": 5}}, {"tags": {str(i): "x" for i in range(40)}}, {"user": "a\nb"}, {"stream": True},
        {"messages": None}, {"temperature": float("nan"), "messages": 5},
    ],
)  # fmt: skip
async def test_what_cannot_be_sent_is_the_callers_fault_and_holds_nothing(colour: str, options: dict[str, Any]) -> None:
    with raw_server() as server:
        async with opened(colour, configured(server), budget_usd=5) as llm:
            messages = options.get("messages", "hi")
            rest = {name: value for name, value in options.items() if name != "messages"}
            with pytest.raises(bursar.InvalidRequestError) as raised:
                await llm.chat(messages, **rest)
            assert not raised.value.sent
            assert llm.budgets()["client"].held == 0
            assert llm.facts() == []
    assert server.received == []
