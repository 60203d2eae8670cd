"""The bound of a Messages body: text by its bytes, everything else by the most it can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.wire.anthropic_size import TYPED_TOOL_TOKENS, extent_of
from bursar.wire.body import read_fields
from bursar.wire.extent import IMAGE_TOKENS_MAX, TOOLS_OVERHEAD_TOKENS, Extent

CONTEXT = 1_000_000
DATA = "A" * 100_000
TEXT = {"type": "text", "text": "What is this?"}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": DATA}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
PAGE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page. " * 100}}


def body(content: Any, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **more}).encode()


def extent(content: Any, **more: Any) -> Extent:
    data = body(content, **more)
    return extent_of(data, read_fields(data), ("m",), CONTEXT)


def result(*blocks: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(blocks)}


@pytest.mark.parametrize(
    "block",
    [
        TEXT,
        PAGE,
        result(TEXT),
        result(TEXT, PAGE),
        {"type": "tool_result", "tool_use_id": "t", "content": "It is a river."},
        {"type": "tool_result", "tool_use_id": "t"},
        {"type": "document", "source": {"type": "content", "content": "A page."}},
        {"type": "document", "source": {"type": "content", "content": [TEXT, TEXT]}},
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2ln"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"type": "image", "a": [1]}},
        {"type": "search_result", "source": "s", "title": "t", "content": [TEXT]},
        {"type": "compaction", "content": "So far: a river."},
        {"type": "tool_search_tool_result", "content": {"tool_references": [{"type": "tool_reference"}]}},
    ],
)
def test_text_is_bounded_by_its_bytes(block: dict[str, Any]) -> None:
    for content in ([block], [TEXT, block], block):
        size = len(body(content))
        assert size <= extent(content).input_tokens_max < size + 512
    assert extent("What?").input_tokens_max < len(body("What?")) + 512


@pytest.mark.parametrize("source", [IMAGE["source"], {"type": "url", "url": "https://x"}, {"type": "file", "id": "f"}])
def test_an_image_counts_the_most_it_can_be_and_not_its_bytes(source: Any) -> None:
    image = {"type": "image", "source": source}
    for block, images in ((image, 1), (result(image, image), 2), (result(result(image)), 1)):
        most = extent([TEXT, block]).input_tokens_max
        assert images * IMAGE_TOKENS_MAX <= most < images * IMAGE_TOKENS_MAX + 2_000


@pytest.mark.parametrize(
    "block",
    [
        PDF,
        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "document", "source": {"type": "content", "content": [PDF]}},
        {"type": "document"},
        {"type": "container_upload", "file_id": "f"},
        {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "encrypted_content": "c"}]},
        {"type": "new_block"},
        {"text": "no type"},
        7,
        None,
        result(PDF),
        result(result(result(PDF))),
    ],
)
def test_what_says_nothing_of_its_length_is_bounded_by_the_context_window(block: Any) -> None:
    found = extent([TEXT, block])
    assert CONTEXT <= found.input_tokens_max < CONTEXT + 512
    assert found.input_tokens_likely < 2_000


def test_a_nest_without_end_is_bounded_by_the_context_window() -> None:
    nested: Any = IMAGE
    for _ in range(50):
        nested = result(nested)
    assert extent([nested]).input_tokens_max >= CONTEXT


def test_tools_bring_text_that_the_body_does_not_show() -> None:
    plain = {"name": "f", "input_schema": {"type": "object"}}
    typed = {"type": "computer_20251124", "name": "computer"}
    bare = len(body("x", tools=[plain]))
    assert extent("x", tools=[plain]).input_tokens_max >= bare + TOOLS_OVERHEAD_TOKENS
    both = extent("x", tools=[typed, typed]).input_tokens_max
    assert both >= len(body("x", tools=[typed, typed])) + TOOLS_OVERHEAD_TOKENS + 2 * TYPED_TOOL_TOKENS


@pytest.mark.parametrize("messages", [b'"text"', b"[7]", b"7", b"[" * 5000 + b"]" * 5000])
def test_messages_that_are_none_are_bounded_by_the_context_window(messages: bytes) -> None:
    data = b'{"model":"m","messages":' + messages + b"}"
    assert extent_of(data, {"messages": read_raw(messages)}, ("m",), CONTEXT).input_tokens_max >= CONTEXT


def read_raw(value: bytes) -> Any:
    import msgspec

    return msgspec.Raw(value)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "content", "source", "data", "text"]), inner, max_size=3),
        st.builds(lambda kind, value: {"type": kind, "content": value, "source": value},
                  st.sampled_from(["text", "image", "document", "tool_result", "content", "base64"]), inner),
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_no_content_raises_or_is_bounded_below_its_text(content: Any) -> None:
    found = extent(content)
    images = json.dumps(content).count('"image"')
    assert found.input_tokens_max >= len(body(content)) or images
    assert found.input_tokens_likely <= found.input_tokens_max
