"""What a response says about itself: usage, cost, searches, how it ended, and errors inside a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.usage import TOKENS_MAX
from bursar.wire.dialect import Metered
from bursar.wire.responses_meter import meter_response

USAGE = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
REPLY: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "model": "m-1",
    "service_tier": "priority",
    "status": "completed",
    "incomplete_details": None,
    "error": None,
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
    "usage": USAGE,
}
# A field of another type makes the whole response be read by its other way, which must come to the same.
TYPED_OR_NOT: list[dict[str, Any]] = [{}, {"id": 7}]


def meter(**fields: Any) -> Metered:
    return meter_response(json.dumps(REPLY | fields).encode())


def leaves(metered: Metered) -> dict[str, int]:
    assert metered.usage is not None
    return dict(metered.usage.leaves)


def test_a_completed_response() -> None:
    metered = meter()
    assert leaves(metered) == {"input": 9, "output": 3}
    assert (metered.reply_id, metered.served_model, metered.service_tier) == ("resp_1", "m-1", "priority")
    assert (metered.finish_reason, metered.error, metered.complete) == ("completed", None, True)


@pytest.mark.parametrize(
    ("fields", "reason", "complete"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens", True),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter", True),
        ({"status": "incomplete"}, "incomplete", True),
        ({"status": "incomplete", "incomplete_details": {"reason": 7}}, "incomplete", True),
        ({"status": "incomplete", "incomplete_details": "odd"}, "incomplete", True),
        ({"status": "complete"}, "complete", True),  # some imitators' word
        ({"status": None}, "", True),
        ({"status": 7}, "", True),
        ({"status": "queued", "usage": None}, "", False),
        ({"status": "in_progress", "usage": None}, "", False),
        ({"status": "cancelled", "usage": None}, "", False),
    ],
)
def test_endings(fields: dict[str, Any], reason: str, complete: bool) -> None:
    metered = meter(**fields)
    assert (metered.finish_reason, metered.complete, metered.error) == (reason, complete, None)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("server_error", "unavailable"),
        ("vector_store_timeout", "unavailable"),
        ("something_new", "unavailable"),
        ("rate_limit_exceeded", "rate"),
        ("insufficient_quota", "quota"),
        ("bio_policy", "content"),
        ("misalignment_policy_violation", "content"),
        ("image_content_policy_violation", "content"),
        ("invalid_prompt", "rejected"),
        ("data_residency_mismatch", "rejected"),
        ("invalid_image", "rejected"),
        ("invalid_image_format", "rejected"),
        ("invalid_image_mode", "rejected"),
        ("invalid_image_url", "rejected"),
        ("invalid_base64_image", "rejected"),
        ("image_too_large", "rejected"),
        ("image_too_small", "rejected"),
        ("image_parse_error", "rejected"),
        ("image_file_too_large", "rejected"),
        ("image_file_not_found", "rejected"),
        ("unsupported_image_media_type", "rejected"),
        ("empty_image_file", "rejected"),
        ("failed_to_download_image", "rejected"),
    ],
)
def test_a_failed_response_is_an_error_and_keeps_its_usage(code: str, kind: str) -> None:
    metered = meter(status="failed", error={"code": code, "message": "m"})
    assert metered.error is not None
    assert (metered.error.kind, metered.error.code, metered.error.message) == (kind, code, "m")
    assert (metered.complete, metered.finish_reason, leaves(metered)) == (False, "failed", {"input": 9, "output": 3})


def test_a_response_may_fail_without_saying_why() -> None:
    for odd in TYPED_OR_NOT:
        metered = meter(status="failed", **odd)
        assert metered.error is not None
        assert (metered.error.kind, metered.error.code, metered.complete) == ("unavailable", "response_failed", False)


SEARCH = {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
FILES = {"type": "file_search_call", "status": "completed", "queries": ["q"]}


@pytest.mark.parametrize(
    ("items", "fees"),
    [
        ([SEARCH, REPLY["output"][0], SEARCH], {"web_searches": 2}),
        ([FILES, SEARCH, FILES], {"web_searches": 1, "file_searches": 2}),
        ([{"type": "web_search_call", "status": "completed"}], {"web_searches": 1}),  # as it was before it had actions
        ([SEARCH | {"action": {"type": "open_page", "url": "u"}}], {}),
        ([SEARCH | {"action": {"type": "find_in_page", "url": "u"}}], {}),
        ([SEARCH | {"status": "failed"}, FILES | {"status": "failed"}], {}),
        ([SEARCH | {"status": "incomplete"}], {"web_searches": 1}),
        ([7, None, {"type": ["web_search_call"]}, "web_search_call"], {}),
    ],
)
def test_searches_are_counted_since_usage_does_not_say_them(items: list[Any], fees: dict[str, int]) -> None:
    for odd in TYPED_OR_NOT:
        metered = meter(output=items, **odd)
        assert leaves(metered) == {"input": 9, "output": 3} | fees
        assert metered.usage is not None
        assert metered.usage.total_tokens == 12


@pytest.mark.parametrize(
    ("count", "items", "fees"),
    [
        (0, [SEARCH, FILES], {"file_searches": 1}),
        (3, [SEARCH], {"web_searches": 3}),
        (3, [], {"web_searches": 3}),
        (0, [], {}),
        (None, [SEARCH], {"web_searches": 1}),
        (-1, [SEARCH], {"web_searches": 1}),
        (TOKENS_MAX + 1, [SEARCH], {"web_searches": 1}),
        ("3", [SEARCH], {"web_searches": 1}),
    ],
)
def test_the_providers_own_count_of_billable_searches_is_the_fact(
    count: Any, items: list[Any], fees: dict[str, int]
) -> None:
    for odd in TYPED_OR_NOT:
        metered = meter(output=items, tool_usage={"web_search": {"num_requests": count}}, **odd)
        assert leaves(metered) == {"input": 9, "output": 3} | fees


@pytest.mark.parametrize("tool_usage", [None, {}, {"web_search": None}, {"web_search": 7}, 7])
def test_tool_usage_of_another_form_says_nothing(tool_usage: Any) -> None:
    assert leaves(meter(output=[SEARCH], tool_usage=tool_usage))["web_searches"] == 1


def test_fields_of_another_type_hide_no_usage() -> None:
    for odd in ({"id": 7}, {"model": []}, {"service_tier": {}}, {"incomplete_details": 7}, {"status": [1]}):
        metered = meter(**odd)
        assert (leaves(metered), metered.error, metered.complete) == ({"input": 9, "output": 3}, None, True)


@pytest.mark.parametrize("output", [None, {}, "text", 7])
def test_a_reply_without_output_is_malformed_and_keeps_its_usage(output: Any) -> None:
    for odd in TYPED_OR_NOT:
        metered = meter(output=output, **odd)
        assert metered.error is not None
        assert (metered.error.kind, metered.complete, leaves(metered)) == (
            "malformed",
            False,
            {"input": 9, "output": 3},
        )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"<html>", b"\xff", b"[" * 50_000, b'{"x":' + b"[" * 50_000])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    metered = meter_response(body)
    assert metered.error is not None
    assert (metered.error.kind, metered.usage, metered.complete) == ("malformed", None, False)


def test_an_error_alone_is_an_error() -> None:
    metered = meter_response(b'{"error":{"code":502,"message":"m"}}')
    assert metered.error is not None
    assert (metered.error.kind, metered.error.message) == ("unavailable", "m")


COUNTS = st.none() | st.integers() | st.integers(0, 2**31) | st.text("0123456789e.-", max_size=5) | st.booleans()
DETAILS = st.dictionaries(
    st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens", "image_tokens"]),
    COUNTS | st.dictionaries(st.sampled_from(["ttl_30m_tokens", "ttl_12h_tokens"]), COUNTS),
)
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "total_tokens": COUNTS,
        "input_tokens_details": DETAILS | COUNTS,
        "output_tokens_details": DETAILS | COUNTS,
        "cost": st.floats() | COUNTS,
        "is_byok": COUNTS,
        "cost_details": DETAILS | COUNTS,
        "server_tool_use_details": DETAILS | COUNTS,
    },
)


@given(USAGES | COUNTS | st.lists(COUNTS))
def test_no_usage_raises_or_charges_less_than_it_says(usage: Any) -> None:
    metered = meter(usage=usage)
    if metered.usage is None or not isinstance(usage, dict):
        return
    assert all(0 < count <= 2 * TOKENS_MAX for count in metered.usage.leaves.values())
    told = {name: usage.get(name) for name in ("input_tokens", "output_tokens", "total_tokens")}
    counted = {name: getattr(metered.usage, name) for name in told}
    for name, count in told.items():
        if type(count) is int and 0 <= count <= TOKENS_MAX:
            assert counted[name] >= count


ANY = st.recursive(
    COUNTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*REPLY, "type", "action"]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*REPLY, "tool_usage"]), ANY))
def test_no_response_raises(fields: dict[str, Any]) -> None:
    meter(**fields)
